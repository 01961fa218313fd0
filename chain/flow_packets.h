#ifndef CHAIN_FLOW_PACKETS_H
#define CHAIN_FLOW_PACKETS_H
/*
 * Does: one UDP flow through a chain as datagrams: drives the rules (flow_client.h) over a socket
 * to hop 1 (flow_link.h), with the rules' clock. Knows: timers, the client's ephemeral keys. Never
 * knows: streams, what waits, who sends.
 */
#include "chain/flow_client.h"
#include "chain/session.h"
#include "common/udp.h"

struct flow_packets;
/* None runs from inside new(). */
struct flow_packets_ops {
	/* May free the flow. */
	void (*deliver)(struct bytes data, void *owner);
	void (*on_status)(uint8_t status, void *owner);
	/* Once: flow_packets_send() may be called. It and on_fail may run from inside start(). */
	void (*on_ready)(void *owner);
	/* The exit has answered. */
	void (*on_open)(void *owner);
	/* May run from inside the flow, which may not be freed then. It is quiet from now on. */
	void (*on_fail)(const struct chain_error *error, void *owner);
};
/** flow_packets_new() - to @target (copied). Return: 0, ERR_NOMEM. */
NODISCARD int flow_packets_new(struct chain_client *client, struct udp_io *io,
	const struct addr *target, const struct flow_packets_ops *ops, void *owner,
	struct flow_packets **ret);
void flow_packets_free(struct flow_packets *flow); /* NULL ok */
void flow_packets_start(struct flow_packets *flow);
/** flow_packets_stop() - nothing is received or timed any more. NULL ok, idempotent. */
void flow_packets_stop(struct flow_packets *flow);
/** flow_packets_send() - between on_ready and on_fail. */
enum flow_client_verdict flow_packets_send(struct flow_packets *flow, struct bytes data);
/** flow_packets_has_begun() - whether something was sent. */
bool flow_packets_has_begun(const struct flow_packets *flow);
/** flow_packets_is_open() - whether the exit has answered. */
bool flow_packets_is_open(const struct flow_packets *flow);
/** flow_packets_room() - largest payload of @form now; 0 before on_ready. */
size_t flow_packets_room(const struct flow_packets *flow, enum wire_form form);
/** flow_packets_mtu() - the same of a flow to @target over a first link of @link_mtu bytes. Return:
 * 0, ERR_NOMEM, ERR_INVAL. */
NODISCARD int flow_packets_mtu(const struct chain_spec *spec, const struct addr *target,
	size_t link_mtu, size_t *ret_first, size_t *ret_steady);
/** flow_packets_counters() - NULL before on_ready. */
const struct flow_client_counters *flow_packets_counters(const struct flow_packets *flow);
/** flow_packets_n_errors() - as flow_link_n_errors(). */
uint64_t flow_packets_n_errors(const struct flow_packets *flow);
/** flow_packets_rest() - of a quiet flow. */
void flow_packets_rest(struct flow_packets *flow);

#endif
