#include "access/http_response.h"

#include "access/http_rewrite.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#define PIECE 4096 /* bytes of a head looked at a time: what is behind it is not copied */

enum {
	HEAD,
	BODY,
	TO_END,
	ENDED,
	BAD,
};

struct http_response {
	struct http_response_options options;
	uint8_t state;
	bool has_begun, closes;
	unsigned n_interim;
	struct http_scan scan;
	struct http_head head;
	struct http_body body;
	const char *fault;
	size_t n_in;
	uint8_t in[HTTP_RESPONSE_HEAD_MAX]; /* of the head that is being read */
};

int http_response_new(const struct http_response_options *options, struct http_response **ret)
{
	struct http_response *r = malloc(sizeof *r);
	if (r == NULL)
		return ERR_NOMEM;
	/* Pages of the input are touched when there is some. */
	memset(r, 0, offsetof(struct http_response, in));
	r->options = *options;
	*ret = r;
	return 0;
}

void http_response_free(struct http_response *response)
{
	free(response);
}

static enum http_response_step fail(struct http_response *r, const char *fault)
{
	r->state = BAD;
	r->fault = fault;
	return HTTP_RESPONSE_BAD;
}

static const char *fault_of(const struct http_response *r)
{
	if (!http_rewrite_check(&r->head))
		return "Connection names what the answer needs, no field, or too many";
	if (r->head.status == 101 && !r->options.is_upgrade)
		return "it switches protocols, which nobody asked for";
	if (r->n_interim > HTTP_INTERIM_MAX)
		return "more than 1000 interim answers come before it";
	if (r->head.status == 407)
		return "its status is 407, which is a proxy's";
	return NULL;
}

/* RFC 9112 6.3. */
static uint8_t state_behind(struct http_response *r)
{
	unsigned status = r->head.status;
	if (status < 200)
		return status == 101 ? ENDED : HEAD;
	if (r->options.is_head || status == 204 || status == 304)
		return ENDED;
	if (r->head.framing == HTTP_TO_END)
		return TO_END;
	http_body_init(&r->body, &r->head);
	return http_body_has_ended(&r->body) ? ENDED : BODY;
}

static enum http_response_step end_head(struct http_response *r, size_t len)
{
	enum http_head_result result = http_head_parse_response(bytes_of(r->in, len), &r->head);
	if (result != HTTP_HEAD_OK)
		return fail(r, http_head_text(result));
	r->n_interim += r->head.status < 200;
	const char *fault = fault_of(r);
	if (fault != NULL)
		return fail(r, fault);
	r->state = state_behind(r);
	r->closes = r->state == TO_END || http_rewrite_closes(&r->head);
	r->scan = (struct http_scan){ 0 };
	r->n_in = 0;
	return HTTP_RESPONSE_HEAD;
}

static struct bytes behind(struct bytes in, size_t n)
{
	return bytes_of(in.ptr + n, in.len - n);
}

static enum http_response_step feed_head(struct http_response *r, struct bytes *in)
{
	while (in->len > 0) {
		size_t n = in->len < PIECE ? in->len : PIECE, n_before = r->n_in, len;
		if (n > sizeof r->in - n_before)
			n = sizeof r->in - n_before;
		memcpy(r->in + n_before, in->ptr, n);
		r->n_in += n;
		r->scan.is_response = true;
		enum http_head_result result =
			http_head_scan(&r->scan, bytes_of(r->in, r->n_in), &len);
		if (result == HTTP_HEAD_OK) {
			*in = behind(*in, len - n_before);
			return end_head(r, len);
		}
		if (result != HTTP_HEAD_MORE)
			return fail(r, http_head_text(result));
		*in = behind(*in, n);
		if (r->n_in == sizeof r->in)
			return fail(r, "its head is longer than 65536 bytes");
	}
	return HTTP_RESPONSE_MORE;
}

static enum http_response_step feed_body(
	struct http_response *r, struct bytes *in, struct bytes *ret_body)
{
	size_t n = r->state == TO_END ? in->len : http_body_take(&r->body, *in);
	*ret_body = bytes_of(in->ptr, n);
	*in = behind(*in, n);
	if (r->state == TO_END)
		return HTTP_RESPONSE_BODY;
	if (http_body_is_bad(&r->body))
		return fail(r, "its chunks are malformed");
	if (http_body_has_ended(&r->body))
		r->state = ENDED;
	return HTTP_RESPONSE_BODY;
}

enum http_response_step http_response_feed(
	struct http_response *response, struct bytes *in, struct bytes *ret_body)
{
	struct http_response *r = response;
	if (in->len == 0)
		return HTTP_RESPONSE_MORE;
	r->has_begun = true;
	switch (r->state) {
	case HEAD:
		return feed_head(r, in);
	case BODY:
	case TO_END:
		return feed_body(r, in, ret_body);
	case BAD:
		return HTTP_RESPONSE_BAD;
	default:
		return HTTP_RESPONSE_MORE;
	}
}

uint64_t http_response_run(const struct http_response *response)
{
	if (response->state == TO_END)
		return UINT64_MAX;
	return response->state == BODY ? http_body_run(&response->body) : 0;
}

void http_response_pass(struct http_response *response, uint64_t n)
{
	if (response->state != BODY)
		return;
	http_body_pass(&response->body, n);
	if (http_body_has_ended(&response->body))
		response->state = ENDED;
}

bool http_response_end(struct http_response *response)
{
	response->closes = true;
	if (response->state == TO_END)
		response->state = ENDED;
	return response->state == ENDED;
}

bool http_response_has_ended(const struct http_response *response)
{
	return response->state == ENDED;
}

bool http_response_has_begun(const struct http_response *response)
{
	return response->has_begun;
}

const struct http_head *http_response_head(const struct http_response *response)
{
	assert(response->head.status != 0);
	return &response->head;
}

bool http_response_is_to_end(const struct http_response *response)
{
	return response->state == TO_END;
}

bool http_response_closes(const struct http_response *response)
{
	return response->closes;
}

const char *http_response_fault(const struct http_response *response)
{
	return response->fault;
}
