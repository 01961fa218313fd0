#include "hop/policy.h"

#include <stddef.h>

/* What is being judged: one form of the address, and who asks under which name. */
struct target {
	const struct policy *policy;
	const char *name;          /* or NULL */
	const union addr_sock *ip; /* NULL: not known yet */
	uint16_t port;
};

/* How far the rules of one list go. */
enum match {
	MATCH_NONE,
	MATCH_BUT_PORT, /* a rule matches at another port */
	MATCH_ALL,
};

static const struct policy_verdict yes = { .status = STATUS_OK };

static const struct {
	uint8_t status, detail;
	const char *rule;
} defaults[] = {
	[ADDR_PUBLIC] = { STATUS_OK, 0, NULL },
	[ADDR_PRIVATE] = { STATUS_OK, 0, NULL },
	[ADDR_LOOPBACK] = { STATUS_DENIED_LOOPBACK, DETAIL_DENIED_LOOPBACK, "default: loopback" },
	[ADDR_UNSPECIFIED] = { STATUS_DENIED_LOOPBACK, DETAIL_DENIED_UNSPECIFIED,
		"default: unspecified" },
	[ADDR_OWN] = { STATUS_DENIED_LOOPBACK, DETAIL_DENIED_OWN, "default: own" },
	[ADDR_LINK_LOCAL] = { STATUS_DENIED_PRIVATE, DETAIL_DENIED_LINK_LOCAL,
		"default: link-local" },
	[ADDR_METADATA] = { STATUS_DENIED_PRIVATE, DETAIL_DENIED_METADATA, "default: metadata" },
	[ADDR_MULTICAST] = { STATUS_DENIED_PRIVATE, DETAIL_DENIED_MULTICAST, "default: multicast" },
	[ADDR_RESERVED] = { STATUS_DENIED_PRIVATE, DETAIL_DENIED_RESERVED, "default: reserved" },
};

static bool is_denied_by_default(enum addr_class class)
{
	return defaults[class].status != STATUS_OK;
}

static enum addr_class class_of_net(const struct net_rule *rule)
{
	return addr_classify_net(&rule->net, rule->prefix_bits);
}

/* Whether @rule does nothing but open a part of the default deny set. */
static bool only_lifts(const struct net_rule *rule)
{
	if (rule->kind == NET_CLASS)
		return is_denied_by_default(rule->class);
	return rule->kind == NET_CIDR && is_denied_by_default(class_of_net(rule));
}

static bool restricts(const struct netset *set)
{
	for (size_t i = 0; set != NULL && i < set->n_rules; i++) {
		if (!only_lifts(&set->rules[i]))
			return true;
	}
	return false;
}

static bool is_own(const struct policy *policy, const union addr_sock *ip)
{
	return policy->local != NULL && local_addresses_has(policy->local, ip);
}

static bool matches_but_port(const struct net_rule *rule, const struct target *t)
{
	if (t->name != NULL && net_rule_has_name(rule, t->name))
		return true;
	if (t->ip == NULL)
		return rule->kind == NET_ANY;
	if (rule->kind == NET_CLASS && rule->class == ADDR_OWN)
		return is_own(t->policy, t->ip);
	return net_rule_has_ip(rule, t->ip);
}

static const struct net_rule *find(const struct netset *set, const struct target *t)
{
	for (size_t i = 0; set != NULL && i < set->n_rules; i++) {
		const struct net_rule *rule = &set->rules[i];
		if (net_rule_has_port(rule, t->port) && matches_but_port(rule, t))
			return rule;
	}
	return NULL;
}

static struct policy_verdict check_deny(const struct target *t)
{
	const struct net_rule *rule = find(t->policy->user_deny, t);
	if (rule == NULL)
		rule = find(t->policy->deny, t);
	if (rule == NULL)
		return yes;
	bool is_for_port =
		rule->kind == NET_ANY && (rule->port_low > 1 || rule->port_high < UINT16_MAX);
	return (struct policy_verdict){
		.status = is_for_port ? STATUS_DENIED_PORT : STATUS_DENIED_POLICY,
		.detail = DETAIL_DENIED_RULE,
		.rule = rule->text,
	};
}

