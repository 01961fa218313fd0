#include "access/socks.h"
#include "chain/wire_status.h"
#include "tests/support/hex.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text with NULs inside; a literal that ends here so that digits after it are no part of an escape.
 */
#define B(text)                                                                                    \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}
#define OUT_MAX  64
#define NEVER    SIZE_MAX
#define REPLY(r) "05" r "0001000000000000"

struct row {
	const char *name;
	bool needs_user, is_right;
	struct bytes in; /* all that is to be taken, and no more */
	const char *out; /* hexadecimal: all that the client hears before the answer */
	enum greeting_step end;
	const char *target; /* READY: printed */
	const char *user;   /* READY */
	enum greeting_command command;
};

/* A whole conversation: greeting, perhaps a user, request. */
static const struct row rows[] = {
	{ "ip4", false, false,
		B("\5\1\0"
		  "\5\1\0\1\x7f\0\0\1\0\x50"),
		"0500", GREETING_READY, "127.0.0.1:80", "", GREETING_CONNECT },
	{ "ip6", false, false,
		B("\5\1\0"
		  "\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x1\xbb"),
		"0500", GREETING_READY, "[2001:db8::1]:443", "", GREETING_CONNECT },
	{ "name", false, false,
		B("\5\1\0"
		  "\5\1\0\3\x0b"
		  "example.org"
		  "\0\x50"),
		"0500", GREETING_READY, "example.org:80", "", GREETING_CONNECT },
	{ "one-letter name", false, false,
		B("\5\1\0"
		  "\5\1\0\3\1"
		  "a"
		  "\xff\xff"),
		"0500", GREETING_READY, "a:65535", "", GREETING_CONNECT },
	{ "several methods", false, false,
		B("\5\3\1\2\0"
		  "\5\1\0\1\x8\x8\x8\x8\0\x35"),
		"0500", GREETING_READY, "8.8.8.8:53", "", GREETING_CONNECT },
	{ "associate, from anywhere", false, false,
		B("\5\1\0"
		  "\5\3\0\1\0\0\0\0\0\0"),
		"0500", GREETING_READY, "0.0.0.0:0", "", GREETING_ASSOCIATE },
	{ "associate, from a port", false, false,
		B("\5\1\0"
		  "\5\3\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x12\x34"),
		"0500", GREETING_READY, "[::]:4660", "", GREETING_ASSOCIATE },
	{ "associate, from a name", false, false,
		B("\5\1\0"
		  "\5\3\0\3\4"
		  "host"
		  "\0\0"),
		"0500", GREETING_READY, "host:0", "", GREETING_ASSOCIATE },
	{ "user", true, true,
		B("\5\2\0\2"
		  "\1\5"
		  "alice"
		  "\6"
		  "secret"
		  "\5\1\0\1\1\2\3\4\0\7"),
		"0502 0100", GREETING_READY, "1.2.3.4:7", "alice", GREETING_CONNECT },
	{ "user without a password", true, true,
		B("\5\1\2"
		  "\1\1"
		  "a"
		  "\0"
		  "\5\1\0\3\1"
		  "b"
		  "\0\1"),
		"0502 0100", GREETING_READY, "b:1", "a", GREETING_CONNECT },
	{ "wrong password", true, false,
		B("\5\1\2"
		  "\1\5"
		  "alice"
		  "\6"
		  "secret"),
		"0502 0101", GREETING_REFUSED, NULL, NULL, 0 },
	{ "nobody", true, true,
		B("\5\1\2"
		  "\1\0\6"
		  "secret"),
		"0502 0101", GREETING_REFUSED, NULL, NULL, 0 },
	{ "nobody without a password", true, true,
		B("\5\1\2"
		  "\1\0\0"),
		"0502 0101", GREETING_REFUSED, NULL, NULL, 0 },
	{ "a NUL in the user", true, true,
		B("\5\1\2"
		  "\1\6"
		  "root\0x"
		  "\1"
		  "p"),
		"0502 0101", GREETING_REFUSED, NULL, NULL, 0 },
	{ "a NUL in the password", true, true,
		B("\5\1\2"
		  "\1\4"
		  "root"
		  "\3"
		  "p\0q"),
		"0502 0101", GREETING_REFUSED, NULL, NULL, 0 },
	{ "no methods", false, false, B("\5\0"), "05ff", GREETING_REFUSED, NULL, NULL, 0 },
	{ "gssapi only", false, false, B("\5\1\1"), "05ff", GREETING_REFUSED, NULL, NULL, 0 },
	{ "user only where none is needed", false, false, B("\5\1\2"), "05ff", GREETING_REFUSED,
		NULL, NULL, 0 },
	{ "no user where one is needed", true, true, B("\5\2\0\1"), "05ff", GREETING_REFUSED, NULL,
		NULL, 0 },
	{ "bind", false, false,
		B("\5\1\0"
		  "\5\2\0\1\x7f\0\0\1\0\x50"),
		"0500" REPLY("07"), GREETING_REFUSED, NULL, NULL, 0 },
	{ "tor's resolve", false, false,
		B("\5\1\0"
		  "\5\xf0\0\3\1"
		  "a"
		  "\0\0"),
		"0500" REPLY("07"), GREETING_REFUSED, NULL, NULL, 0 },
	{ "address type 2", false, false,
		B("\5\1\0"
		  "\5\1\0\2\x7f"),
		"0500" REPLY("08"), GREETING_REFUSED, NULL, NULL, 0 },
	{ "port 0", false, false,
		B("\5\1\0"
		  "\5\1\0\1\x7f\0\0\1\0\0"),
		"0500" REPLY("01"), GREETING_REFUSED, NULL, NULL, 0 },
	{ "empty name", false, false,
		B("\5\1\0"
		  "\5\1\0\3\0\0\x50"),
		"0500" REPLY("01"), GREETING_REFUSED, NULL, NULL, 0 },
	{ "associate, empty name", false, false,
		B("\5\1\0"
		  "\5\3\0\3\0\0\x50"),
		"0500", GREETING_READY, "*:80", "", GREETING_ASSOCIATE },
	{ "associate, what PySocks names", false, false,
		B("\5\1\0"
		  "\5\3\0\3\1"
		  "0\x12\x34"),
		"0500", GREETING_READY, "*:4660", "", GREETING_ASSOCIATE },
	{ "socks4", false, false,
		B("\4\1\0\x50\x7f\0\0\1"
		  "bob\0"),
		"", GREETING_READY, "127.0.0.1:80", "", GREETING_CONNECT },
	{ "socks4, no user id", false, false,
		B("\4\1\0\x50\0\0\0\0"
		  "\0"),
		"", GREETING_READY, "0.0.0.0:80", "", GREETING_CONNECT },
	{ "socks4a", false, false,
		B("\4\1\1\xbb\0\0\0\1"
		  "\0"
		  "example.org\0"),
		"", GREETING_READY, "example.org:443", "", GREETING_CONNECT },
	{ "socks4a, user id", false, false,
		B("\4\1\1\xbb\0\0\0\xff"
		  "bob\0"
		  "a.b.\0"),
		"", GREETING_READY, "a.b:443", "", GREETING_CONNECT },
	{ "socks4a, literal", false, false,
		B("\4\1\1\xbb\0\0\0\1"
		  "\0"
		  "::1\0"),
		"", GREETING_READY, "[::1]:443", "", GREETING_CONNECT },
	{ "socks4a, empty name", false, false,
		B("\4\1\1\xbb\0\0\0\1"
		  "\0\0"),
		"005b000000000000", GREETING_REFUSED, NULL, NULL, 0 },
	{ "socks4, bind", false, false,
		B("\4\2\0\x50\x7f\0\0\1"
		  "\0"),
		"005b000000000000", GREETING_REFUSED, NULL, NULL, 0 },
	{ "socks4, port 0", false, false,
		B("\4\1\0\0\x7f\0\0\1"
		  "\0"),
		"005b000000000000", GREETING_REFUSED, NULL, NULL, 0 },
	{ "socks4 where a user is needed", true, true,
		B("\4\1\0\x50\x7f\0\0\1"
		  "bob\0"),
		"005b000000000000", GREETING_REFUSED, NULL, NULL, 0 },
	{ "socks4a where a user is needed", true, true,
		B("\4\1\0\x50\0\0\0\1"
		  "bob\0"
		  "a\0"),
		"005b000000000000", GREETING_REFUSED, NULL, NULL, 0 },
};
#define N_ROWS (sizeof rows / sizeof rows[0])

