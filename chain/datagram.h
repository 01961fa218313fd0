#ifndef CHAIN_DATAGRAM_H
#define CHAIN_DATAGRAM_H
/*
 * Does: one UDP flow through a chain with its I/O: a socket to hop 1 driving flow_client.h, or, where
 * the path loses UDP, command UDP over a stream (session.h) with frames (wire_frame.h). Knows:
 * sockets, timers, the choice between the two. Never knows: who sends, listeners.
 */
#include "chain/error.h"
#include "chain/flow_client.h"
#include "chain/session.h"
#include "common/udp.h"

struct chain_datagram;
struct chain_datagram_ops {
	void (*deliver)(struct bytes data, void *owner);
	/* A hint about what was sent: STATUS_PORT_UNREACH, MSGSIZE, DENIED_*, 0x2x. */
	void (*on_status)(uint8_t status, void *owner);
	/* The flow has failed; freed by the owner with chain_datagram_free(), also from inside. */
	void (*on_fail)(const struct chain_error *error, void *owner);
};
/** chain_datagram_new() - a flow to @target (copied). Nothing is sent before the first
 * chain_datagram_send(). The chain's "udp" decides: datagram, stream, or auto: datagrams, and a
 * stream when the chain has never carried one and the first flow hears nothing for
 * CHAIN_UDP_PROBE_MS; what the probe found is kept in @client for CHAIN_UDP_AGAIN_MS.
 * Callbacks never run from inside new(). Return: 0, ERR_NOMEM, ERR_INVAL. */
#define CHAIN_UDP_PROBE_MS 3000
#define CHAIN_UDP_AGAIN_MS 600000
NODISCARD int chain_datagram_new(struct chain_client *client, struct udp_io *io,
	const struct addr *target, const struct chain_datagram_ops *ops, void *owner,
	struct chain_datagram **ret);
void chain_datagram_free(struct chain_datagram *datagram); /* NULL ok */
/** chain_datagram_send() - @data is copied where it has to wait (at most 4 datagrams, 8 KiB, while
 * hop 1 is looked up or a stream is built; then they are dropped and counted). */
enum flow_client_verdict chain_datagram_send(struct chain_datagram *datagram, struct bytes data);
size_t chain_datagram_room(const struct chain_datagram *datagram, enum wire_form form);
bool chain_datagram_is_stream(const struct chain_datagram *datagram);
void chain_datagram_bytes(
	const struct chain_datagram *datagram, uint64_t *ret_up, uint64_t *ret_down);
/** chain_datagram_rest() - a quiet flow lets go of what it can make again. */
void chain_datagram_rest(struct chain_datagram *datagram);

#endif
