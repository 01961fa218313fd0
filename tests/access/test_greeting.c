#include "access/greeting.h"

#include "access/socks.h"
#include "tests/support/failing.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define BOTH     (GREETING_SOCKS | GREETING_HTTP)
#define SAID_MAX 2048

/* One conversation: what was taken and said until it wanted no more, or @len bytes were fed. */
struct talk {
	struct greeting *greeting;
	enum greeting_step step;
	size_t n_in, n_said;
	char said[SAID_MAX];
};

static void hear(struct talk *t)
{
	struct bytes out = greeting_output(t->greeting);
	cr_assert_lt(t->n_said + out.len, sizeof t->said);
	if (out.len > 0)
		memcpy(t->said + t->n_said, out.ptr, out.len);
	t->n_said += out.len;
	t->said[t->n_said] = '\0';
	cr_assert_eq(greeting_output(t->greeting).len, 0, "output comes once");
}

static void judge(struct talk *t)
{
	const char *name, *password;
	greeting_password(t->greeting, &name, &password);
	bool is_right = strcmp(name, "alice") == 0 && strcmp(password, "secret") == 0;
	t->step = greeting_verdict(t->greeting, is_right);
	hear(t);
}

/* In pieces of at most @piece bytes, each an allocation of exactly its size. The caller frees the
 * greeting. */
static void converse(struct talk *t, const struct greeting_options *options, const void *in,
	size_t len, size_t piece)
{
	memset(t, 0, sizeof *t);
	cr_assert_eq(greeting_new(options, &t->greeting), 0);
	while (t->step == GREETING_MORE && t->n_in < len) {
		size_t n = greeting_wants(t->greeting);
		cr_assert_gt(n, 0);
		n = n < piece ? n : piece;
		n = n < len - t->n_in ? n : len - t->n_in;
		uint8_t *copy = malloc(n);
		memcpy(copy, (const uint8_t *)in + t->n_in, n);
		t->step = greeting_feed(t->greeting, bytes_of(copy, n));
		free(copy);
		t->n_in += n;
		hear(t);
		if (t->step == GREETING_PASSWORD)
			judge(t);
	}
}

/* ---- the first byte ---- */

Test(greeting, the_first_byte_says_which_protocol)
{
	for (unsigned first = 0; first < 256; first++) {
		for (unsigned protocols = 1; protocols <= BOTH; protocols++) {
			struct greeting_options options = { .protocols = protocols };
			struct talk t;
			uint8_t byte = (uint8_t)first;
			bool is_socks = first == 4 || first == 5,
			     is_http = first >= 'A' && first <= 'Z';
			enum greeting_step step = is_socks                    ? GREETING_MORE
						  : !is_http                  ? GREETING_SILENT
						  : protocols & GREETING_HTTP ? GREETING_MORE
									      : GREETING_REFUSED;
			converse(&t, &options, &byte, 1, 1);
			cr_expect_eq(t.step, step, "%u of %u", first, protocols);
			cr_expect_eq(t.n_said > 0, step == GREETING_REFUSED, "%u", first);
			greeting_free(t.greeting);
		}
	}
}

Test(greeting, before_the_first_byte_it_waits)
{
	struct greeting_options options = { .protocols = BOTH };
	struct greeting *greeting;
	cr_assert_eq(greeting_new(&options, &greeting), 0);
	cr_expect_eq(greeting_wants(greeting), 7, "no payload is so near");
	cr_expect_eq(greeting_output(greeting).len, 0);
	cr_expect_eq(greeting_feed(greeting, bytes_of(NULL, 0)), GREETING_MORE);
	cr_expect_eq(greeting_wants(greeting), 7);
	greeting_free(greeting);
	greeting_free(NULL);
}

/* ---- what the listener takes ---- */

struct row {
	const char *name;
	bool needs_user;
	const char *in;
	size_t n_in; /* that is taken: what follows is payload, or not read */
	enum greeting_step end;
	const char *said;
	size_t n_said;
	const char *target, *protocol, *user; /* READY */
};
#define IN(text) (text), sizeof(text) - 1

