#include "common/netset.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RULE_TEXT_MAX 512 /* longer than any rule that means something */

void netset_init(struct netset *set)
{
	*set = (struct netset){ 0 };
}

static void rule_deinit(struct net_rule *rule)
{
	free(rule->name);
	free(rule->text);
}

void netset_deinit(struct netset *set)
{
	for (size_t i = 0; i < set->n_rules; i++)
		rule_deinit(&set->rules[i]);
	free(set->rules);
	netset_init(set);
}

/* Digits only, no leading zero. Return: false if it is not a number up to @max. */
static bool parse_number(const char *text, size_t len, unsigned max, unsigned *ret)
{
	unsigned value = 0;
	if (len == 0 || len > 5 || (text[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*ret = value;
	return value <= max;
}

/* "80" or "8000-8999". */
static bool parse_ports(const char *text, struct net_rule *rule)
{
	unsigned low, high;
	size_t len = strcspn(text, "-");
	if (!parse_number(text, len, UINT16_MAX, &low))
		return false;
	high = low;
	if (text[len] == '-' &&
		!parse_number(text + len + 1, strlen(text + len + 1), UINT16_MAX, &high))
		return false;
	if (low == 0 || low > high)
		return false;
	rule->port_low = (uint16_t)low;
	rule->port_high = (uint16_t)high;
	return true;
}

static void clear_host_bits(uint8_t *ip, unsigned n_bytes, unsigned bits)
{
	for (unsigned i = 0; i < n_bytes; i++) {
		unsigned keep = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
		ip[i] &= (uint8_t)(0xff00u >> keep);
	}
}

static void set_net(struct net_rule *rule, int family, const uint8_t *ip, unsigned bits)
{
	rule->kind = NET_CIDR;
	rule->prefix_bits = (uint8_t)bits;
	rule->net.any.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&rule->net.ip4.sin_addr, ip, 4);
		clear_host_bits((uint8_t *)&rule->net.ip4.sin_addr, 4, bits);
	} else {
		memcpy(&rule->net.ip6.sin6_addr, ip, 16);
		clear_host_bits(rule->net.ip6.sin6_addr.s6_addr, 16, bits);
	}
}

/* "IP" or "IP/BITS" of one family; @slash: the text of "/BITS" or "". */
static bool parse_net(int family, const char *ip_text, const char *slash, struct net_rule *rule)
{
	uint8_t ip[16];
	unsigned max = family == AF_INET ? 32 : 128, bits = max;
	if (inet_pton(family, ip_text, ip) != 1)
		return false;
	if (*slash != '\0' &&
		(*slash != '/' || !parse_number(slash + 1, strlen(slash + 1), max, &bits)))
		return false;
	if (family == AF_INET6 && bits >= 96 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)ip))
		set_net(rule, AF_INET, ip + 12, bits - 96);
	else
		set_net(rule, family, ip, bits);
	return true;
}

/* Takes "/BITS" off the end of @text. Return: it, or "" if there is none; false if it does not fit.
 */
static bool split_slash(char *text, char *ret_slash, size_t size)
{
	char *slash = strchr(text, '/');
	ret_slash[0] = '\0';
	if (slash == NULL)
		return true;
	size_t len = strlen(slash);
	if (len >= size)
		return false;
	memcpy(ret_slash, slash, len + 1);
	*slash = '\0';
	return true;
}

/* "[IP6]", "[IP6]/BITS", each with ":PORTS" or not. */
static bool parse_bracketed(char *text, struct net_rule *rule)
{
	char *end = strchr(text, ']');
	if (end == NULL)
		return false;
	char *colon = strchr(end, ':');
	if (colon != NULL) {
		*colon = '\0';
		if (!parse_ports(colon + 1, rule))
			return false;
	}
	*end = '\0';
	return parse_net(AF_INET6, text + 1, end + 1, rule);
}

