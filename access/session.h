#ifndef ACCESS_SESSION_H
#define ACCESS_SESSION_H
/*
 * Does: one client of an access listener: ingress → chain → relay → closing. Knows: its target, its
 * chain. Never knows: header layouts, keys, sockets of hops.
 *
 *   state     waits for                        next
 *   CHAIN     every hop's OK                   RELAY, CLOSING
 *   RELAY     the end of both directions       CLOSING
 *   CLOSING   the client stream's CLOSED       (gone)
 */
#include "access/ingress.h"

struct access_session;

/** access_session_start() - takes @client, just accepted from @peer at @ingress. */
void access_session_start(
	const struct access_ingress *ingress, struct stream *client, const union addr_sock *peer);
/** access_sessions_stop() - ends all of the worker's now. */
void access_sessions_stop(struct access_worker *worker);

#endif
