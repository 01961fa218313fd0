/* Who may go where. Every spelling is judged as a literal and as what a name resolves to. */
#include "hop/policy.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static union addr_sock sock(const char *ip, uint16_t port)
{
	union addr_sock s;
	memset(&s, 0, sizeof s);
	if (inet_pton(AF_INET, ip, &s.ip4.sin_addr) == 1) {
		s.any.sa_family = AF_INET;
	} else {
		cr_assert_eq(inet_pton(AF_INET6, ip, &s.ip6.sin6_addr), 1, "%s", ip);
		s.any.sa_family = AF_INET6;
	}
	addr_sock_set_port(&s, port);
	return s;
}

/* Lists are written as strings with spaces between the rules. */
static struct netset list(const char *text)
{
	struct netset set;
	char copy[500], *save = NULL;
	netset_init(&set);
	strcpy(copy, text ? text : "");
	for (char *t = strtok_r(copy, " ", &save); t != NULL; t = strtok_r(NULL, " ", &save))
		cr_assert_eq(netset_add(&set, t), 0, "%s", t);
	return set;
}

struct lists {
	const char *allow, *deny, *user_allow, *user_deny;
};

/* This host is 203.0.113.5, 10.0.0.4, 2001:db8::5, fe80::5 and loopback. */
static struct policy_verdict judge(
	const struct lists *lists, const char *name, const char *ip, uint16_t port)
{
	static const char *const own[] = { "127.0.0.1", "::1", "203.0.113.5", "10.0.0.4",
		"2001:db8::5", "fe80::5" };
	struct netset allow = list(lists->allow), deny = list(lists->deny);
	struct netset user_allow = list(lists->user_allow), user_deny = list(lists->user_deny);
	union addr_sock addresses[N(own)], to = sock(ip, port);
	struct local_addresses *local;
	for (size_t i = 0; i < N(own); i++)
		addresses[i] = sock(own[i], 0);
	cr_assert_eq(local_addresses_new_fixed(addresses, N(own), &local), 0);
	struct policy policy = {
		.allow = &allow,
		.deny = &deny,
		.user_allow = lists->user_allow ? &user_allow : NULL,
		.user_deny = &user_deny,
		.local = local,
	};
	struct policy_verdict v = policy_check(&policy, name, &to);
	/* The rule's text may be the netset's: it goes with it. */
	cr_expect_eq(v.status == STATUS_OK, v.rule == NULL, "%s", ip);
	v.rule = NULL;
	local_addresses_free(local);
	netset_deinit(&allow);
	netset_deinit(&deny);
	netset_deinit(&user_allow);
	netset_deinit(&user_deny);
	return v;
}

#define OK       STATUS_OK
#define LOOPBACK STATUS_DENIED_LOOPBACK
#define PRIVATE  STATUS_DENIED_PRIVATE
#define POLICY   STATUS_DENIED_POLICY
#define PORT     STATUS_DENIED_PORT

