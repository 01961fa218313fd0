#ifndef CHAIN_SESSION_H
#define CHAIN_SESSION_H
/*
 * Does: one connection through a chain: dials the first step, or borrows a connection that stands
 * already (pool.h), drives leg after leg over the stream, hands over the payload stream. A chain
 * without hops is the direct way: the target is dialled here. Knows: streams, deadlines. Never
 * knows: SOCKS, HTTP, JSON.
 */
#include "chain/leg.h"
#include "common/stream.h"

struct chain_session;
struct chain_session_options {
	enum chain_purpose purpose;
	const struct addr *target; /* copied; TARGET and FLOW only */
	size_t n_hops; /* of the chain's hops, from the first; 0 = all. Less than all: ECHO and KEEP
			  only */
	const union addr_sock *client; /* copied: who is told to the last hop (extension CLIENT of
					  docs/protocol.md 2.2); TARGET only; or NULL */
	bool is_trace;                 /* asks for addresses and software (flag TRACE) */
	uint32_t timeout_ms; /* of the whole; 0 = the protocol's deadlines alone. Below 200 ms a
				silence may be laid to the hop before: its answer can wait that long
				for company (docs/protocol.md 2.7.6) */
	/* NULL, or zeroed memory that must live until on_done: filled as the hops answer. */
	struct chain_answers *answers;
};
/** chain_session_fn - exactly one of @stream (payload, the callee's; reading is stopped) and @error
 * is set; the session is gone when it returns. Of KEEP the stream is raw: the next R goes to hop
 * n_hops. */
typedef void chain_session_fn(struct stream *stream, const struct chain_error *error, void *owner);
/** chain_session_start() - copies @options. @on_done never runs from inside. Return: 0, ERR_NOMEM,
 * ERR_INVAL (a chain without hops leads to a target and to nothing else). */
NODISCARD int chain_session_start(struct chain_client *client,
	const struct chain_session_options *options, chain_session_fn *on_done, void *owner,
	struct chain_session **ret);
/** chain_session_late() - what would be told if its deadline passed now: who is waited for. */
void chain_session_late(const struct chain_session *session, struct chain_error *ret);
/** chain_session_cancel() - aborts; no callback will come. */
void chain_session_cancel(struct chain_session *session);

#endif