/* What became of one conversation. */
struct talk {
	struct socks socks;
	enum greeting_step step;
	size_t n_in; /* taken */
	uint8_t out[OUT_MAX];
	size_t n_out;
};

static void hear(struct talk *t)
{
	struct bytes out = socks_output(&t->socks);
	cr_assert_leq(t->n_out + out.len, sizeof t->out);
	memcpy(t->out + t->n_out, out.ptr, out.len);
	t->n_out += out.len;
	cr_assert_eq(socks_output(&t->socks).len, 0, "output comes once");
}

/* Feeds an allocation of exactly that size, so that the sanitizer sees a read past its end. */
static enum greeting_step feed(struct socks *socks, struct bytes in)
{
	uint8_t *copy = malloc(in.len);
	memcpy(copy, in.ptr, in.len);
	enum greeting_step step = socks_feed(socks, bytes_of(copy, in.len));
	free(copy);
	return step;
}

/* Feeds @in as a socket would bring it: in pieces of at most @piece bytes, with a pause at
 * @pause. */
static void converse(
	struct talk *t, struct bytes in, size_t piece, size_t pause, bool needs_user, bool is_right)
{
	memset(t, 0, sizeof *t);
	socks_init(&t->socks, needs_user);
	while (t->step == GREETING_MORE && t->n_in < in.len) {
		size_t n = socks_wants(&t->socks);
		cr_assert_gt(n, 0);
		n = n < in.len - t->n_in ? n : in.len - t->n_in;
		n = n < piece ? n : piece;
		if (t->n_in < pause && pause - t->n_in < n)
			n = pause - t->n_in;
		t->step = feed(&t->socks, bytes_of(in.ptr + t->n_in, n));
		t->n_in += n;
		hear(t);
		if (t->step != GREETING_PASSWORD)
			continue;
		t->step = socks_verdict(&t->socks, is_right);
		hear(t);
	}
}

