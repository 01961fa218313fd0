#ifndef ACCESS_ASSOCIATE_SESSION_H
#define ACCESS_ASSOCIATE_SESSION_H
/*
 * Does: the TCP connection of a SOCKS5 UDP ASSOCIATE: it is answered, and how long it lives says
 * how long the association does. Knows: openings, udp_associate.h. Never knows: datagrams.
 */
#include "access/connection.h"
#include "access/opening.h"

struct associate_session;

/** associate_session_fn - the client or the last flow has ended: @end is one word for the log,
 * static. The client's stream still reports to the session: the callee owns it anew, and frees the
 * session. */
typedef void associate_session_fn(const char *end, void *owner);
/** associate_session_start() - answers the request of @opening; owns the events of @client until
 * @on_done, which never runs from inside. Borrows @connection. Return: 0, ERR_NOMEM, -errno: no
 * socket; then nothing was answered, and @client's events go where they went. */
NODISCARD int associate_session_start(const struct access_connection *connection,
	struct stream *client, struct opening *opening, associate_session_fn *on_done, void *owner,
	struct associate_session **ret);
/** associate_session_free() - ends all flows. The client's stream is the caller's. NULL ok. */
void associate_session_free(struct associate_session *session);
/** associate_session_drain() - ends it when its flows have become idle. Idempotent. */
void associate_session_drain(struct associate_session *session);
/** associate_session_counts() - bytes that were carried. */
void associate_session_counts(
	const struct associate_session *session, uint64_t *ret_up, uint64_t *ret_down);

#endif
