#include "access/cidr_set.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_CASES   100000
#define N_LARGE   50000
#define N_LOOKUPS 500000

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static union addr_sock sock_of(const char *text)
{
	union addr_sock s = { 0 };
	if (inet_pton(AF_INET, text, &s.ip4.sin_addr) == 1)
		s.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &s.ip6.sin6_addr) == 1)
		s.any.sa_family = AF_INET6;
	else
		cr_assert_fail("%s", text);
	return s;
}

/* A set of blank-separated rules, and the same rules as they are. */
static struct cidr_set *set_of(const char *texts, struct netset *rules)
{
	char scratch[256];
	struct cidr_set *set = cidr_set_new();
	netset_init(rules);
	strcpy(scratch, texts);
	for (char *t = strtok(scratch, " "); t != NULL; t = strtok(NULL, " "))
		cr_assert_eq(netset_add(rules, t), 0, "%s", t);
	for (size_t i = 0; i < rules->n_rules; i++)
		cr_assert_eq(cidr_set_add(set, &rules->rules[i]), 0);
	cidr_set_finish(set);
	return set;
}

Test(cidr_set, networks_classes_and_embedded_addresses)
{
	static const struct {
		const char *rules, *address;
		bool is_in;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.0.0.0/8", "9.255.255.255", false },
		{ "10.0.0.0/8", "::ffff:10.1.1.1", true },
		{ "10.0.0.0/8", "64:ff9b::10.1.1.1", true },
		{ "10.0.0.0/8", "2001:db8::1", false },
		{ "10.0.0.5", "10.0.0.5", true },
		{ "10.0.0.5", "10.0.0.4", false },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "::/0", "10.0.0.1", false },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "255.255.255.255/32 0.0.0.0/32", "0.0.0.0", true },
		{ "255.255.255.255/32 0.0.0.0/32", "255.255.255.255", true },
		{ "255.255.255.255/32 0.0.0.0/32", "128.0.0.0", false },
		{ "any", "2001:db8::1", true },
		{ "local", "127.9.9.9", true },
		{ "local", "192.168.1.1", true },
		{ "local", "fd00::1", true },
		{ "local", "::ffff:192.168.1.1", true },
		{ "local", "9.9.9.9", false },
		{ "link-local", "fe80::1", true },
		{ "metadata", "169.254.169.254", true },
		{ "link-local", "169.254.169.254", false },
		{ "", "10.0.0.1", false },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct netset rules;
		union addr_sock s = sock_of(cases[i].address);
		struct cidr_set *set = set_of(cases[i].rules, &rules);
		cr_expect_eq(cidr_set_has(set, &s), cases[i].is_in, "%s in %s", cases[i].address,
			cases[i].rules);
		cr_expect_eq(cidr_set_has(set, &s), netset_find_sock(&rules, &s) != NULL,
			"%s in %s", cases[i].address, cases[i].rules);
		netset_deinit(&rules);
		cidr_set_free(set);
	}
}

Test(cidr_set, names_and_own_addresses_are_no_networks)
{
	struct netset rules;
	struct cidr_set *set = cidr_set_new();
	netset_init(&rules);
	cr_assert(netset_add(&rules, "example.org") == 0 && netset_add(&rules, "own") == 0);
	cr_expect_eq(cidr_set_add(set, &rules.rules[0]), ERR_INVAL);
	cr_expect_eq(cidr_set_add(set, &rules.rules[1]), ERR_INVAL);
	cr_expect_eq(cidr_set_count(set), 0);
	netset_deinit(&rules);
	cidr_set_free(set);
}

Test(cidr_set, what_touches_is_one)
{
	struct netset rules;
	struct cidr_set *set =
		set_of("10.0.1.0/24 10.0.0.0/24 10.0.0.7 ::1:0/112 ::1:5/128 private any", &rules);
	cr_expect_eq(cidr_set_count(set), 4);
	netset_deinit(&rules);
	cidr_set_free(set);
}