static void expect_row(const struct row *row, const struct talk *t)
{
	char text[ADDR_TEXT_MAX];
	cr_expect_eq(t->step, row->end, "%s: step %d", row->name, t->step);
	/* Behind methods that are refused a little more may have been read. */
	size_t n_max = row->end == GREETING_READY || row->in.len >= SOCKS_FIRST_READ
			       ? row->in.len
			       : SOCKS_FIRST_READ;
	cr_expect(t->n_in >= row->in.len && t->n_in <= n_max, "%s: took %zu", row->name, t->n_in);
	cr_expect(hex_is(t->out, t->n_out, row->out), "%s", row->name);
	cr_expect_eq(socks_wants(&t->socks), 0, "%s: not one byte of payload", row->name);
	if (row->end != GREETING_READY)
		return;
	const struct greeting_request *request = &t->socks.request;
	cr_expect_str_eq(
		addr_print(&request->target, text), row->target, "%s: %s", row->name, text);
	cr_expect_str_eq(request->user, row->user, "%s", row->name);
	cr_expect_eq(request->command, row->command, "%s", row->name);
	cr_expect_null(request->http);
	cr_expect_str_eq(request->protocol, row->in.ptr[0] == 5 ? "socks5" : "socks4a");
}

Test(socks, whole_conversations_with_payload_behind_them_split_at_every_byte)
{
	static const char payload[] = "\x16\3\1 the payload, or the next message";
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct row *row = &rows[i];
		uint8_t all[512];
		struct talk t;
		memcpy(all, row->in.ptr, row->in.len);
		memcpy(all + row->in.len, payload, sizeof payload);
		struct bytes in = bytes_of(all, row->in.len + sizeof payload);
		for (size_t pause = 0; pause <= row->in.len; pause++) {
			converse(&t, in, NEVER, pause, row->needs_user, row->is_right);
			expect_row(row, &t);
			socks_deinit(&t.socks);
		}
		for (size_t piece = 1; piece <= 3; piece++) {
			converse(&t, in, piece, 0, row->needs_user, row->is_right);
			expect_row(row, &t);
			socks_deinit(&t.socks);
		}
	}
}

Test(socks, a_conversation_cut_at_any_byte_waits_for_more)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct row *row = &rows[i];
		struct hex out = hex_of(row->out);
		for (size_t cut = 0; cut < row->in.len; cut++) {
			for (size_t piece = 1; piece < 1000; piece *= 16) {
				struct talk t;
				converse(&t, bytes_of(row->in.ptr, cut), piece, 0, row->needs_user,
					row->is_right);
				/* Refused as soon as it is clear: only the user's message may be
				 * judged before its last byte, never here. */
				bool is_early = t.step == GREETING_REFUSED;
				cr_expect(t.step == GREETING_MORE || is_early, "%s cut at %zu",
					row->name, cut);
				cr_expect_not(is_early && row->end == GREETING_READY,
					"%s cut at %zu", row->name, cut);
				cr_expect_not(is_early && cut + 1 < row->in.len, "%s cut at %zu",
					row->name, cut);
				cr_expect_leq(t.n_out, out.len);
				cr_expect_eq(memcmp(t.out, out.data, t.n_out), 0, "%s cut at %zu",
					row->name, cut);
				socks_deinit(&t.socks);
			}
		}
	}
}

