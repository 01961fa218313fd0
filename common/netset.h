#ifndef COMMON_NETSET_H
#define COMMON_NETSET_H
/*
 * Does: an ordered list of "where" rules: CIDR, class or host glob, with a port range; says whether an
 * address or name matches. Knows: addresses. Never knows: who asks, DNS.
 */
#include "common/addr.h"

#include <stddef.h>

/* One rule of the target grammar (interface.md 2.3):
 * (host-glob | CIDR | class | "*") [":" PORT ["-" PORT]] */
enum net_kind {
	NET_ANY, /* "*", "any" */
	NET_CIDR, /* "10.0.0.0/8", "10.0.0.5", "[2001:db8::]/32" or "2001:db8::/32" without port */
	NET_CLASS, /* "loopback", "private", "link-local", "metadata", "multicast", "unspecified", "reserved" */
	NET_NAME, /* "example.org", "*.example.org" (every subdomain, not itself) */
};

struct net_rule {
	enum net_kind kind;
	enum addr_class class; /* CLASS */
	uint8_t prefix_bits; /* CIDR: 0..32 or 0..128 */
	union addr_sock net; /* CIDR */
	uint16_t port_low, port_high; /* 1..65535; without port in the text: 1 and 65535 */
	char *name; /* NAME: lower case, owned */
	char *text; /* as written, owned: for messages */
};

struct netset {
	struct net_rule *rules; /* owned */
	size_t n_rules;
};

void netset_init(struct netset *set);
void netset_deinit(struct netset *set);
/** netset_add() - parses @text and appends. "local" adds loopback and private. Return: 0, ERR_INVAL, ERR_NOMEM. */
NODISCARD int netset_add(struct netset *set, const char *text);
NODISCARD int netset_copy(struct netset *to, const struct netset *from);

/** netset_find_sock() - the first rule that matches the address (CIDR, CLASS, ANY) and its port, or NULL.
 * A mapped IP4 address also matches IP4 rules, as does any embedded one. */
const struct net_rule *netset_find_sock(const struct netset *set, const union addr_sock *s);
/** netset_find_name() - the first NAME rule that matches @name (ASCII case folded) and @port, or NULL. */
const struct net_rule *netset_find_name(const struct netset *set, const char *name, uint16_t port);

#endif
