#ifndef ACCESS_UDP_FLOW_H
#define ACCESS_UDP_FLOW_H
/*
 * Does: what a UDP flow of a client is wherever it comes from, a UDP listener or an association:
 * its ends, its way, its charges, what it lets go of when it is quiet or has failed. Knows: ways,
 * charges. Never knows: clients' sockets, tables of flows, how long it may be idle.
 */
#include "access/flow_way.h"
#include "common/warm.h"

/* Embedded in a flow. */
struct access_flow {
	union addr_sock client;
	struct addr target;
	struct access_flow_way way; /* closed = has failed, and stays quiet for a while */
	struct access_charges charges;
	struct warm_list *hot; /* its owner's */
	struct warm warm;
	uint64_t start_ms;
	uint32_t id;
	bool is_answered;
};
/** access_flow_hot_init() - of at most @max flows, which rest when they are quiet. */
void access_flow_hot_init(struct warm_list *hot, struct loop *loop, uint32_t max);
/** access_flow_answered() - the target has sent something. Return: how long the flow may be idle
 * from now on, ms; 0: as before, this was not the first time. */
uint32_t access_flow_answered(struct access_flow *flow);
/** access_flow_let_go() - of what it holds beside its place in a table; @end is for the log.
 * Idempotent. */
void access_flow_let_go(struct access_flow *flow, const char *end);

#endif