/* ---- methods ---- */

static enum greeting_step offer(struct talk *t, bool needs_user, const uint8_t *methods, size_t n)
{
	uint8_t in[2 + 255] = { 5, (uint8_t)n };
	memcpy(in + 2, methods, n);
	converse(t, bytes_of(in, 2 + n), NEVER, 0, needs_user, false);
	cr_assert_eq(t->n_in, 2 + n);
	return t->step;
}

Test(socks, each_method_alone)
{
	struct talk t;
	for (unsigned m = 0; m < 256; m++) {
		for (unsigned needs_user = 0; needs_user < 2; needs_user++) {
			uint8_t method = (uint8_t)m, ours = needs_user ? 2 : 0;
			enum greeting_step step = offer(&t, needs_user, &method, 1);
			cr_expect_eq(step, m == ours ? GREETING_MORE : GREETING_REFUSED, "%u", m);
			cr_expect_eq(t.out[0], 5);
			cr_expect_eq(t.out[1], m == ours ? ours : 0xff, "%u", m);
			cr_expect_eq(t.n_out, 2);
		}
	}
}

Test(socks, method_lists_of_every_length_with_ours_at_every_place_or_none)
{
	struct talk t;
	for (size_t n = 0; n <= 255; n++) {
		for (size_t at = 0; at <= n; at++) {
			uint8_t methods[256];
			memset(methods, 0x80, sizeof methods);
			methods[at] = 2; /* at n: behind the list, which says nothing */
			cr_expect_eq(offer(&t, true, methods, n),
				at < n ? GREETING_MORE : GREETING_REFUSED, "%zu of %zu", at, n);
			cr_expect_eq(t.out[1], at < n ? 2 : 0xff);
			cr_expect_eq(offer(&t, false, methods, n), GREETING_REFUSED);
		}
	}
}

Test(socks, other_versions_get_no_word)
{
	for (unsigned version = 0; version < 256; version++) {
		struct talk t;
		uint8_t in[2] = { (uint8_t)version, 1 };
		converse(&t, bytes_of(in, 2), NEVER, 0, false, false);
		bool is_ours = version == 4 || version == 5;
		cr_expect_eq(t.step, is_ours ? GREETING_MORE : GREETING_REFUSED, "%u", version);
		cr_expect_eq(t.n_out, 0);
	}
}

/* ---- name and password ---- */

static void start_user(struct socks *socks)
{
	socks_init(socks, true);
	cr_assert_eq(feed(socks, bytes_of("\5\1", 2)), GREETING_MORE);
	cr_assert_eq(feed(socks, bytes_of("\2", 1)), GREETING_MORE);
	cr_assert(hex_is(socks->out, socks_output(socks).len, "0502"));
}

Test(socks, a_wrong_version_of_the_user_message_is_refused_at_once)
{
	for (unsigned version = 0; version < 256; version++) {
		struct socks socks;
		uint8_t head[2] = { (uint8_t)version, 3 };
		start_user(&socks);
		cr_expect_eq(socks_wants(&socks), 2);
		cr_expect_eq(feed(&socks, bytes_of(head, 2)),
			version == 1 ? GREETING_MORE : GREETING_REFUSED, "%u", version);
		cr_expect_eq(socks_wants(&socks), version == 1 ? 4 : 0);
		struct bytes out = socks_output(&socks);
		cr_expect(hex_is(out.ptr, out.len, version == 1 ? "" : "0101"), "%u", version);
	}
}

static bool holds(const struct socks *socks, const char *text)
{
	return memmem(socks, sizeof *socks, text, strlen(text)) != NULL;
}

