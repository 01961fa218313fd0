#ifndef ACCESS_INGRESS_H
#define ACCESS_INGRESS_H
/*
 * Does: what the clients of one listener share: whom it serves, what each of them is charged.
 * Knows: options, quotas. Never knows: streams, datagrams.
 */
#include "access/caps.h"
#include "chain/attempt.h"
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
	struct access_caps *caps;     /* shared by all workers; NULL: none */
	struct relay_group *relays;
	struct drain *drain; /* clients that were refused with an answer */
	struct udp_io *io;
	struct access_session *sessions;
	unsigned i_worker;
	uint32_t n_accepted; /* connections and flows: numbers them */
	bool is_done;        /* no other connection will come: the end of the last one is the end */
	bool has_failed;     /* a connection got no chain */
	bool is_draining;    /* associations that begin now end at once */
	void (*on_session_end)(struct access_worker *worker); /* of a connection or a flow */
};

/* One listener of one worker under one configuration, with the limits all workers share. Sessions
 * and flows hold it: after a reload the old one lives as long as what it serves. */
struct access_ingress {
	struct access_worker *worker;
	const struct access_listener *options;
	const struct access_options *all;  /* of the same configuration: rules, upstreams */
	struct chain_upstream **upstreams; /* of all->upstreams, in their order */
	struct logins *logins;             /* of a proxy with users; else NULL */
	struct quota *connections;
	struct source_quota *sources;
	struct access_caps *caps; /* NULL: none */
	uint32_t n_held;
	bool is_retired; /* another configuration has taken its place */
	void (*on_unheld)(struct access_ingress *ingress); /* n_held is 0 again; or NULL */
};
void access_ingress_hold(struct access_ingress *ingress);
void access_ingress_release(struct access_ingress *ingress);

/** access_ingress_route() - where @query goes: by the first rule that matches, else by the
 * listener's own. *ret_rule is that rule, or NULL. Return: NULL: it is blocked. */
struct chain_upstream *access_ingress_route(const struct access_ingress *ingress,
	const struct route_query *query, const struct route_rule **ret_rule);
/** access_ingress_blocked() - the failure that says so. */
struct chain_error access_ingress_blocked(const struct access_ingress *ingress,
	const struct route_rule *rule, const struct addr *target);
/** access_ingress_tell_use() - " use=NAME rule=NAME" for the log; "" where everything goes the same
 * way. Returns @to. */
#define ACCESS_USE_MAX 160
const char *access_ingress_tell_use(const struct access_ingress *ingress,
	const struct chain_upstream_spec *use, const struct route_rule *rule,
	char to[ACCESS_USE_MAX]);

/** access_ingress_serves() - whether @peer may use this listener; a refusal is logged. */
NODISCARD bool access_ingress_serves(
	const struct access_ingress *ingress, const union addr_sock *peer);

/* What a connection or a flow is charged; zeroed = nothing. */
struct access_charges {
	struct charge connection, listener_connection;
	struct source_charge source, listener_source, lookup;
	struct keyed_charge source_caps, user_caps;
	struct shaper_set shapers; /* what limits its bytes */
};
/** access_charges_take() - Return: false, logged, if a limit is reached; the caller returns what
 * was taken in any case. */
NODISCARD bool access_charges_take(struct access_charges *charges,
	const struct access_ingress *ingress, const union addr_sock *peer);
/** access_charges_take_user() - the same for who was let in ("" or NULL: nobody), in place of who
 * was before. */
NODISCARD bool access_charges_take_user(struct access_charges *charges,
	const struct access_ingress *ingress, const union addr_sock *peer, const char *user);
/** access_charges_take_lookup() - one more name that @upstream looks up here, where it does. At
 * most ACCESS_LOOKUPS_MAX of a source; returned once it is known. */
NODISCARD bool access_charges_take_lookup(struct access_charges *charges,
	const struct access_ingress *ingress, const union addr_sock *peer,
	const struct chain_upstream *upstream, const struct addr *target);
void access_charges_return_lookup(struct access_charges *charges);
/** access_charges_carry() - Return: whether a datagram of @len bytes is within the rates. */
NODISCARD bool access_charges_carry(
	const struct access_charges *charges, enum shaper_lane lane, size_t len);
/** access_charges_refused() - the failure that tells a client of a limit. */
struct chain_error access_charges_refused(const struct addr *target);
void access_charges_return(struct access_charges *charges); /* idempotent */

#endif