static const struct row served[] = {
	{ "socks5", false,
		IN("\5\1\0"
		   "\5\1\0\3\1"
		   "a"
		   "\0\1"),
		GREETING_READY, IN("\5\0"), "a:1", "socks5", "" },
	{ "socks5, user", true,
		IN("\5\1\2"
		   "\1\5"
		   "alice\6"
		   "secret"
		   "\5\1\0\3\1"
		   "a"
		   "\0\1"),
		GREETING_READY,
		IN("\5\2"
		   "\1\0"),
		"a:1", "socks5", "alice" },
	{ "socks5, wrong password", true,
		IN("\5\1\2"
		   "\1\5"
		   "alice\6"
		   "public"),
		GREETING_REFUSED,
		IN("\5\2"
		   "\1\1"),
		NULL, NULL, NULL },
	{ "socks4a", false,
		IN("\4\1\0\1\0\0\0\1"
		   "\0"
		   "a\0"),
		GREETING_READY, IN(""), "a:1", "socks4a", "" },
	{ "socks4a where a user is needed", true,
		IN("\4\1\0\1\0\0\0\1"
		   "\0"
		   "a\0"),
		GREETING_REFUSED, IN("\0\x5b\0\0\0\0\0\0"), NULL, NULL, NULL },
};

/* Where only HTTP is served, and users are needed. */
static const struct row not_served[] = {
	{ "socks5", true,
		IN("\5\1\0"
		   "\5\1\0\3\1"
		   "a"
		   "\0\1"),
		GREETING_REFUSED,
		IN("\5\0"
		   "\5\2\0\1\0\0\0\0\0\0"),
		NULL, NULL, NULL },
	{ "socks5, user too", true,
		IN("\5\2\2\0"
		   "\5\1\0\3\1"
		   "a"
		   "\0\1"),
		GREETING_REFUSED,
		IN("\5\0"
		   "\5\2\0\1\0\0\0\0\0\0"),
		NULL, NULL, NULL },
	{ "socks5, user only", true, IN("\5\1\2"), GREETING_REFUSED, IN("\5\xff"), NULL, NULL,
		NULL },
	{ "socks5, bind", true,
		IN("\5\1\0"
		   "\5\2\0\3\1"
		   "a"
		   "\0\1"),
		GREETING_REFUSED,
		IN("\5\0"
		   "\5\7\0\1\0\0\0\0\0\0"),
		NULL, NULL, NULL },
	{ "socks4a", true,
		IN("\4\1\0\1\0\0\0\1"
		   "\0"
		   "a\0"),
		GREETING_REFUSED, IN("\0\x5b\0\0\0\0\0\0"), NULL, NULL, NULL },
};

static void expect_row(const struct row *row, const struct talk *t)
{
	char text[ADDR_TEXT_MAX];
	cr_expect_eq(t->step, row->end, "%s: step %d", row->name, t->step);
	/* Behind methods that are refused a little more may have been read. */
	bool is_exact = t->step == GREETING_READY || row->n_in >= SOCKS_FIRST_READ;
	cr_expect(t->n_in == row->n_in ||
			  (!is_exact && t->n_in > row->n_in && t->n_in <= SOCKS_FIRST_READ),
		"%s: took %zu", row->name, t->n_in);
	cr_expect(t->n_said == row->n_said && memcmp(t->said, row->said, t->n_said) == 0, "%s",
		row->name);
	if (t->step != GREETING_READY || row->target == NULL)
		return;
	const struct greeting_request *request = greeting_request(t->greeting);
	cr_expect_eq(greeting_wants(t->greeting), 0, "%s", row->name);
	cr_expect_str_eq(addr_print(&request->target, text), row->target);
	cr_expect_str_eq(request->protocol, row->protocol);
	cr_expect_str_eq(request->user, row->user);
}

static void run_rows(const struct row *rows, size_t n, unsigned protocols)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t piece = 1; piece < 1000; piece *= 3) {
			struct greeting_options options = { .protocols = protocols,
				.needs_user = rows[i].needs_user };
			struct talk t;
			char all[256];
			memset(all, 'P', sizeof all);
			memcpy(all, rows[i].in, rows[i].n_in);
			converse(&t, &options, all, sizeof all, piece);
			expect_row(&rows[i], &t);
			greeting_free(t.greeting);
		}
	}
}

Test(greeting, socks_alone_and_beside_http)
{
	run_rows(served, sizeof served / sizeof served[0], BOTH);
	run_rows(served, sizeof served / sizeof served[0], GREETING_SOCKS);
}

/* "No acceptable method" would tell a client that it lacks a password: it is heard out instead. */
Test(greeting, a_socks_client_is_told_where_only_http_is_served)
{
	run_rows(not_served, sizeof not_served / sizeof not_served[0], GREETING_HTTP);
}

