#ifndef CHAIN_FLOW_DIRECT_H
#define CHAIN_FLOW_DIRECT_H
/*
 * Does: one UDP flow of a chain without hops: a socket to the target itself. Knows: sockets, ICMP
 * errors. Never knows: hops, who sends.
 */
#include "chain/error.h"
#include "chain/session.h"
#include "common/udp.h"

struct flow_direct;
/* Each may free the flow. None runs from inside new() or send(). */
struct flow_direct_ops {
	void (*deliver)(struct bytes data, void *owner);
	void (*on_status)(uint8_t status, void *owner);
	/* No name, no way. May run from inside flow_direct_start(). */
	void (*on_fail)(const struct chain_error *error, void *owner);
};
/** flow_direct_new() - to @target (copied), whose name is looked up here. Return: 0, ERR_NOMEM. */
NODISCARD int flow_direct_new(struct chain_client *client, struct udp_io *io,
	const struct addr *target, const struct flow_direct_ops *ops, void *owner,
	struct flow_direct **ret);
void flow_direct_start(struct flow_direct *flow);
void flow_direct_free(struct flow_direct *flow); /* NULL ok */
/** flow_direct_send() - copied where it has to wait for the name. Return: false if it was dropped.
 */
bool flow_direct_send(struct flow_direct *flow, struct bytes data);
/** flow_direct_room() - largest payload; 0 while the name is looked up. */
size_t flow_direct_room(const struct flow_direct *flow);
/** flow_direct_mtu() - largest payload to @target that stays whole on a link of @link_mtu bytes. */
size_t flow_direct_mtu(const struct addr *target, size_t link_mtu);
uint64_t flow_direct_n_errors(const struct flow_direct *flow);

#endif
