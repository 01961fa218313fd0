#ifndef HOP_WORKER_H
#define HOP_WORKER_H
/*
 * Does: what the sessions and flows of one worker share, and the one thing of it that must be wiped
 * in time. Knows: names only. Never knows: what any of them does. Owned by hop.c.
 */
#include "chain/wire_secret.h"
#include "common/addr.h"
#include "common/drain.h"
#include "common/local.h"
#include "common/loop.h"
#include "common/quota.h"
#include "common/relay.h"
#include "common/replay.h"
#include "common/resolve.h"
#include "common/udp.h"
#include "hop/generation.h"

struct hop_session;

struct hop_worker {
	struct loop *loop;
	struct hop_generation
		*generation; /* what the two following are of; NULL: it never changes */
	const struct hop_options *options;
	/* shared by all workers */
	const struct hop_users *users;
	struct replay *replay;
	const struct local_addresses *local;
	struct quota *connections;
	struct source_quota *sources;
	struct shaper *shaper; /* of all users; its rate may be 0. NULL: none */
	struct rate *handshakes;
	_Atomic unsigned *n_left; /* sockets without a listener that have flows; or NULL */
	/* this worker's own */
	struct resolver *resolver;
	struct udp_io *udp; /* sockets towards targets and next hops */
	struct relay_group *relays;
	struct drain *drain;
	struct wire_ephemeral *ephemeral;
	struct timer expiry; /* of the ephemeral pair: wiped also when nobody connects any more */
	struct hop_session *sessions;
	unsigned i_worker;
	uint32_t n_accepted;
	bool is_draining;
	void (*on_session_end)(struct hop_worker *worker); /* after each session's end */
};

/** hop_worker_watch_ephemeral() - after a pair was acquired: it is wiped in time although nobody
 * asks for the next one. */
void hop_worker_watch_ephemeral(struct hop_worker *worker);
/** hop_worker_forget() - frees worker->ephemeral and stops its timer; after the last session. */
void hop_worker_forget(struct hop_worker *worker);

#endif
