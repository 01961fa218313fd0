#include "common/netset.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static union addr_sock sock(const char *text)
{
	struct addr a;
	union addr_sock s;
	cr_assert_eq(addr_parse_dial(text, &a), ADDR_OK, "%s", text);
	cr_assert_eq(addr_to_sock(&a, &s), 0);
	return s;
}

static bool matches(const char *rule, const char *target)
{
	struct netset set;
	union addr_sock s = sock(target);
	netset_init(&set);
	cr_assert_eq(netset_add(&set, rule), 0, "%s", rule);
	const struct net_rule *found = netset_find_sock(&set, &s);
	netset_deinit(&set);
	return found != NULL;
}

static const struct {
	const char *text;
	int error;
	enum net_kind kind;
	uint16_t low, high;
} grammar_rows[] = {
	{ "*", 0, NET_ANY, 1, 65535 },
	{ "any", 0, NET_ANY, 1, 65535 },
	{ "*:443", 0, NET_ANY, 443, 443 },
	{ "ANY:1-2", 0, NET_ANY, 1, 2 },
	{ "10.0.0.0/8", 0, NET_CIDR, 1, 65535 },
	{ "10.0.0.0/8:8000-9000", 0, NET_CIDR, 8000, 9000 },
	{ "10.0.0.5", 0, NET_CIDR, 1, 65535 },
	{ "10.0.0.5:22", 0, NET_CIDR, 22, 22 },
	{ "0.0.0.0/0", 0, NET_CIDR, 1, 65535 },
	{ "2001:db8::/32", 0, NET_CIDR, 1, 65535 },
	{ "2001:db8::1", 0, NET_CIDR, 1, 65535 },
	{ "[2001:db8::]/32", 0, NET_CIDR, 1, 65535 },
	{ "[2001:db8::]/32:80-90", 0, NET_CIDR, 80, 90 },
	{ "[2001:db8::1]:80", 0, NET_CIDR, 80, 80 },
	{ "[::1]", 0, NET_CIDR, 1, 65535 },
	{ "::/0", 0, NET_CIDR, 1, 65535 },
	{ "loopback", 0, NET_CLASS, 1, 65535 },
	{ "Loopback:22", 0, NET_CLASS, 22, 22 },
	{ "link-local", 0, NET_CLASS, 1, 65535 },
	{ "metadata", 0, NET_CLASS, 1, 65535 },
	{ "multicast", 0, NET_CLASS, 1, 65535 },
	{ "unspecified", 0, NET_CLASS, 1, 65535 },
	{ "reserved", 0, NET_CLASS, 1, 65535 },
	{ "own", 0, NET_CLASS, 1, 65535 },
	{ "private:1-65535", 0, NET_CLASS, 1, 65535 },
	{ "example.org", 0, NET_NAME, 1, 65535 },
	{ "host:80", 0, NET_NAME, 80, 80 },
	{ "*.Example.org.", 0, NET_NAME, 1, 65535 },
	{ "*.example.org:443", 0, NET_NAME, 443, 443 },
	{ "public.example", 0, NET_NAME, 1, 65535 },
	{ "", ERR_INVAL, 0, 0, 0 },
	{ ":80", ERR_INVAL, 0, 0, 0 },
	{ "*:", ERR_INVAL, 0, 0, 0 },
	{ "*:0", ERR_INVAL, 0, 0, 0 },
	{ "*:65536", ERR_INVAL, 0, 0, 0 },
	{ "*:90-80", ERR_INVAL, 0, 0, 0 },
	{ "*:80-", ERR_INVAL, 0, 0, 0 },
	{ "*:-80", ERR_INVAL, 0, 0, 0 },
	{ "*:80-90-100", ERR_INVAL, 0, 0, 0 },
	{ "*:080", ERR_INVAL, 0, 0, 0 },
	{ "*:80 ", ERR_INVAL, 0, 0, 0 },
	{ "*:http", ERR_INVAL, 0, 0, 0 },
	{ "10.0.0.0/33", ERR_INVAL, 0, 0, 0 },
	{ "10.0.0.0/", ERR_INVAL, 0, 0, 0 },
	{ "10.0.0.0/08", ERR_INVAL, 0, 0, 0 },
	{ "10.0.0.0/-1", ERR_INVAL, 0, 0, 0 },
	{ "10.0.0.0/8/8", ERR_INVAL, 0, 0, 0 },
	{ "10.0.0/8", ERR_INVAL, 0, 0, 0 },
	{ "10.1", ERR_INVAL, 0, 0, 0 },
	{ "0x7f.1", ERR_INVAL, 0, 0, 0 },
	{ "2001:db8::/129", ERR_INVAL, 0, 0, 0 },
	{ "2001:db8::/32:80x", ERR_INVAL, 0, 0, 0 },
	{ "2001:db8::/123456789", ERR_INVAL, 0, 0, 0 },
	{ "[2001:db8::/32]", ERR_INVAL, 0, 0, 0 },
	{ "[2001:db8::", ERR_INVAL, 0, 0, 0 },
	{ "[10.0.0.1]", ERR_INVAL, 0, 0, 0 },
	{ "[::1]x", ERR_INVAL, 0, 0, 0 },
	{ "[fe80::1%lo]", ERR_INVAL, 0, 0, 0 },
	{ "fe80::1%lo", ERR_INVAL, 0, 0, 0 },
	{ "loopback/8", ERR_INVAL, 0, 0, 0 },
	{ "example.org/8", ERR_INVAL, 0, 0, 0 },
	{ "*.", ERR_INVAL, 0, 0, 0 },
	{ "*.*.org", ERR_INVAL, 0, 0, 0 },
	{ "a.*.org", ERR_INVAL, 0, 0, 0 },
	{ "*example.org", ERR_INVAL, 0, 0, 0 },
	{ "exa mple.org", ERR_INVAL, 0, 0, 0 },
	{ "local:x", ERR_INVAL, 0, 0, 0 },
};

