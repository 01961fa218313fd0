#ifndef HOP_POLICY_H
#define HOP_POLICY_H
/*
 * Does: may this user go to this address? Names the status, the detail and the rule that decided.
 * Knows: rules, classes, own addresses. Never knows: DNS, sockets.
 *
 * Decided on the resolved socket address. One that embeds an IP4 address (NAT64, 6to4, compatible)
 * is judged as itself and as what it embeds, and both must pass; a mapped one is the IP4 address.
 *
 * 1. Explicit deny: a rule of the user's, then of the hop's deny list matches the name or the
 *    address.
 * 2. Default deny: loopback, own address, unspecified, link-local, metadata, multicast, reserved,
 *    unless a rule of the user's or the hop's allow list lifts it for this address and port:
 *    - the word of the class, for exactly that class ("loopback" is 127/8 and ::1; "link-local" is
 *      not "metadata"; "own" is every other address of this host);
 *    - a CIDR that lies wholly inside one range of that class (127.0.0.0/8; but 169.254.0.0/16
 *      does not lift metadata, 0.0.0.0/0 lifts nothing); for an own address any CIDR that holds
 *      it, but not /0.
 *    "*" and names lift nothing: who owns a name decides where it points.
 * 3. Allow list: the user's if it restricts, else the hop's if it restricts. A rule of it must
 *    match the name or the address. A list restricts when it has a rule that does more than lift:
 *    "*", a name, "private", a CIDR outside the default deny set. So `--allow loopback` opens
 *    loopback and takes nothing away; with `--allow 10.0.0.0/8` besides, those two are all there
 *    is. A user's list that only lifts adds to the hop's. An empty list is no list.
 * 4. Everything else may be reached, private networks too.
 *
 * Status: 1 gives DENIED_POLICY, or DENIED_PORT if the rule was "*" with ports; 2 DENIED_LOOPBACK
 * or DENIED_PRIVATE; 3 DENIED_POLICY, or DENIED_PORT if only the ports of the rules did not match.
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
	const char *rule; /* text of the deciding rule ("10.0.0.0/8", "default: loopback"); static
			     or the netset's */
};

/** policy_check() - the address @to, that @name (or NULL: a literal) resolved to. */
struct policy_verdict policy_check(
	const struct policy *policy, const char *name, const union addr_sock *to);
/** policy_check_name() - before DNS, so that a forbidden name is not looked up: explicit deny by
 * name or port, and an allow list that would refuse every address. */
struct policy_verdict policy_check_name(
	const struct policy *policy, const char *name, uint16_t port);

#endif
