#ifndef CHAIN_FLOW_LINK_H
#define CHAIN_FLOW_LINK_H
/*
 * Does: the UDP socket of one flow to hop 1, of a chain without hops to the target: looks up the
 * names that are looked up here, connects to the first address there is a way to, replaces a socket
 * whose way is gone. Knows: DNS, sockets. Never knows: what is sent.
 *
 * Without hops, "hop 1" is the target below, and errors speak of hop 0.
 */
#include "chain/error.h"
#include "chain/session.h"
#include "common/udp.h"

struct flow_link;
/* None runs from inside new(); on_ready and on_fail may run from inside flow_link_start(). */
struct flow_link_ops {
	/* Once: there is a socket. @target: what the exit is to be told, an address if names are
	 * looked up here. */
	void (*on_ready)(const struct addr *target, void *owner);
	/* @data may be written to. May free the link. */
	void (*on_packet)(uint8_t *data, size_t len, void *owner);
	/* Instead of on_ready: no name, no way (stages RESOLVE, DIAL). */
	void (*on_fail)(const struct chain_error *error, void *owner);
	/* NULL: the link replaces its socket by itself. Else: hop 1's host, or this one, refused
	 * what was sent. May free the link. */
	void (*on_error)(int error, void *owner);
};
/** flow_link_new() - for a flow to @target (copied). Return: 0, ERR_NOMEM. */
NODISCARD int flow_link_new(struct chain_client *client, struct udp_io *io,
	const struct addr *target, const struct flow_link_ops *ops, void *owner,
	struct flow_link **ret);
void flow_link_free(struct flow_link *link); /* NULL ok */
void flow_link_start(struct flow_link *link);
/** flow_link_send() - to hop 1; lost where there is no socket. */
void flow_link_send(struct flow_link *link, struct bytes datagram);
/** flow_link_is_heard() - hop 1 has answered: its address is kept. */
void flow_link_is_heard(struct flow_link *link);
/** flow_link_mtu() - bytes of an IP packet to hop 1, as far as the kernel knows, else 1500; after
 * on_ready. */
size_t flow_link_mtu(const struct flow_link *link, bool *ret_is_ip6);
/** flow_link_n_errors() - ICMP errors, and what this host said instead of sending. */
uint64_t flow_link_n_errors(const struct flow_link *link);
/** flow_link_next() - another socket, to an address of hop 1 that was not tried yet. Return: false
 * if there is none. */
bool flow_link_next(struct flow_link *link);
/** flow_link_late() - the error when neither on_ready nor on_fail came in time. */
void flow_link_late(const struct flow_link *link, struct chain_error *ret);
/** flow_link_address() - of hop 1, the present one; NULL while its name is looked up.
 * flow_link_resolve_us() - how long that took. */
const union addr_sock *flow_link_address(const struct flow_link *link);
uint32_t flow_link_resolve_us(const struct flow_link *link);

#endif
