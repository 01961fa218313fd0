#include "access/socks_datagram.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* What is read out of a datagram, and what its target is written as. */
struct row {
	const char *name;
	const char *in; /* with `\x` bytes; @len of it */
	size_t len;
	enum socks_datagram_verdict verdict;
	const char *target; /* as text */
	const char *data;
	bool is_same; /* encoding gives the same header */
};
#define BYTES(text) text, sizeof text - 1
static const struct row rows[] = {
	{ "an address", BYTES("\0\0\0\1\x7f\0\0\1\0\x35hi"), SOCKS_DATAGRAM_OK, "127.0.0.1:53",
		"hi", true },
	{ "no data", BYTES("\0\0\0\1\x7f\0\0\1\0\x35"), SOCKS_DATAGRAM_OK, "127.0.0.1:53", "",
		true },
	{ "IP6", BYTES("\0\0\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\xff\xff!"),
		SOCKS_DATAGRAM_OK, "[2001:db8::1]:65535", "!", true },
	{ "a mapped address stays one", BYTES("\0\0\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4\0\1!"),
		SOCKS_DATAGRAM_OK, "[::ffff:1.2.3.4]:1", "!", true },
	{ "a name", BYTES("\0\0\0\3\7Ex.test\1\xbb-"), SOCKS_DATAGRAM_OK, "Ex.test:443", "-",
		true },
	{ "a name with a trailing dot",
		BYTES("\0\0\0\3\x08"
		      "ex.test.\1\xbb-"),
		SOCKS_DATAGRAM_OK, "ex.test:443", "-", false },
	{ "a literal as a name",
		BYTES("\0\0\0\3\x09"
		      "127.0.0.1\0\x35hi"),
		SOCKS_DATAGRAM_OK, "127.0.0.1:53", "hi", false },
	{ "an IP6 literal as a name", BYTES("\0\0\0\3\x03::1\0\x35hi"), SOCKS_DATAGRAM_OK,
		"[::1]:53", "hi", false },
	{ "a fragment", BYTES("\0\0\1\1\x7f\0\0\1\0\x35hi"), SOCKS_DATAGRAM_FRAGMENT, NULL, NULL,
		false },
	{ "the last fragment", BYTES("\0\0\x82\1\x7f\0\0\1\0\x35hi"), SOCKS_DATAGRAM_FRAGMENT, NULL,
		NULL, false },
	{ "RSV", BYTES("\0\1\0\1\x7f\0\0\1\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "ATYP 0", BYTES("\0\0\0\0\x7f\0\0\1\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "ATYP 2", BYTES("\0\0\0\2\x7f\0\0\1\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "ATYP 5", BYTES("\0\0\0\5\x7f\0\0\1\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "port 0", BYTES("\0\0\0\1\x7f\0\0\1\0\0hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "port 0 of a name",
		BYTES("\0\0\0\3\x02"
		      "ex\0\0hi"),
		SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "no name", BYTES("\0\0\0\3\0\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "only a dot", BYTES("\0\0\0\3\1.\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "NUL inside", BYTES("\0\0\0\3\5ex\0ay\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "a blank", BYTES("\0\0\0\3\4ex y\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "a line end", BYTES("\0\0\0\3\4ex\ny\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "a port inside",
		BYTES("\0\0\0\3\5"
		      "ex:53\0\x35hi"),
		SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "a port behind an address", BYTES("\0\0\0\3\7::1]:53\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL,
		NULL, false },
	{ "an IP6 literal in brackets as a name", BYTES("\0\0\0\3\5[::1]\0\x35hi"),
		SOCKS_DATAGRAM_OK, "[::1]:53", "hi", false },
	{ "a name in brackets", BYTES("\0\0\0\3\4[ex]\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL, NULL,
		false },
	{ "a port behind brackets", BYTES("\0\0\0\3\7[::1]:5\0\x35hi"), SOCKS_DATAGRAM_BAD, NULL,
		NULL, false },
	{ "a zone",
		BYTES("\0\0\0\3\x09"
		      "fe80::1%1\0\x35hi"),
		SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "a short form of an address",
		BYTES("\0\0\0\3\5"
		      "127.1\0\x35hi"),
		SOCKS_DATAGRAM_BAD, NULL, NULL, false },
	{ "a hex form of an address",
		BYTES("\0\0\0\3\x0a"
		      "0x7f000001\0\x35hi"),
		SOCKS_DATAGRAM_BAD, NULL, NULL, false },
};
#define N_ROWS (sizeof rows / sizeof rows[0])

/* With an allocation of exactly its size: a sanitizer sees a read past it. */
static enum socks_datagram_verdict decode(
	const char *in, size_t len, struct addr *ret_target, struct bytes *ret_data, uint8_t **ret)
{
	*ret = malloc(len > 0 ? len : 1);
	memcpy(*ret, in, len);
	return socks_datagram_decode(bytes_of(*ret, len), ret_target, ret_data);
}

static void check_target(const struct row *row, const struct addr *target, size_t n_header)
{
	uint8_t header[SOCKS_DATAGRAM_HEADER_MAX];
	char text[ADDR_TEXT_MAX];
	struct addr again;
	struct bytes rest;
	cr_expect_str_eq(addr_print(target, text), row->target, "%s", row->name);
	size_t n = socks_datagram_encode(target, header);
	if (row->is_same)
		cr_expect(n == n_header && memcmp(header, row->in, n) == 0, "%s", row->name);
	cr_expect_eq(socks_datagram_decode(bytes_of(header, n), &again, &rest), SOCKS_DATAGRAM_OK);
	cr_expect(addr_is_equal(target, &again), "%s", row->name);
}

Test(socks_datagram, every_kind_of_header)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		struct addr target = { .port = 7 };
		struct bytes data = { 0 };
		uint8_t *in;
		cr_expect_eq(decode(rows[i].in, rows[i].len, &target, &data, &in), rows[i].verdict,
			"%s", rows[i].name);
		if (rows[i].verdict == SOCKS_DATAGRAM_OK) {
			cr_expect_eq(data.len, strlen(rows[i].data), "%s", rows[i].name);
			cr_expect_eq(memcmp(data.ptr, rows[i].data, data.len), 0);
			check_target(&rows[i], &target, rows[i].len - data.len);
		} else {
			cr_expect(target.port == 7 && data.ptr == NULL, "nothing is written: %s",
				rows[i].name);
		}
		free(in);
	}
}

Test(socks_datagram, a_header_cut_at_any_byte_is_none)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (rows[i].verdict != SOCKS_DATAGRAM_OK)
			continue;
		size_t n_header = rows[i].len - strlen(rows[i].data);
		for (size_t len = 0; len < n_header; len++) {
			struct addr target;
			struct bytes data;
			uint8_t *in;
			cr_expect_eq(decode(rows[i].in, len, &target, &data, &in),
				SOCKS_DATAGRAM_BAD, "%s cut to %zu", rows[i].name, len);
			free(in);
		}
	}
}

Test(socks_datagram, names_of_every_length)
{
	for (size_t len = 0; len <= 255; len++) {
		uint8_t in[SOCKS_DATAGRAM_HEADER_MAX] = { [3] = 3, [4] = (uint8_t)len };
		struct addr target;
		struct bytes data;
		for (size_t i = 0; i < len; i++)
			in[5 + i] = i % 63 == 62 ? '.' : 'a';
		in[5 + len + 1] = 9;
		bool is_name = len > 0 && len <= ADDR_NAME_MAX;
		cr_expect_eq(socks_datagram_decode(bytes_of(in, 5 + len + 2), &target, &data),
			is_name ? SOCKS_DATAGRAM_OK : SOCKS_DATAGRAM_BAD, "%zu bytes", len);
	}
}
