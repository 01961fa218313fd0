#include "access/http_greeting.h"
#include "access/http_request.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* What came of a request. */
struct outcome {
	enum greeting_step step;
	enum greeting_command command;
	char protocol[16], target[ADDR_TEXT_MAX], user[GREETING_NAME_MAX + 1];
	size_t n_first, n_out;
	size_t n_rest;
	char first[2 * GREETING_HEAD_MAX], rest[GREETING_HEAD_MAX], out[4096];
	bool is_short; /* decided before the last byte */
};

#define RAW(text) text, sizeof text - 1
#define N(array)  (sizeof array / sizeof array[0])

static struct http_greeting *new_http(bool needs_user)
{
	struct http_greeting *http;
	cr_assert_eq(http_greeting_new(needs_user, &http), 0);
	return http;
}

static enum greeting_step feed(struct http_greeting *http, const char *text, size_t len)
{
	cr_assert(http_greeting_wants(http) >= len);
	return http_greeting_feed(http, bytes_of(text, len));
}

static void keep(struct http_greeting *http, enum greeting_step step, struct outcome *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->step = step;
	struct bytes out = http_greeting_output(http);
	memcpy(ret->out, out.ptr, out.len);
	ret->n_out = out.len;
	cr_expect_eq(http_greeting_output(http).len, 0, "output comes once");
	if (step != GREETING_READY)
		return;
	const struct greeting_request *request = http_greeting_request(http);
	ret->command = request->command;
	snprintf(ret->protocol, sizeof ret->protocol, "%s", request->protocol);
	snprintf(ret->user, sizeof ret->user, "%s", request->user);
	addr_print(&request->target, ret->target);
	if (request->http == NULL)
		return;
	memcpy(ret->first, request->http->first.ptr, request->http->first.len);
	ret->n_first = request->http->first.len;
	memcpy(ret->rest, request->http->rest.ptr, request->http->rest.len);
	ret->n_rest = request->http->rest.len;
}

/* Feeds @text in pieces of @n bytes. Names and passwords are right. */
static void run(const char *text, size_t len, size_t n, bool needs_user, struct outcome *ret)
{
	struct http_greeting *http = new_http(needs_user);
	enum greeting_step step = GREETING_MORE;
	size_t i = 0;
	while (i < len && step == GREETING_MORE) {
		size_t n_now = n < len - i ? n : len - i;
		char *exact = malloc(n_now); /* so that the sanitizer sees a read past its end */
		memcpy(exact, text + i, n_now);
		step = feed(http, exact, n_now);
		free(exact);
		i += n_now;
	}
	if (step == GREETING_PASSWORD)
		step = http_greeting_verdict(http, true);
	keep(http, step, ret);
	ret->is_short = i < len;
	http_greeting_free(http);
}

static void expect_same(const struct outcome *a, const struct outcome *b, const char *text)
{
	cr_assert_eq(a->step, b->step, "%d %d: %s", a->step, b->step, text);
	cr_assert_str_eq(a->out, b->out);
	cr_assert_str_eq(a->target, b->target);
	cr_assert_eq(a->n_first, b->n_first);
	cr_assert_arr_eq(a->first, b->first, a->n_first);
}

/* However the bytes come, the outcome is one; only bytes behind the head may be left for later. */
static void expect_any_split(const char *text, size_t len, bool needs_user)
{
	static struct outcome whole, parts;
	run(text, len, len, needs_user, &whole);
	for (size_t n = 1; n < len; n++) {
		run(text, len, n, needs_user, &parts);
		if (parts.step == GREETING_READY && parts.is_short)
			continue;
		expect_same(&whole, &parts, text);
	}
}

