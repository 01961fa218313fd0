#ifndef ACCESS_OPENING_H
#define ACCESS_OPENING_H
/*
 * Does: greets one client of a proxy listener: reads what it says before its payload, has its
 * password looked up, all within GREETING_MS; and answers it. Knows: streams, greetings, logins.
 * Never knows: chains, what comes after; the bytes of any protocol (greeting.h).
 */
#include "access/greeting.h"
#include "access/ingress.h"

struct opening;

enum opening_end {
	OPENING_READY,    /* opening_request(): where to */
	OPENING_REFUSED,  /* an answer says why: to be closed gently */
	OPENING_REJECTED, /* the same, after a wrong name or password */
	OPENING_SILENT,   /* not one of our protocols: to be closed without a word */
	OPENING_LEFT,     /* the client has ended its direction */
	OPENING_FAILED,   /* its stream has; stream->error says why */
	OPENING_LATE,     /* GREETING_MS are over */
	OPENING_BUSY,     /* too many passwords are being looked up */
	OPENING_NO_MEMORY,
};
/** opening_end_name() - one word for the log. Static. */
const char *opening_end_name(enum opening_end end);

/** opening_fn - the stream is no longer read; its events still go to the opening: the callee owns
 * it anew. The callee may free the opening. */
typedef void opening_fn(enum opening_end end, void *owner);
/** opening_start() - owns @client's events until @on_done, which runs once unless the opening is
 * freed before, never from inside. Does not close @client, which is of @peer. Return: 0, ERR_NOMEM.
 */
NODISCARD int opening_start(const struct access_ingress *ingress, struct stream *client,
	const union addr_sock *peer, opening_fn *on_done, void *owner, struct opening **ret);
#define OPENING_IDLE_MS 60000 /* a client may be silent between two requests */
/** opening_start_next() - the same for the next request of an HTTP client: @early is what has come
 * of it, at most GREETING_HEAD_MAX bytes, copied. Until its first byte the client has
 * OPENING_IDLE_MS. Line ends before it are passed over (RFC 9112 2.2). */
NODISCARD int opening_start_next(const struct access_ingress *ingress, struct stream *client,
	const union addr_sock *peer, struct bytes early, opening_fn *on_done, void *owner,
	struct opening **ret);
void opening_free(struct opening *opening); /* NULL ok */
/** opening_has_begun() - whether the client has said anything. */
bool opening_has_begun(const struct opening *opening);
/** opening_request() - after READY, until free. */
const struct greeting_request *opening_request(const struct opening *opening);
/** opening_tell() - after READY: "protocol=… user=… target=…" for the log; the caller's. NULL
 * without memory. */
char *opening_tell(const struct opening *opening);
/** opening_answer() - tells the client what greeting_answer() says. */
void opening_answer(
	struct opening *opening, const struct chain_error *error, const union addr_sock *bound);

#endif