/* Without any rule. */
static const struct spelling {
	const char *ip;
	enum wire_status status;
	uint8_t detail;
} spellings[] = {
	{ "8.8.8.8", OK, 0 },
	{ "2001:4860:4860::8888", OK, 0 },
	{ "10.0.0.1", OK, 0 },
	{ "100.64.0.1", OK, 0 },
	{ "172.16.0.1", OK, 0 },
	{ "172.31.255.255", OK, 0 },
	{ "192.168.1.1", OK, 0 },
	{ "fd00::1", OK, 0 },
	{ "fc00::1", OK, 0 },
	{ "fec0::1", OK, 0 },
	{ "::ffff:10.0.0.1", OK, 0 },
	{ "::ffff:8.8.8.8", OK, 0 },
	{ "64:ff9b::8.8.8.8", OK, 0 },
	{ "64:ff9b::10.0.0.1", OK, 0 },
	{ "2002:808:808::1", OK, 0 },
	{ "127.0.0.1", LOOPBACK, 1 },
	{ "127.0.0.2", LOOPBACK, 1 },
	{ "127.1.2.3", LOOPBACK, 1 },
	{ "127.255.255.255", LOOPBACK, 1 },
	{ "::1", LOOPBACK, 1 },
	{ "::ffff:127.0.0.1", LOOPBACK, 1 },
	{ "::ffff:7f00:1", LOOPBACK, 1 },
	{ "::ffff:127.255.0.1", LOOPBACK, 1 },
	{ "::127.0.0.1", LOOPBACK, 1 },
	{ "64:ff9b::127.0.0.1", LOOPBACK, 1 },
	{ "64:ff9b::7f00:1", LOOPBACK, 1 },
	{ "2002:7f00:1::", LOOPBACK, 1 },
	{ "2002:7f00:1:ffff::1", LOOPBACK, 1 },
	{ "0.0.0.0", LOOPBACK, 2 },
	{ "0.0.0.1", LOOPBACK, 2 },
	{ "0.255.255.255", LOOPBACK, 2 },
	{ "::", LOOPBACK, 2 },
	{ "::2", LOOPBACK, 2 },
	{ "::ffff:0.0.0.0", LOOPBACK, 2 },
	{ "64:ff9b::", LOOPBACK, 2 },
	{ "2002::", LOOPBACK, 2 },
	{ "203.0.113.5", LOOPBACK, 3 },
	{ "10.0.0.4", LOOPBACK, 3 },
	{ "2001:db8::5", LOOPBACK, 3 },
	{ "::ffff:203.0.113.5", LOOPBACK, 3 },
	{ "64:ff9b::203.0.113.5", LOOPBACK, 3 },
	{ "64:ff9b::10.0.0.4", LOOPBACK, 3 },
	{ "2002:cb00:7105::1", LOOPBACK, 3 },
	{ "::203.0.113.5", LOOPBACK, 3 },
	{ "169.254.0.1", PRIVATE, 5 },
	{ "169.254.255.255", PRIVATE, 5 },
	{ "fe80::1", PRIVATE, 5 },
	{ "fe80::5", PRIVATE, 5 },
	{ "febf::1", PRIVATE, 5 },
	{ "::ffff:169.254.1.1", PRIVATE, 5 },
	{ "64:ff9b::169.254.1.1", PRIVATE, 5 },
	{ "169.254.169.254", PRIVATE, 6 },
	{ "169.254.170.2", PRIVATE, 6 },
	{ "100.100.100.200", PRIVATE, 6 },
	{ "fd00:ec2::254", PRIVATE, 6 },
	{ "::ffff:169.254.169.254", PRIVATE, 6 },
	{ "::ffff:a9fe:a9fe", PRIVATE, 6 },
	{ "::169.254.169.254", PRIVATE, 6 },
	{ "64:ff9b::169.254.169.254", PRIVATE, 6 },
	{ "2002:a9fe:a9fe::1", PRIVATE, 6 },
	{ "224.0.0.1", PRIVATE, 7 },
	{ "239.255.255.255", PRIVATE, 7 },
	{ "255.255.255.255", PRIVATE, 7 },
	{ "ff02::1", PRIVATE, 7 },
	{ "ff0e::1", PRIVATE, 7 },
	{ "::ffff:224.0.0.1", PRIVATE, 7 },
	{ "2002:ffff:ffff::", PRIVATE, 7 },
	{ "192.0.0.1", PRIVATE, 8 },
	{ "192.0.0.192", PRIVATE, 8 },
	{ "198.18.0.1", PRIVATE, 8 },
	{ "198.19.255.255", PRIVATE, 8 },
	{ "240.0.0.1", PRIVATE, 8 },
	{ "255.255.255.254", PRIVATE, 8 },
	{ "2001::1", PRIVATE, 8 },
	{ "2001:0:7f00:1::", PRIVATE, 8 },
	{ "::ffff:240.0.0.1", PRIVATE, 8 },
	{ "64:ff9b::198.18.0.1", PRIVATE, 8 },
	{ "::8.8.8.8", PRIVATE, 9 },
	{ "::10.0.0.1", PRIVATE, 9 },
	{ "::192.168.1.1", PRIVATE, 9 },
};

static void expect_default(const struct spelling *s, const struct lists *lists, const char *name)
{
	struct policy_verdict v = judge(lists, name, s->ip, 80);
	cr_expect_eq(v.status, s->status, "%s (%s): status %#x", s->ip, name ? name : "literal",
		v.status);
	cr_expect_eq(v.detail, s->detail, "%s (%s): detail %u", s->ip, name ? name : "literal",
		v.detail);
}

