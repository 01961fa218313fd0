#ifndef CHAIN_DATAGRAM_H
#define CHAIN_DATAGRAM_H
/*
 * Does: one UDP flow through a chain with its I/O: a socket to hop 1 driving flow_client.h, or,
 * where the path loses UDP or a step carries none, a stream (flow_stream.h); of a chain without
 * hops a socket to the target (flow_direct.h). Knows: sockets, timers, the choice between them.
 * Never knows: who sends, listeners.
 */
#include "chain/error.h"
#include "chain/flow_client.h"
#include "chain/session.h"
#include "common/udp.h"

struct chain_datagram;
struct chain_datagram_ops {
	/* May free the flow. */
	void (*deliver)(struct bytes data, void *owner);
	/* A hint about what was sent: STATUS_PORT_UNREACH, MSGSIZE, DENIED_*, 0x2x. May not free.
	 */
	void (*on_status)(uint8_t status, void *owner);
	/* The flow has failed; freed by the owner with chain_datagram_free(), also from inside. */
	void (*on_fail)(const struct chain_error *error, void *owner);
};
/** chain_datagram_new() - a flow to @target (copied). Nothing is sent before the first
 * chain_datagram_send(). The chain's "udp" decides: datagram, stream, or auto: datagrams; a stream
 * is built too when the chain has never carried one and no answer of the exit came within
 * CHAIN_UDP_PROBE_MS, and what stands first carries the flow. What was found is kept in @client, a
 * loss for CHAIN_UDP_AGAIN_MS. A chain with somebody else's proxy among its steps carries flows in
 * streams only, and none if its last step is one: UNSUPPORTED.
 * Callbacks never run from inside new() or send(). Return: 0, ERR_NOMEM; whatever else is wrong
 * comes as on_fail. */
#define CHAIN_UDP_PROBE_MS 3000
NODISCARD int chain_datagram_new(struct chain_client *client, struct udp_io *io,
	const struct addr *target, const struct chain_datagram_ops *ops, void *owner,
	struct chain_datagram **ret);
void chain_datagram_free(struct chain_datagram *datagram); /* NULL ok */
/** chain_datagram_send() - @data is copied where it has to wait (at most 4 datagrams, 8 KiB, while
 * hop 1 is looked up or a stream is built; then they are dropped and counted). */
enum flow_client_verdict chain_datagram_send(struct chain_datagram *datagram, struct bytes data);
/** chain_datagram_room() - largest payload of @form now; 0 while hop 1 is looked up. */
size_t chain_datagram_room(const struct chain_datagram *datagram, enum wire_form form);
/** chain_datagram_mtu() - largest payload of form F and of form S for flows to @target over a first
 * link of 1,500 bytes; UDP_PAYLOAD_MAX where flows go in streams only because of a foreign step.
 * Return: 0, ERR_NOMEM, ERR_INVAL (also: the chain carries no datagrams). */
NODISCARD int chain_datagram_mtu(const struct chain_spec *spec, const struct addr *target,
	size_t *ret_first, size_t *ret_steady);
/** chain_datagram_hurry() - another chain can do it: if no answer of the exit came within
 * CHAIN_UDP_PROBE_MS, the flow fails as soon as the stream does, instead of waiting on. */
void chain_datagram_hurry(struct chain_datagram *datagram);
bool chain_datagram_is_stream(const struct chain_datagram *datagram);

/* Of one flow, over its whole life. */
struct chain_datagram_counters {
	uint64_t n_up, n_down; /* datagrams */
	uint64_t n_up_bytes, n_down_bytes;
	uint64_t n_waiting;                    /* dropped: nothing to send them over in time */
	uint64_t n_too_long;                   /* dropped: no form carries them */
	uint64_t n_junk, n_forged, n_replayed; /* of what came from hop 1: dropped */
	uint64_t n_refused;                    /* ICMP errors from the way to hop 1 */
};
struct chain_datagram_counters chain_datagram_counters(const struct chain_datagram *datagram);
/** chain_datagram_rest() - a quiet flow lets go of what it can make again. */
void chain_datagram_rest(struct chain_datagram *datagram);

#endif
