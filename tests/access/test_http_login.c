/* Names and passwords, limits, and every byte of what a client is answered. */
#include "access/http_greeting.h"
#include "access/http_request.h"
#include "chain/wire_status.h"
#include "tests/support/failing.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define N(array) (sizeof array / sizeof array[0])
#define CONNECT  "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n"

static struct http_greeting *new_http(bool needs_user)
{
	struct http_greeting *http;
	cr_assert_eq(http_greeting_new(needs_user, &http), 0);
	return http;
}

static enum greeting_step feed(struct http_greeting *http, const char *text)
{
	cr_assert(http_greeting_wants(http) >= strlen(text));
	return http_greeting_feed(http, bytes_of(text, strlen(text)));
}

static void expect_bytes(struct bytes is, const char *expected)
{
	cr_expect_eq(is.len, strlen(expected));
	cr_expect(is.len == strlen(expected) && memcmp(is.ptr, expected, is.len) == 0, "%.*s\n%s",
		(int)is.len, (const char *)is.ptr, expected);
}

#define AUTHENTICATE(length, sentence)                                                             \
	"HTTP/1.1 407 Proxy Authentication Required\r\n"                                           \
	"Proxy-Status: hopchain; error=http_request_denied; details=\"" sentence "\"\r\n"          \
	"Proxy-Authenticate: Basic realm=\"hopchain\"\r\n"                                         \
	"Content-Type: text/plain; charset=utf-8\r\n"                                              \
	"Content-Length: " length "\r\n\r\n"

Test(http_login, without_a_name_the_client_is_asked_for_one)
{
	struct http_greeting *http = new_http(true);
	cr_assert_eq(feed(http, CONNECT "\r\n"), GREETING_MORE);
	expect_bytes(http_greeting_output(http),
		AUTHENTICATE(
			"39", "this proxy needs a name and a password") "this proxy needs a name "
									"and a password\n" +
			0);
	http_greeting_free(http);
}