Test(policy, the_default_set_is_denied_in_every_spelling)
{
	static const struct lists none = { 0 }, star = { .allow = "*" },
				  user_star = { .user_allow = "*" };
	static const struct lists names = { .allow = "* rebind.example *.example" };
	for (size_t i = 0; i < N(spellings); i++) {
		expect_default(&spellings[i], &none, NULL);
		expect_default(&spellings[i], &none, "rebind.example");
		expect_default(&spellings[i], &star, NULL);
		expect_default(&spellings[i], &user_star, "rebind.example");
		expect_default(&spellings[i], &names, "rebind.example");
	}
}

Test(policy, wide_nets_lift_nothing)
{
	static const struct lists wide = {
		.allow = "0.0.0.0/0 ::/0 127.0.0.0/7 169.254.0.0/15 fe00::/8"
	};
	for (size_t i = 0; i < N(spellings); i++)
		expect_default(&spellings[i], &wide, NULL);
}

struct row {
	struct lists lists;
	const char *name, *ip;
	uint16_t port;
	enum wire_status status;
	uint8_t detail;
};

static void expect_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		struct policy_verdict v = judge(&r->lists, r->name, r->ip, r->port);
		cr_expect(v.status == r->status && v.detail == r->detail,
			"row %zu: %s %s:%u is %#x, %u; expected %#x, %u", i, r->name ? r->name : "",
			r->ip, r->port, v.status, v.detail, r->status, r->detail);
	}
}

Test(policy, a_class_word_lifts_exactly_its_class)
{
	static const struct row rows[] = {
		{ { .allow = "loopback" }, NULL, "127.0.0.1", 80, OK, 0 },
		{ { .allow = "loopback" }, NULL, "127.9.9.9", 80, OK, 0 },
		{ { .allow = "loopback" }, NULL, "::1", 80, OK, 0 },
		{ { .allow = "loopback" }, NULL, "::ffff:127.0.0.1", 80, OK, 0 },
		{ { .allow = "loopback" }, NULL, "64:ff9b::127.0.0.1", 80, OK, 0 },
		{ { .allow = "loopback" }, NULL, "::127.0.0.1", 80, PRIVATE, 9 },
		{ { .allow = "loopback reserved" }, NULL, "::127.0.0.1", 80, OK, 0 },
		{ { .allow = "loopback" }, "localhost", "127.0.0.1", 80, OK, 0 },
		{ { .allow = "loopback" }, NULL, "0.0.0.0", 80, LOOPBACK, 2 },
		{ { .allow = "loopback" }, NULL, "203.0.113.5", 80, LOOPBACK, 3 },
		{ { .allow = "loopback" }, NULL, "169.254.1.1", 80, PRIVATE, 5 },
		{ { .allow = "loopback" }, NULL, "8.8.8.8", 80, OK, 0 },
		{ { .allow = "loopback" }, NULL, "10.0.0.1", 80, OK, 0 },
		{ { .allow = "loopback:22" }, NULL, "127.0.0.1", 22, OK, 0 },
		{ { .allow = "loopback:22" }, NULL, "127.0.0.1", 23, LOOPBACK, 1 },
		{ { .user_allow = "loopback" }, NULL, "127.0.0.1", 80, OK, 0 },
		{ { .allow = "unspecified" }, NULL, "0.0.0.0", 80, OK, 0 },
		{ { .allow = "unspecified" }, NULL, "::", 80, OK, 0 },
		{ { .allow = "own" }, NULL, "203.0.113.5", 80, OK, 0 },
		{ { .allow = "own" }, NULL, "64:ff9b::203.0.113.5", 80, OK, 0 },
		{ { .allow = "own" }, NULL, "127.0.0.1", 80, LOOPBACK, 1 },
		{ { .allow = "own" }, NULL, "fe80::5", 80, PRIVATE, 5 },
		{ { .allow = "link-local" }, NULL, "fe80::5", 80, LOOPBACK, 3 },
		{ { .allow = "link-local own" }, NULL, "fe80::5", 80, OK, 0 },
		{ { .allow = "link-local" }, NULL, "fe80::1", 80, OK, 0 },
		{ { .allow = "link-local" }, NULL, "169.254.1.1", 80, OK, 0 },
		{ { .allow = "link-local" }, NULL, "169.254.169.254", 80, PRIVATE, 6 },
		{ { .allow = "metadata" }, NULL, "169.254.169.254", 80, OK, 0 },
		{ { .allow = "metadata" }, NULL, "fd00:ec2::254", 80, OK, 0 },
		{ { .allow = "multicast" }, NULL, "224.0.0.1", 80, OK, 0 },
		{ { .allow = "reserved" }, NULL, "198.18.0.1", 80, OK, 0 },
		{ { .allow = "reserved" }, NULL, "::8.8.8.8", 80, OK, 0 },
		{ { .allow = "private" }, NULL, "100.100.100.200", 80, PRIVATE, 6 },
		{ { .allow = "private" }, NULL, "10.0.0.4", 80, LOOPBACK, 3 },
	};
	expect_rows(rows, N(rows));
}

