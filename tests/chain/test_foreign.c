#include "chain/foreign.h"
#include "chain/wire_status.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* What a client with or without a login says and hears, one exchange after the other. */
struct talk {
	const char *name;
	enum chain_step step;
	const char *user, *password;
	const char *target; /* NULL: echo */
	struct {
		struct bytes out, in;
	} rounds[4];
	enum chain_foreign_step end;
	uint8_t status;
	uint16_t code;
	const char *text;
};

#define B(text)                                                                                    \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}
#define METHODS  B("\5\1\0")
#define METHODS2 B("\5\2\0\2")
#define TO_NAME  B("\5\1\0\3\013example.org\1\273")
#define OK_IP4   B("\5\0\0\1\0\0\0\0\0\0")
#define CONNECT  B("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
#define S5       CHAIN_STEP_SOCKS5
#define HTTP     CHAIN_STEP_HTTP
#define EXAMPLE  "example.org:443"

static const struct talk talks[] = {
	{ "no login", S5, NULL, NULL, EXAMPLE, { { METHODS, B("\5\0") }, { TO_NAME, OK_IP4 } },
		CHAIN_FOREIGN_DONE, 0, 0, NULL },
	{ "a login that is not asked for", S5, "me", "pw", EXAMPLE,
		{ { METHODS2, B("\5\0") }, { TO_NAME, OK_IP4 } }, CHAIN_FOREIGN_DONE, 0, 0, NULL },
	{ "login", S5, "me", "pw", EXAMPLE,
		{ { METHODS2, B("\5\2") }, { B("\1\2me\2pw"), B("\1\0") }, { TO_NAME, OK_IP4 } },
		CHAIN_FOREIGN_DONE, 0, 0, NULL },
	{ "login refused", S5, "me", "pw", EXAMPLE,
		{ { METHODS2, B("\5\2") }, { B("\1\2me\2pw"), B("\1\1") } }, CHAIN_FOREIGN_NO_LOGIN,
		0, 0, NULL },
	{ "login wanted", S5, NULL, NULL, EXAMPLE, { { METHODS, B("\5\377") } },
		CHAIN_FOREIGN_NO_LOGIN, 0, 0, NULL },
	{ "IPv4", S5, NULL, NULL, "192.0.2.1:80",
		{ { METHODS, B("\5\0") }, { B("\5\1\0\1\300\0\2\1\0\120"), OK_IP4 } },
		CHAIN_FOREIGN_DONE, 0, 0, NULL },
	{ "IPv6", S5, NULL, NULL, "[2001:db8::1]:80",
		{ { METHODS, B("\5\0") },
			{ B("\5\1\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\0\120"),
				B("\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") } },
		CHAIN_FOREIGN_DONE, 0, 0, NULL },
	{ "a name is bound", S5, NULL, NULL, EXAMPLE,
		{ { METHODS, B("\5\0") }, { TO_NAME, B("\5\0\0\3\2ab\0\1") } }, CHAIN_FOREIGN_DONE,
		0, 0, NULL },
	{ "an empty name is bound", S5, NULL, NULL, EXAMPLE,
		{ { METHODS, B("\5\0") }, { TO_NAME, B("\5\0\0\3\0\0\1") } }, CHAIN_FOREIGN_DONE, 0,
		0, NULL },
	{ "host unreachable, and it closes", S5, NULL, NULL, EXAMPLE,
		{ { METHODS, B("\5\0") }, { TO_NAME, B("\5\4") } }, CHAIN_FOREIGN_REFUSED,
		STATUS_HOST_UNREACH, 4, "host unreachable" },
	{ "denied", S5, NULL, NULL, EXAMPLE, { { METHODS, B("\5\0") }, { TO_NAME, B("\5\2") } },
		CHAIN_FOREIGN_REFUSED, STATUS_DENIED_POLICY, 2, "not allowed by its rules" },
	{ "refused", S5, NULL, NULL, EXAMPLE, { { METHODS, B("\5\0") }, { TO_NAME, B("\5\5") } },
		CHAIN_FOREIGN_REFUSED, STATUS_REFUSED, 5, "connection refused" },
	{ "a reply nobody knows", S5, NULL, NULL, EXAMPLE,
		{ { METHODS, B("\5\0") }, { TO_NAME, B("\5\x63") } }, CHAIN_FOREIGN_REFUSED,
		STATUS_INTERNAL, 0x63, "unknown reply" },
	{ "echo", S5, NULL, NULL, NULL, { { METHODS, B("\5\0") } }, CHAIN_FOREIGN_DONE, 0, 0,
		NULL },
	{ "echo with login", S5, "me", "pw", NULL,
		{ { METHODS2, B("\5\2") }, { B("\1\2me\2pw"), B("\1\0") } }, CHAIN_FOREIGN_DONE, 0,
		0, NULL },
	{ "SOCKS4 answers", S5, NULL, NULL, EXAMPLE, { { METHODS, B("\0") } }, CHAIN_FOREIGN_BROKEN,
		0, 0, NULL },
	{ "a method that was not offered", S5, NULL, NULL, EXAMPLE, { { METHODS, B("\5\2") } },
		CHAIN_FOREIGN_BROKEN, 0, 0, NULL },
	{ "GSSAPI", S5, "me", "pw", EXAMPLE, { { METHODS2, B("\5\1") } }, CHAIN_FOREIGN_BROKEN, 0,
		0, NULL },
	{ "login of another version", S5, "me", "pw", EXAMPLE,
		{ { METHODS2, B("\5\2") }, { B("\1\2me\2pw"), B("\5") } }, CHAIN_FOREIGN_BROKEN, 0,
		0, NULL },
	{ "reply of another version", S5, NULL, NULL, EXAMPLE,
		{ { METHODS, B("\5\0") }, { TO_NAME, B("\4") } }, CHAIN_FOREIGN_BROKEN, 0, 0,
		NULL },
	{ "an address type that is none", S5, NULL, NULL, EXAMPLE,
		{ { METHODS, B("\5\0") }, { TO_NAME, B("\5\0\0\2") } }, CHAIN_FOREIGN_BROKEN, 0, 0,
		NULL },

	{ "http", HTTP, NULL, NULL, EXAMPLE, { { CONNECT, B("HTTP/1.1 200 OK\r\n\r\n") } },
		CHAIN_FOREIGN_DONE, 0, 200, NULL },
	{ "http without a reason", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.0 200 \r\n\r\n") } }, CHAIN_FOREIGN_DONE, 0, 200, NULL },
	{ "http with fields", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.0 204 x\r\nProxy-agent: tinyproxy/1.11.1\r\nA:\r\n\r\n") } },
		CHAIN_FOREIGN_DONE, 0, 204, NULL },
	{ "a length means nothing", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n") } },
		CHAIN_FOREIGN_DONE, 0, 200, NULL },
	{ "nor do two lengths", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
			       "Transfer-Encoding: chunked\r\n\r\n") } },
		CHAIN_FOREIGN_DONE, 0, 200, NULL },
	{ "an answer before the answer", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT,
			B("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") } },
		CHAIN_FOREIGN_DONE, 0, 200, NULL },
	{ "http login", HTTP, "me", "pw", "[2001:db8::1]:80",
		{ { B("CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n"
		      "Proxy-Authorization: Basic bWU6cHc=\r\n\r\n"),
			B("HTTP/1.1 200 OK\r\n\r\n") } },
		CHAIN_FOREIGN_DONE, 0, 200, NULL },
	{ "http login refused", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") } },
		CHAIN_FOREIGN_NO_LOGIN, 0, 407, NULL },
	{ "what is no text", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.1 403 Forbid\1den\r\nContent-Length: 5\r\n\r\n") } },
		CHAIN_FOREIGN_REFUSED, STATUS_DENIED_POLICY, 403, "Forbid?den" },
	{ "http forbidden", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\n") } },
		CHAIN_FOREIGN_REFUSED, STATUS_DENIED_POLICY, 403, "Forbidden" },
	{ "http gateway", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.1 502 Bad Gateway\r\n\r\n") } }, CHAIN_FOREIGN_REFUSED,
		STATUS_HOST_UNREACH, 502, "Bad Gateway" },
	{ "http timeout", HTTP, NULL, NULL, EXAMPLE, { { CONNECT, B("HTTP/1.1 504 \r\n\r\n") } },
		CHAIN_FOREIGN_REFUSED, STATUS_TIMEOUT, 504, "" },
	{ "http moved", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n") } },
		CHAIN_FOREIGN_REFUSED, STATUS_INTERNAL, 302, "Found" },
	{ "another protocol", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.1 101 Switching Protocols\r\n\r\n") } },
		CHAIN_FOREIGN_BROKEN, 0, 0, NULL },
	{ "bare LF", HTTP, NULL, NULL, EXAMPLE, { { CONNECT, B("HTTP/1.1 200 OK\n") } },
		CHAIN_FOREIGN_BROKEN, 0, 0, NULL },
	{ "ssh", HTTP, NULL, NULL, EXAMPLE, { { CONNECT, B("S") } }, CHAIN_FOREIGN_BROKEN, 0, 0,
		NULL },
	{ "no status", HTTP, NULL, NULL, EXAMPLE, { { CONNECT, B("HTTP/1.1 OK fine\r\n\r\n") } },
		CHAIN_FOREIGN_BROKEN, 0, 0, NULL },
	{ "shorter than any head", HTTP, NULL, NULL, EXAMPLE,
		{ { CONNECT, B("HTTP/1.1\r\n\r\n") } }, CHAIN_FOREIGN_BROKEN, 0, 0, NULL },
};

