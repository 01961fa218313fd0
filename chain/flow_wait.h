#ifndef CHAIN_FLOW_WAIT_H
#define CHAIN_FLOW_WAIT_H
/*
 * Does: a UDP flow whose upstream has no way yet, because SRV records are asked for still: keeps
 * its first datagrams until there is one. Knows: upstreams. Never knows: who sends.
 */
#include "chain/datagram.h"
#include "chain/upstream.h"

struct chain_flow_wait;
/** chain_flow_wait_fn - once, from the loop; exactly one of @way (held, the callee's) and @error is
 * set. May free the wait, and has to some time. */
typedef void chain_flow_wait_fn(struct chain_way *way, const struct chain_error *error,
	const struct addr *target, void *owner);
/** chain_flow_wait_new() - for @who, whose target and source are copied; its tried ways are none.
 * Return: 0, ERR_NOMEM: nothing is to be waited for, either. */
NODISCARD int chain_flow_wait_new(struct chain_upstream *upstream, const struct chain_who *who,
	chain_flow_wait_fn *fn, void *owner, struct chain_flow_wait **ret);
void chain_flow_wait_free(struct chain_flow_wait *wait); /* NULL ok */
/** chain_flow_wait_send() - copies @data. Return: false: dropped, there are enough. */
bool chain_flow_wait_send(struct chain_flow_wait *wait, struct bytes data);
/** chain_flow_wait_flush() - what was sent goes over @datagram. */
void chain_flow_wait_flush(struct chain_flow_wait *wait, struct chain_datagram *datagram);

#endif