Test(http_login, a_right_password_lets_in_and_goes_no_further)
{
	const char *name, *password;
	struct http_greeting *http = new_http(true);
	cr_assert_eq(feed(http, "GET http://h/ HTTP/1.1\r\nHost: h\r\n"
				"proxy-authorization: bAsIc   bWU6cDpxIHI=\r\nA: b\r\n\r\n"),
		GREETING_PASSWORD);
	cr_expect_eq(http_greeting_output(http).len, 0);
	cr_expect_eq(http_greeting_wants(http), 0);
	http_greeting_password(http, &name, &password);
	cr_expect_str_eq(name, "me");
	cr_expect_str_eq(password, "p:q r");
	cr_expect_eq(http_greeting_verdict(http, true), GREETING_READY);
	cr_expect_eq(strlen(password), 0, "wiped");
	cr_expect_str_eq(http_greeting_request(http)->user, "me");
	expect_bytes(http_greeting_request(http)->http->first,
		"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
	http_greeting_free(http);
}

Test(http_login, a_wrong_password_is_told)
{
	const char *name, *password;
	struct http_greeting *http = new_http(true);
	cr_assert_eq(
		feed(http, CONNECT "Proxy-Authorization: Basic bWU6\r\n\r\n"), GREETING_PASSWORD);
	http_greeting_password(http, &name, &password);
	cr_expect_str_eq(name, "me");
	cr_expect_str_eq(password, "");
	cr_expect_eq(http_greeting_verdict(http, false), GREETING_MORE);
	cr_expect_eq(strlen(name), 0, "wiped");
	expect_bytes(http_greeting_output(http),
		AUTHENTICATE("23", "wrong name or password") "wrong name or password\n");
	cr_expect_eq(http_greeting_output(http).len, 0);
	http_greeting_free(http);
}

/* The same client may ask anew, a few times: what was said before is forgotten. */
Test(http_login, who_was_asked_may_answer_on_the_same_connection)
{
	struct http_greeting *http = new_http(true);
	for (int i = 0; i < HTTP_ASKED_MAX; i++) {
		cr_assert_eq(feed(http, CONNECT), GREETING_MORE);
		cr_assert_eq(http_greeting_output(http).len, 0);
		cr_assert_eq(feed(http, "A: b\r\n\r\n"), GREETING_MORE);
		cr_assert_gt(http_greeting_output(http).len, 0, "%d", i);
		cr_assert_eq(http_greeting_wants(http), GREETING_HEAD_MAX);
	}
	cr_assert_eq(feed(http, CONNECT "\r\n"), GREETING_REFUSED);
	struct bytes out = http_greeting_output(http);
	cr_expect_not_null(memmem(out.ptr, out.len, "\r\nConnection: close\r\n", 21));
	http_greeting_free(http);
	http = new_http(true);
	cr_assert_eq(feed(http, "HEAD http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"), GREETING_MORE);
	(void)http_greeting_output(http);
	cr_assert_eq(feed(http, "GET http://i:2/ HTTP/1.1\r\nHost: i\r\n"
				"Proxy-Authorization: Basic YTpi\r\n\r\n"),
		GREETING_PASSWORD);
	cr_assert_eq(http_greeting_verdict(http, true), GREETING_READY);
	cr_expect_not(http_greeting_request(http)->http->is_head);
	cr_expect_eq(http_greeting_request(http)->target.port, 2);
	http_greeting_free(http);
	http = new_http(true);
	cr_assert_eq(feed(http, "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"), GREETING_MORE);
	(void)http_greeting_output(http);
	cr_assert_eq(
		feed(http, CONNECT "Proxy-Authorization: Basic YTpi\r\n\r\n"), GREETING_PASSWORD);
	cr_assert_eq(http_greeting_verdict(http, true), GREETING_READY);
	cr_expect_null(http_greeting_request(http)->http, "a tunnel, not a request");
	http_greeting_free(http);
}

/* What can be taken for something else ends the connection. */
static const char *const last_words[] = {
	CONNECT "Connection: close\r\n\r\n",
	"CONNECT h:1 HTTP/1.0\r\n\r\n",
	"POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n",
	"POST http://h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
	"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\nGET",
};

Test(http_login, not_everybody_may_ask_anew)
{
	for (size_t i = 0; i < N(last_words); i++) {
		struct http_greeting *http = new_http(true);
		cr_expect_eq(feed(http, last_words[i]), GREETING_REFUSED, "%s", last_words[i]);
		http_greeting_free(http);
	}
}

/* "a:b" is YTpi. */
static const char *const no_logins[] = { "Basic", "Basic ", "Basic YTpi=", "Basic YTp",
	"Basic YTpi YTpi", "Basic YTpi,", "BasicYTpi", "Basic\tYTpi", "Basic Y\tpi", "Bearer YTpi",
	"Digest YTpi", "YTpi", "Basic YWI=" /* ab */, "Basic OmI=" /* :b */,
	"Basic YTpiYR==" /* unused bits */, "Basic YQA6Yg==" /* a NUL :b */,
	"Basic YTpiAA==" /* a:b NUL */, "Basic YTpiCg==" /* a:b LF */, "Basic YTo_", "" };

Test(http_login, credentials_that_are_none_are_refused)
{
	char text[256];
	for (size_t i = 0; i < N(no_logins); i++) {
		struct http_greeting *http = new_http(true);
		snprintf(
			text, sizeof text, CONNECT "Proxy-Authorization: %s\r\n\r\n", no_logins[i]);
		cr_expect_eq(feed(http, text), GREETING_MORE, "%s", no_logins[i]);
		struct bytes out = http_greeting_output(http);
		cr_expect_eq(memcmp(out.ptr, "HTTP/1.1 407 ", 13), 0, "%s", no_logins[i]);
		http_greeting_free(http);
		http = new_http(false);
		cr_expect_eq(feed(http, text), GREETING_READY, "nobody is asked");
		http_greeting_free(http);
	}
	struct http_greeting *http = new_http(true);
	cr_expect_eq(feed(http, CONNECT "Proxy-Authorization: Basic YTpi\r\n"
					"Proxy-Authorization: Basic YTpi\r\n\r\n"),
		GREETING_REFUSED);
	cr_expect_eq(memcmp(http_greeting_output(http).ptr, "HTTP/1.1 400 ", 13), 0);
	http_greeting_free(http);
}

/* @n_name and @n_password times 'x'. */
static enum greeting_step log_in(size_t n_name, size_t n_password, size_t *ret_n_password)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char login[1024] = { 0 }, text[2048] = CONNECT "Proxy-Authorization: Basic ", *to;
	const char *name, *password;
	memset(login, 'x', n_name + 1 + n_password);
	login[n_name] = ':';
	size_t len = n_name + 1 + n_password;
	to = text + strlen(text);
	for (size_t i = 0; i < len; i += 3) {
		unsigned long v = (unsigned long)(uint8_t)login[i] << 16 |
				  (unsigned long)(uint8_t)login[i + 1] << 8 | (uint8_t)login[i + 2];
		*to++ = digits[v >> 18];
		*to++ = digits[v >> 12 & 63];
		*to++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*to++ = i + 2 < len ? digits[v & 63] : '=';
	}
	strcpy(to, "\r\n\r\n");
	struct http_greeting *http = new_http(true);
	enum greeting_step step = feed(http, text);
	if (step == GREETING_PASSWORD) {
		http_greeting_password(http, &name, &password);
		cr_expect_eq(strlen(name), n_name);
		*ret_n_password = strlen(password);
	}
	http_greeting_free(http);
	return step;
}

