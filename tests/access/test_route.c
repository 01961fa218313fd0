#include "access/route.h"

#include "access/cidr_set.h"
#include "access/domain_set.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct chain_upstream_spec office = { .name = (char *)"office" };

static struct addr target_of(const char *text)
{
	struct addr a;
	cr_assert_eq(addr_parse_dial(text, &a), ADDR_OK, "%s", text);
	return a;
}

static union addr_sock source_of(const char *text)
{
	struct addr a = target_of(text);
	union addr_sock s;
	cr_assert_eq(addr_to_sock(&a, &s), 0);
	return s;
}

static struct domain_set *domains_of(const char *text)
{
	struct domain_set *set = domain_set_new();
	cr_assert_eq(domain_set_add(set, bytes_of(text, strlen(text))), 0);
	return set;
}

static struct cidr_set *cidrs_of(const char *text)
{
	struct netset rules;
	struct cidr_set *set = cidr_set_new();
	netset_init(&rules);
	cr_assert_eq(netset_add(&rules, text), 0);
	cr_assert_eq(cidr_set_add(set, &rules.rules[0]), 0);
	cidr_set_finish(set);
	netset_deinit(&rules);
	return set;
}

static const char *mismatch(const struct route_rule *rule, const char *target, const char *source,
	const char *user, const char *listener, enum route_protocol protocol)
{
	struct addr to = target_of(target);
	union addr_sock from;
	struct route_query query = {
		.target = &to, .user = user, .listener = listener, .protocol = protocol
	};
	if (source != NULL) {
		from = source_of(source);
		query.source = &from;
	}
	const char *why = route_mismatch(rule, &query);
	cr_expect_eq(route_find(rule, 1, &query) == rule, why == NULL);
	return why != NULL ? why : "";
}

