#include "common/addr.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

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

struct dial_row {
	const char *text;
	enum addr_parse_error error;
	enum addr_kind kind;
	uint16_t port;
	const char *printed; /* NULL: as @text */
};

static const struct dial_row dial_rows[] = {
	{ "example.org:80", ADDR_OK, ADDR_NAME, 80, NULL },
	{ "Example.ORG.:443", ADDR_OK, ADDR_NAME, 443, "Example.ORG:443" },
	{ "a_b-c.x:1", ADDR_OK, ADDR_NAME, 1, NULL },
	{ "127.0.0.1:65535", ADDR_OK, ADDR_IP4, 65535, NULL },
	{ "[::1]:7000", ADDR_OK, ADDR_IP6, 7000, NULL },
	{ "[2001:DB8::1]:7000", ADDR_OK, ADDR_IP6, 7000, "[2001:db8::1]:7000" },
	{ "[::ffff:1.2.3.4]:7", ADDR_OK, ADDR_IP6, 7, NULL },
	{ "", ADDR_EMPTY, 0, 0, NULL },
	{ ":80", ADDR_EMPTY, 0, 0, NULL },
	{ "example.org", ADDR_NO_PORT, 0, 0, NULL },
	{ "example.org:", ADDR_NO_PORT, 0, 0, NULL },
	{ "[::1]", ADDR_NO_PORT, 0, 0, NULL },
	{ "[::1]:", ADDR_NO_PORT, 0, 0, NULL },
	{ "example.org:http", ADDR_BAD_PORT, 0, 0, NULL },
	{ "example.org:+80", ADDR_BAD_PORT, 0, 0, NULL },
	{ "example.org: 80", ADDR_BAD_PORT, 0, 0, NULL },
	{ "example.org:080", ADDR_BAD_PORT, 0, 0, NULL },
	{ "example.org:0x50", ADDR_BAD_PORT, 0, 0, NULL },
	{ "example.org:-1", ADDR_BAD_PORT, 0, 0, NULL },
	{ "example.org:0", ADDR_PORT_RANGE, 0, 0, NULL },
	{ "example.org:65536", ADDR_PORT_RANGE, 0, 0, NULL },
	{ "example.org:4294967376", ADDR_PORT_RANGE, 0, 0, NULL },
	{ "example.org:99999999999999999999999999", ADDR_PORT_RANGE, 0, 0, NULL },
	{ "2001:db8::1:7000", ADDR_AMBIGUOUS_IP6, 0, 0, NULL },
	{ "::1", ADDR_AMBIGUOUS_IP6, 0, 0, NULL },
	{ "fe80::1%lo:80", ADDR_AMBIGUOUS_IP6, 0, 0, NULL },
	{ "::ffff:1.2.3.4:80", ADDR_AMBIGUOUS_IP6, 0, 0, NULL },
	{ "[::1:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[127.0.0.1]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[example.org]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[::1]80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[::1%lo]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[fe80::1%]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[fe80::1%0]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[fe80::1%4294967297]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[fe80::1%no-such-zone]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[1:2:3:4:5:6:7:8:9]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "[::1 ]:80", ADDR_BAD_IP6, 0, 0, NULL },
	{ "127.1:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "0x7f.1:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "0x7f000001:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "2130706433:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "0177.0.0.1:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "127.0.0.01:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "127.0.0.256:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "127.0.0.1.:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "127.0.0.0x1:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "a.0x:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "a..b:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ ".a:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ ".:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "a..:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "a b:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "m\xc3\xbcnchen.de:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "*:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "user@example.org:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "example.org:80:90", ADDR_BAD_NAME, 0, 0, NULL },
	{ "http://example.org:80", ADDR_BAD_NAME, 0, 0, NULL },
};

Test(addr, parse_dial_takes_what_the_grammar_says)
{
	for (size_t i = 0; i < N(dial_rows); i++) {
		const struct dial_row *row = &dial_rows[i];
		struct addr a = { .port = 7 };
		char text[ADDR_TEXT_MAX];
		enum addr_parse_error error = addr_parse_dial(row->text, &a);
		cr_expect_eq(error, row->error, "%s: %s", row->text, addr_parse_text(error));
		if (error != ADDR_OK) {
			cr_expect_eq(a.port, 7, "%s: written on error", row->text);
			continue;
		}
		cr_expect_eq(a.kind, row->kind, "%s", row->text);
		cr_expect_eq(a.port, row->port, "%s", row->text);
		cr_expect_str_eq(addr_print(&a, text), row->printed ? row->printed : row->text);
	}
}

static const struct dial_row listen_rows[] = {
	{ ":80", ADDR_OK, ADDR_NONE, 80, "*:80" },
	{ "*:80", ADDR_OK, ADDR_NONE, 80, NULL },
	{ ":0", ADDR_OK, ADDR_NONE, 0, "*:0" },
	{ "127.0.0.1:0", ADDR_OK, ADDR_IP4, 0, NULL },
	{ "[::]:7000", ADDR_OK, ADDR_IP6, 7000, NULL },
	{ "", ADDR_EMPTY, 0, 0, NULL },
	{ ":", ADDR_NO_PORT, 0, 0, NULL },
	{ "*", ADDR_NO_PORT, 0, 0, NULL },
	{ "127.0.0.1", ADDR_NO_PORT, 0, 0, NULL },
	{ ":00", ADDR_BAD_PORT, 0, 0, NULL },
	{ ":70000", ADDR_PORT_RANGE, 0, 0, NULL },
	{ "localhost:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "127.1:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "**:80", ADDR_BAD_NAME, 0, 0, NULL },
	{ "::1:80", ADDR_AMBIGUOUS_IP6, 0, 0, NULL },
};

Test(addr, parse_listen_takes_literals_and_any)
{
	for (size_t i = 0; i < N(listen_rows); i++) {
		const struct dial_row *row = &listen_rows[i];
		struct addr a;
		char text[ADDR_TEXT_MAX];
		enum addr_parse_error error = addr_parse_listen(row->text, &a);
		cr_expect_eq(error, row->error, "%s: %s", row->text, addr_parse_text(error));
		if (error != ADDR_OK)
			continue;
		cr_expect_eq(a.kind, row->kind, "%s", row->text);
		cr_expect_eq(a.port, row->port, "%s", row->text);
		cr_expect_str_eq(addr_print(&a, text), row->printed ? row->printed : row->text);
	}
}

Test(addr, a_zone_is_kept_by_name_and_by_number)
{
	struct addr a;
	union addr_sock s;
	char text[ADDR_TEXT_MAX];
	cr_assert_eq(addr_parse_dial("[fe80::1%lo]:80", &a), ADDR_OK);
	cr_assert_eq(a.scope, if_nametoindex("lo"));
	cr_assert_str_eq(addr_print(&a, text), "[fe80::1%lo]:80");
	cr_assert_eq(addr_to_sock(&a, &s), 0);
	cr_assert_eq(s.ip6.sin6_scope_id, a.scope);
	cr_assert_eq(addr_parse_dial("[fe80::1%4000000000]:80", &a), ADDR_OK);
	cr_assert_eq(a.scope, 4000000000u);
	cr_assert_str_eq(addr_print(&a, text), "[fe80::1%4000000000]:80");
}

/* @n bytes of labels of 63 bytes and the rest. */
static void long_name(char *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = i % 64 == 63 ? '.' : 'a';
	to[n] = '\0';
}

Test(addr, names_end_at_their_limits)
{
	char text[400];
	struct addr a;
	for (size_t n = 1; n < 300; n++) {
		long_name(text, n);
		bool is_ok = n <= ADDR_NAME_MAX && text[n - 1] != '.';
		cr_expect_eq(addr_name_is_valid(bytes_of(text, n)), is_ok, "%zu", n);
		strcpy(text + n, ":80");
		enum addr_parse_error error = addr_parse_dial(text, &a);
		bool has_dot = text[n - 1] == '.'; /* the parser removes one */
		cr_expect_eq(
			error == ADDR_OK, is_ok || (has_dot && n - 1 <= ADDR_NAME_MAX), "%zu", n);
	}
	memset(text, 'a', 64);
	cr_expect(addr_name_is_valid(bytes_of(text, 63)));
	cr_expect_not(addr_name_is_valid(bytes_of(text, 64)), "a label of 64 bytes");
	long_name(text, 253);
	strcpy(text + 253, ".:80");
	cr_expect_eq(addr_parse_dial(text, &a), ADDR_OK, "253 bytes and a trailing dot");
	cr_expect_not(addr_name_is_valid(bytes_of("a\0b", 3)), "NUL inside");
	cr_expect_not(addr_name_is_valid(bytes_of("", 0)));
	cr_expect(addr_name_is_valid(bytes_of("1.2.3.a", 7)));
	cr_expect(addr_name_is_valid(bytes_of("0xg", 3)));
	cr_expect_not(addr_name_is_valid(bytes_of("0XaF", 4)));
	cr_expect_not(addr_name_is_valid(bytes_of("a.0x", 4)));
	cr_expect_not(addr_name_is_valid(bytes_of("a.7", 3)));
}

Test(addr, every_literal_survives_print_and_parse)
{
	unsigned seed = 1;
	for (int i = 0; i < 20000; i++) {
		struct addr a = { .kind = i % 2 ? ADDR_IP4 : ADDR_IP6 }, b, c;
		union addr_sock s, t;
		char text[ADDR_TEXT_MAX];
		for (int k = 0; k < (i % 2 ? 4 : 16); k++)
			a.ip[k] = rand_r(&seed) % 3 == 0 ? 0 : (uint8_t)rand_r(&seed);
		a.port = (uint16_t)(1 + rand_r(&seed) % 65535);
		cr_assert_eq(addr_parse_dial(addr_print(&a, text), &b), ADDR_OK, "%s", text);
		cr_assert_eq(memcmp(&a, &b, sizeof a), 0, "%s", text);
		cr_assert_eq(addr_to_sock(&b, &s), 0);
		addr_from_sock(&s, &c);
		cr_assert_eq(memcmp(&a, &c, sizeof a), 0, "%s", text);
		cr_assert_eq(addr_sock_port(&s), a.port);
		cr_assert_eq(addr_to_sock(&c, &t), 0);
		cr_assert(addr_sock_is_equal(&s, &t));
		addr_sock_set_port(&t, (uint16_t)(a.port ^ 1));
		cr_assert_not(addr_sock_is_equal(&s, &t));
	}
}

Test(addr, a_name_has_no_socket_address)
{
	struct addr a;
	union addr_sock s;
	cr_assert_eq(addr_parse_dial("example.org:80", &a), ADDR_OK);
	cr_assert_eq(addr_to_sock(&a, &s), ERR_INVAL);
}

Test(addr, scopes_count_only_where_both_have_one)
{
	union addr_sock a = sock("fe80::1", 1), b = a;
	b.ip6.sin6_scope_id = 2;
	cr_assert(addr_sock_is_equal(&a, &b));
	a.ip6.sin6_scope_id = 3;
	cr_assert_not(addr_sock_is_equal(&a, &b));
	b = sock("1.2.3.4", 1);
	cr_assert_not(addr_sock_is_equal(&a, &b));
}

static const struct {
	const char *ip;
	enum addr_class class;
	bool is_embedded;
} class_rows[] = {
	{ "8.8.8.8", ADDR_PUBLIC, false },
	{ "1.0.0.0", ADDR_PUBLIC, false },
	{ "126.255.255.255", ADDR_PUBLIC, false },
	{ "127.0.0.0", ADDR_LOOPBACK, false },
	{ "127.0.0.1", ADDR_LOOPBACK, false },
	{ "127.255.255.255", ADDR_LOOPBACK, false },
	{ "128.0.0.0", ADDR_PUBLIC, false },
	{ "0.0.0.0", ADDR_UNSPECIFIED, false },
	{ "0.255.255.255", ADDR_UNSPECIFIED, false },
	{ "9.255.255.255", ADDR_PUBLIC, false },
	{ "10.0.0.0", ADDR_PRIVATE, false },
	{ "10.255.255.255", ADDR_PRIVATE, false },
	{ "11.0.0.0", ADDR_PUBLIC, false },
	{ "100.63.255.255", ADDR_PUBLIC, false },
	{ "100.64.0.0", ADDR_PRIVATE, false },
	{ "100.127.255.255", ADDR_PRIVATE, false },
	{ "100.128.0.0", ADDR_PUBLIC, false },
	{ "172.15.255.255", ADDR_PUBLIC, false },
	{ "172.16.0.0", ADDR_PRIVATE, false },
	{ "172.31.255.255", ADDR_PRIVATE, false },
	{ "172.32.0.0", ADDR_PUBLIC, false },
	{ "192.168.0.0", ADDR_PRIVATE, false },
	{ "192.168.255.255", ADDR_PRIVATE, false },
	{ "192.169.0.0", ADDR_PUBLIC, false },
	{ "169.253.255.255", ADDR_PUBLIC, false },
	{ "169.254.0.0", ADDR_LINK_LOCAL, false },
	{ "169.254.255.255", ADDR_LINK_LOCAL, false },
	{ "169.254.169.254", ADDR_METADATA, false },
	{ "169.254.169.253", ADDR_LINK_LOCAL, false },
	{ "169.254.170.2", ADDR_METADATA, false },
	{ "169.254.170.23", ADDR_METADATA, false },
	{ "100.100.100.200", ADDR_METADATA, false },
	{ "100.100.100.201", ADDR_PRIVATE, false },
	{ "192.0.0.0", ADDR_RESERVED, false },
	{ "192.0.0.255", ADDR_RESERVED, false },
	{ "192.0.1.0", ADDR_PUBLIC, false },
	{ "198.17.255.255", ADDR_PUBLIC, false },
	{ "198.18.0.0", ADDR_RESERVED, false },
	{ "198.19.255.255", ADDR_RESERVED, false },
	{ "198.20.0.0", ADDR_PUBLIC, false },
	{ "223.255.255.255", ADDR_PUBLIC, false },
	{ "224.0.0.0", ADDR_MULTICAST, false },
	{ "239.255.255.255", ADDR_MULTICAST, false },
	{ "240.0.0.0", ADDR_RESERVED, false },
	{ "255.255.255.254", ADDR_RESERVED, false },
	{ "255.255.255.255", ADDR_MULTICAST, false },
	{ "::", ADDR_UNSPECIFIED, false },
	{ "::1", ADDR_LOOPBACK, false },
	{ "::2", ADDR_UNSPECIFIED, true },
	{ "::127.0.0.1", ADDR_LOOPBACK, true },
	{ "::10.0.0.1", ADDR_PRIVATE, true },
	{ "::8.8.8.8", ADDR_RESERVED, false },
	{ "::1:0:0:0", ADDR_PUBLIC, false },
	{ "::ffff:127.0.0.1", ADDR_LOOPBACK, true },
	{ "::ffff:0.0.0.0", ADDR_UNSPECIFIED, true },
	{ "::ffff:169.254.169.254", ADDR_METADATA, true },
	{ "::ffff:8.8.8.8", ADDR_PUBLIC, false },
	{ "::fffe:127.0.0.1", ADDR_PUBLIC, false },
	{ "64:ff9b::127.0.0.1", ADDR_LOOPBACK, true },
	{ "64:ff9b::192.168.1.1", ADDR_PRIVATE, true },
	{ "64:ff9b::8.8.8.8", ADDR_PUBLIC, false },
	{ "2002:7f00:1::", ADDR_LOOPBACK, true },
	{ "2002:a9fe:a9fe::1", ADDR_METADATA, true },
	{ "2002:808:808::1", ADDR_PUBLIC, false },
	{ "2001::1", ADDR_RESERVED, false },
	{ "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", ADDR_RESERVED, false },
	{ "2001:1::", ADDR_PUBLIC, false },
	{ "2001:4860:4860::8888", ADDR_PUBLIC, false },
	{ "fbff::", ADDR_PUBLIC, false },
	{ "fc00::", ADDR_PRIVATE, false },
	{ "fdff:ffff::1", ADDR_PRIVATE, false },
	{ "fd00:ec2::254", ADDR_METADATA, false },
	{ "fd00:ec2::23", ADDR_METADATA, false },
	{ "fd00:ec2::253", ADDR_PRIVATE, false },
	{ "fd20:ce::254", ADDR_METADATA, false },
	{ "fe00::", ADDR_PUBLIC, false },
	{ "fe80::", ADDR_LINK_LOCAL, false },
	{ "febf:ffff::", ADDR_LINK_LOCAL, false },
	{ "fec0::", ADDR_PRIVATE, false },
	{ "feff::", ADDR_PRIVATE, false },
	{ "ff00::", ADDR_MULTICAST, false },
	{ "ff02::1", ADDR_MULTICAST, false },
};

Test(addr, classes_begin_and_end_where_they_should)
{
	for (size_t i = 0; i < N(class_rows); i++) {
		union addr_sock s = sock(class_rows[i].ip, 80);
		bool is_embedded;
		enum addr_class class = addr_classify(&s, &is_embedded);
		cr_expect_eq(class, class_rows[i].class, "%s is %s", class_rows[i].ip,
			addr_class_name(class));
		cr_expect_eq(is_embedded, class_rows[i].is_embedded, "%s", class_rows[i].ip);
		cr_expect_eq(addr_classify(&s, NULL), class);
	}
}

Test(addr, a_net_has_the_class_that_holds_all_of_it)
{
	static const struct {
		const char *ip;
		unsigned bits;
		enum addr_class class;
	} rows[] = {
		{ "127.0.0.0", 8, ADDR_LOOPBACK },
		{ "126.0.0.0", 7, ADDR_PUBLIC },
		{ "0.0.0.0", 0, ADDR_PUBLIC },
		{ "169.254.0.0", 16, ADDR_LINK_LOCAL },
		{ "169.254.169.254", 32, ADDR_METADATA },
		{ "169.254.169.254", 31, ADDR_LINK_LOCAL },
		{ "224.0.0.0", 3, ADDR_PUBLIC },
		{ "240.0.0.0", 4, ADDR_RESERVED },
		{ "::", 0, ADDR_PUBLIC },
		{ "::", 96, ADDR_RESERVED },
		{ "::", 128, ADDR_UNSPECIFIED },
		{ "::1", 128, ADDR_LOOPBACK },
		{ "::127.0.0.1", 128, ADDR_RESERVED },
		{ "64:ff9b::127.0.0.1", 128, ADDR_PUBLIC },
	};
	for (size_t i = 0; i < N(rows); i++) {
		union addr_sock s = sock(rows[i].ip, 0);
		enum addr_class class = addr_classify_net(&s, rows[i].bits);
		cr_expect_eq(class, rows[i].class, "%s/%u is %s", rows[i].ip, rows[i].bits,
			addr_class_name(class));
	}
}

Test(addr, embedded_addresses_are_found_with_their_port)
{
	static const struct {
		const char *outer, *inner;
	} rows[] = {
		{ "::ffff:1.2.3.4", "1.2.3.4" },
		{ "::1.2.3.4", "1.2.3.4" },
		{ "64:ff9b::1.2.3.4", "1.2.3.4" },
		{ "2002:102:304:5:6:7:8:9", "1.2.3.4" },
		{ "::", NULL },
		{ "::1", NULL },
		{ "64:ff9b:1::1.2.3.4", NULL },
		{ "64:ff9b::1:102:304", NULL },
		{ "2001:102:304::", NULL },
		{ "1.2.3.4", NULL },
	};
	for (size_t i = 0; i < N(rows); i++) {
		union addr_sock outer = sock(rows[i].outer, 99), inner = outer, want;
		bool has = addr_embedded(&outer, &inner);
		cr_expect_eq(has, rows[i].inner != NULL, "%s", rows[i].outer);
		want = rows[i].inner ? sock(rows[i].inner, 99) : outer;
		cr_expect(addr_sock_is_equal(&inner, &want), "%s", rows[i].outer);
	}
}

Test(addr, only_mapped_addresses_are_unmapped)
{
	union addr_sock s = sock("::ffff:1.2.3.4", 99), want = sock("1.2.3.4", 99);
	addr_sock_unmap(&s);
	cr_assert(addr_sock_is_equal(&s, &want));
	addr_sock_unmap(&s);
	cr_assert(addr_sock_is_equal(&s, &want));
	s = want = sock("64:ff9b::1.2.3.4", 99);
	addr_sock_unmap(&s);
	cr_assert(addr_sock_is_equal(&s, &want));
}

Test(addr, equal_is_the_same_kind_host_and_port)
{
	static const char *const texts[] = { "1.2.3.4:5", "1.2.3.4:6", "1.2.3.5:5",
		"[::ffff:1.2.3.4]:5", "[fe80::1%1]:5", "[fe80::1]:5", "a.b:5", "A.b:5", "a.bc:5" };
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		for (size_t j = 0; j < sizeof texts / sizeof texts[0]; j++) {
			struct addr a, b;
			cr_assert_eq(addr_parse_dial(texts[i], &a), ADDR_OK);
			cr_assert_eq(addr_parse_dial(texts[j], &b), ADDR_OK);
			cr_expect_eq(addr_is_equal(&a, &b), i == j, "%s %s", texts[i], texts[j]);
		}
	}
}

Test(addr, every_error_and_class_has_words)
{
	for (int e = ADDR_OK; e <= ADDR_BAD_NAME; e++)
		cr_expect_not_null(addr_parse_text((enum addr_parse_error)e));
	for (int c = ADDR_PUBLIC; c <= ADDR_OWN; c++)
		cr_expect_not_null(addr_class_name((enum addr_class)c));
}
