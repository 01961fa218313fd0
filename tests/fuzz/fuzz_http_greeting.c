/*
 * An HTTP client's bytes. Byte 0 chooses: bit 0, a user is needed; bit 1, the password is right.
 * The rest is fed whole, and again byte by byte: what is said and understood must be the same. What
 * a web server gets must parse again, with nothing in it that was for the proxy; named by an
 * absolute URI once more, it must come out as it went in.
 */
#include "access/http_body.h"
#include "access/http_greeting.h"
#include "access/http_head.h"
#include "access/http_request.h"
#include "access/http_rewrite.h"

#include <stdio.h>
#include <stdlib.h>

#define OUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk {
	struct http_greeting *http;
	enum greeting_step step;
	size_t n_in, n_out;
	bool is_asked;
	char out[OUT_MAX + 1];
};

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

static bool begins(struct bytes text, const char *with)
{
	return text.len >= strlen(with) && memcmp(text.ptr, with, strlen(with)) == 0;
}

/* An answer of ours: one head, as long a body as it says or none. */
static void check_answer(const char *out, size_t len, bool is_last)
{
	const char *body = strstr(out, "\r\n\r\n"), *length = strstr(out, "\r\nContent-Length: ");
	check(strncmp(out, "HTTP/1.1 4", 10) == 0 || strncmp(out, "HTTP/1.1 5", 10) == 0);
	check(strlen(out) == len && body != NULL && length != NULL && length < body);
	check(is_last == (strstr(out, "\r\nConnection: close\r\n\r\n") ==
				 body - strlen("\r\nConnection: close")));
	size_t n_body = len - (size_t)(body + 4 - out);
	check(n_body == 0 || n_body == strtoul(length + 18, NULL, 10));
}

static void judge(struct talk *t, bool is_right)
{
	const char *name, *password;
	http_greeting_password(t->http, &name, &password);
	check(strlen(name) > 0 && strlen(name) <= GREETING_NAME_MAX);
	check(strlen(password) <= GREETING_NAME_MAX);
	t->step = http_greeting_verdict(t->http, is_right);
	check(is_right ? t->step != GREETING_MORE : t->step != GREETING_READY);
}

/* Behind a 407 the client may ask anew; here it does not. */
static void hear(struct talk *t)
{
	struct bytes out = http_greeting_output(t->http);
	check(out.len <= OUT_MAX && t->n_out == 0);
	memcpy(t->out, out.ptr, out.len);
	t->n_out = out.len;
	t->is_asked = t->step == GREETING_MORE && out.len > 0;
}

static void talk(struct talk *t, struct bytes in, size_t n_piece, bool needs_user, bool is_right)
{
	memset(t, 0, sizeof *t);
	check(http_greeting_new(needs_user, &t->http) == 0);
	t->step = GREETING_MORE;
	while (t->step == GREETING_MORE && t->n_in < in.len && t->n_out == 0) {
		size_t n = in.len - t->n_in, n_wanted = http_greeting_wants(t->http);
		n = n < n_piece ? n : n_piece;
		check(n_wanted > 0);
		n = n < n_wanted ? n : n_wanted;
		t->step = http_greeting_feed(t->http, bytes_of(in.ptr + t->n_in, n));
		t->n_in += n;
		hear(t);
	}
	if (t->step == GREETING_PASSWORD) {
		check(needs_user);
		judge(t, is_right);
		hear(t);
	}
	check((t->n_out > 0) == (t->step == GREETING_REFUSED || t->is_asked));
	if (t->n_out > 0)
		check_answer(t->out, t->n_out, !t->is_asked);
}

static void check_fields(const struct http_head *head, struct http_head *of_client)
{
	check(head->n_fields >= 1 && http_is_word(head->fields[0].name, "Host"));
	check(http_head_find(head, "Host", 1) == NULL);
	const struct http_field *connection = http_head_find(head, "Connection", 0);
	bool is_upgrade = http_rewrite_is_upgrade(of_client);
	check((connection != NULL) == (is_upgrade || http_rewrite_closes(of_client)));
	check(is_upgrade == http_rewrite_is_upgrade(head));
	check(http_rewrite_closes(of_client) == http_rewrite_closes(head));
	for (size_t i = 0; i < head->n_fields; i++) {
		struct bytes name = head->fields[i].name;
		check(name.len < 6 || !http_is_word(bytes_of(name.ptr, 6), "Proxy-"));
		check(!http_is_word(name, "TE") && (is_upgrade || !http_is_word(name, "Upgrade")));
	}
	check(head->framing == of_client->framing && head->body_len == of_client->body_len);
	check(head->minor == of_client->minor && head->method.len == of_client->method.len);
}

