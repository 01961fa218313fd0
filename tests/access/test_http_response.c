/* Where a server's answer ends, and what of it a client gets. */
#include "access/http_response.h"
#include "access/http_rewrite.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define RAW(text) text, sizeof text - 1
#define N(array)  (sizeof array / sizeof array[0])
#define OK        "HTTP/1.1 200 OK\r\n"
#define END       "\r\n\r\n"

enum end {
	ENDED, /* with its last byte, or before */
	OPEN,  /* more must come */
	TO_END,
	BAD,
};

struct outcome {
	enum end end;
	bool closes;
	size_t n_left, n_said; /* bytes behind it */
	char said[1 << 18];    /* what the client gets */
	char fault[128];
};

static void take_head(struct http_response *r, struct outcome *o)
{
	struct wire_writer to;
	wire_writer_init(&to, (uint8_t *)o->said + o->n_said, sizeof o->said - o->n_said);
	http_rewrite_response(http_response_head(r), false, &to);
	cr_assert(!to.failed);
	o->n_said += wire_written(&to);
}

static bool feed(struct http_response *r, struct bytes *in, struct outcome *o)
{
	struct bytes body;
	switch (http_response_feed(r, in, &body)) {
	case HTTP_RESPONSE_MORE:
		break;
	case HTTP_RESPONSE_HEAD:
		take_head(r, o);
		break;
	case HTTP_RESPONSE_BODY:
		memcpy(o->said + o->n_said, body.ptr, body.len);
		o->n_said += body.len;
		break;
	case HTTP_RESPONSE_BAD:
		snprintf(o->fault, sizeof o->fault, "%s", http_response_fault(r));
		return false;
	}
	return true;
}

/* Feeds @text in pieces of @n_piece bytes. */
static void run(struct http_response_options options, struct bytes text, size_t n_piece,
	struct outcome *ret)
{
	struct http_response *r;
	bool is_good = true;
	memset(ret, 0, offsetof(struct outcome, said));
	ret->fault[0] = '\0';
	cr_assert_eq(http_response_new(&options, &r), 0);
	for (size_t i = 0, n; is_good && i < text.len; i += n) {
		n = n_piece < text.len - i ? n_piece : text.len - i;
		uint8_t *exact = malloc(n); /* so that the sanitizer sees a read past its end */
		memcpy(exact, text.ptr + i, n);
		struct bytes in = bytes_of(exact, n);
		while (is_good && in.len > 0 && !http_response_has_ended(r))
			is_good = feed(r, &in, ret);
		ret->n_left += in.len;
		free(exact);
	}
	ret->end = !is_good ? BAD : http_response_has_ended(r) ? ENDED : OPEN;
	if (ret->end == OPEN && http_response_end(r))
		ret->end = TO_END;
	ret->closes = http_response_closes(r);
	ret->said[ret->n_said] = '\0';
	http_response_free(r);
}