Test(socks, names_and_passwords_of_every_length)
{
	for (unsigned n = 1; n <= 255; n++) {
		uint8_t in[2 + 255 + 1 + 255] = { 1, (uint8_t)n };
		struct socks socks;
		size_t n_password = 256 - n, at = 0, all = 2 + n + 1 + n_password;
		memset(in + 2, 'n', n);
		in[2 + n] = (uint8_t)n_password;
		memset(in + 3 + n, 'p', n_password);
		start_user(&socks);
		enum greeting_step step = GREETING_MORE;
		while (step == GREETING_MORE) {
			size_t wants = socks_wants(&socks);
			cr_assert_leq(at + wants, all);
			step = feed(&socks, bytes_of(in + at, wants));
			at += wants;
		}
		cr_expect_eq(step, GREETING_PASSWORD);
		cr_expect_eq(at, all);
		cr_expect_eq(strlen(socks.name), n);
		cr_expect_eq(strlen(socks.password), n_password);
		cr_expect_eq(strspn(socks.name, "n"), n);
		cr_expect_eq(strspn(socks.password, "p"), n_password);
	}
}

Test(socks, a_password_is_nowhere_once_it_is_judged)
{
	static const uint8_t in[] = "\1\5alice\12hunter-two";
	for (unsigned is_right = 0; is_right < 2; is_right++) {
		struct socks socks;
		start_user(&socks);
		cr_assert_eq(feed(&socks, bytes_of(in, 2)), GREETING_MORE);
		cr_assert_eq(feed(&socks, bytes_of(in + 2, 6)), GREETING_MORE);
		cr_assert_eq(feed(&socks, bytes_of(in + 8, 10)), GREETING_PASSWORD);
		cr_expect_str_eq(socks.name, "alice");
		cr_expect_str_eq(socks.password, "hunter-two");
		cr_expect_eq(socks_wants(&socks), 0);
		cr_expect_eq(socks_output(&socks).len, 0);
		cr_expect_str_eq(socks.request.user, "", "not before the verdict");
		cr_expect_eq(socks_verdict(&socks, is_right),
			is_right ? GREETING_MORE : GREETING_REFUSED);
		cr_expect_not(holds(&socks, "hunter-two"));
		cr_expect_eq(holds(&socks, "alice"), is_right);
		socks_deinit(&socks);
		cr_expect_not(holds(&socks, "alice"));
	}
}

Test(socks, the_message_itself_is_wiped_too_when_the_client_leaves_it_unfinished)
{
	struct socks socks;
	start_user(&socks);
	cr_assert_eq(feed(&socks, bytes_of("\1\1", 2)), GREETING_MORE);
	cr_assert_eq(feed(&socks, bytes_of("a\13", 2)), GREETING_MORE);
	cr_assert_eq(feed(&socks, bytes_of("hunter-two", 10)), GREETING_MORE);
	cr_expect(holds(&socks, "hunter-two"));
	socks_deinit(&socks);
	cr_expect_not(holds(&socks, "hunter"));
}

/* ---- requests ---- */

/* The reply to a request with these bytes and a good address, or 0. */
static uint8_t expected_reply(unsigned version, unsigned cmd, unsigned reserved, unsigned atyp)
{
	bool is_atyp = atyp == 1 || atyp == 3 || atyp == 4, is_cmd = cmd == 1 || cmd == 3;
	if (version != 5)
		return 1;
	if (!is_atyp)
		return is_cmd ? 8 : 7;
	if (reserved != 0)
		return 1;
	return is_cmd ? 0 : 7;
}

static void ask(const uint8_t head[4], size_t n_address)
{
	uint8_t in[3 + 4 + 16 + 2] = { 5, 1, 0 };
	struct talk t;
	memcpy(in + 3, head, 4);
	memset(in + 7, 'a', n_address);
	in[7] = head[3] == 3 ? (uint8_t)(n_address - 1) : 'a';
	in[7 + n_address + 1] = 80;
	uint8_t reply = expected_reply(head[0], head[1], head[2], head[3]);
	converse(&t, bytes_of(in, 7 + n_address + 2), NEVER, 0, false, false);
	cr_expect_eq(t.step, reply == 0 ? GREETING_READY : GREETING_REFUSED, "%u %u %u %u", head[0],
		head[1], head[2], head[3]);
	cr_expect_eq(t.n_out, reply == 0 ? 2 : 12);
	if (reply != 0)
		cr_expect_eq(t.out[3], reply, "%u %u %u %u", head[0], head[1], head[2], head[3]);
}

