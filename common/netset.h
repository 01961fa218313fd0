#ifndef COMMON_NETSET_H
#define COMMON_NETSET_H
/*
 * Does: an ordered list of "where" rules: CIDR, class or host glob, with a port range; says whether
 * an address or name matches. Knows: addresses. Never knows: who asks, DNS.
 */
#include "common/addr.h"

#include <stddef.h>

/* One rule of the target grammar (interface.md 2.3):
 * (host-glob | CIDR | class | "*") [":" PORT ["-" PORT]] */
enum net_kind {
	NET_ANY, /* "*", "any" */
	/* "10.0.0.0/8", "10.0.0.5", "[2001:db8::]/32" or, without port, "2001:db8::/32". Bits
	 * behind the prefix are cleared; a net of mapped addresses is the IP4 net it stands for. No
	 * zones. */
	NET_CIDR,
	/* "loopback", "private", "link-local", "metadata", "multicast", "unspecified", "reserved";
	 * "own" (any address of this host) never matches here: whoever has the host's addresses
	 * decides (hop/policy.h) */
	NET_CLASS,
	NET_NAME, /* "example.org", "*.example.org" (every subdomain, not itself) */
};

struct net_rule {
	enum net_kind kind;
	enum addr_class class;        /* CLASS */
	uint8_t prefix_bits;          /* CIDR: 0..32 or 0..128 */
	union addr_sock net;          /* CIDR; port 0 */
	uint16_t port_low, port_high; /* 1..65535; without port in the text: 1 and 65535 */
	char *name;                   /* NAME: lower case, owned */
	char *text;                   /* as written, owned: for messages */
};

struct netset {
	struct net_rule *rules; /* owned */
	size_t n_rules;
};

void netset_init(struct netset *set);
void netset_deinit(struct netset *set);
/** netset_add() - parses @text and appends. "local" adds loopback and private. Keywords in any
 * case. Return: 0; ERR_INVAL or ERR_NOMEM, then @set is as it was. */
NODISCARD int netset_add(struct netset *set, const char *text);
/** netset_copy() - @to is initialised by it; on error it is empty. */
NODISCARD int netset_copy(struct netset *to, const struct netset *from);

/** netset_find_sock() - the first rule that matches the address (CIDR, CLASS, ANY) and its port, or
 * NULL. A mapped IP4 address also matches IP4 rules, as does any embedded one. */
const struct net_rule *netset_find_sock(const struct netset *set, const union addr_sock *s);
/** netset_find_name() - the first NAME rule that matches @name (ASCII case folded) and @port, or
 * NULL. */
const struct net_rule *netset_find_name(const struct netset *set, const char *name, uint16_t port);

/** net_rule_has_port() - whether @port lies in the rule's range. */
bool net_rule_has_port(const struct net_rule *rule, uint16_t port);
/** net_rule_has_ip() - whether a CIDR, CLASS or ANY rule holds the address as it is written: what
 * it embeds is not looked at (unmap first), nor is its port. */
bool net_rule_has_ip(const struct net_rule *rule, const union addr_sock *s);
/** net_rule_has_name() - whether it is a NAME rule that matches @name; the port is not looked at.
 */
bool net_rule_has_name(const struct net_rule *rule, const char *name);

#endif
