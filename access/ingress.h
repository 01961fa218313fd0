#ifndef ACCESS_INGRESS_H
#define ACCESS_INGRESS_H
/*
 * Does: what the clients of one listener share: whom it serves, what each of them is charged.
 * Knows: options, quotas. Never knows: streams, datagrams.
 */
#include "access/options.h"
#include "chain/session.h"
#include "common/drain.h"
#include "common/quota.h"
#include "common/relay.h"
#include "common/udp.h"

struct access_session;

/* What the sessions and flows of one worker share. Owned by access.c. */
struct access_worker {
	struct loop *loop;
	const struct access_options *options;
	struct quota *connections;    /* shared by all workers */
	struct source_quota *sources; /* shared by all workers */
	struct relay_group *relays;
	struct drain *drain; /* clients that were refused with an answer */
	struct udp_io *io;
	struct access_session *sessions;
	unsigned i_worker;
	uint32_t n_accepted; /* connections and flows: numbers them */
	bool is_draining;    /* associations that begin now end at once */
	void (*on_session_end)(struct access_worker *worker); /* of a connection or a flow */
};

/* One listener of one worker, with the limits all workers share. */
struct access_ingress {
	struct access_worker *worker;
	const struct access_listener *options;
	struct chain_client *chain;
	struct logins *logins; /* of a proxy with users; else NULL */
	struct quota *connections;
	struct source_quota *sources;
};

/** access_ingress_serves() - whether @peer may use this listener; a refusal is logged. */
NODISCARD bool access_ingress_serves(
	const struct access_ingress *ingress, const union addr_sock *peer);

/* What a connection or a flow is charged; zeroed = nothing. */
struct access_charges {
	struct charge connection, listener_connection;
	struct source_charge source, listener_source;
};
/** access_charges_take() - Return: false, logged, if a limit is reached; the caller returns what
 * was taken in any case. */
NODISCARD bool access_charges_take(struct access_charges *charges,
	const struct access_ingress *ingress, const union addr_sock *peer);
void access_charges_return(struct access_charges *charges); /* idempotent */

#endif
