#ifndef ACCESS_CONNECTION_H
#define ACCESS_CONNECTION_H
/*
 * Does: what stays the same of a client's connection, whatever it is used for: who it is, its lines
 * in the log, its way to a target. Knows: ingresses, rules, chains. Never knows: its states, what
 * it speaks.
 */
#include "access/ingress.h"

struct access_connection {
	struct access_ingress *ingress; /* held by the session */
	struct access_charges *charges; /* the session's */
	union addr_sock peer;
	uint64_t start_ms;
	uint32_t id;
	bool is_routed;                        /* somebody has asked for something: */
	const struct route_rule *rule;         /* that said where the last one goes; or NULL */
	const struct chain_upstream_spec *use; /* where it goes; NULL: blocked */
};
struct access_worker *access_connection_worker(const struct access_connection *connection);

/* What somebody asks of it. */
struct access_wish {
	const struct addr *target;
	const char *user; /* or NULL */
	enum route_protocol protocol;
};
/** access_connection_open() - asks the rules, and starts a chain. Return: 0, ERR_NOMEM, ERR_DENIED:
 * a rule blocks it, which is logged: access_connection_blocked(); -ELOOP: it is captured and goes
 * to where its own way begins; ERR_AGAIN: too many lookups of its source: access_charges_refused().
 * @on_done gives the lookup back: access_charges_return_lookup(). */
NODISCARD int access_connection_open(struct access_connection *connection,
	const struct access_wish *wish, chain_attempt_fn *on_done, void *owner,
	struct chain_attempt **ret);

/** access_connection_blocked() - the failure that tells a client which rule blocks @target. */
struct chain_error access_connection_blocked(
	const struct access_connection *connection, const struct addr *target);

/** access_connection_log_failed() - no chain could be built. Of what is blocked it has been said.
 */
void access_connection_log_failed(
	const struct access_connection *connection, const struct chain_error *error);
/** access_connection_log_request() - one of several requests of the same client. */
void access_connection_log_request(const struct access_connection *connection, unsigned i_request,
	const struct addr *target, unsigned status, uint64_t n_up, uint64_t n_down);
/** access_connection_log_end() - @told: "protocol=… user=… target=…", or NULL. */
void access_connection_log_end(const struct access_connection *connection, const char *told,
	const char *end, uint64_t n_up, uint64_t n_down);

#endif