static struct chain_foreign *start(const struct talk *talk)
{
	struct chain_foreign *f;
	struct addr target;
	struct chain_hop proxy = { .step = talk->step,
		.user = (char *)(uintptr_t)talk->user,
		.password = (char *)(uintptr_t)talk->password };
	if (talk->target != NULL)
		cr_assert_eq(addr_parse_dial(talk->target, &target), ADDR_OK, "%s", talk->name);
	cr_assert_eq(chain_foreign_new(&proxy, talk->target != NULL ? &target : NULL, &f), 0);
	return f;
}

static void expect_output(struct chain_foreign *f, const struct talk *talk, struct bytes wanted)
{
	struct bytes out = chain_foreign_output(f);
	cr_assert_eq(out.len, wanted.len, "%s: %zu", talk->name, out.len);
	cr_expect(out.len == 0 || memcmp(out.ptr, wanted.ptr, out.len) == 0, "%s", talk->name);
	cr_expect_eq(chain_foreign_output(f).len, 0, "%s: said once", talk->name);
}

/* In pieces of at most @piece bytes. Return: how it went with @talk's first @n_max bytes. */
static enum chain_foreign_step converse(
	struct chain_foreign *f, const struct talk *talk, size_t piece, size_t n_max)
{
	enum chain_foreign_step step = CHAIN_FOREIGN_MORE;
	for (size_t i = 0; i < 4 && talk->rounds[i].out.ptr != NULL; i++) {
		struct bytes in = talk->rounds[i].in;
		expect_output(f, talk, talk->rounds[i].out);
		while (in.len > 0 && n_max > 0 && step == CHAIN_FOREIGN_MORE) {
			size_t n = chain_foreign_wants(f);
			cr_assert_gt(n, 0, "%s", talk->name);
			n = n < in.len ? n : in.len;
			n = n < piece ? n : piece;
			n = n < n_max ? n : n_max;
			step = chain_foreign_feed(f, bytes_of(in.ptr, n));
			in = bytes_of(in.ptr + n, in.len - n);
			n_max -= n;
		}
		if (n_max == 0)
			return step;
		cr_expect_eq(in.len, 0, "%s: round %zu left %zu bytes", talk->name, i, in.len);
	}
	return step;
}