Test(http_login, names_and_passwords_have_at_most_255_bytes)
{
	size_t n;
	cr_expect_eq(log_in(255, 255, &n), GREETING_PASSWORD);
	cr_expect_eq(n, 255);
	cr_expect_eq(log_in(1, 255, &n), GREETING_PASSWORD);
	cr_expect_eq(log_in(1, 256, &n), GREETING_MORE);
	cr_expect_eq(log_in(256, 1, &n), GREETING_MORE);
	cr_expect_eq(log_in(256, 300, &n), GREETING_MORE);
}

/* One head of @len bytes, filled up with 'a' before the last empty line. */
static void fill(char *text, size_t len)
{
	memset(text, 'a', len);
	memcpy(text, CONNECT "A: ", strlen(CONNECT "A: "));
	memcpy(text + len - 4, "\r\n\r\n", 4);
}

Test(http_login, a_head_has_at_most_16384_bytes)
{
	static char text[GREETING_HEAD_MAX + 1];
	struct http_greeting *http = new_http(false);
	fill(text, GREETING_HEAD_MAX);
	cr_expect_eq(http_greeting_wants(http), GREETING_HEAD_MAX);
	cr_expect_eq(http_greeting_feed(http, bytes_of(text, GREETING_HEAD_MAX)), GREETING_READY);
	http_greeting_free(http);

	http = new_http(false);
	fill(text, GREETING_HEAD_MAX + 1);
	for (size_t i = 0; i < GREETING_HEAD_MAX - 1; i++) {
		cr_assert_eq(http_greeting_feed(http, bytes_of(text + i, 1)), GREETING_MORE);
		cr_assert_eq(http_greeting_wants(http), GREETING_HEAD_MAX - 1 - i);
	}
	cr_expect_eq(http_greeting_feed(http, bytes_of(text + GREETING_HEAD_MAX - 1, 1)),
		GREETING_REFUSED);
	cr_expect_eq(memcmp(http_greeting_output(http).ptr, "HTTP/1.1 431 ", 13), 0);
	http_greeting_free(http);
}

static enum greeting_step feed_fields(struct http_greeting *http, size_t n_fields)
{
	char text[4096] = CONNECT;
	for (size_t i = 1; i < n_fields; i++)
		strcat(text, "A:b\r\n");
	strcat(text, "\r\n");
	return feed(http, text);
}

Test(http_login, a_head_has_at_most_100_fields)
{
	struct http_greeting *http = new_http(false);
	cr_expect_eq(feed_fields(http, 100), GREETING_READY);
	http_greeting_free(http);
	http = new_http(false);
	cr_expect_eq(feed_fields(http, 101), GREETING_REFUSED);
	cr_expect_eq(memcmp(http_greeting_output(http).ptr, "HTTP/1.1 431 ", 13), 0);
	http_greeting_free(http);
}