static const struct {
	const char *text;
	size_t len;
	const char *said;
	enum end end;
	size_t n_left;
	bool is_head, is_upgrade, closes;
} good[] = {
	{ RAW(OK "Content-Length: 2" END "ok"), OK "Content-Length: 2" END "ok", .end = ENDED },
	{ RAW(OK "Content-Length: 2" END "okHTTP/1.1 200 OK\r\n"), OK "Content-Length: 2" END "ok",
		.end = ENDED, .n_left = 17 },
	{ RAW(OK "Content-Length: 0" END), OK "Content-Length: 0" END, .end = ENDED },
	{ RAW(OK "Content-Length: 0" END "x"), OK "Content-Length: 0" END, .end = ENDED,
		.n_left = 1 },
	{ RAW(OK "Content-Length: 3" END "ok"), OK "Content-Length: 3" END "ok", .end = OPEN },
	{ RAW(OK "A: b"), "", .end = OPEN },
	{ RAW(OK "Transfer-Encoding: chunked" END "2;x\r\nok\r\n0\r\nT: u" END),
		OK "Transfer-Encoding: chunked" END "2;x\r\nok\r\n0\r\nT: u" END, .end = ENDED },
	{ RAW(OK "Transfer-Encoding: gzip, chunked\r\nTrailer: T" END "0" END "y"),
		OK "Transfer-Encoding: gzip, chunked\r\nTrailer: T" END "0" END, .end = ENDED,
		.n_left = 1 },
	{ RAW(OK "Transfer-Encoding: chunked" END "2\r\nok\r\n"),
		OK "Transfer-Encoding: chunked" END "2\r\nok\r\n", .end = OPEN },
	/* no length */
	{ RAW(OK "\r\nall of it"), OK "\r\nall of it", .end = TO_END, .closes = true },
	{ RAW(OK "\r\n"), OK "\r\n", .end = TO_END, .closes = true },
	{ RAW("HTTP/1.0 200 Fine then\r\nA: b" END "x"), "HTTP/1.1 200 Fine then\r\nA: b" END "x",
		.end = TO_END, .closes = true },
	{ RAW("HTTP/1.0 200 OK\r\nContent-Length: 1" END "x"), OK "Content-Length: 1" END "x",
		.end = ENDED, .closes = true },
	{ RAW("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1" END "x"),
		OK "Content-Length: 1" END "x", .end = ENDED, .closes = true },
	/* the status line */
	{ RAW("HTTP/1.1 200\r\nContent-Length: 0" END), "HTTP/1.1 200 \r\nContent-Length: 0" END,
		.end = ENDED },
	{ RAW("HTTP/1.1 200 \r\nContent-Length: 0" END), "HTTP/1.1 200 \r\nContent-Length: 0" END,
		.end = ENDED },
	{ RAW("HTTP/1.1 999 \xc3\xa4 b\r\nContent-Length: 0" END),
		"HTTP/1.1 999 \xc3\xa4 b\r\nContent-Length: 0" END, .end = ENDED },
	/* no body */
	{ RAW(OK "Content-Length: 5" END "x"), OK "Content-Length: 5" END, .end = ENDED,
		.n_left = 1, .is_head = true },
	{ RAW(OK "Transfer-Encoding: chunked" END), OK "Transfer-Encoding: chunked" END,
		.end = ENDED, .is_head = true },
	{ RAW(OK "\r\n"), OK "\r\n", .end = ENDED, .is_head = true },
	{ RAW("HTTP/1.1 304 N\r\nContent-Length: 5\r\nETag: x" END),
		"HTTP/1.1 304 N\r\nContent-Length: 5\r\nETag: x" END, .end = ENDED },
	{ RAW("HTTP/1.1 204 N\r\nContent-Length: 5\r\nA: b" END "hello"),
		"HTTP/1.1 204 N\r\nA: b" END, .end = ENDED, .n_left = 5 },
	{ RAW("HTTP/1.1 204 N\r\nTransfer-Encoding: chunked" END), "HTTP/1.1 204 N\r\n\r\n",
		.end = ENDED },
	/* interim answers */
	{ RAW("HTTP/1.1 100 Continue" END OK "Content-Length: 1" END "x"),
		"HTTP/1.1 100 Continue" END OK "Content-Length: 1" END "x", .end = ENDED },
	{ RAW("HTTP/1.1 103 E\r\nLink: a\r\nContent-Length: 9" END "HTTP/1.1 102 P" END OK
	      "Content-Length: 0" END),
		"HTTP/1.1 103 E\r\nLink: a" END "HTTP/1.1 102 P" END OK "Content-Length: 0" END,
		.end = ENDED },
	{ RAW("HTTP/1.1 100 Continue" END), "HTTP/1.1 100 Continue" END, .end = OPEN },
	/* another protocol */
	{ RAW("HTTP/1.1 101 S\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nX: y" END "frames"),
		"HTTP/1.1 101 S\r\nX: y\r\nConnection: upgrade\r\nUpgrade: websocket" END,
		.end = ENDED, .n_left = 6, .is_upgrade = true },
	{ RAW("HTTP/1.1 426 U\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: "
	      "0" END),
		"HTTP/1.1 426 U\r\nContent-Length: 0" END, .end = ENDED, .is_upgrade = true },
	/* what is for us only */
	{ RAW(OK "Connection: close, X-One\r\nX-One: 1\r\nKeep-Alive: 5\r\nProxy-Connection: a\r\n"
		 "Proxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\nProxy-Status: s\r\n"
		 "X-Two: 2\r\nVia: v\r\nContent-Length: 0" END),
		OK "Proxy-Status: s\r\nX-Two: 2\r\nVia: v\r\nContent-Length: 0" END, .end = ENDED,
		.closes = true },
	{ RAW(OK "Set-Cookie: a=b\r\nSet-Cookie: \tc=d \r\nE:\r\nContent-Length: 0" END),
		OK "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nE: \r\nContent-Length: 0" END,
		.end = ENDED },
};