/* Few different bits, at both ends of the address: so networks contain each other and touch. */
static void make_address(union addr_sock *s)
{
	static const char *const starts[] = { "::ffff:10.0.0.0", "64:ff9b::a00:0",
		"2001:db8::", "2001:db8::ff00:0",
		"fd00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00" };
	if (rand() % 2 == 0) {
		uint32_t ip = rand() % 8 == 0 ? UINT32_MAX - (uint32_t)rand() % 8
					      : 0x0a000000u + (uint32_t)rand() % 1024;
		*s = (union addr_sock){ .ip4 = { .sin_family = AF_INET } };
		s->ip4.sin_addr.s_addr = htonl(ip);
		return;
	}
	*s = sock_of(starts[rand() % 6]);
	s->ip6.sin6_addr.s6_addr[14] |= (uint8_t)(rand() % 4);
	s->ip6.sin6_addr.s6_addr[15] |= (uint8_t)rand();
}

static void add_random(struct netset *rules)
{
	static const char *const classes[] = { "private", "reserved", "loopback" };
	char ip[INET6_ADDRSTRLEN], text[80];
	union addr_sock s;
	if (rand() % 20 == 0) {
		cr_assert_eq(netset_add(rules, classes[rand() % 3]), 0);
		return;
	}
	make_address(&s);
	bool is_ip4 = s.any.sa_family == AF_INET;
	inet_ntop(s.any.sa_family, is_ip4 ? (void *)&s.ip4.sin_addr : (void *)&s.ip6.sin6_addr, ip,
		sizeof ip);
	sprintf(text, "%s/%d", ip, is_ip4 ? 20 + rand() % 13 : 108 + rand() % 21);
	cr_assert_eq(netset_add(rules, text), 0, "%s", text);
}

Test(cidr_set, agrees_with_a_list_that_is_read_from_the_front)
{
	char text[ADDR_TEXT_MAX];
	size_t n_in = 0;
	srand(1);
	for (size_t round = 0; round < N_CASES / 100; round++) {
		struct netset rules;
		struct cidr_set *set = cidr_set_new();
		netset_init(&rules);
		for (int n = rand() % 30; n > 0; n--)
			add_random(&rules);
		for (size_t i = 0; i < rules.n_rules; i++)
			cr_assert_eq(cidr_set_add(set, &rules.rules[i]), 0);
		cidr_set_finish(set);
		for (int i = 0; i < 100; i++) {
			union addr_sock s;
			make_address(&s);
			bool is_in = netset_find_sock(&rules, &s) != NULL;
			cr_assert_eq(cidr_set_has(set, &s), is_in, "%s", addr_sock_print(&s, text));
			n_in += is_in;
		}
		netset_deinit(&rules);
		cidr_set_free(set);
	}
	cr_assert(n_in > N_CASES / 10 && n_in < N_CASES - N_CASES / 10, "%zu", n_in);
}

Test(cidr_set, fifty_thousand_networks_are_small_and_quick)
{
	union addr_sock s = { .ip4 = { .sin_family = AF_INET } };
	struct net_rule rule = { .kind = NET_CIDR };
	struct cidr_set *set = cidr_set_new();
	size_t n_in = 0;
	srand(1);
	for (uint32_t i = 0; i < N_LARGE; i++) {
		bool is_ip4 = i % 2 == 0;
		rule.net = is_ip4 ? s : sock_of("2001:db8::");
		rule.prefix_bits = is_ip4 ? 24 : 48;
		if (is_ip4)
			rule.net.ip4.sin_addr.s_addr = htonl(i << 10);
		else
			memcpy(&rule.net.ip6.sin6_addr.s6_addr[2], &i, sizeof i);
		cr_assert_eq(cidr_set_add(set, &rule), 0);
	}
	double start = now_s();
	cidr_set_finish(set);
	double asked = now_s();
	for (uint32_t i = 0; i < N_LOOKUPS; i++) {
		s.ip4.sin_addr.s_addr = htonl((uint32_t)rand());
		n_in += cidr_set_has(set, &s);
		union addr_sock six = rule.net;
		six.ip6.sin6_addr.s6_addr[3] = (uint8_t)i;
		n_in += cidr_set_has(set, &six);
	}
	double us = (now_s() - asked) * 1e6 / (2.0 * N_LOOKUPS);
	printf("cidr_set: %d networks: %zu bytes, sorted in %.0f ms, %.2f us a question, %zu in "
	       "it\n",
		N_LARGE, cidr_set_size(set), (asked - start) * 1e3, us, n_in);
	cr_expect_eq(cidr_set_count(set), N_LARGE);
	cr_expect_lt(cidr_set_size(set), N_LARGE * 20 + 200);
	cr_expect_gt(n_in, 0);
	cr_expect_lt(us, 50.0);
	cidr_set_free(set);
}