/* The longest head grows the most when every field gets its space. */
Test(http_login, the_largest_request_is_rewritten_whole)
{
	static char text[GREETING_HEAD_MAX];
	size_t len = 0;
	struct http_greeting *http = new_http(false);
	len += (size_t)sprintf(text, "GET http://h? HTTP/1.1\r\nHost:h\r\n");
	for (int i = 0; i < 98; i++)
		len += (size_t)sprintf(text + len, "A:b\r\n");
	memset(text + len, 'c', sizeof text - len);
	memcpy(text + len, "B:", 2);
	memcpy(text + sizeof text - 4, "\r\n\r\n", 4);
	cr_assert_eq(http_greeting_feed(http, bytes_of(text, sizeof text)), GREETING_READY);
	struct bytes first = http_greeting_request(http)->http->first;
	cr_expect_eq(first.len, sizeof text + 99 - strlen("Host:h\r\n") + strlen("/\r\nHost: h") -
					strlen("http://h"));
	cr_expect_eq(memcmp(first.ptr, "GET /? HTTP/1.1\r\nHost: h\r\nA: b\r\n", 32), 0);
	http_greeting_free(http);
}

Test(http_login, connect_is_answered_when_the_chain_stands_and_get_is_not)
{
	struct http_greeting *http = new_http(false);
	cr_assert_eq(feed(http, CONNECT "\r\n"), GREETING_READY);
	expect_bytes(
		http_greeting_answer(http, NULL), "HTTP/1.1 200 Connection established\r\n\r\n");
	http_greeting_free(http);
	http = new_http(false);
	cr_assert_eq(feed(http, "GET http://h/ HTTP/1.0\r\n\r\n"), GREETING_READY);
	cr_expect_eq(http_greeting_answer(http, NULL).len, 0);
	http_greeting_free(http);
}

Test(http_login, without_memory_the_client_is_told)
{
	struct http_greeting *http;
	failing_start(1);
	cr_expect_eq(http_greeting_new(false, &http), ERR_NOMEM);
	cr_expect(failing_stop());
	http = new_http(false);
	failing_start(1);
	cr_expect_eq(feed(http, "GET http://h/ HTTP/1.0\r\n\r\n"), GREETING_REFUSED);
	cr_expect(failing_stop());
	expect_bytes(http_greeting_output(http),
		"HTTP/1.1 503 Service Unavailable\r\n"
		"Proxy-Status: hopchain; details=\"out of memory\"\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: 14\r\n"
		"Connection: close\r\n\r\nout of memory\n");
	http_greeting_free(http);
}

static struct chain_error error_of(enum chain_stage stage, int code, uint8_t status)
{
	struct chain_error e = {
		.hop = 2, .n_hops = 3, .stage = stage, .code = code, .status = status
	};
	e.elapsed_ms = 7;
	cr_assert_eq(addr_parse_dial("192.0.2.7:7000", &e.address), ADDR_OK);
	e.hop_address = e.address;
	return e;
}

Test(http_login, an_error_names_the_hop_byte_by_byte)
{
	struct chain_error e = error_of(CHAIN_STATUS, 0, STATUS_REFUSED);
	struct http_greeting *http = new_http(false);
	cr_assert_eq(feed(http, CONNECT "\r\n"), GREETING_READY);
	expect_bytes(http_greeting_answer(http, &e),
		"HTTP/1.1 502 Bad Gateway\r\n"
		"Proxy-Status: hopchain; error=connection_refused; details=\"hop 2 could not reach "
		"hop 3 (192.0.2.7:7000): refused after 7 ms: nothing listens there\"\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: 88\r\n"
		"Connection: close\r\n\r\n"
		"hop 2 could not reach hop 3 (192.0.2.7:7000): refused after 7 ms: nothing listens "
		"there\n");
	http_greeting_free(http);
}

Test(http_login, details_are_a_string_of_structured_fields)
{
	struct chain_error e = error_of(CHAIN_ANSWER, ERR_BAD_RECORD, 0);
	strcpy(e.seen, "SSH\\2\xc3");
	struct http_greeting *http = new_http(false);
	cr_assert_eq(feed(http, "HEAD http://h/ HTTP/1.0\r\n\r\n"), GREETING_READY);
	expect_bytes(http_greeting_answer(http, &e),
		"HTTP/1.1 502 Bad Gateway\r\n"
		"Proxy-Status: hopchain; error=connection_terminated; details=\"hop 2 "
		"(192.0.2.7:7000): not-a-hop: its first bytes were \\\"SSH\\\\2?\\\": this looks "
		"like another protocol\"\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: 99\r\n"
		"Connection: close\r\n\r\n");
	http_greeting_free(http);
}