/* @class: why @t is denied by default. */
static bool rule_lifts(const struct net_rule *rule, const struct target *t, enum addr_class class)
{
	if (!net_rule_has_port(rule, t->port))
		return false;
	if (rule->kind == NET_CLASS)
		return rule->class == class;
	if (rule->kind != NET_CIDR || !net_rule_has_ip(rule, t->ip))
		return false;
	return class == ADDR_OWN ? rule->prefix_bits > 0 : class_of_net(rule) == class;
}

static bool is_lifted_by(const struct netset *set, const struct target *t, enum addr_class class)
{
	for (size_t i = 0; set != NULL && i < set->n_rules; i++) {
		if (rule_lifts(&set->rules[i], t, class))
			return true;
	}
	return false;
}

static bool is_lifted(const struct target *t, enum addr_class class)
{
	return is_lifted_by(t->policy->user_allow, t, class) ||
	       is_lifted_by(t->policy->allow, t, class);
}

static struct policy_verdict check_default(const struct target *t)
{
	enum addr_class class =
		addr_classify_net(t->ip, t->ip->any.sa_family == AF_INET ? 32 : 128);
	bool is_denied = is_denied_by_default(class) && !is_lifted(t, class);
	/* Loopback addresses are always own: one word is enough for them. */
	if (!is_denied && class != ADDR_LOOPBACK && is_own(t->policy, t->ip) &&
		!is_lifted(t, ADDR_OWN)) {
		class = ADDR_OWN;
		is_denied = true;
	}
	if (!is_denied)
		return yes;
	return (struct policy_verdict){
		.status = (enum wire_status)defaults[class].status,
		.detail = defaults[class].detail,
		.rule = defaults[class].rule,
	};
}

static enum match match_list(const struct netset *set, const struct target *t)
{
	enum match best = MATCH_NONE;
	for (size_t i = 0; set != NULL && i < set->n_rules; i++) {
		const struct net_rule *rule = &set->rules[i];
		/* Before DNS any address may come. */
		bool is_possible = t->ip == NULL && rule->kind != NET_NAME;
		if (!is_possible && !matches_but_port(rule, t))
			continue;
		if (net_rule_has_port(rule, t->port))
			return MATCH_ALL;
		best = MATCH_BUT_PORT;
	}
	return best;
}

static struct policy_verdict check_allow(const struct target *t)
{
	const struct netset *user = t->policy->user_allow, *hop = t->policy->allow;
	enum match match = match_list(user, t);
	if (match == MATCH_ALL)
		return yes;
	if (!restricts(user)) {
		if (!restricts(hop))
			return yes;
		match = match_list(hop, t);
		if (match == MATCH_ALL)
			return yes;
	}
	return (struct policy_verdict){
		.status = match == MATCH_BUT_PORT ? STATUS_DENIED_PORT : STATUS_DENIED_POLICY,
		.detail = DETAIL_DENIED_RULE,
		.rule = match == MATCH_BUT_PORT ? "allowed at other ports only"
						: "not in the allow list",
	};
}

static struct policy_verdict check_form(const struct target *t)
{
	struct policy_verdict v = check_default(t);
	return v.status != STATUS_OK ? v : check_allow(t);
}

struct policy_verdict policy_check(
	const struct policy *policy, const char *name, const union addr_sock *to)
{
	union addr_sock ip = *to, inner;
	addr_sock_unmap(&ip);
	bool has_inner = addr_embedded(&ip, &inner);
	struct target outer_target = { policy, name, &ip, addr_sock_port(&ip) };
	struct target inner_target = { policy, name, &inner, addr_sock_port(&ip) };
	struct policy_verdict v = check_deny(&outer_target);
	if (v.status == STATUS_OK && has_inner)
		v = check_deny(&inner_target);
	if (v.status == STATUS_OK && has_inner)
		v = check_form(&inner_target);
	if (v.status != STATUS_OK)
		return v;
	v = check_form(&outer_target);
	if (has_inner && v.detail == DETAIL_DENIED_RESERVED) {
		v.detail = DETAIL_DENIED_EMBEDDED;
		v.rule = "default: embedded";
	}
	return v;
}

struct policy_verdict policy_check_name(
	const struct policy *policy, const char *name, uint16_t port)
{
	struct target t = { policy, name, NULL, port };
	struct policy_verdict v = check_deny(&t);
	return v.status != STATUS_OK ? v : check_allow(&t);
}
