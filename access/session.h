#ifndef ACCESS_SESSION_H
#define ACCESS_SESSION_H
/*
 * Does: one client of an access listener: ingress → chain → relay → closing. Knows: its target, its
 * chain. Never knows: header layouts, keys, sockets of hops; what a proxy's client said
 * (opening.h).
 *
 *   state     waits for                        next
 *   GREET     where to (proxies only)          HTTP, CHAIN, ASSOCIATE, CLOSING
 *   HTTP      the last of its http:// URLs     CHAIN, RELAY, CLOSING
 *   CHAIN     every hop's OK                   RELAY, CLOSING
 *   RELAY     the end of both directions       CLOSING
 *   ASSOCIATE the client's end (SOCKS5, UDP)   CLOSING
 *   CLOSING   the client stream's CLOSED       (gone)
 */
#include "access/ingress.h"

struct access_session;

/** access_session_start() - takes @client, just accepted from @peer at @ingress. */
void access_session_start(
	struct access_ingress *ingress, struct stream *client, const union addr_sock *peer);
/** access_session_start_to() - the same of a plain forward, to a target of its own. */
void access_session_start_to(struct access_ingress *ingress, struct stream *client,
	const union addr_sock *peer, const struct addr *target);
/** access_sessions_drain() - ends those that have not yet said a word of their greeting, and
 * associations as their flows become idle. */
void access_sessions_drain(struct access_worker *worker);
/** access_sessions_stop() - ends all of the worker's now. */
void access_sessions_stop(struct access_worker *worker);

#endif