Test(netset, the_grammar_is_read_as_written)
{
	for (size_t i = 0; i < N(grammar_rows); i++) {
		struct netset set;
		netset_init(&set);
		int error = netset_add(&set, grammar_rows[i].text);
		cr_expect_eq(
			error, grammar_rows[i].error, "\"%s\": %d", grammar_rows[i].text, error);
		cr_expect_eq(set.n_rules, error == 0 ? 1 : 0, "%s", grammar_rows[i].text);
		if (error == 0) {
			cr_expect_eq(set.rules[0].kind, grammar_rows[i].kind, "%s",
				grammar_rows[i].text);
			cr_expect_eq(set.rules[0].port_low, grammar_rows[i].low, "%s",
				grammar_rows[i].text);
			cr_expect_eq(set.rules[0].port_high, grammar_rows[i].high, "%s",
				grammar_rows[i].text);
			cr_expect_str_eq(set.rules[0].text, grammar_rows[i].text);
		}
		netset_deinit(&set);
	}
}

Test(netset, too_long_a_text_is_no_rule)
{
	struct netset set;
	char text[2000];
	netset_init(&set);
	memset(text, 'a', sizeof text);
	text[sizeof text - 1] = '\0';
	cr_assert_eq(netset_add(&set, text), ERR_INVAL);
	memcpy(text, "local:", 6);
	cr_assert_eq(netset_add(&set, text), ERR_INVAL);
	netset_deinit(&set);
}

Test(netset, local_is_loopback_and_private)
{
	struct netset set;
	union addr_sock a = sock("127.0.0.1:22"), b = sock("10.0.0.1:22"), c = sock("8.8.8.8:22"),
			d = sock("10.0.0.1:23");
	netset_init(&set);
	cr_assert_eq(netset_add(&set, "local:22"), 0);
	cr_assert_eq(set.n_rules, 2);
	cr_assert(netset_find_sock(&set, &a));
	cr_assert(netset_find_sock(&set, &b));
	cr_assert_str_eq(netset_find_sock(&set, &b)->text, "local:22");
	cr_assert_null(netset_find_sock(&set, &c));
	cr_assert_null(netset_find_sock(&set, &d));
	netset_deinit(&set);
}

Test(netset, addresses_match_as_expected)
{
	static const struct {
		const char *rule, *target;
		bool is_match;
	} rows[] = {
		{ "10.0.0.5/8", "10.255.0.1:1", true }, /* bits behind the prefix do not count */
		{ "10.0.0.0/8", "11.0.0.0:1", false },
		{ "10.0.0.0/8:80", "10.0.0.1:81", false },
		{ "10.0.0.0/8:80-90", "10.0.0.1:90", true },
		{ "10.0.0.0/8", "[::ffff:10.0.0.1]:1", true },
		{ "10.0.0.0/8", "[64:ff9b::10.0.0.1]:1", true },
		{ "10.0.0.0/8", "[2002:a00:1::]:1", true },
		{ "10.0.0.0/8", "[::10.0.0.1]:1", true },
		{ "::ffff:10.0.0.0/104", "10.0.0.1:1", true },
		{ "[::ffff:0:0]/96:80", "10.0.0.1:80", true },
		{ "::/0", "10.0.0.1:1", false },
		{ "::/0", "[2001:db8::1]:1", true },
		{ "0.0.0.0/0", "10.0.0.1:1", true },
		{ "0.0.0.0/0", "[2001:db8::1]:1", false },
		{ "loopback", "127.9.9.9:1", true },
		{ "loopback", "[::1]:1", true },
		{ "loopback", "[::ffff:127.0.0.1]:1", true },
		{ "loopback", "[64:ff9b::127.0.0.1]:1", true },
		{ "loopback", "0.0.0.0:1", false },
		{ "link-local", "169.254.1.1:1", true },
		{ "link-local", "169.254.169.254:1", false },
		{ "metadata", "169.254.169.254:1", true },
		{ "private", "[fd00::1]:1", true },
		{ "reserved", "[::8.8.8.8]:1", true },
		{ "own", "127.0.0.1:1", false },
		{ "*", "1.2.3.4:5", true },
		{ "*:443", "1.2.3.4:444", false },
		{ "example.org", "1.2.3.4:5", false },
	};
	for (size_t i = 0; i < N(rows); i++)
		cr_expect_eq(matches(rows[i].rule, rows[i].target), rows[i].is_match, "%s and %s",
			rows[i].rule, rows[i].target);
}

