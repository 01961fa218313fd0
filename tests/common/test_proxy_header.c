/* The PROXY header: what is legal, every truncation, and never a byte too many. */
#include "common/proxy_header.h"

#include <criterion/criterion.h>
#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IP4       "\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x34\x00\x50"
#define IP6                                                                                        \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"                                               \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34\x00\x50"
#define ROW(text) text, sizeof(text) - 1

static const struct {
	const char *bytes;
	size_t len;
	const char *client; /* NULL: malformed; "": none is named */
} rows[] = {
	{ ROW("PROXY TCP4 10.1.2.3 10.0.0.1 4660 80\r\n"), "10.1.2.3:4660" },
	{ ROW("PROXY TCP6 2001:db8::7 2001:db8::1 4660 80\r\n"), "[2001:db8::7]:4660" },
	{ ROW("PROXY TCP6 ::ffff:10.1.2.3 ::1 4660 80\r\n"), "10.1.2.3:4660" },
	{ ROW("PROXY UNKNOWN\r\n"), "" },
	{ ROW("PROXY UNKNOWN whatever follows\r\n"), "" },
	{ ROW("PROXY TCP4 10.1.2.3 10.0.0.1 4660\r\n"), NULL },
	{ ROW("PROXY TCP4 10.1.2.3 10.0.0.1 4660 80 x\r\n"), NULL },
	{ ROW("PROXY TCP4  10.1.2.3 10.0.0.1 4660 80\r\n"), NULL },
	{ ROW("PROXY TCP4 10.1.2.3 10.0.0.1 65536 80\r\n"), NULL },
	{ ROW("PROXY TCP4 10.1.2.3 10.0.0.1 01 80\r\n"), NULL },
	{ ROW("PROXY TCP4 10.1.2.3 10.0.0.1 +1 80\r\n"), NULL },
	{ ROW("PROXY TCP4 2001:db8::7 10.0.0.1 1 80\r\n"), NULL },
	{ ROW("PROXY TCP4 10.1.2.3 10.0.0.1 4660 80\n"), NULL },
	{ ROW("PROXY UDP4 10.1.2.3 10.0.0.1 4660 80\r\n"), NULL },
	{ ROW("PROXY UNKNOWNS\r\n"), NULL },
	{ ROW("GET / HTTP/1.1\r\n"), NULL },
	{ ROW("\x05\x01\x00"), NULL },
	{ ROW(SIGNATURE "\x21\x11\x00\x0c" IP4), "10.1.2.3:4660" },
	{ ROW(SIGNATURE "\x21\x12\x00\x0c" IP4), "10.1.2.3:4660" },
	{ ROW(SIGNATURE "\x21\x21\x00\x24" IP6), "[2001:db8::7]:4660" },
	{ ROW(SIGNATURE "\x21\x11\x00\x10" IP4 "\x04\xff\xff\x00"), "10.1.2.3:4660" },
	{ ROW(SIGNATURE "\x20\x00\x00\x00"), "" },
	{ ROW(SIGNATURE "\x20\x11\x00\x00"), "" },
	{ ROW(SIGNATURE "\x21\x00\x00\x00"), "" },
	{ ROW(SIGNATURE "\x21\x00\x00\x03xyz"), "" },
	{ ROW(SIGNATURE "\x21\x11\x00\x0b\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x34\x00"), NULL },
	{ ROW(SIGNATURE "\x21\x11\x00\x00"), NULL },
	{ ROW(SIGNATURE "\x22\x11\x00\x0c" IP4), NULL },
	{ ROW(SIGNATURE "\x11\x11\x00\x0c" IP4), NULL },
	{ ROW(SIGNATURE "\x21\x44\x00\x0c" IP4), NULL },
	{ ROW(SIGNATURE "\x21\x11\xff\xff" IP4), NULL },
};