Test(greeting, an_http_client_is_told_where_only_socks_is_served)
{
	static const char *const heads[] = { "CONNECT a:1 HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n", "HEAD http://a/ HTTP/1.1\r\n\r\n" };
	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		struct greeting_options options = { .protocols = GREETING_SOCKS,
			.needs_user = true };
		struct talk t;
		converse(&t, &options, heads[i], strlen(heads[i]), SIZE_MAX);
		cr_expect_eq(t.step, GREETING_REFUSED);
		const char *body = strstr(t.said, "\r\n\r\n"), *length = strstr(t.said, "Length: ");
		cr_assert(body != NULL && length != NULL);
		cr_expect_eq(strncmp(t.said, "HTTP/1.1 403 ", 13), 0);
		cr_expect_not_null(strstr(t.said, "Connection: close\r\n"));
		cr_expect_not_null(
			strstr(t.said, "Proxy-Status: hopchain; error=http_request_denied"));
		size_t n_body = strlen(body + 4);
		if (heads[i][0] == 'H')
			cr_expect_eq(n_body, 0, "HEAD has none");
		else
			cr_expect_eq(n_body, strtoul(length + 8, NULL, 10));
		cr_expect(heads[i][0] == 'H' || strstr(body, "socks5h://") != NULL);
		greeting_free(t.greeting);
	}
}

/* ---- HTTP behind the first byte ---- */

Test(greeting, http_alone_and_beside_socks)
{
	static const char in[] =
		"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n";
	for (unsigned protocols = GREETING_HTTP; protocols <= BOTH; protocols++) {
		for (size_t piece = 1; piece < 1000; piece *= 3) {
			struct greeting_options options = { .protocols = protocols };
			struct talk t;
			char text[ADDR_TEXT_MAX];
			converse(&t, &options, in, sizeof in - 1, piece);
			cr_assert_eq(t.step, GREETING_READY, "%zu", piece);
			cr_expect_eq(t.n_in, sizeof in - 1);
			const struct greeting_request *request = greeting_request(t.greeting);
			cr_expect_str_eq(request->protocol, "http-connect");
			cr_expect_str_eq(addr_print(&request->target, text), "example.org:443");
			struct bytes out = greeting_answer(t.greeting, NULL, NULL);
			cr_expect_gt(out.len, 13);
			cr_expect_eq(memcmp(out.ptr, "HTTP/1.1 200 ", 13), 0);
			greeting_free(t.greeting);
		}
	}
}

Test(greeting, http_passwords_come_through)
{
	/* alice:secret */
	static const char in[] = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n"
				 "Proxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n";
	struct greeting_options options = { .protocols = BOTH, .needs_user = true };
	struct talk t;
	converse(&t, &options, in, sizeof in - 1, SIZE_MAX);
	cr_assert_eq(t.step, GREETING_READY);
	cr_expect_str_eq(greeting_request(t.greeting)->user, "alice");
	greeting_free(t.greeting);
}

Test(greeting, socks_answers)
{
	static const char in[] = "\5\1\0\5\1\0\3\1a\0\1";
	struct greeting_options options = { .protocols = BOTH };
	struct chain_error error = {
		.hop = 1, .n_hops = 1, .stage = CHAIN_DIAL, .code = -ECONNREFUSED
	};
	struct talk t;
	converse(&t, &options, in, sizeof in - 1, SIZE_MAX);
	cr_assert_eq(t.step, GREETING_READY);
	struct bytes out = greeting_answer(t.greeting, &error, NULL);
	cr_expect_eq(out.len, 10);
	cr_expect_eq(memcmp(out.ptr, "\5\5\0\1\0\0\0\0\0\0", 10), 0);
	greeting_free(t.greeting);
}

/* ---- memory ---- */

Test(greeting, without_memory_it_says_nothing)
{
	static const char *const firsts[] = { "\5", "\4", "CONNECT" };
	struct greeting_options options = { .protocols = BOTH };
	struct greeting *greeting = NULL;
	failing_start(1);
	cr_expect_eq(greeting_new(&options, &greeting), ERR_NOMEM);
	cr_expect(failing_stop());
	cr_expect_null(greeting);
	for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
		cr_assert_eq(greeting_new(&options, &greeting), 0);
		failing_start(1);
		cr_expect_eq(greeting_feed(greeting, bytes_of(firsts[i], 1)), GREETING_SILENT);
		cr_expect(failing_stop());
		greeting_free(greeting);
	}
}
