/*
 * A web server's answer. Byte 0 chooses: bit 0, the request was HEAD; bit 1, it may become a
 * WebSocket. The rest is fed whole, and again byte by byte: what the client gets and where it ends
 * must be the same. What the client gets must be an answer that ends at the same place.
 */
#include "access/http_response.h"
#include "access/http_rewrite.h"

#include <stdlib.h>

#define SAID_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct talk {
	bool is_bad, has_ended, is_whole;
	size_t n_in, n_said;
	uint8_t said[SAID_MAX];
};

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

static void take_head(const struct http_response *r, struct talk *t)
{
	struct wire_writer to;
	wire_writer_init(&to, t->said + t->n_said, sizeof t->said - t->n_said);
	http_rewrite_response(http_response_head(r), false, &to);
	check(!to.failed && wire_written(&to) <= http_rewrite_size(HTTP_RESPONSE_HEAD_MAX));
	t->n_said += wire_written(&to);
}

static void step(struct http_response *r, struct bytes *in, struct talk *t)
{
	struct bytes body, before = *in;
	switch (http_response_feed(r, in, &body)) {
	case HTTP_RESPONSE_MORE:
		check(in->len == 0);
		break;
	case HTTP_RESPONSE_HEAD:
		take_head(r, t);
		break;
	case HTTP_RESPONSE_BODY:
		check(body.len > 0 || http_response_has_ended(r));
		check(body.ptr == before.ptr && t->n_said + body.len <= sizeof t->said);
		memcpy(t->said + t->n_said, body.ptr, body.len);
		t->n_said += body.len;
		break;
	case HTTP_RESPONSE_BAD:
		check(http_response_fault(r) != NULL);
		t->is_bad = true;
		break;
	}
}

static void talk(struct talk *t, struct bytes in, size_t n_piece, struct http_response_options o)
{
	struct http_response *r;
	memset(t, 0, offsetof(struct talk, said));
	check(http_response_new(&o, &r) == 0);
	while (t->n_in < in.len && !t->is_bad && !http_response_has_ended(r)) {
		size_t n = n_piece < in.len - t->n_in ? n_piece : in.len - t->n_in;
		struct bytes piece = bytes_of(in.ptr + t->n_in, n);
		while (piece.len > 0 && !t->is_bad && !http_response_has_ended(r))
			step(r, &piece, t);
		t->n_in += n - piece.len;
	}
	t->has_ended = http_response_has_ended(r);
	t->is_whole = http_response_end(r);
	http_response_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct talk whole, parts, again;
	if (size < 1 || size > SAID_MAX / 4)
		return 0;
	struct http_response_options options = { data[0] & 1, data[0] & 2 };
	struct bytes in = bytes_of(data + 1, size - 1);
	talk(&whole, in, SIZE_MAX, options);
	talk(&parts, in, 1, options);
	check(whole.is_bad == parts.is_bad && whole.has_ended == parts.has_ended);
	check(whole.is_whole == parts.is_whole);
	if (whole.is_bad)
		return 0;
	check(whole.n_in == parts.n_in && whole.n_said == parts.n_said);
	check(memcmp(whole.said, parts.said, whole.n_said) == 0);
	if (!whole.has_ended)
		return 0;
	talk(&again, bytes_of(whole.said, whole.n_said), SIZE_MAX, options);
	if (again.is_bad) /* longer by a space behind each colon */
		check(size > HTTP_RESPONSE_HEAD_MAX / 2);
	else
		check(again.has_ended && again.n_in == whole.n_said);
	return 0;
}
