#ifndef HOP_POLICY_H
#define HOP_POLICY_H
/*
 * Does: may this user go to this address? Names the status, the detail and the rule that decided.
 * Knows: rules, classes, own addresses. Never knows: DNS, sockets.
 *
 * Order: explicit deny (user's, then the hop's) → explicit allow (a class word, CIDR or name the operator wrote;
 * "*" is not explicit for the classes of the default deny set) → default deny set (loopback, own address,
 * unspecified, link-local, metadata, multicast, reserved) → allow list, if there is one → yes.
 */
#include "chain/wire_status.h"
#include "common/local.h"
#include "common/netset.h"

struct policy {
	const struct netset *user_allow, *user_deny; /* may be NULL or empty */
	const struct netset *allow, *deny;
	const struct local_addresses *local; /* this host's addresses; NULL = none known */
};

struct policy_verdict {
	enum wire_status status; /* STATUS_OK or one of DENIED_* */
	uint8_t detail;
	const char *rule; /* text of the deciding rule ("10.0.0.0/8", "default: loopback"); static or the netset's */
};

/** policy_check() - the address @to, that @name (or NULL: a literal) resolved to. */
struct policy_verdict policy_check(const struct policy *policy, const char *name, const union addr_sock *to);
/** policy_check_name() - before DNS: explicit deny by name or port, so that a forbidden name is not looked up. */
struct policy_verdict policy_check_name(const struct policy *policy, const char *name, uint16_t port);

#endif
