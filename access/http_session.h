#ifndef ACCESS_HTTP_SESSION_H
#define ACCESS_HTTP_SESSION_H
/*
 * Does: a client that asks an HTTP proxy for http:// URLs, one after the other, of whatever
 * servers: chain, exchange, next request. Knows: openings, chains, exchanges. Never knows: charges,
 * how its client's connection is ended (session.h).
 *
 *   waits for               next
 *   a chain                 an exchange, the end
 *   an exchange             a request, a chain (once more, see below), the end
 *   a request (opening.h)   a chain, an exchange, the end
 *
 * Each request is let in and routed on its own. The connection to a server is kept for the next
 * request if that names the same server and user. A server may close it just then: what is
 * idempotent and has no body is asked once more on a fresh one, for all else the client is told
 * (RFC 9110 9.2.2).
 */
#include "access/connection.h"
#include "access/opening.h"

enum http_session_end {
	HTTP_SESSION_CONNECT,  /* the next request is CONNECT: result.opening */
	HTTP_SESSION_TUNNEL,   /* server and client have agreed on something else: result.server */
	HTTP_SESSION_ANSWERED, /* the last answer has been written: to be closed gently */
	HTTP_SESSION_OVER,     /* to be closed: all was said */
	HTTP_SESSION_BROKEN,   /* to be aborted: the client must not take what it has for whole */
};

struct http_session_result {
	enum http_session_end end;
	const char *why;          /* one word for the log. Static */
	struct opening *opening;  /* CONNECT; the callee's */
	struct stream *server;    /* TUNNEL; the callee's, not read */
	uint32_t idle_timeout_ms; /* TUNNEL: of the chain to it */
};
/** http_session_fn - the client's stream is not read, its events still go to the session: the
 * callee owns it anew, and frees the session. */
typedef void http_session_fn(const struct http_session_result *result, void *owner);

struct http_session;
/** http_session_start() - takes @opening, which is ready with a request that has http; owns the
 * events of @client until @on_done, which never runs from inside; borrows @connection. Return: 0,
 * ERR_NOMEM: then @opening is still the caller's. */
NODISCARD int http_session_start(struct access_connection *connection, struct stream *client,
	struct opening *opening, http_session_fn *on_done, void *owner, struct http_session **ret);
/** http_session_free() - ends what is under way with servers; no callback will come. The client's
 * stream is the caller's. NULL ok. */
void http_session_free(struct http_session *session);
/** http_session_drain() - ends it if it waits for a request; else that ends it which is under way
 * (worker->is_draining). on_done may run from inside. */
void http_session_drain(struct http_session *session);
/** http_session_told() - opening_tell() of the last request. */
const char *http_session_told(const struct http_session *session);
/** http_session_counts() - bytes of all requests, and of all answers. */
void http_session_counts(const struct http_session *session, uint64_t *ret_up, uint64_t *ret_down);

#endif
