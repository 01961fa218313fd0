#ifndef CHAIN_ATTEMPT_H
#define CHAIN_ATTEMPT_H
/*
 * Does: one connection through an upstream: takes a way, builds it, and where a hop fails before
 * anything was carried, takes another within the same deadline. Knows: ways, sessions. Never knows:
 * strategies, who asks.
 *
 * A way that is silent for longer than is usual for it (chain_way_patience_ms()) gets another one
 * beside it, and what stands first is taken; the slower one is cancelled and counts as failed. A
 * target may so see a connection that ends at once.
 */
#include "chain/session.h"
#include "chain/upstream.h"

#define CHAIN_ATTEMPT_TRIES   4 /* ways that one connection takes at most … */
#define CHAIN_ATTEMPT_AT_ONCE 2 /* … and at the same time */
/* An exit that has not answered may wait for a slow target: it is given up for a third way only
 * after this time. */
#define CHAIN_ATTEMPT_EXIT_MS 4000

struct chain_attempt_options {
	enum chain_purpose purpose;    /* TARGET, FLOW or MEASURE */
	const struct addr *target;     /* copied; TARGET and FLOW only */
	const union addr_sock *source; /* copied; or NULL */
	const union addr_sock *client; /* copied; see session.h */
	bool is_trace;                 /* see session.h */
	uint32_t timeout_ms; /* of all tries; 0 = the first way has the protocol's deadlines, and
				all have one connect timeout per hop of it and one more */
	struct chain_answers *answers; /* NULL, or filled before on_done: of the way it speaks of
					*/
};
struct chain_attempt;
/** chain_attempt_fn - exactly one of @stream (payload, the callee's; reading is stopped) and @error
 * is set. @way is the chain it went through, without groups, borrowed for the call: of a failure
 * the one that @error speaks of. The attempt is gone when it returns. */
typedef void chain_attempt_fn(struct stream *stream, const struct chain_spec *way,
	const struct chain_error *error, void *owner);
/** chain_attempt_start() - copies @options. @on_done never runs from inside. Return: 0, ERR_NOMEM,
 * ERR_INVAL (the chain cannot do this). */
NODISCARD int chain_attempt_start(struct chain_upstream *upstream,
	const struct chain_attempt_options *options, chain_attempt_fn *on_done, void *owner,
	struct chain_attempt **ret);
/** chain_attempt_cancel() - aborts; no callback will come. */
void chain_attempt_cancel(struct chain_attempt *attempt);

#endif