static void expect_end(
	struct chain_foreign *f, const struct talk *talk, enum chain_foreign_step step)
{
	cr_expect_eq(step, talk->end, "%s: %d", talk->name, (int)step);
	cr_expect_eq(chain_foreign_wants(f), 0, "%s", talk->name);
	cr_expect_eq(chain_foreign_output(f).len, 0, "%s", talk->name);
	if (step != CHAIN_FOREIGN_REFUSED)
		return;
	cr_expect_eq(chain_foreign_status(f), talk->status, "%s", talk->name);
	cr_expect_eq(chain_foreign_code(f), talk->code, "%s", talk->name);
	cr_expect_str_eq(chain_foreign_text(f), talk->text, "%s", talk->name);
}

Test(foreign, every_talk_in_pieces_of_every_size)
{
	for (size_t i = 0; i < sizeof talks / sizeof talks[0]; i++) {
		for (size_t piece = 1; piece < 40; piece++) {
			struct chain_foreign *f = start(&talks[i]);
			expect_end(f, &talks[i], converse(f, &talks[i], piece, SIZE_MAX));
			chain_foreign_free(f);
		}
	}
}

Test(foreign, what_is_cut_off_is_not_over)
{
	for (size_t i = 0; i < sizeof talks / sizeof talks[0]; i++) {
		size_t n_all = 0;
		for (size_t k = 0; k < 4; k++)
			n_all += talks[i].rounds[k].in.len;
		for (size_t n = 1; n < n_all && talks[i].end == CHAIN_FOREIGN_DONE; n++) {
			struct chain_foreign *f = start(&talks[i]);
			cr_expect_eq(converse(f, &talks[i], SIZE_MAX, n), CHAIN_FOREIGN_MORE,
				"%s at %zu", talks[i].name, n);
			cr_expect_gt(chain_foreign_wants(f), 0, "%s at %zu", talks[i].name, n);
			chain_foreign_free(f);
		}
	}
}