Test(http_response, an_answer_ends_where_it_says_however_it_is_cut)
{
	static struct outcome o;
	for (size_t i = 0; i < N(good); i++) {
		struct http_response_options options = { good[i].is_head, good[i].is_upgrade };
		for (size_t n = 1; n <= good[i].len; n++) {
			run(options, bytes_of(good[i].text, good[i].len), n, &o);
			cr_expect_eq(o.end, good[i].end, "%zu %d: %s %s", n, o.end, good[i].text,
				o.fault);
			cr_expect_str_eq(o.said, good[i].said);
			cr_expect_eq(o.n_left, good[i].n_left, "%s", good[i].text);
			cr_expect_eq(o.closes, good[i].closes || good[i].end == OPEN, "%s",
				good[i].text);
		}
	}
}

Test(http_response, no_beginning_of_an_answer_is_a_whole_one)
{
	static struct outcome o;
	for (size_t i = 0; i < N(good); i++) {
		struct http_response_options options = { good[i].is_head, good[i].is_upgrade };
		size_t len = good[i].len - good[i].n_left;
		for (size_t n = 0; n < len && good[i].end == ENDED; n++) {
			run(options, bytes_of(good[i].text, n), SIZE_MAX, &o);
			cr_expect_eq(o.end, OPEN, "%zu of %s", n, good[i].text);
		}
	}
}