/* As a reader does: never more than it is told to. */
static enum proxy_header_result feed(
	const char *bytes, size_t len, size_t *ret_used, union addr_sock *ret)
{
	size_t used = 0, wanted;
	for (;;) {
		char exact[PROXY_HEADER_MAX + 1];
		memcpy(exact, bytes, used);
		enum proxy_header_result result =
			proxy_header_read(bytes_of(exact, used), &wanted, ret);
		*ret_used = used;
		if (result != PROXY_HEADER_MORE)
			return result;
		cr_assert_gt(wanted, used);
		cr_assert_leq(wanted, PROXY_HEADER_MAX);
		if (wanted > len)
			return PROXY_HEADER_MORE;
		used = wanted;
	}
}

Test(proxy_header, what_is_legal)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		union addr_sock client;
		char text[ADDR_TEXT_MAX], padded[PROXY_HEADER_MAX] = { 0 };
		size_t used;
		memcpy(padded, rows[i].bytes, rows[i].len);
		memset(padded + rows[i].len, 'x', sizeof padded - rows[i].len);
		enum proxy_header_result result = feed(padded, sizeof padded, &used, &client);
		if (rows[i].client == NULL) {
			cr_expect_eq(result, PROXY_HEADER_BAD, "row %zu", i);
			continue;
		}
		cr_assert_eq(result, PROXY_HEADER_WHOLE, "row %zu", i);
		cr_expect_eq(used, rows[i].len, "row %zu: nothing behind it is read", i);
		if (*rows[i].client == '\0')
			cr_expect_eq(client.any.sa_family, AF_UNSPEC, "row %zu", i);
		else
			cr_expect_str_eq(addr_sock_print(&client, text), rows[i].client);
	}
}

Test(proxy_header, every_truncation_waits_for_more)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (size_t n = 0; rows[i].client != NULL && n < rows[i].len; n++) {
			union addr_sock client;
			size_t wanted;
			cr_expect_eq(
				proxy_header_read(bytes_of(rows[i].bytes, n), &wanted, &client),
				PROXY_HEADER_MORE, "row %zu, %zu bytes", i, n);
			cr_expect(wanted > n && wanted <= rows[i].len, "row %zu, %zu", i, n);
		}
	}
}

Test(proxy_header, a_line_that_does_not_end_is_refused)
{
	char line[PROXY_HEADER_MAX];
	size_t used;
	union addr_sock client;
	memset(line, 'x', sizeof line);
	memcpy(line, "PROXY UNKNOWN ", 14);
	cr_expect_eq(feed(line, sizeof line, &used, &client), PROXY_HEADER_BAD);
	cr_expect_leq(used, 107);
}

Test(proxy_header, what_is_written_is_read_back)
{
	static const struct {
		const char *client, *target;
		size_t len;
	} pairs[] = {
		{ "10.1.2.3:4660", "10.0.0.1:80", 28 },
		{ "[2001:db8::7]:4660", "[2001:db8::1]:80", 52 },
		{ "10.1.2.3:4660", "[2001:db8::1]:80", 52 },
		{ "[2001:db8::7]:4660", "10.0.0.1:80", 52 },
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct addr client, target;
		union addr_sock from, to, again;
		uint8_t bytes[PROXY_HEADER_WRITE];
		size_t n;
		cr_assert(addr_parse_dial(pairs[i].client, &client) == ADDR_OK);
		cr_assert(addr_parse_dial(pairs[i].target, &target) == ADDR_OK);
		cr_assert(addr_to_sock(&client, &from) == 0 && addr_to_sock(&target, &to) == 0);
		size_t len = proxy_header_write(&from, &to, bytes);
		cr_expect_eq(len, pairs[i].len);
		cr_expect_eq(
			proxy_header_read(bytes_of(bytes, len), &n, &again), PROXY_HEADER_WHOLE);
		cr_expect_eq(n, len);
		cr_expect(addr_sock_is_equal(&again, &from), "row %zu", i);
	}
}