Test(foreign, an_echo_of_http_is_nothing)
{
	static const struct talk talk = { .name = "echo", .step = HTTP };
	struct chain_foreign *f = start(&talk);
	cr_expect_eq(chain_foreign_wants(f), 0);
	cr_expect_eq(chain_foreign_output(f).len, 0);
	chain_foreign_free(f);
}

Test(foreign, a_head_has_an_end)
{
	static const struct talk talk = { .name = "long", .step = HTTP, .target = EXAMPLE };
	static const char start_line[] = "HTTP/1.1 200 OK\r\nA: ";
	struct chain_foreign *f = start(&talk);
	enum chain_foreign_step step = CHAIN_FOREIGN_MORE;
	size_t n_all = 0;
	while (step == CHAIN_FOREIGN_MORE) {
		size_t n = chain_foreign_wants(f);
		for (size_t i = 0; i < n && step == CHAIN_FOREIGN_MORE; i++, n_all++) {
			uint8_t byte =
				n_all < sizeof start_line - 1 ? (uint8_t)start_line[n_all] : 'x';
			step = chain_foreign_feed(f, bytes_of(&byte, 1));
		}
	}
	cr_expect_eq(step, CHAIN_FOREIGN_BROKEN);
	cr_expect_eq(n_all, CHAIN_FOREIGN_HEAD_MAX);
	chain_foreign_free(f);
}

Test(foreign, heads_without_end_are_no_answer)
{
	static const struct talk talk = { .name = "1xx", .step = HTTP, .target = EXAMPLE };
	static const char head[] = "HTTP/1.1 100 OK\r\nX: 01234567\r\n\r\n"; /* 32 bytes */
	struct chain_foreign *f = start(&talk);
	size_t len = sizeof head - 1, n_all = 0;
	cr_assert_eq(CHAIN_FOREIGN_HEAD_MAX % len, 0, "the last one ends where the room ends");
	enum chain_foreign_step step = CHAIN_FOREIGN_MORE;
	for (; step == CHAIN_FOREIGN_MORE; n_all++) {
		cr_assert_gt(chain_foreign_wants(f), 0);
		step = chain_foreign_feed(f, bytes_of(head + n_all % len, 1));
	}
	cr_expect_eq(step, CHAIN_FOREIGN_BROKEN);
	cr_expect_eq(n_all, CHAIN_FOREIGN_HEAD_MAX);
	chain_foreign_free(f);
}

Test(foreign, the_longest_of_everything_fits)
{
	char user[CHAIN_LOGIN_MAX + 1], password[CHAIN_LOGIN_MAX + 1];
	static const enum chain_step steps[] = { S5, HTTP };
	struct addr target = { .kind = ADDR_NAME, .port = 65535 };
	memset(user, 'u', CHAIN_LOGIN_MAX);
	memset(password, 'p', CHAIN_LOGIN_MAX);
	user[CHAIN_LOGIN_MAX] = password[CHAIN_LOGIN_MAX] = '\0';
	memset(target.name, 'n', ADDR_NAME_MAX);
	for (size_t i = 0; i < 2; i++) {
		struct chain_hop proxy = { .step = steps[i], .user = user, .password = password };
		struct chain_foreign *f;
		cr_assert_eq(chain_foreign_new(&proxy, &target, &f), 0);
		struct bytes out = chain_foreign_output(f);
		cr_expect_lt(out.len, FOREIGN_CONNECT_MAX);
		if (steps[i] == HTTP)
			cr_expect_eq(memcmp(out.ptr + out.len - 4, "\r\n\r\n", 4), 0);
		else
			cr_expect_eq(
				chain_foreign_feed(f, bytes_of("\5\2", 2)), CHAIN_FOREIGN_MORE);
		if (steps[i] == S5)
			cr_expect_eq(chain_foreign_output(f).len, 3 + 2 * CHAIN_LOGIN_MAX);
		chain_foreign_free(f);
	}
}
