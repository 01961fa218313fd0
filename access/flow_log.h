#ifndef ACCESS_FLOW_LOG_H
#define ACCESS_FLOW_LOG_H
/*
 * Does: the lines about the end of a UDP flow. Knows: what a flow counted. Never knows: whose it
 * is, why it ended.
 */
#include "access/flow_way.h"
#include "chain/datagram.h"

/* Borrowed. */
struct access_flow_names {
	const struct access_worker *worker;
	const union addr_sock *client;
	const struct addr *target;
	uint32_t id;
	const struct access_flow_way *way;
};
/** access_flow_log_end() - @datagram NULL: it never had a way. The exit line, where connections are
 * logged, and the counters at debug. Evictions, which a client can cause with each datagram, have a
 * limit. */
void access_flow_log_end(const struct access_flow_names *names,
	const struct chain_datagram *datagram, uint64_t start_ms, const char *end);
/** access_flow_log_failure() - limited. */
void access_flow_log_failure(
	const struct access_flow_names *names, const struct chain_error *error);

#endif