/* @first again, as a client would ask its proxy for it. */
static void check_again(struct bytes first, size_t head_len, const struct http_head *head)
{
	static char text[2 * GREETING_HEAD_MAX];
	static struct talk t;
	struct bytes host = head->fields[0].value, path = head->target;
	const uint8_t *rest = head->target.ptr + head->target.len;
	if (path.len == 1 && path.ptr[0] == '*')
		path.len = 0;
	int n = snprintf(text, sizeof text, "%.*s http://%.*s%.*s", (int)head->method.len,
		(const char *)head->method.ptr, (int)host.len, (const char *)host.ptr,
		(int)path.len, (const char *)path.ptr);
	size_t n_rest = (size_t)(first.ptr + head_len - rest);
	if ((size_t)n + n_rest > GREETING_HEAD_MAX || head->n_fields > HTTP_FIELDS_MAX - 2)
		return;
	/* Our Connection would name these fields. */
	if (http_head_find(head, "close", 0) != NULL || http_head_find(head, "upgrade", 0) != NULL)
		return;
	memcpy(text + n, rest, n_rest);
	talk(&t, bytes_of(text, (size_t)n + n_rest), SIZE_MAX, false, false);
	check(t.step == GREETING_READY);
	struct bytes again = http_greeting_request(t.http)->http->first;
	check(again.len == head_len && memcmp(again.ptr, first.ptr, head_len) == 0);
	http_greeting_free(t.http);
}

static void check_first(struct bytes first, struct bytes in)
{
	static struct http_head head, of_client;
	struct http_scan scan = { 0 }, scan_client = { 0 };
	struct http_body body;
	size_t head_len, client_len;
	check(http_head_scan(&scan_client, in, &client_len) == HTTP_HEAD_OK);
	check(http_head_parse(bytes_of(in.ptr, client_len), &of_client) == HTTP_HEAD_OK);
	/* Host and Connection may be one and one more than the client had. */
	if (of_client.n_fields > HTTP_FIELDS_MAX - 2)
		return;
	check(http_head_scan(&scan, first, &head_len) == HTTP_HEAD_OK);
	check(http_head_parse(bytes_of(first.ptr, head_len), &head) == HTTP_HEAD_OK);
	check(begins(head.target, "/") || (head.target.len == 1 && head.target.ptr[0] == '*'));
	check_fields(&head, &of_client);
	http_body_init(&body, &head);
	size_t n_body = first.len - head_len;
	check(n_body <= in.len - client_len);
	check(n_body == 0 || memcmp(first.ptr + head_len, in.ptr + client_len, n_body) == 0);
	check(http_body_take(&body, bytes_of(first.ptr + head_len, n_body)) == n_body);
	check_again(first, head_len, &head);
}

static void check_request(struct talk *t, struct bytes in, bool needs_user)
{
	const struct greeting_request *request = http_greeting_request(t->http);
	check(request->command == GREETING_CONNECT && request->target.port != 0);
	check(request->target.kind != ADDR_NONE);
	check((*request->user != '\0') == needs_user);
	check((request->http == NULL) == (strcmp(request->protocol, "http-connect") == 0));
	if (request->http != NULL)
		check_first(request->http->first, in);
	struct chain_error error = { .hop = 1, .n_hops = 1, .stage = CHAIN_ANSWER };
	error.address = request->target;
	struct bytes answer = http_greeting_answer(t->http, &error);
	check(answer.len <= OUT_MAX);
	memcpy(t->out, answer.ptr, answer.len);
	t->out[answer.len] = '\0';
	check_answer(t->out, answer.len, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct talk whole, parts;
	if (size < 1)
		return 0;
	bool needs_user = data[0] & 1, is_right = data[0] & 2;
	struct bytes in = bytes_of(data + 1, size - 1);
	talk(&whole, in, SIZE_MAX, needs_user, is_right);
	talk(&parts, in, 1, needs_user, is_right);
	/* Bytes behind the head are looked at if they came with it. */
	if ((parts.step != GREETING_READY && !parts.is_asked) || parts.n_in == in.len) {
		check(whole.step == parts.step && whole.n_out == parts.n_out);
		check(memcmp(whole.out, parts.out, whole.n_out) == 0);
	}
	if (whole.step == GREETING_READY)
		check_request(&whole, bytes_of(in.ptr, whole.n_in), needs_user);
	http_greeting_free(whole.http);
	http_greeting_free(parts.http);
	return 0;
}
