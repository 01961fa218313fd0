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
#include "access/options.h"
#include "chain/session.h"
#include "common/quota.h"
#include "common/relay.h"

struct access_session;

/* What the sessions of one worker share. Owned by access.c. */
struct access_worker {
	struct loop *loop;
	const struct access_options *options;
	struct quota *connections;    /* shared by all workers */
	struct source_quota *sources; /* shared by all workers */
	struct relay_group *relays;
	struct access_session *sessions;
	unsigned i_worker;
	uint32_t n_accepted;
	void (*on_session_end)(struct access_worker *worker);
};

/* One listener of one worker, with the limits all workers share. */
struct access_ingress {
	struct access_worker *worker;
	const struct access_listener *options;
	struct chain_client *chain;
	struct quota *connections;
	struct source_quota *sources;
};

/** access_session_start() - takes @client, just accepted from @peer at @ingress. */
void access_session_start(
	const struct access_ingress *ingress, struct stream *client, const union addr_sock *peer);
/** access_sessions_stop() - ends all of the worker's now. */
void access_sessions_stop(struct access_worker *worker);

#endif