Test(socks, every_version_command_reserved_byte_and_address_type)
{
	for (unsigned i = 0; i < 256; i++) {
		for (unsigned atyp = 0; atyp < 256; atyp++) {
			size_t n_address = atyp == 4 ? 16 : atyp == 3 ? 8 : 4;
			uint8_t a = (uint8_t)atyp, b = (uint8_t)i;
			ask((uint8_t[4]){ b, 1, 0, a }, n_address);
			ask((uint8_t[4]){ 5, b, 0, a }, n_address);
			ask((uint8_t[4]){ 5, 1, b, a }, n_address);
		}
	}
}

/* ---- names ---- */

static const struct {
	struct bytes name;
	const char *target; /* NULL: refused */
} names[] = {
	{ B("example.org"), "example.org:80" },
	{ B("example.org."), "example.org:80" },
	{ B("EXAMPLE.org"), "EXAMPLE.org:80" },
	{ B("a_b-c.d"), "a_b-c.d:80" },
	{ B("localhost"), "localhost:80" },
	{ B("127.0.0.1"), "127.0.0.1:80" },
	{ B("::1"), "[::1]:80" },
	{ B("[::1]"), "[::1]:80" },
	{ B("::ffff:127.0.0.1"), "[::ffff:127.0.0.1]:80" },
	{ B("2001:DB8::0001"), "[2001:db8::1]:80" },
	{ B("example.org.."), NULL },
	{ B("."), NULL },
	{ B(".a"), NULL },
	{ B("a..b"), NULL },
	{ B("127.0.0.1."), NULL },
	{ B("127.1"), NULL },
	{ B("2130706433"), NULL },
	{ B("0x7f000001"), NULL },
	{ B("0x7f.1"), NULL },
	{ B("0177.0.0.1"), NULL },
	{ B("1.2.3.4.5"), NULL },
	{ B("256.0.0.1"), NULL },
	{ B("fe80::1%lo"), NULL },
	{ B("[fe80::1%1]"), NULL },
	{ B("[::1"), NULL },
	{ B("::1]"), NULL },
	{ B("[::1]]"), NULL },
	{ B("[[::1]]"), NULL },
	{ B("[::1]:80"), NULL },
	{ B("[]"), NULL },
	{ B("["), NULL },
	{ B("[127.0.0.1]"), NULL },
	{ B(":"), NULL },
	{ B(":::"), NULL },
	{ B("example.org:80"), NULL },
	{ B("127.0.0.1:80"), NULL },
	{ B("a b"), NULL },
	{ B(" "), NULL },
	{ B("a\r\nb"), NULL },
	{ B("a/b"), NULL },
	{ B("user@host"), NULL },
	{ B("*"), NULL },
	{ B("%s%n"), NULL },
	{ B("b\xc3\xbc"
	    "cher.example"),
		NULL },
	{ B("\x7f"), NULL },
	{ B("\xff"), NULL },
};

static void expect_name(const struct talk *t, struct bytes name, const char *target)
{
	char text[ADDR_TEXT_MAX];
	cr_expect_eq(t->step, target != NULL ? GREETING_READY : GREETING_REFUSED, "\"%.*s\"",
		(int)name.len, (const char *)name.ptr);
	if (target != NULL && t->step == GREETING_READY)
		cr_expect_str_eq(addr_print(&t->socks.request.target, text), target);
}

static void name_5(struct talk *t, struct bytes name)
{
	uint8_t in[3 + 5 + 255 + 2] = "\5\1\0\5\1\0\3";
	in[7] = (uint8_t)name.len;
	memcpy(in + 8, name.ptr, name.len);
	in[8 + name.len] = 0;
	in[8 + name.len + 1] = 80;
	converse(t, bytes_of(in, 8 + name.len + 2), NEVER, 0, false, false);
}

static void name_4(struct talk *t, struct bytes name)
{
	uint8_t in[8 + 1 + 300 + 1] = "\4\1\0\120\0\0\0\1";
	memcpy(in + 9, name.ptr, name.len);
	in[9 + name.len] = 0;
	converse(t, bytes_of(in, 9 + name.len + 1), NEVER, 0, false, false);
}

Test(socks, a_literal_sent_as_a_name_is_an_address_and_what_is_no_name_is_refused)
{
	struct talk t;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		name_5(&t, names[i].name);
		expect_name(&t, names[i].name, names[i].target);
		if (names[i].target == NULL)
			cr_expect(hex_is(t.out, t.n_out, "0500" REPLY("01")), "%zu", i);
		name_4(&t, names[i].name);
		expect_name(&t, names[i].name, names[i].target);
	}
}