Test(route, each_condition_has_to_be_met)
{
	char *users[] = { (char *)"ann", (char *)"bob" }, *listeners[] = { (char *)"socks" };
	struct route_ports ports[] = { { 22, 22 }, { 8000, 8999 } };
	struct route_rule rule = { .users = users,
		.n_users = 2,
		.listeners = listeners,
		.n_listeners = 1,
		.ports = ports,
		.n_ports = 2,
		.protocols = ROUTE_SOCKS | ROUTE_HTTP,
		.use = &office };
	rule.domains = domains_of(".example.org");
	rule.cidrs = cidrs_of("10.0.0.0/8");
	cr_assert_eq(netset_add(&rule.from, "192.168.0.0/16"), 0);
	static const struct {
		const char *target, *source, *user, *listener;
		enum route_protocol protocol;
		const char *why;
	} cases[] = {
		{ "www.example.org:22", "192.168.1.1:5", "ann", "socks", ROUTE_SOCKS, "" },
		{ "EXAMPLE.org:8000", "192.168.1.1:5", "bob", "socks", ROUTE_HTTP, "" },
		{ "10.1.1.1:8999", "192.168.1.1:5", "bob", "socks", ROUTE_HTTP, "" },
		{ "[::ffff:10.1.1.1]:8999", "[::ffff:192.168.1.1]:5", "bob", "socks", ROUTE_HTTP,
			"" },
		{ "11.1.1.1:22", "192.168.1.1:5", "ann", "socks", ROUTE_SOCKS,
			"domains and cidrs" },
		{ "a.org:22", "192.168.1.1:5", "ann", "socks", ROUTE_SOCKS, "domains and cidrs" },
		{ "www.example.org:23", "192.168.1.1:5", "ann", "socks", ROUTE_SOCKS, "ports" },
		{ "10.1.1.1:9000", "192.168.1.1:5", "ann", "socks", ROUTE_SOCKS, "ports" },
		{ "10.1.1.1:7999", "192.168.1.1:5", "ann", "socks", ROUTE_SOCKS, "ports" },
		{ "10.1.1.1:22", "192.169.1.1:5", "ann", "socks", ROUTE_SOCKS, "from" },
		{ "10.1.1.1:22", NULL, "ann", "socks", ROUTE_SOCKS, "from" },
		{ "10.1.1.1:22", "192.168.1.1:5", "Ann", "socks", ROUTE_SOCKS, "users" },
		{ "10.1.1.1:22", "192.168.1.1:5", "", "socks", ROUTE_SOCKS, "users" },
		{ "10.1.1.1:22", "192.168.1.1:5", NULL, "socks", ROUTE_SOCKS, "users" },
		{ "10.1.1.1:22", "192.168.1.1:5", "ann", "http", ROUTE_SOCKS, "listeners" },
		{ "10.1.1.1:22", "192.168.1.1:5", "ann", NULL, ROUTE_SOCKS, "listeners" },
		{ "10.1.1.1:22", "192.168.1.1:5", "ann", "socks", ROUTE_UDP, "protocols" },
		{ "10.1.1.1:22", "192.168.1.1:5", "ann", "socks", ROUTE_TCP, "protocols" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect_str_eq(mismatch(&rule, cases[i].target, cases[i].source, cases[i].user,
					 cases[i].listener, cases[i].protocol),
			cases[i].why, "%zu %s", i, cases[i].target);
	domain_set_free(rule.domains);
	cidr_set_free(rule.cidrs);
	netset_deinit(&rule.from);
}

Test(route, names_meet_names_and_addresses_meet_addresses)
{
	struct route_rule names = { .domains = domains_of("*.org") };
	struct route_rule nets = { .cidrs = cidrs_of("any") };
	cr_expect_str_eq(mismatch(&names, "a.org:1", NULL, NULL, NULL, ROUTE_TCP), "");
	cr_expect_str_eq(mismatch(&names, "9.9.9.9:1", NULL, NULL, NULL, ROUTE_TCP), "domains");
	cr_expect_str_eq(mismatch(&nets, "a.org:1", NULL, NULL, NULL, ROUTE_TCP), "cidrs");
	cr_expect_str_eq(mismatch(&nets, "9.9.9.9:1", NULL, NULL, NULL, ROUTE_TCP), "");
	route_rule_deinit(&names);
	route_rule_deinit(&nets);
}

Test(route, a_source_without_an_address_comes_from_anywhere)
{
	struct route_rule rule = { 0 };
	cr_expect(route_is_always(&rule));
	cr_assert_eq(netset_add(&rule.from, "0.0.0.0/0"), 0);
	cr_expect_not(route_is_always(&rule));
	cr_expect_str_eq(mismatch(&rule, "a.org:1", NULL, NULL, NULL, ROUTE_TCP), "from");
	cr_assert_eq(netset_add(&rule.from, "any"), 0);
	cr_expect_str_eq(mismatch(&rule, "a.org:1", NULL, NULL, NULL, ROUTE_TCP), "");
	route_rule_deinit(&rule);
}

Test(route, the_first_that_matches_wins)
{
	struct route_ports https = { 443, 443 };
	struct route_rule rules[] = {
		{ .name = (char *)"web", .ports = &https, .n_ports = 1 },
		{ .protocols = ROUTE_UDP },
		{ .protocols = ROUTE_UDP | ROUTE_TCP },
	};
	static const struct {
		const char *target;
		enum route_protocol protocol;
		int found;
		const char *label;
	} cases[] = {
		{ "a.org:443", ROUTE_UDP, 0, "web" },
		{ "a.org:444", ROUTE_UDP, 1, "#2" },
		{ "a.org:444", ROUTE_TCP, 2, "#3" },
		{ "a.org:444", ROUTE_HTTP, -1, "-" },
	};
	for (size_t i = 0; i < 4; i++) {
		char label[ROUTE_LABEL_MAX];
		struct addr to = target_of(cases[i].target);
		struct route_query query = { .target = &to, .protocol = cases[i].protocol };
		const struct route_rule *rule = route_find(rules, 3, &query);
		cr_expect_eq(rule, cases[i].found < 0 ? NULL : &rules[cases[i].found]);
		cr_expect_str_eq(route_rule_label(rules, rule, label), cases[i].label);
	}
}