Test(policy, a_net_inside_a_class_lifts_itself)
{
	static const struct row rows[] = {
		{ { .allow = "127.0.0.0/8" }, NULL, "127.0.0.1", 80, OK, 0 },
		{ { .allow = "127.0.0.1" }, NULL, "127.0.0.1", 80, OK, 0 },
		{ { .allow = "127.0.0.1" }, NULL, "127.0.0.2", 80, LOOPBACK, 1 },
		{ { .allow = "127.0.0.1" }, NULL, "::1", 80, LOOPBACK, 1 },
		{ { .allow = "127.0.0.1" }, NULL, "64:ff9b::127.0.0.1", 80, OK, 0 },
		{ { .allow = "::ffff:127.0.0.1" }, NULL, "127.0.0.1", 80, OK, 0 },
		{ { .allow = "[::1]:80" }, NULL, "::1", 80, OK, 0 },
		{ { .allow = "[::1]:80" }, NULL, "::1", 81, LOOPBACK, 1 },
		{ { .allow = "127.0.0.1" }, NULL, "8.8.8.8", 80, OK, 0 },
		{ { .allow = "169.254.0.0/16" }, NULL, "169.254.1.1", 80, OK, 0 },
		{ { .allow = "169.254.0.0/16" }, NULL, "169.254.169.254", 80, PRIVATE, 6 },
		{ { .allow = "169.254.169.254:80" }, NULL, "169.254.169.254", 80, OK, 0 },
		{ { .allow = "203.0.113.5" }, NULL, "203.0.113.5", 80, OK, 0 },
		{ { .allow = "10.0.0.0/8" }, NULL, "10.0.0.4", 80, OK, 0 },
		{ { .allow = "0.0.0.0/0" }, NULL, "10.0.0.4", 80, LOOPBACK, 3 },
		{ { .allow = "* 10.0.0.0/8" }, NULL, "10.0.0.4", 80, OK, 0 },
		{ { .allow = "::/96" }, NULL, "::1", 80, LOOPBACK, 1 },
		{ { .allow = "::/96" }, NULL, "::8.8.8.8", 80, OK, 0 },
		{ { .allow = "::/96 8.8.8.8" }, NULL, "::8.8.8.8", 80, OK, 0 },
	};
	expect_rows(rows, N(rows));
}