Test(socks, a_nul_does_not_end_a_name)
{
	struct talk t;
	for (size_t at = 0; at < 11; at++) {
		char name[] = "example.org";
		name[at] = '\0';
		name_5(&t, bytes_of(name, 11));
		cr_expect_eq(t.step, GREETING_REFUSED, "NUL at %zu", at);
	}
}

Test(socks, names_of_every_length)
{
	for (size_t n = 1; n <= 300; n++) {
		char name[301];
		struct talk t;
		for (size_t i = 0; i < n; i++)
			name[i] = i % 50 == 49 && i + 1 < n ? '.' : 'a';
		enum greeting_step step = n <= ADDR_NAME_MAX ? GREETING_READY : GREETING_REFUSED;
		name_4(&t, bytes_of(name, n));
		cr_expect_eq(t.step, step, "socks4a: %zu", n);
		cr_expect_eq(t.n_in, n <= 255 ? 9 + n + 1 : 9 + 256, "%zu: took %zu", n, t.n_in);
		if (n > 255)
			continue;
		name_5(&t, bytes_of(name, n));
		cr_expect_eq(t.step, step, "socks5: %zu", n);
		if (step == GREETING_READY)
			cr_expect_eq(strlen(t.socks.request.target.name), n);
	}
}

Test(socks, user_ids_of_socks4_are_bounded_and_not_believed)
{
	for (size_t n = 0; n <= 300; n++) {
		uint8_t in[8 + 301] = "\4\1\0\120\1\2\3\4";
		struct talk t;
		memset(in + 8, 'u', n);
		in[8 + n] = '\0';
		converse(&t, bytes_of(in, 8 + n + 1), NEVER, 0, false, false);
		cr_expect_eq(t.step, n <= 255 ? GREETING_READY : GREETING_REFUSED, "%zu", n);
		cr_expect_str_eq(t.socks.request.user, "");
		cr_expect_eq(t.n_in, n <= 255 ? 8 + n + 1 : 8 + 256);
	}
}

/* ---- answers ---- */

static void make_ready(struct talk *t, struct bytes in)
{
	converse(t, in, NEVER, 0, false, false);
	cr_assert_eq(t->step, GREETING_READY);
}

static const struct bytes connect_5 = B("\5\1\0"
					"\5\1\0\1\x7f\0\0\1\0\x50");
static const struct bytes connect_4 = B("\4\1\0\x50\x7f\0\0\1"
					"\0");

static bool answer_is(struct talk *t, const struct chain_error *error, const union addr_sock *bound,
	const char *expected)
{
	struct bytes out = socks_answer(&t->socks, error, bound);
	bool is_so = hex_is(out.ptr, out.len, expected);
	cr_expect_eq(socks_output(&t->socks).len, 0, "output comes once");
	cr_expect_eq(socks_wants(&t->socks), 0);
	return is_so;
}

Test(socks, success_tells_where_or_zeros)
{
	struct talk t;
	union addr_sock bound = { .ip4 = { .sin_family = AF_INET, .sin_port = htons(0x1234) } };
	bound.ip4.sin_addr.s_addr = htonl(0x01020304);
	make_ready(&t, connect_5);
	cr_expect(answer_is(&t, NULL, NULL, REPLY("00")));
	make_ready(&t, connect_5);
	cr_expect(answer_is(&t, NULL, &bound, "05000001 01020304 1234"));
	make_ready(&t, connect_4);
	cr_expect(answer_is(&t, NULL, NULL, "005a 000000000000"));
	bound = (union addr_sock){ .ip6 = { .sin6_family = AF_INET6, .sin6_port = htons(7) } };
	bound.ip6.sin6_addr.s6_addr[15] = 1;
	make_ready(&t, connect_5);
	cr_expect(answer_is(&t, NULL, &bound, "05000004 00000000000000000000000000000001 0007"));
	bound.ip6.sin6_addr.s6_addr[10] = bound.ip6.sin6_addr.s6_addr[11] = 0xff;
	make_ready(&t, connect_5);
	cr_expect(answer_is(&t, NULL, &bound, "05000001 00000001 0007"));
}