static bool parse_keyword(const char *text, struct net_rule *rule)
{
	static const enum addr_class classes[] = { ADDR_LOOPBACK, ADDR_UNSPECIFIED, ADDR_PRIVATE,
		ADDR_LINK_LOCAL, ADDR_METADATA, ADDR_MULTICAST, ADDR_RESERVED, ADDR_OWN };
	if (strcmp(text, "*") == 0 || strcasecmp(text, "any") == 0) {
		rule->kind = NET_ANY;
		return true;
	}
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
		if (strcasecmp(text, addr_class_name(classes[i])) == 0) {
			rule->kind = NET_CLASS;
			rule->class = classes[i];
			return true;
		}
	}
	return false;
}

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* "example.org" or "*.example.org", with or without a trailing dot. Return: 0, ERR_INVAL,
 * ERR_NOMEM. */
static int parse_name(char *text, struct net_rule *rule)
{
	size_t len = strlen(text), n_glob = strncmp(text, "*.", 2) == 0 ? 2 : 0;
	if (len > n_glob && text[len - 1] == '.')
		text[--len] = '\0';
	if (!addr_name_is_valid(bytes_of(text + n_glob, len - n_glob)))
		return ERR_INVAL;
	for (char *c = text; *c != '\0'; c++)
		*c = fold(*c);
	rule->kind = NET_NAME;
	rule->name = strdup(text);
	return rule->name != NULL ? 0 : ERR_NOMEM;
}

/* @text is scratch. */
static int parse(char *text, struct net_rule *rule)
{
	char slash[8];
	char *colon = strchr(text, ':');
	if (*text == '[')
		return parse_bracketed(text, rule) ? 0 : ERR_INVAL;
	if (colon != NULL &&
		strchr(colon + 1, ':') != NULL) { /* IP6 without brackets has no ports */
		bool is_ok = split_slash(text, slash, sizeof slash) &&
			     parse_net(AF_INET6, text, slash, rule);
		return is_ok ? 0 : ERR_INVAL;
	}
	if (colon != NULL) {
		*colon = '\0';
		if (!parse_ports(colon + 1, rule))
			return ERR_INVAL;
	}
	if (parse_keyword(text, rule))
		return 0;
	if (!split_slash(text, slash, sizeof slash))
		return ERR_INVAL;
	if (parse_net(AF_INET, text, slash, rule))
		return 0;
	return *slash == '\0' ? parse_name(text, rule) : ERR_INVAL;
}

/* Takes @rule's memory. */
static int append(struct netset *set, struct net_rule *rule)
{
	struct net_rule *rules = reallocarray(set->rules, set->n_rules + 1, sizeof *rules);
	if (rules == NULL) {
		rule_deinit(rule);
		return ERR_NOMEM;
	}
	set->rules = rules;
	set->rules[set->n_rules++] = *rule;
	return 0;
}

static int add_one(struct netset *set, const char *text, const char *shown)
{
	char scratch[RULE_TEXT_MAX];
	struct net_rule rule = { .port_low = 1, .port_high = UINT16_MAX };
	size_t len = strlen(text);
	if (len >= sizeof scratch)
		return ERR_INVAL;
	memcpy(scratch, text, len + 1);
	int error = parse(scratch, &rule);
	if (error != 0)
		return error;
	rule.text = strdup(shown);
	if (rule.text == NULL) {
		rule_deinit(&rule);
		return ERR_NOMEM;
	}
	return append(set, &rule);
}

/* "local" and "local:22" are short for two rules. */
static int add_local(struct netset *set, const char *text)
{
	static const char *const words[] = { "loopback", "private" };
	char scratch[RULE_TEXT_MAX];
	size_t n_before = set->n_rules;
	const char *ports = text + strlen("local");
	for (size_t i = 0; i < 2; i++) {
		int len = snprintf(scratch, sizeof scratch, "%s%s", words[i], ports);
		bool fits = len > 0 && (size_t)len < sizeof scratch;
		int error = fits ? add_one(set, scratch, text) : ERR_INVAL;
		if (error != 0) {
			while (set->n_rules > n_before)
				rule_deinit(&set->rules[--set->n_rules]);
			return error;
		}
	}
	return 0;
}