static const struct {
	const char *request;
	size_t len;
	const char *target, *protocol, *first;
} good[] = {
	{ RAW("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"),
		"example.org:443", "http-connect", "" },
	{ RAW("CONNECT example.org.:443 HTTP/1.1\r\nHost: other\r\nA: b\r\n\r\n"),
		"example.org:443", "http-connect", "" },
	{ RAW("CONNECT 192.0.2.1:22 HTTP/1.0\r\n\r\n"), "192.0.2.1:22", "http-connect", "" },
	{ RAW("CONNECT [2001:db8::1]:65535 HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n"),
		"[2001:db8::1]:65535", "http-connect", "" },
	{ RAW("CONNECT a_b:1 HTTP/1.0\r\nContent-Length: 0\r\nProxy-Connection: "
	      "Keep-Alive\r\n\r\n"),
		"a_b:1", "http-connect", "" },
	{ RAW("GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n"), "example.org:80",
		"http", "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n" },
	{ RAW("GET HTTP://Example.org:8080/a//../%2e%00?b=http://c/?d HTTP/1.1\r\nhOST: x\r\n\r\n"),
		"Example.org:8080", "http",
		"GET /a//../%2e%00?b=http://c/?d HTTP/1.1\r\nHost: Example.org:8080\r\n"
		"\r\n" },
	{ RAW("GET http://h?q HTTP/1.0\r\n\r\n"), "h:80", "http",
		"GET /?q HTTP/1.0\r\nHost: h\r\nConnection: close\r\n\r\n" },
	{ RAW("OPTIONS http://h:81 HTTP/1.1\r\nHost: h:81\r\n\r\n"), "h:81", "http",
		"OPTIONS * HTTP/1.1\r\nHost: h:81\r\n\r\n" },
	{ RAW("OPTIONS http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"), "h:80", "http",
		"OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n" },
	{ RAW("GET http://h/a|b[c]^\\`{}\"<>'?x={[1]|}^ HTTP/1.1\r\nHost: h\r\n\r\n"), "h:80",
		"http", "GET /a|b[c]^\\`{}\"<>'?x={[1]|}^ HTTP/1.1\r\nHost: h\r\n\r\n" },
	{ RAW("GET http://[::1]:8080 HTTP/1.1\r\nHost: [::1]\r\n\r\n"), "[::1]:8080", "http",
		"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n" },
	{ RAW("GET http://[2001:db8::1]/ HTTP/1.1\r\nHost: h\r\n\r\n"), "[2001:db8::1]:80", "http",
		"GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n" },
	/* Fields: order, bytes and spelling stay; white space around values goes. */
	{ RAW("GET http://h/ HTTP/1.1\r\nB:1\r\na: \t 2\t3 \t\r\nHost: h\r\nB: \xc3\xa4\xff\r\n"
	      "Empty:\r\nX-Y: \"q, r\"; z\r\n\r\n"),
		"h:80", "http",
		"GET / HTTP/1.1\r\nHost: h\r\nB: 1\r\na: 2\t3\r\nB: \xc3\xa4\xff\r\nEmpty: \r\n"
		"X-Y: \"q, r\"; z\r\n\r\n" },
	/* What is for the proxy only goes no further. */
	{ RAW("GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-One ,,\tx-two\r\n"
	      "X-One: 1\r\nProxy-Authorization: Basic YTpi\r\nProxy-Connection: keep-alive\r\n"
	      "Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: websocket\r\nX-Two: 2\r\nX-Three: 3\r\n"
	      "cONNECTION: x-four\r\nX-Four: 4\r\nHTTP2-Settings: a\r\nTrailer: X\r\nVia: "
	      "v\r\n\r\n"),
		"h:80", "http",
		"GET / HTTP/1.1\r\nHost: h\r\nX-Three: 3\r\nTrailer: X\r\nVia: v\r\n"
		"\r\n" },
	/* Bodies: what came goes on as it is. */
	{ RAW("POST http://h/p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel"), "h:80",
		"http", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel" },
	{ RAW("POST http://h/p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
	      "3;ext=\"v\"\r\nabc\r\n0"),
		"h:80", "http",
		"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, Chunked\r\n"
		"\r\n3;ext=\"v\"\r\nabc\r\n0" },
	{ RAW("GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: "
	      ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,b\r\n"
	      "B: 1"
	      "\r\n\r\n"),
		"h:80", "http", "GET / HTTP/1.1\r\nHost: h\r\n\r\n" },
	/* Who closes says so to the server; a WebSocket may become one. */
	{ RAW("GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: a, Close\r\n\r\n"), "h:80", "http",
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" },
	{ RAW("GET http://h/ HTTP/1.1\r\nHost: h\r\nProxy-Connection: close\r\n\r\n"), "h:80",
		"http", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" },
	{ RAW("GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n"
	      "Upgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n"),
		"h:80", "http",
		"GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: upgrade\r\n"
		"Upgrade: websocket\r\n\r\n" },
	{ RAW("GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
	      "Upgrade: h2c\r\nHTTP2-Settings: a\r\n\r\n"),
		"h:80", "http", "GET / HTTP/1.1\r\nHost: h\r\n\r\n" },
	{ RAW("GET http://h/ HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"), "h:80", "http",
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n" },
	{ RAW("GET http://h/ HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
	      "Content-Length: 1\r\n\r\nx"),
		"h:80", "http", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx" },
	/* A second request is not given to the first one's server. */
	{ RAW("GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\nGET http://i/ HTTP/1.1\r\n"), "h:80",
		"http", "GET / HTTP/1.1\r\nHost: h\r\n\r\n" },
	{ RAW("PUT http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabGET http://i/"),
		"h:80", "http", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab" },
	{ RAW("PUT http://h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	      "1\r\na\r\n0\r\n\r\nGET http://i/"),
		"h:80", "http",
		"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
		"chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" },
};

Test(http_greeting, a_good_request_has_its_target_and_goes_on_byte_by_byte)
{
	static struct outcome o;
	for (size_t i = 0; i < N(good); i++) {
		run(good[i].request, good[i].len, good[i].len, false, &o);
		cr_assert_eq(o.step, GREETING_READY, "%s\n%s", good[i].request, o.out);
		cr_expect_eq(o.command, GREETING_CONNECT);
		cr_expect_str_eq(o.target, good[i].target);
		cr_expect_str_eq(o.protocol, good[i].protocol);
		cr_expect_str_eq(o.user, "");
		cr_expect_eq(o.n_out, 0);
		cr_expect_eq(o.n_first, strlen(good[i].first));
		cr_expect_str_eq(o.first, good[i].first);
		/* Nothing is lost between the server's and the next. */
		cr_expect(o.n_rest <= good[i].len &&
			  memcmp(o.rest, good[i].request + good[i].len - o.n_rest, o.n_rest) == 0);
		cr_expect_eq(o.n_rest > 0, strstr(good[i].request, "GET http://i/") != NULL);
		expect_any_split(good[i].request, good[i].len, false);
	}
}

#define GET  "GET http://h/ HTTP/1.1\r\n"
#define POST "POST http://h/ HTTP/1.1\r\nHost: h\r\n"
#define END  "\r\n\r\n"

static const struct {
	const char *request;
	size_t len;
	unsigned status;
	const char *text; /* part of the sentence */
} bad[] = {
	/* the request line */
	{ RAW("GET /\r\n"), 400, "request line" },
	{ RAW("GET / HTTP/1.1\r\nHost: h" END), 400, "this is a proxy" },
	{ RAW("OPTIONS * HTTP/1.1\r\nHost: h" END), 400, "this is a proxy" },
	{ RAW("GET  http://h/ HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("GET http://h/  HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("GET http://h/\tHTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("GET\thttp://h/ HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("GET http://h/a b HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("GET http://h/ HTTP/1.1 \r\nHost: h" END), 400, "request line" },
	{ RAW("GET http://h/\xc3\xa4 HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("GET http://h/\x7f HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("GET http://h/\0 HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW(" GET http://h/ HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("\r\nGET http://h/ HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("G(T http://h/ HTTP/1.1\r\nHost: h" END), 400, "request line" },
	{ RAW("GET http://h/ HTTP/0.9\r\nHost: h" END), 400, "version" },
	{ RAW("GET http://h/ HTTP/1.2\r\nHost: h" END), 400, "version" },
	{ RAW("GET http://h/ HTTP/1.10\r\nHost: h" END), 400, "version" },
	{ RAW("GET http://h/ HTTP/2.0\r\nHost: h" END), 400, "version" },
	{ RAW("GET http://h/ http/1.1\r\nHost: h" END), 400, "version" },
	{ RAW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400, "version" },
	{ RAW("get http://h/ HTTP/1.1\r\nHost: h" END), 501, "method" },
	{ RAW("GETT http://h/ HTTP/1.1\r\nHost: h" END), 501, "method" },
	{ RAW("FROB http://h/ HTTP/1.1\r\nHost: h" END), 501, "method" },
	/* lines */
	{ RAW("GET http://h/ HTTP/1.1\nHost: h\n\n"), 400, "CR LF" },
	{ RAW(GET "Host: h\n\r\n"), 400, "CR LF" },
	{ RAW(GET "Host: h\r\n\n"), 400, "CR LF" },
	{ RAW(GET "Host: h\rX: y" END), 400, "CR LF" },
	{ RAW(GET "Host: h\r\r\n\r\n"), 400, "CR LF" },
	{ RAW(GET "Host: h\r\n\r\r\n"), 400, "CR LF" },
	{ RAW(GET "Host: h\r\n folded" END), 400, "white space" },
	{ RAW(GET " Host: h" END), 400, "white space" },
	{ RAW(GET "Host: h\r\n\t" END), 400, "white space" },
	{ RAW(GET "Host : h" END), 400, "name and a colon" },
	{ RAW(GET "Host\t: h" END), 400, "name and a colon" },
	{ RAW(GET "Host: h\r\nTransfer-Encoding : chunked" END), 400, "name and a colon" },
	{ RAW(GET "Host: h\r\nno colon" END), 400, "name and a colon" },
	{ RAW(GET "Host: h\r\n: empty" END), 400, "name and a colon" },
	{ RAW(GET "Host: h\r\nA\xff: b" END), 400, "name and a colon" },
	{ RAW(GET "Host: h\r\nA\0: b" END), 400, "name and a colon" },
	{ RAW(GET "Host: h\r\nA(b: c" END), 400, "name and a colon" },
	{ RAW(GET "Host: h\r\nA: b\0c" END), 400, "control" },
	{ RAW(GET "Host: h\r\nA: b\x0b" END), 400, "control" },
	{ RAW(GET "Host: h\r\nA: b\x7f" END), 400, "control" },
	/* Host */
	{ RAW(GET "A: b" END), 400, "Host" },
	{ RAW(GET "Host: h\r\nHost: h" END), 400, "Host" },
	{ RAW("GET http://h/ HTTP/1.0\r\nHost: h\r\nhost: i" END), 400, "Host" },
	{ RAW(GET "Host:" END), 400, "Host" },
	{ RAW(GET "Host: a b" END), 400, "Host" },
	{ RAW(GET "Host: u@h" END), 400, "Host" },
	{ RAW(GET "Host: h:0" END), 400, "Host" },
	{ RAW(GET "Host: h/x" END), 400, "Host" },
	/* the target */
	{ RAW("GET https://h/ HTTP/1.1\r\nHost: h" END), 400, "CONNECT only" },
	{ RAW("GET ftp://h/ HTTP/1.1\r\nHost: h" END), 400, "http:// URLs only" },
	{ RAW("GET h:80 HTTP/1.1\r\nHost: h" END), 400, "" },
	{ RAW("GET http:/h HTTP/1.1\r\nHost: h" END), 400, "" },
	{ RAW("GET http:///x HTTP/1.1\r\nHost: h" END), 400, "" },
	{ RAW("GET http://u@h/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://u:p@h/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://h/#f HTTP/1.1\r\nHost: h" END), 400, "" },
	{ RAW("GET http://h:/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://h:0/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://h:65536/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://h:8x/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://127.1/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://0x7f000001/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://%31.2.3.4/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://[::1/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://::1/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://[fe80::1%251]/ HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("GET http://h\\@i/ HTTP/1.1\r\nHost: h" END), 400, "" },
	{ RAW("CONNECT h HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("CONNECT h:1/path HTTP/1.1\r\nHost: h" END), 400, "" },
	{ RAW("CONNECT http://h:1 HTTP/1.1\r\nHost: h" END), 400, "" },
	{ RAW("CONNECT u@h:1 HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("CONNECT h:0 HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("CONNECT h:70000 HTTP/1.1\r\nHost: h" END), 400, "HOST:PORT" },
	{ RAW("CONNECT [fe80::1%1]:1 HTTP/1.1\r\nHost: h" END), 400, "" },
	{ RAW("CONNECT h:1 HTTP/1.1\r\nHost: h" END "early"), 400, "behind CONNECT" },
	{ RAW("CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1" END), 400, "with a body" },
	{ RAW("CONNECT h:1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked" END), 400, "body" },
	/* lengths */
	{ RAW(POST "Content-Length: 5\r\nTransfer-Encoding: chunked" END), 400, "" },
	{ RAW(POST "Transfer-Encoding: chunked\r\nContent-Length: 5" END), 400, "" },
	{ RAW(POST "Content-Length: 5\r\nContent-Length: 6" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length: 5\r\nContent-Length: 5" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length: 5, 5" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length: +5" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length: -5" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length: 0x5" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length: 05" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length: 5 5" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length:" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length: 18446744073709551616" END), 400, "Content-Length" },
	{ RAW(POST "Content-Length: 1000000000000000000" END), 400, "Content-Length" },
	/* codings */
	{ RAW(POST "Transfer-Encoding: gzip" END), 400, "Transfer-Encoding" },
	{ RAW(POST "Transfer-Encoding: chunked, gzip" END), 400, "Transfer-Encoding" },
	{ RAW(POST "Transfer-Encoding: chunked, chunked" END), 400, "Transfer-Encoding" },
	{ RAW(POST "Transfer-Encoding: chunked," END), 400, "Transfer-Encoding" },
	{ RAW(POST "Transfer-Encoding: gzip,,chunked" END), 400, "Transfer-Encoding" },
	{ RAW(POST "Transfer-Encoding:" END), 400, "Transfer-Encoding" },
	{ RAW(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity" END), 400, "Tran" },
	{ RAW(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked" END), 400, "Transfer" },
	{ RAW("POST http://h/ HTTP/1.0\r\nTransfer-Encoding: chunked" END), 400, "Transfer-Enc" },
	{ RAW(POST "Transfer-Encoding: xchunked, chunked" END), 501, "unknown coding" },
	{ RAW(POST "Transfer-Encoding: chunked;q=1" END), 400, "Transfer-Encoding" },
	{ RAW(POST "Transfer-Encoding: chunked" END "zz\r\n"), 400, "chunks" },
	{ RAW(POST "Transfer-Encoding: chunked" END "1\nA"), 400, "chunks" },
	/* Connection */
	{ RAW(POST "Connection: Content-Length\r\nContent-Length: 1" END), 400, "Connection" },
	{ RAW(POST "Connection: close, transfer-encoding" END), 400, "Connection" },
	{ RAW(GET "Host: h\r\nConnection: host" END), 400, "Connection" },
	{ RAW(GET "Host: h\r\nConnection: a b" END), 400, "Connection" },
	{ RAW(GET "Host: h\r\nConnection: ,,,,,,,,,,,,,,,,\r\nConnection: ,,,,,,,,,,,,,,,a" END),
		400, "too many" },
};

Test(http_greeting, a_bad_request_is_refused_however_it_is_cut)
{
	static struct outcome o;
	char line[32];
	for (size_t i = 0; i < N(bad); i++) {
		run(bad[i].request, bad[i].len, bad[i].len, false, &o);
		cr_expect_eq(o.step, GREETING_REFUSED, "%s", bad[i].request);
		snprintf(line, sizeof line, "HTTP/1.1 %u ", bad[i].status);
		cr_expect_eq(
			strncmp(o.out, line, strlen(line)), 0, "%s\n%s", bad[i].request, o.out);
		const char *body = strstr(o.out, "\r\n\r\n");
		cr_assert_not_null(body);
		cr_expect_not_null(strstr(body, bad[i].text), "%s\n%s", bad[i].request, o.out);
		expect_any_split(bad[i].request, bad[i].len, false);
	}
}