Test(socks, the_exits_status_has_its_reply)
{
	for (unsigned code = 0; code < 256; code++) {
		for (uint8_t detail = 0; detail < 20; detail++) {
			struct chain_error error = { .hop = 3,
				.n_hops = 3,
				.stage = CHAIN_STATUS,
				.status = (uint8_t)code,
				.detail = detail };
			struct talk t;
			make_ready(&t, connect_5);
			struct bytes out = socks_answer(&t.socks, &error, NULL);
			uint8_t reply = wire_status_socks_reply((uint8_t)code, detail);
			cr_expect_eq(out.ptr[1], code == STATUS_OK ? 1 : reply, "%u", code);
			make_ready(&t, connect_4);
			cr_expect(answer_is(&t, &error, NULL, "005b 000000000000"), "%u", code);
		}
	}
}

static const struct {
	struct chain_error error;
	uint8_t reply;
} failures[] = {
	{ { .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_REFUSED }, 5 },
	{ { .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_DENIED_PORT }, 2 },
	{ { .hop = 3, .stage = CHAIN_STATUS, .status = STATUS_NO_FAMILY }, 8 },
	{ { .hop = 2, .stage = CHAIN_STATUS, .status = STATUS_REFUSED }, 5 },
	{ { .hop = 2, .stage = CHAIN_STATUS, .status = STATUS_TIMEOUT }, 4 },
	{ { .hop = 2, .stage = CHAIN_STATUS, .status = STATUS_NET_UNREACH }, 3 },
	{ { .hop = 2, .stage = CHAIN_STATUS, .status = STATUS_DENIED_PRIVATE }, 1 },
	{ { .hop = 2, .stage = CHAIN_STATUS, .status = STATUS_NO_FAMILY }, 1 },
	{ { .hop = 1, .stage = CHAIN_STATUS, .status = STATUS_DENIED_CMD }, 1 },
	{ { .hop = 1, .stage = CHAIN_STATUS, .status = STATUS_LIMIT }, 1 },
	{ { .hop = 1, .stage = CHAIN_RESOLVE, .code = ERR_NOT_FOUND }, 4 },
	{ { .hop = 1, .stage = CHAIN_RESOLVE, .code = ERR_DNS_TIMEOUT }, 4 },
	{ { .hop = 0, .stage = CHAIN_RESOLVE, .code = ERR_NO_ADDRESS }, 4 },
	{ { .hop = 1, .stage = CHAIN_DIAL, .code = -ECONNREFUSED }, 5 },
	{ { .hop = 1, .stage = CHAIN_DIAL, .code = -ENETUNREACH }, 3 },
	{ { .hop = 1, .stage = CHAIN_DIAL, .code = -EHOSTUNREACH }, 4 },
	{ { .hop = 1, .stage = CHAIN_DIAL, .code = -EAFNOSUPPORT }, 1 },
	{ { .hop = 1, .stage = CHAIN_DIAL, .code = -EMFILE }, 1 },
	{ { .hop = 2, .stage = CHAIN_ANSWER, .code = ERR_TIMEOUT }, 4 },
	{ { .hop = 3, .stage = CHAIN_ANSWER, .code = ERR_BAD_RECORD }, 1 },
	{ { .hop = 3, .stage = CHAIN_ANSWER, .code = ERR_PIPE }, 1 },
	{ { .hop = 3, .stage = CHAIN_PAYLOAD, .code = ERR_RESET }, 1 },
	{ { .hop = 1, .stage = CHAIN_SETUP, .code = ERR_NOMEM }, 1 },
};

Test(socks, failures_before_the_exit_never_sound_like_the_targets_own)
{
	union addr_sock bound = { .ip4 = { .sin_family = AF_INET, .sin_port = 9 } };
	for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
		struct chain_error error = failures[i].error;
		struct talk t;
		char expected[32];
		error.n_hops = 3;
		snprintf(expected, sizeof expected, "05%02x0001000000000000", failures[i].reply);
		make_ready(&t, connect_5);
		cr_expect(answer_is(&t, &error, &bound, expected), "%zu", i);
	}
}

Test(socks, a_request_that_is_not_allowed_here)
{
	struct talk t;
	make_ready(&t, connect_5);
	cr_expect_eq(socks_refuse(&t.socks), GREETING_REFUSED);
	hear(&t);
	cr_expect(hex_is(t.out, t.n_out, "0500" REPLY("02")));
	make_ready(&t, connect_4);
	cr_expect_eq(socks_refuse(&t.socks), GREETING_REFUSED);
	hear(&t);
	cr_expect(hex_is(t.out, t.n_out,
		"005b"
		"000000000000"));
}
