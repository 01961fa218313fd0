#ifndef CHAIN_ATTEMPT_H
#define CHAIN_ATTEMPT_H
/*
 * Does: one connection through an upstream: takes a way, builds it, and where a hop fails before
 * anything was carried, takes another within the same deadline. Knows: ways, sessions. Never knows:
 * strategies, who asks.
 */
#include "chain/session.h"
#include "chain/upstream.h"

struct chain_attempt_options {
	enum chain_purpose purpose;    /* TARGET, FLOW or MEASURE */
	const struct addr *target;     /* copied; TARGET and FLOW only */
	const union addr_sock *source; /* copied; or NULL */
	uint32_t timeout_ms; /* of all tries; 0 = the protocol's deadline of the first way */
};
struct chain_attempt;
/** chain_attempt_fn - exactly one of @stream (payload, the callee's; reading is stopped) and @error
 * is set. @way is the chain it went through, without groups: of a failure the one that @error
 * speaks of; borrowed, as long as the upstream lives. The attempt is gone when it returns. */
typedef void chain_attempt_fn(struct stream *stream, const struct chain_spec *way,
	const struct chain_error *error, void *owner);
/** chain_attempt_start() - copies @options. @on_done never runs from inside. Return: 0, ERR_NOMEM.
 */
NODISCARD int chain_attempt_start(struct chain_upstream *upstream,
	const struct chain_attempt_options *options, chain_attempt_fn *on_done, void *owner,
	struct chain_attempt **ret);
/** chain_attempt_cancel() - aborts; no callback will come. */
void chain_attempt_cancel(struct chain_attempt *attempt);

#endif