Test(netset, names_match_folded_and_globs_only_below)
{
	static const struct {
		const char *rule, *name;
		uint16_t port;
		bool is_match;
	} rows[] = {
		{ "example.org", "EXAMPLE.org", 80, true },
		{ "Example.ORG.", "example.org", 80, true },
		{ "example.org", "a.example.org", 80, false },
		{ "example.org", "example.or", 80, false },
		{ "example.org", "example.orgg", 80, false },
		{ "*.example.org", "a.example.org", 80, true },
		{ "*.example.org", "a.b.Example.org", 80, true },
		{ "*.example.org", "example.org", 80, false },
		{ "*.example.org", "badexample.org", 80, false },
		{ "*.example.org", ".example.org", 80, false },
		{ "*.example.org:443", "a.example.org", 80, false },
		{ "*.example.org:443", "a.example.org", 443, true },
		{ "*", "example.org", 80, false },
		{ "loopback", "loopback", 80, false },
	};
	for (size_t i = 0; i < N(rows); i++) {
		struct netset set;
		netset_init(&set);
		cr_assert_eq(netset_add(&set, rows[i].rule), 0);
		bool is_match = netset_find_name(&set, rows[i].name, rows[i].port) != NULL;
		cr_expect_eq(is_match, rows[i].is_match, "%s and %s", rows[i].rule, rows[i].name);
		netset_deinit(&set);
	}
}

Test(netset, the_first_rule_that_matches_is_found_and_a_copy_is_equal)
{
	struct netset set, copy;
	union addr_sock s = sock("10.1.2.3:80");
	netset_init(&set);
	cr_assert_eq(netset_add(&set, "*.example.org"), 0);
	cr_assert_eq(netset_add(&set, "10.1.0.0/16:81"), 0);
	cr_assert_eq(netset_add(&set, "10.1.0.0/16"), 0);
	cr_assert_eq(netset_add(&set, "10.0.0.0/8"), 0);
	cr_assert_eq(netset_add(&set, "nonsense/"), ERR_INVAL);
	cr_assert_eq(set.n_rules, 4);
	cr_assert_eq(netset_copy(&copy, &set), 0);
	netset_deinit(&set);
	netset_deinit(&set);
	cr_assert_null(netset_find_sock(&set, &s));
	cr_assert_str_eq(netset_find_sock(&copy, &s)->text, "10.1.0.0/16");
	cr_assert_str_eq(netset_find_name(&copy, "a.example.org", 1)->text, "*.example.org");
	netset_deinit(&copy);
}

static bool naive_is_in(const uint8_t *net, const uint8_t *ip, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++) {
		unsigned mask = 0x80u >> (i % 8);
		if ((net[i / 8] & mask) != (ip[i / 8] & mask))
			return false;
	}
	return true;
}

Test(netset, random_nets_agree_with_a_bit_by_bit_check)
{
	unsigned seed = 7;
	int n_matches = 0;
	for (int i = 0; i < 20000; i++) {
		bool is_ip4 = i % 2;
		int n = is_ip4 ? 4 : 16;
		uint8_t net[16], ip[16];
		unsigned bits = (unsigned)rand_r(&seed) % (unsigned)(n * 8 + 1);
		char text[INET6_ADDRSTRLEN], rule[80];
		struct addr a = { .kind = is_ip4 ? ADDR_IP4 : ADDR_IP6, .port = 80 };
		union addr_sock s;
		struct netset set;
		for (int k = 0; k < n; k++) {
			net[k] = (uint8_t)rand_r(&seed);
			ip[k] = net[k];
		}
		if (!is_ip4)
			net[0] = ip[0] = 0x3f; /* embeds nothing */
		if (rand_r(&seed) % 4)         /* one bit differs, near the end of the prefix */
			ip[bits / 8 % (unsigned)n] ^= (uint8_t)(1u << (rand_r(&seed) % 8));
		inet_ntop(is_ip4 ? AF_INET : AF_INET6, net, text, sizeof text);
		if (i % 4 < 2)
			snprintf(rule, sizeof rule, "%s/%u", text, bits);
		else
			snprintf(rule, sizeof rule, is_ip4 ? "%s/%u:80" : "[%s]/%u:80", text, bits);
		memcpy(a.ip, ip, (size_t)n);
		cr_assert_eq(addr_to_sock(&a, &s), 0);
		netset_init(&set);
		cr_assert_eq(netset_add(&set, rule), 0, "%s", rule);
		bool is_match = netset_find_sock(&set, &s) != NULL;
		cr_assert_eq(is_match, naive_is_in(net, ip, bits), "%s", rule);
		n_matches += is_match;
		netset_deinit(&set);
	}
	cr_assert_gt(n_matches, 1000);
	cr_assert_lt(n_matches, 19000);
}
