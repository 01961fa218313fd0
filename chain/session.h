#ifndef CHAIN_SESSION_H
#define CHAIN_SESSION_H
/*
 * Does: one connection through a chain: dials hop 1, drives open.h over the stream, hands over the
 * payload stream. Knows: streams, deadlines. Never knows: SOCKS, HTTP, JSON.
 */
#include "chain/error.h"
#include "chain/spec.h"
#include "common/resolve.h"
#include "common/stream.h"

/* What the connections of one worker through one chain share: resolver, ephemeral keys. */
struct chain_client;
/** chain_client_new() - borrows all. */
NODISCARD int chain_client_new(struct loop *loop, struct resolver *resolver,
	const struct chain_spec *spec, struct chain_client **ret);
void chain_client_free(struct chain_client *client); /* after its sessions ended. NULL ok */

struct chain_session;
/** chain_session_fn - exactly one of @stream (payload, the callee's; reading is stopped) and @error
 * is set; the session is gone when it returns. */
typedef void chain_session_fn(struct stream *stream, const struct chain_error *error, void *owner);
/** chain_session_start() - @target is copied. @on_done never runs from inside. Return: 0,
 * ERR_NOMEM. */
NODISCARD int chain_session_start(struct chain_client *client, const struct addr *target,
	chain_session_fn *on_done, void *owner, struct chain_session **ret);
/** chain_session_cancel() - aborts; no callback will come. */
void chain_session_cancel(struct chain_session *session);

#endif