static const struct {
	const char *text;
	size_t len;
	const char *fault; /* part of the sentence */
} bad[] = {
	{ RAW("hello\r\n"), "status line" },
	{ RAW("\r\n" OK "\r\n"), "status line" },
	{ RAW("220 smtp.example ESMTP\r\n"), "status line" },
	{ RAW("HTTP/1.1 20 OK" END), "status line" },
	{ RAW("HTTP/1.1 2000 OK" END), "status line" },
	{ RAW("HTTP/1.1 099 OK" END), "status line" },
	{ RAW("HTTP/1.1  200 OK" END), "status line" },
	{ RAW("HTTP/1.1 200OK" END), "status line" },
	{ RAW("HTTP/1.1\t200 OK" END), "status line" },
	{ RAW("HTTP/1.1 +20 OK" END), "status line" },
	{ RAW("HTTP/1.1 200 O\0K" END), "status line" },
	{ RAW("HTTP/1.1 200 O\x7fK" END), "status line" },
	{ RAW("HTTP/1.2 200 OK" END), "version" },
	{ RAW("HTTP/2.0 200 OK" END), "version" },
	{ RAW("HTTP/1.10 200 OK" END), "version" },
	{ RAW("http/1.1 200 OK" END), "version" },
	{ RAW("ICY 200 OK" END), "version" },
	{ RAW("HTTP/1.1 200 OK\nA: b\n\n"), "CR LF" },
	{ RAW("HTTP/1.1 200 O\rK" END), "CR LF" },
	{ RAW(OK "A: b\n\r\n"), "CR LF" },
	{ RAW(OK "A: b\r\n\n"), "CR LF" },
	{ RAW(OK "A: b\rSet-Cookie: c" END), "CR LF" },
	{ RAW(OK "A: b\r\n folded" END), "white space" },
	{ RAW(OK " A: b" END), "white space" },
	{ RAW(OK "A : b" END), "name and a colon" },
	{ RAW(OK "Content-Length : 5" END), "name and a colon" },
	{ RAW(OK ": b" END), "name and a colon" },
	{ RAW(OK "no colon" END), "name and a colon" },
	{ RAW(OK "A\0: b" END), "name and a colon" },
	{ RAW(OK "A: \0" END), "control" },
	{ RAW(OK "A: \x01" END), "control" },
	{ RAW(OK "Content-Length: 5\r\nTransfer-Encoding: chunked" END), "" },
	{ RAW(OK "Transfer-Encoding: chunked\r\nContent-Length: 0" END), "" },
	{ RAW(OK "Content-Length: 5\r\nContent-Length: 6" END), "Content-Length" },
	{ RAW(OK "Content-Length: 5\r\ncontent-length: 5" END), "Content-Length" },
	{ RAW(OK "Content-Length: 5\r\nContent-Length: 05" END), "Content-Length" },
	{ RAW(OK "Content-Length: 5, 5" END), "Content-Length" },
	{ RAW(OK "Content-Length: -1" END), "Content-Length" },
	{ RAW(OK "Content-Length: +1" END), "Content-Length" },
	{ RAW(OK "Content-Length: 1x" END), "Content-Length" },
	{ RAW(OK "Content-Length:" END), "Content-Length" },
	{ RAW(OK "Content-Length: 1000000000000000000" END), "Content-Length" },
	{ RAW(OK "Transfer-Encoding: gzip" END), "Transfer-Encoding" },
	{ RAW(OK "Transfer-Encoding: identity" END), "Transfer-Encoding" },
	{ RAW(OK "Transfer-Encoding: chunked, gzip" END), "Transfer-Encoding" },
	{ RAW(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" END),
		"Transfer-Encoding" },
	{ RAW(OK "Transfer-Encoding: xchunked" END), "Transfer-Encoding" },
	{ RAW(OK "Transfer-Encoding:" END), "Transfer-Encoding" },
	{ RAW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked" END), "Transfer-Encoding" },
	{ RAW(OK "Transfer-Encoding: chunked" END "x"), "chunks" },
	{ RAW(OK "Transfer-Encoding: chunked" END "1\r\nab"), "chunks" },
	{ RAW(OK "Transfer-Encoding: chunked" END "1\nA"), "chunks" },
	{ RAW(OK "Connection: Content-Length\r\nContent-Length: 1" END), "Connection" },
	{ RAW(OK "Connection: a b" END), "Connection" },
	{ RAW("HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade" END), "nobody asked" },
	{ RAW("HTTP/1.1 407 P\r\nProxy-Authenticate: Basic\r\nContent-Length: 0" END), "407" },
};

Test(http_response, a_bad_answer_is_none_however_it_is_cut)
{
	static struct outcome o;
	struct http_response_options options = { 0 };
	for (size_t i = 0; i < N(bad); i++) {
		for (size_t n = 1; n <= bad[i].len; n++) {
			run(options, bytes_of(bad[i].text, bad[i].len), n, &o);
			cr_expect_eq(o.end, BAD, "%zu %s", n, bad[i].text);
			cr_expect_not_null(
				strstr(o.fault, bad[i].fault), "%s\n%s", bad[i].text, o.fault);
		}
	}
}

Test(http_response, heads_have_limits)
{
	static struct outcome o;
	static char text[HTTP_RESPONSE_HEAD_MAX + 100];
	struct http_response_options options = { 0 };
	for (size_t len = HTTP_RESPONSE_HEAD_MAX; len <= HTTP_RESPONSE_HEAD_MAX + 1; len++) {
		memset(text, 'a', len);
		memcpy(text, OK "A: ", strlen(OK "A: "));
		memcpy(text + len - 4, END, 4);
		bool fits = len <= HTTP_RESPONSE_HEAD_MAX;
		for (size_t n = 1000; n < 200000; n *= 5) {
			run(options, bytes_of(text, len), n, &o);
			cr_expect_eq(o.end, fits ? TO_END : BAD, "%zu %s", len, o.fault);
		}
	}
	for (size_t n_fields = 100; n_fields <= 101; n_fields++) {
		strcpy(text, OK);
		for (size_t i = 0; i < n_fields; i++)
			strcat(text, "A: b\r\n");
		strcat(text, "\r\n");
		run(options, bytes_of(text, strlen(text)), SIZE_MAX, &o);
		cr_expect_eq(o.end, n_fields == 100 ? TO_END : BAD);
	}
}

Test(http_response, interim_answers_have_an_end)
{
	static struct outcome o;
	static char text[HTTP_INTERIM_MAX * 20 + 200];
	static const char interim[] = "HTTP/1.1 102 P" END;
	for (size_t n = HTTP_INTERIM_MAX; n <= HTTP_INTERIM_MAX + 1; n++) {
		char *end = text;
		for (size_t i = 0; i < n; i++)
			end = stpcpy(end, interim);
		end = stpcpy(end, OK "Content-Length: 0" END);
		run((struct http_response_options){ 0 }, bytes_of(text, (size_t)(end - text)), 4000,
			&o);
		cr_expect_eq(o.end, n == HTTP_INTERIM_MAX ? ENDED : BAD, "%zu %s", n, o.fault);
	}
}

Test(http_response, a_close_is_said_to_the_client_at_the_end)
{
	struct http_response *r;
	struct http_response_options options = { 0 };
	struct bytes in = bytes_of(OK "Content-Length: 0" END, strlen(OK "Content-Length: 0" END));
	struct bytes body;
	uint8_t out[256];
	struct wire_writer to;
	cr_assert_eq(http_response_new(&options, &r), 0);
	cr_expect_not(http_response_has_begun(r));
	cr_assert_eq(http_response_feed(r, &in, &body), HTTP_RESPONSE_HEAD);
	cr_expect(http_response_has_begun(r));
	wire_writer_init(&to, out, sizeof out);
	http_rewrite_response(http_response_head(r), true, &to);
	static const char expected[] = OK "Content-Length: 0\r\nConnection: close" END;
	cr_assert_eq(wire_written(&to), strlen(expected));
	cr_expect_arr_eq(out, expected, strlen(expected));
	http_response_free(r);
}