Test(policy, an_allow_list_with_more_than_lifts_restricts)
{
	static const struct row rows[] = {
		{ { .allow = "private" }, NULL, "10.0.0.1", 80, OK, 0 },
		{ { .allow = "private" }, NULL, "8.8.8.8", 80, POLICY, 10 },
		{ { .allow = "10.0.0.0/8" }, NULL, "10.0.0.1", 80, OK, 0 },
		{ { .allow = "10.0.0.0/8" }, NULL, "192.168.0.1", 80, POLICY, 10 },
		{ { .allow = "10.0.0.0/8" }, NULL, "127.0.0.1", 80, LOOPBACK, 1 },
		{ { .allow = "10.0.0.0/8 loopback" }, NULL, "127.0.0.1", 80, OK, 0 },
		{ { .allow = "10.0.0.0/8 loopback" }, NULL, "8.8.8.8", 80, POLICY, 10 },
		{ { .allow = "local" }, NULL, "8.8.8.8", 80, POLICY, 10 },
		{ { .allow = "local" }, NULL, "127.0.0.1", 80, OK, 0 },
		{ { .allow = "*:443" }, NULL, "8.8.8.8", 443, OK, 0 },
		{ { .allow = "*:443" }, NULL, "8.8.8.8", 80, PORT, 10 },
		{ { .allow = "*:443 private" }, NULL, "10.0.0.1", 22, OK, 0 },
		{ { .allow = "10.0.0.0/8:22" }, NULL, "10.0.0.1", 23, PORT, 10 },
		{ { .allow = "*.example.org" }, "a.example.org", "8.8.8.8", 80, OK, 0 },
		{ { .allow = "*.example.org" }, "a.example.org", "127.0.0.1", 80, LOOPBACK, 1 },
		{ { .allow = "*.example.org" }, "example.org", "8.8.8.8", 80, POLICY, 10 },
		{ { .allow = "*.example.org" }, NULL, "8.8.8.8", 80, POLICY, 10 },
		{ { .allow = "*.example.org:443" }, "a.example.org", "8.8.8.8", 80, PORT, 10 },
		{ { .allow = "*.example.org loopback" }, "a.example.org", "127.0.0.1", 80, OK, 0 },
		/* Both forms of an embedding address must be allowed. */
		{ { .allow = "10.0.0.0/8" }, NULL, "64:ff9b::10.0.0.1", 80, POLICY, 10 },
		{ { .allow = "64:ff9b::/96" }, NULL, "64:ff9b::10.0.0.1", 80, POLICY, 10 },
		{ { .allow = "10.0.0.0/8 64:ff9b::/96" }, NULL, "64:ff9b::10.0.0.1", 80, OK, 0 },
		{ { .allow = "2000::/3" }, NULL, "2002:a00:1::", 80, POLICY, 10 },
		/* The user's list replaces the hop's where it restricts, and adds where it only
		   lifts. */
		{ { .allow = "10.0.0.0/8", .user_allow = "*:443" }, NULL, "8.8.8.8", 443, OK, 0 },
		{ { .allow = "*", .user_allow = "10.0.0.0/8" }, NULL, "8.8.8.8", 443, POLICY, 10 },
		{ { .allow = "10.0.0.0/8", .user_allow = "loopback" }, NULL, "127.0.0.1", 80, OK,
			0 },
		{ { .allow = "10.0.0.0/8", .user_allow = "loopback" }, NULL, "10.0.0.1", 80, OK,
			0 },
		{ { .allow = "10.0.0.0/8", .user_allow = "loopback" }, NULL, "8.8.8.8", 80, POLICY,
			10 },
		{ { .allow = "loopback", .user_allow = "10.0.0.0/8" }, NULL, "127.0.0.1", 80,
			POLICY, 10 },
		{ { .allow = "loopback", .user_allow = "*:80" }, NULL, "127.0.0.1", 80, OK, 0 },
		{ { .allow = "10.0.0.0/8", .user_allow = "" }, NULL, "8.8.8.8", 80, POLICY, 10 },
	};
	expect_rows(rows, N(rows));
}

Test(policy, an_explicit_deny_overrules_everything)
{
	static const struct row rows[] = {
		{ { .deny = "*" }, NULL, "8.8.8.8", 80, POLICY, 10 },
		{ { .deny = "*:25" }, NULL, "8.8.8.8", 25, PORT, 10 },
		{ { .deny = "*:25" }, NULL, "8.8.8.8", 26, OK, 0 },
		{ { .deny = "private" }, NULL, "10.0.0.1", 80, POLICY, 10 },
		{ { .deny = "private" }, NULL, "::ffff:10.0.0.1", 80, POLICY, 10 },
		{ { .deny = "private" }, NULL, "64:ff9b::10.0.0.1", 80, POLICY, 10 },
		{ { .deny = "private" }, NULL, "2002:a00:1::", 80, POLICY, 10 },
		{ { .deny = "64:ff9b::/96" }, NULL, "64:ff9b::8.8.8.8", 80, POLICY, 10 },
		{ { .deny = "10.0.0.0/8", .allow = "10.0.0.1" }, NULL, "10.0.0.1", 80, POLICY, 10 },
		{ { .deny = "loopback", .allow = "loopback" }, NULL, "127.0.0.1", 80, POLICY, 10 },
		{ { .deny = "loopback:22", .allow = "loopback" }, NULL, "127.0.0.1", 22, POLICY,
			10 },
		{ { .deny = "loopback:22", .allow = "loopback" }, NULL, "127.0.0.1", 23, OK, 0 },
		{ { .deny = "own", .allow = "own" }, NULL, "203.0.113.5", 80, POLICY, 10 },
		{ { .deny = "own", .allow = "loopback" }, NULL, "127.0.0.1", 80, POLICY, 10 },
		{ { .user_deny = "8.8.8.8", .allow = "*" }, NULL, "8.8.8.8", 80, POLICY, 10 },
		{ { .deny = "8.8.8.8", .user_allow = "8.8.8.8" }, NULL, "8.8.8.8", 80, POLICY, 10 },
		{ { .deny = "*.corp.example" }, "db.corp.example", "8.8.8.8", 80, POLICY, 10 },
		{ { .deny = "*.corp.example" }, "DB.CORP.example", "8.8.8.8", 80, POLICY, 10 },
		{ { .deny = "*.corp.example" }, NULL, "8.8.8.8", 80, OK, 0 },
	};
	expect_rows(rows, N(rows));
}

