#include "access/http_body.h"

#include <assert.h>

#define SIZE_MAX_DIGITS 15   /* of a chunk: fits 64 bits with room to shift */
#define EXTRA_MAX       4096 /* bytes of a chunk's line; of the trailer */

enum {
	BYTES,      /* body of a known length */
	SIZE_FIRST, /* the first digit of a chunk's size */
	SIZE,
	SIZE_WHITE, /* behind the size: some servers pad it */
	EXTENSION,  /* behind ';', up to CR */
	SIZE_LF,
	CHUNK,
	CHUNK_CR,
	CHUNK_LF,
	TRAILER, /* at the begin of a line */
	TRAILER_LINE,
	TRAILER_LF,
	LAST_LF,
	ENDED,
	BAD,
};

void http_body_init(struct http_body *body, const struct http_head *head)
{
	*body = (struct http_body){ .state = ENDED };
	if (head->framing == HTTP_CHUNKED) {
		body->state = SIZE_FIRST;
	} else if (head->framing == HTTP_LENGTH && head->body_len > 0) {
		body->state = BYTES;
		body->left = head->body_len;
	}
}

static int digit_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Nothing but an extension: "5 5" is no size, though some would read one. */
static uint8_t after_white(struct http_body *body, uint8_t c)
{
	if (c == ' ' || c == '\t')
		return ++body->n_extra > EXTRA_MAX ? BAD : SIZE_WHITE;
	return c == '\r' ? SIZE_LF : c == ';' ? EXTENSION : BAD;
}

static uint8_t after_size(struct http_body *body, uint8_t c)
{
	int digit = digit_of(c);
	if (digit >= 0 && body->n_extra < SIZE_MAX_DIGITS) {
		body->left = body->left << 4 | (unsigned)digit;
		body->n_extra++;
		return SIZE;
	}
	if (body->state == SIZE_FIRST || digit >= 0)
		return BAD;
	return after_white(body, c);
}

/* A line that nobody looks into: @state until its CR, then @next. */
static uint8_t after_text(struct http_body *body, uint8_t c, uint8_t state, uint8_t next)
{
	if (c == '\r')
		return next;
	if (++body->n_extra > EXTRA_MAX || (c < 0x20 && c != '\t') || c == 0x7f)
		return BAD;
	return state;
}

static uint8_t after_size_line(struct http_body *body)
{
	body->n_extra = 0;
	return body->left > 0 ? CHUNK : TRAILER;
}

/* One byte outside the data. */
static uint8_t after(struct http_body *body, uint8_t c)
{
	switch (body->state) {
	case SIZE_FIRST:
	case SIZE:
		return after_size(body, c);
	case SIZE_WHITE:
		return after_white(body, c);
	case EXTENSION:
		return after_text(body, c, EXTENSION, SIZE_LF);
	case SIZE_LF:
		return c == '\n' ? after_size_line(body) : BAD;
	case CHUNK_CR:
		return c == '\r' ? CHUNK_LF : BAD;
	case CHUNK_LF:
		return c == '\n' ? SIZE_FIRST : BAD;
	case TRAILER:
		return after_text(body, c, TRAILER_LINE, LAST_LF);
	case TRAILER_LINE:
		return after_text(body, c, TRAILER_LINE, TRAILER_LF);
	case TRAILER_LF:
		return c == '\n' ? TRAILER : BAD;
	case LAST_LF:
		return c == '\n' ? ENDED : BAD;
	default:
		return BAD;
	}
}

uint64_t http_body_run(const struct http_body *body)
{
	return body->state == BYTES || body->state == CHUNK ? body->left : 0;
}

void http_body_pass(struct http_body *body, uint64_t n)
{
	assert(n <= http_body_run(body));
	if (n == 0)
		return;
	body->left -= n;
	if (body->left == 0)
		body->state = body->state == CHUNK ? CHUNK_CR : ENDED;
}

static size_t take_data(struct http_body *body, size_t len)
{
	size_t n = body->left < len ? (size_t)body->left : len;
	http_body_pass(body, n);
	return n;
}

size_t http_body_take(struct http_body *body, struct bytes in)
{
	size_t n = 0;
	while (n < in.len && body->state != ENDED && body->state != BAD) {
		if (body->state == BYTES || body->state == CHUNK) {
			n += take_data(body, in.len - n);
			continue;
		}
		body->state = after(body, in.ptr[n]);
		if (body->state != BAD)
			n++;
	}
	return n;
}

bool http_body_has_ended(const struct http_body *body)
{
	return body->state == ENDED;
}

bool http_body_is_chunked(const struct http_body *body)
{
	return body->state > BYTES && body->state < ENDED;
}

bool http_body_is_bad(const struct http_body *body)
{
	return body->state == BAD;
}
