/*
 * Text to addresses and rules. What parses must print to something that parses to the same;
 * whatever an address is, a rule made of it matches it; nothing else may crash.
 */
#include "common/addr.h"
#include "common/netset.h"

#include <stdlib.h>

#define TEXT_MAX 700

static void require(bool is_so)
{
	if (!is_so)
		abort();
}

static void expect_same(const struct addr *a, const struct addr *b)
{
	require(a->kind == b->kind && a->port == b->port && a->scope == b->scope);
	require(memcmp(a->ip, b->ip, sizeof a->ip) == 0);
	require(strcmp(a->name, b->name) == 0);
}

static void check_sock(const union addr_sock *s)
{
	char text[ADDR_TEXT_MAX];
	union addr_sock inner, plain = *s;
	bool is_embedded;
	enum addr_class class = addr_classify(s, &is_embedded);
	addr_sock_unmap(&plain);
	require(addr_classify(&plain, NULL) == class);
	require(!is_embedded || (addr_embedded(s, &inner) && addr_classify(&inner, NULL) == class));
	require(addr_class_name(class) != NULL);
	require(*addr_sock_print(s, text) != '\0');
}

static void check_name(const struct addr *a)
{
	struct netset set;
	netset_init(&set);
	require(addr_name_is_valid(bytes_of(a->name, strlen(a->name))));
	if (netset_add(&set, a->name) == 0 && set.rules[0].kind == NET_NAME)
		require(netset_find_name(&set, a->name, a->port) != NULL);
	netset_deinit(&set);
}

/* The printed form of a literal, without a zone, is a rule that matches it. */
static void check_rule(const char *printed, const union addr_sock *s)
{
	struct netset set;
	netset_init(&set);
	require(netset_add(&set, printed) == 0);
	require(netset_find_sock(&set, s) != NULL);
	netset_deinit(&set);
}

static void check_dial(const char *text)
{
	struct addr a, b;
	union addr_sock s;
	char printed[ADDR_TEXT_MAX];
	enum addr_parse_error error = addr_parse_dial(text, &a);
	require(addr_parse_text(error) != NULL);
	if (error != ADDR_OK)
		return;
	require(addr_parse_dial(addr_print(&a, printed), &b) == ADDR_OK);
	expect_same(&a, &b);
	if (a.kind == ADDR_NAME) {
		check_name(&a);
		return;
	}
	require(addr_to_sock(&a, &s) == 0);
	addr_from_sock(&s, &b);
	expect_same(&a, &b);
	check_sock(&s);
	if (a.scope == 0)
		check_rule(printed, &s);
}

static void check_listen(const char *text)
{
	struct addr a, b;
	char printed[ADDR_TEXT_MAX];
	if (addr_parse_listen(text, &a) != ADDR_OK)
		return;
	require(a.kind != ADDR_NAME);
	require(addr_parse_listen(addr_print(&a, printed), &b) == ADDR_OK);
	expect_same(&a, &b);
}

static void check_target(const char *text)
{
	struct netset set, copy;
	netset_init(&set);
	if (netset_add(&set, text) != 0) {
		require(set.n_rules == 0);
		return;
	}
	const struct net_rule *rule = &set.rules[0];
	require(rule->port_low >= 1 && rule->port_low <= rule->port_high);
	require((rule->kind == NET_NAME) == (rule->name != NULL));
	if (rule->kind == NET_CIDR) {
		union addr_sock s = rule->net;
		addr_sock_set_port(&s, rule->port_high);
		require(netset_find_sock(&set, &s) == rule);
		check_sock(&s);
	}
	require(netset_copy(&copy, &set) == 0);
	require(copy.n_rules == set.n_rules && strcmp(copy.rules[0].text, text) == 0);
	netset_deinit(&copy);
	netset_deinit(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX];
	(void)addr_name_is_valid(bytes_of(data, size));
	if (size >= sizeof text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check_dial(text);
	check_listen(text);
	check_target(text);
	return 0;
}
