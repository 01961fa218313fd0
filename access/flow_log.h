#ifndef ACCESS_FLOW_LOG_H
#define ACCESS_FLOW_LOG_H
/*
 * Does: the lines about the end of a UDP flow. Knows: what a flow counted. Never knows: whose it
 * is, why it ended.
 */
#include "access/udp_flow.h"

/** access_flow_log_end() - the exit line, where connections are logged, and the counters at debug.
 * Evictions, which a client can cause with each datagram, have a limit. */
void access_flow_log_end(const struct access_flow *flow, const char *end);
/** access_flow_log_failure() - limited. */
void access_flow_log_failure(const struct access_flow *flow, const struct chain_error *error);

#endif
