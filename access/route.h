#ifndef ACCESS_ROUTE_H
#define ACCESS_ROUTE_H
/*
 * Does: the rules of an access server: the first that matches says where a connection or flow goes.
 * Pure. Knows: targets, sources, users, listeners. Never knows: streams, DNS, how a chain is built.
 *
 * A rule matches if each kind of condition it has is met by one of its values. "domains" and
 * "cidrs" are one kind: a target is a name or an address. A name is never looked up for a rule.
 */
#include "chain/upstream.h"
#include "common/netset.h"

struct domain_set; /* access/domain_set.h */
struct cidr_set;   /* access/cidr_set.h */

struct route_ports {
	uint16_t low, high;
};
enum route_protocol {    /* bits */
	ROUTE_TCP = 1,   /* a plain forward's connection, or a transparent one */
	ROUTE_UDP = 2,   /* any datagrams: a forward's, an association's, transparent ones */
	ROUTE_SOCKS = 4, /* CONNECT of SOCKS5 and 4a */
	ROUTE_HTTP = 8,  /* CONNECT and absolute URIs */
};
/* All members may be empty: then they match anything. Owned. */
struct route_rule {
	char *name;                 /* or NULL */
	struct domain_set *domains; /* or NULL */
	struct cidr_set *cidrs;     /* or NULL */
	struct route_ports *ports;
	size_t n_ports;
	struct netset from;
	char **users, **listeners;
	size_t n_users, n_listeners;
	unsigned protocols;                    /* ROUTE_* bits; 0 = all */
	const struct chain_upstream_spec *use; /* borrowed; NULL: block */
	uint32_t line;                         /* where it stands in its file; 0 = nowhere */
};

struct route_query {
	const struct addr *target;
	const union addr_sock *source; /* or NULL: matches no "from" but "any" */
	const char *user;              /* or NULL */
	const char *listener;          /* name, or NULL */
	enum route_protocol protocol;
};

void route_rule_deinit(struct route_rule *rule);
/** route_find() - the first of @rules that matches, or NULL: the listener's own upstream. */
const struct route_rule *route_find(
	const struct route_rule *rules, size_t n_rules, const struct route_query *query);
/** route_mismatch() - which condition of @rule @query does not meet: "domains", "ports", … for
 * people; NULL if it matches. Static. */
const char *route_mismatch(const struct route_rule *rule, const struct route_query *query);
/** route_is_always() - whether @rule has no condition at all. */
bool route_is_always(const struct route_rule *rule);
/** route_rule_label() - for logs: its name, or "#3", its place among @rules; "-" for NULL. Returns
 * @to, or the name. */
#define ROUTE_LABEL_MAX 24
const char *route_rule_label(
	const struct route_rule *rules, const struct route_rule *rule, char to[ROUTE_LABEL_MAX]);
/** route_protocol_name() - of one bit: "tcp", "udp", "socks", "http". Static. */
const char *route_protocol_name(enum route_protocol protocol);

#endif