int netset_add(struct netset *set, const char *text)
{
	size_t len = strlen("local");
	if (strncasecmp(text, "local", len) == 0 && (text[len] == '\0' || text[len] == ':'))
		return add_local(set, text);
	return add_one(set, text, text);
}

int netset_copy(struct netset *to, const struct netset *from)
{
	netset_init(to);
	for (size_t i = 0; i < from->n_rules; i++) {
		struct net_rule rule = from->rules[i];
		bool has_name = rule.name != NULL;
		rule.name = has_name ? strdup(rule.name) : NULL;
		rule.text = strdup(rule.text);
		int error = ERR_NOMEM;
		if (rule.text == NULL || (has_name && rule.name == NULL))
			rule_deinit(&rule);
		else
			error = append(to, &rule);
		if (error != 0) {
			netset_deinit(to);
			return error;
		}
	}
	return 0;
}

bool net_rule_has_port(const struct net_rule *rule, uint16_t port)
{
	bool has_all = rule->port_low <= 1 && rule->port_high == UINT16_MAX; /* 0, too */
	return has_all || (port >= rule->port_low && port <= rule->port_high);
}

static bool is_same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned n = bits / 8, left = bits % 8;
	return memcmp(a, b, n) == 0 && (left == 0 || ((a[n] ^ b[n]) >> (8 - left)) == 0);
}

static bool is_in_net(const struct net_rule *rule, const union addr_sock *s)
{
	const union addr_sock *net = &rule->net;
	if (s->any.sa_family != net->any.sa_family)
		return false;
	if (s->any.sa_family == AF_INET)
		return is_same_prefix((const uint8_t *)&s->ip4.sin_addr,
			(const uint8_t *)&net->ip4.sin_addr, rule->prefix_bits);
	return is_same_prefix(
		s->ip6.sin6_addr.s6_addr, net->ip6.sin6_addr.s6_addr, rule->prefix_bits);
}

bool net_rule_has_ip(const struct net_rule *rule, const union addr_sock *s)
{
	switch (rule->kind) {
	case NET_ANY:
		return true;
	case NET_CIDR:
		return is_in_net(rule, s);
	case NET_CLASS:
		return addr_classify_net(s, s->any.sa_family == AF_INET ? 32 : 128) == rule->class;
	case NET_NAME:
		break;
	}
	return false;
}

const struct net_rule *netset_find_sock(const struct netset *set, const union addr_sock *s)
{
	union addr_sock inner;
	bool has_inner = addr_embedded(s, &inner);
	for (size_t i = 0; i < set->n_rules; i++) {
		const struct net_rule *rule = &set->rules[i];
		if (net_rule_has_port(rule, addr_sock_port(s)) &&
			(net_rule_has_ip(rule, s) || (has_inner && net_rule_has_ip(rule, &inner))))
			return rule;
	}
	return NULL;
}

static bool is_equal_folded(const char *lower, const char *name)
{
	while (*lower != '\0' && *lower == fold(*name)) {
		lower++;
		name++;
	}
	return *lower == '\0' && *name == '\0';
}

bool net_rule_has_name(const struct net_rule *rule, const char *name)
{
	if (rule->kind != NET_NAME)
		return false;
	if (rule->name[0] != '*')
		return is_equal_folded(rule->name, name);
	size_t n_suffix = strlen(rule->name + 1), len = strlen(name); /* ".example.org" */
	return len > n_suffix && is_equal_folded(rule->name + 1, name + len - n_suffix);
}

const struct net_rule *netset_find_name(const struct netset *set, const char *name, uint16_t port)
{
	for (size_t i = 0; i < set->n_rules; i++) {
		const struct net_rule *rule = &set->rules[i];
		if (net_rule_has_port(rule, port) && net_rule_has_name(rule, name))
			return rule;
	}
	return NULL;
}
