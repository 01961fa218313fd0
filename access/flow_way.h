#ifndef ACCESS_FLOW_WAY_H
#define ACCESS_FLOW_WAY_H
/*
 * Does: where one UDP flow of a client goes: asks the rules, takes a way, sends over it, and tells
 * the way's health how it went. Knows: ingresses, ways, datagrams through a chain. Never knows:
 * clients' sockets, tables of flows.
 */
#include "access/ingress.h"
#include "chain/carrier.h"

#define ACCESS_FLOW_TRIES 4 /* ways that one flow takes at most before an answer comes */

/* Embedded in a flow; zeroed = none. */
struct access_flow_way {
	struct access_ingress *ingress; /* held */
	struct chain_carrier carrier;
	size_t n_tried;
	struct chain_tried tried[ACCESS_FLOW_TRIES - 1]; /* ways that failed before this one */
	const struct route_rule *rule;                   /* that said where it goes; or NULL */
};
/** access_flow_way_open() - @query->protocol is ROUTE_UDP. Return: 0, ERR_NOMEM, ERR_DENIED: a rule
 * blocks it, which is logged; -ELOOP: see access_connection_open(). @ops are static. */
NODISCARD int access_flow_way_open(struct access_flow_way *f, struct access_ingress *ingress,
	struct udp_io *io, const struct route_query *query, const struct chain_datagram_ops *ops,
	void *owner);
/** access_flow_way_is_open() - from open to close. */
bool access_flow_way_is_open(const struct access_flow_way *f);
/** access_flow_way_retry() - for on_fail: if nothing was answered yet and another way may do
 * better, it takes the place of the one that failed; @target and @source are those of the query.
 * What was sent is lost: the application repeats it. Return: false: the flow has failed. */
bool access_flow_way_retry(struct access_flow_way *f, const struct chain_error *error,
	const struct addr *target, const union addr_sock *source);
void access_flow_way_close(struct access_flow_way *f); /* idempotent */

#endif