static const struct {
	enum chain_stage stage;
	int code;
	uint8_t status;
	unsigned http;
	const char *word;
} failures[] = {
	{ CHAIN_STATUS, 0, STATUS_LIMIT, 503, "connection_limit_reached" },
	{ CHAIN_STATUS, 0, STATUS_RATE, 503, "connection_limit_reached" },
	{ CHAIN_STATUS, 0, STATUS_LOCAL, 503, "proxy_internal_error" },
	{ CHAIN_SETUP, ERR_NOMEM, 0, 503, "proxy_internal_error" },
	{ CHAIN_DIAL, -EMFILE, 0, 503, "proxy_internal_error" },
	{ CHAIN_DIAL, -ECONNREFUSED, 0, 502, "connection_refused" },
	{ CHAIN_DIAL, -ETIMEDOUT, 0, 504, "connection_timeout" },
	{ CHAIN_RESOLVE, ERR_NOT_FOUND, 0, 502, "dns_error" },
	{ CHAIN_RESOLVE, ERR_DNS_TIMEOUT, 0, 504, "dns_timeout" },
	{ CHAIN_STATUS, 0, STATUS_TIMEOUT, 504, "connection_timeout" },
	{ CHAIN_STATUS, 0, STATUS_RESOLVE_TIMEOUT, 504, "dns_timeout" },
	{ CHAIN_STATUS, 0, STATUS_RESOLVE_FAIL, 502, "dns_error" },
	{ CHAIN_STATUS, 0, STATUS_NET_UNREACH, 502, "destination_ip_unroutable" },
	{ CHAIN_STATUS, 0, STATUS_DENIED_POLICY, 403, "destination_ip_prohibited" },
	{ CHAIN_STATUS, 0, STATUS_DENIED_LOOPBACK, 403, "proxy_loop_detected" },
	{ CHAIN_STATUS, 0, STATUS_DENIED_PORT, 403, "destination_ip_prohibited" },
	{ CHAIN_STATUS, 0, STATUS_DENIED_CMD, 403, NULL },
	{ CHAIN_STATUS, 0, STATUS_CLOCK_SKEW, 502, NULL },
	{ CHAIN_STATUS, 0, 0x6f, 502, "proxy_internal_error" },
	{ CHAIN_ANSWER, ERR_TIMEOUT, 0, 504, "connection_read_timeout" },
	{ CHAIN_ANSWER, ERR_TRUNCATED, 0, 502, "connection_terminated" },
	{ CHAIN_PAYLOAD, ERR_RESET, 0, 502, "connection_terminated" },
};

Test(http_login, every_failure_has_its_status_and_word)
{
	char start[128];
	for (size_t i = 0; i < N(failures); i++) {
		struct chain_error e =
			error_of(failures[i].stage, failures[i].code, failures[i].status);
		struct http_greeting *http = new_http(false);
		cr_assert_eq(feed(http, CONNECT "\r\n"), GREETING_READY);
		struct bytes out = http_greeting_answer(http, &e);
		snprintf(start, sizeof start, "HTTP/1.1 %u ", failures[i].http);
		cr_expect_eq(memcmp(out.ptr, start, strlen(start)), 0, "%zu: %.*s", i, (int)out.len,
			(const char *)out.ptr);
		snprintf(start, sizeof start, "\r\nProxy-Status: hopchain; %s%s%sdetails=\"hop ",
			failures[i].word ? "error=" : "", failures[i].word ? failures[i].word : "",
			failures[i].word ? "; " : "");
		if (failures[i].stage != CHAIN_PAYLOAD && failures[i].stage != CHAIN_SETUP)
			cr_expect_not_null(memmem(out.ptr, out.len, start, strlen(start)),
				"%zu: %.*s", i, (int)out.len, (const char *)out.ptr);
		http_greeting_free(http);
	}
}