static enum wire_status judge_name(const struct lists *lists, const char *name, uint16_t port)
{
	struct netset allow = list(lists->allow), deny = list(lists->deny);
	struct netset user_allow = list(lists->user_allow), user_deny = list(lists->user_deny);
	struct policy policy = {
		.allow = &allow, .deny = &deny, .user_allow = &user_allow, .user_deny = &user_deny
	};
	enum wire_status status = policy_check_name(&policy, name, port).status;
	netset_deinit(&allow);
	netset_deinit(&deny);
	netset_deinit(&user_allow);
	netset_deinit(&user_deny);
	return status;
}

Test(policy, a_name_that_can_never_pass_is_not_looked_up)
{
	static const struct {
		struct lists lists;
		uint16_t port;
		enum wire_status status;
	} rows[] = {
		{ { 0 }, 80, OK },
		{ { .deny = "a.example" }, 80, POLICY },
		{ { .user_deny = "*.example" }, 80, POLICY },
		{ { .deny = "a.example:81" }, 80, OK },
		{ { .deny = "*" }, 80, POLICY },
		{ { .deny = "*:80-90" }, 80, PORT },
		{ { .deny = "private 8.8.8.8" }, 80, OK },
		{ { .allow = "b.example" }, 80, POLICY },
		{ { .allow = "a.example" }, 80, OK },
		{ { .allow = "a.example:443" }, 80, PORT },
		{ { .allow = "b.example 10.0.0.0/8" }, 80, OK },
		{ { .allow = "*:443" }, 80, PORT },
		{ { .allow = "loopback" }, 80, OK },
		{ { .allow = "loopback:22" }, 80, OK },
		{ { .allow = "b.example", .user_allow = "loopback:22" }, 80, POLICY },
		{ { .allow = "b.example", .user_allow = "*" }, 80, OK },
	};
	for (size_t i = 0; i < N(rows); i++)
		cr_expect_eq(judge_name(&rows[i].lists, "a.example", rows[i].port), rows[i].status,
			"row %zu", i);
}

Test(policy, the_verdict_names_the_rule)
{
	struct netset deny = list("*.example 10.0.0.0/8:1-1024"), allow = list("192.168.0.0/16:80");
	struct policy policy = { .deny = &deny, .allow = &allow };
	union addr_sock a = sock("10.1.1.1", 80), b = sock("127.0.0.1", 80),
			c = sock("8.8.8.8", 80), d = sock("192.168.0.1", 81),
			e = sock("::8.8.8.8", 80);
	cr_expect_str_eq(policy_check(&policy, NULL, &a).rule, "10.0.0.0/8:1-1024");
	cr_expect_str_eq(policy_check(&policy, "x.example", &c).rule, "*.example");
	cr_expect_str_eq(policy_check(&policy, NULL, &b).rule, "default: loopback");
	cr_expect_str_eq(policy_check(&policy, NULL, &c).rule, "not in the allow list");
	cr_expect_str_eq(policy_check(&policy, NULL, &d).rule, "allowed at other ports only");
	policy.allow = NULL;
	cr_expect_str_eq(policy_check(&policy, NULL, &e).rule, "default: embedded");
	netset_deinit(&deny);
	netset_deinit(&allow);
}

Test(policy, without_local_addresses_nothing_is_own)
{
	struct policy policy = { 0 };
	union addr_sock a = sock("203.0.113.5", 80), b = sock("127.0.0.1", 80);
	cr_expect_eq(policy_check(&policy, NULL, &a).status, OK);
	cr_expect_eq(policy_check(&policy, NULL, &b).status, LOOPBACK);
}
