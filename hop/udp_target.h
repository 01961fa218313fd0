#ifndef HOP_UDP_TARGET_H
#define HOP_UDP_TARGET_H
/*
 * Does: from a request's address to a connected UDP socket: resolves once, drops every address the
 * policy refuses, connects to the survivors in order until one can be (docs/protocol.md 2.4).
 * Knows: DNS, policy, sockets. Never knows: who asked, what is sent.
 */
#include "common/udp.h"
#include "hop/flow.h"
#include "hop/worker.h"

struct udp_target_result {
	struct hop_flow_outcome outcome; /* has_address: something was tried; to be told only where
					    the request has TRACE */
	struct udp *udp;                 /* status OK: the socket, the callee's; else NULL */
};

/** udp_target_fn - exactly once unless cancelled, never from inside open(); the target is gone when
 * it returns. No callback of the socket has run before. */
typedef void udp_target_fn(const struct udp_target_result *result, void *owner);

struct udp_target;
/** udp_target_open() - @to is copied; @entry must live until the end: a name is one of its user's
 * lookups. Of @worker: loop, resolver (NULL: names have no address), options, local, udp.
 * @timeout_ms: for resolving, see target_timeout_ms(). @ops, @ops_owner: of the socket. Return: 0,
 * ERR_NOMEM. */
NODISCARD int udp_target_open(const struct hop_worker *worker, const struct hop_entry *entry,
	const struct addr *to, uint64_t timeout_ms, const struct udp_ops *ops, void *ops_owner,
	udp_target_fn *fn, void *owner, struct udp_target **ret);
/** udp_target_cancel() - no callback will come. */
void udp_target_cancel(struct udp_target *target);

#endif
