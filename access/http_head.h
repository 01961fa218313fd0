#ifndef ACCESS_HTTP_HEAD_H
#define ACCESS_HTTP_HEAD_H
/*
 * Does: the head of one HTTP/1 request or response, from bytes to a bounded list of fields. Its
 * lines are checked by our own strict rules first, then by llhttp; both must agree. Knows: llhttp,
 * RFC 9112. Never knows: what a proxy does with it.
 */
#include "access/http_text.h"

#define HTTP_FIELDS_MAX 100

enum http_head_result {
	HTTP_HEAD_OK,
	HTTP_HEAD_MORE,
	HTTP_HEAD_BAD_LINE_END, /* bare LF or CR */
	HTTP_HEAD_BAD_REQUEST_LINE,
	HTTP_HEAD_BAD_STATUS_LINE,
	HTTP_HEAD_BAD_VERSION,
	HTTP_HEAD_FOLDED,    /* a line that begins with white space */
	HTTP_HEAD_BAD_NAME,  /* no ':', nothing or white space before it, bytes that are no token */
	HTTP_HEAD_BAD_VALUE, /* control bytes */
	HTTP_HEAD_MANY_FIELDS,
	HTTP_HEAD_BAD_METHOD, /* a token, but no method we know */
	HTTP_HEAD_BAD_HOST,   /* none or several in 1.1, several in 1.0 */
	HTTP_HEAD_BAD_LENGTH, /* several; not a number of at most 18 digits without leading zeros */
	HTTP_HEAD_BAD_CODING, /* does not end in chunked; several; in 1.0; with a length */
	HTTP_HEAD_UNKNOWN_CODING, /* neither chunked, gzip, compress nor deflate */
	HTTP_HEAD_MALFORMED,      /* llhttp says so, where we saw nothing */
};

/** http_head_text() - one sentence about @result, lower case, no full stop. Static. */
const char *http_head_text(enum http_head_result result);
/** http_head_status() - 400, 431 or 501 for what is wrong. */
unsigned http_head_status(enum http_head_result result);

/* Progress through the lines of a head; zeros before the first call. */
struct http_scan {
	size_t i_line, i_next, n_lines;
	bool is_response; /* set by the caller */
};
/** http_head_scan() - checks the lines of @in that became whole since the last call; @in begins
 * with the head and only grows. Return: OK and the head's length with its empty line, MORE, or what
 * is wrong: the same for every way to cut the same bytes. */
enum http_head_result http_head_scan(struct http_scan *scan, struct bytes in, size_t *ret_len);

enum http_framing {
	HTTP_NO_BODY,
	HTTP_LENGTH,  /* body_len bytes follow */
	HTTP_CHUNKED, /* chunks follow, as they are */
	HTTP_TO_END,  /* of a response: everything up to the end of the connection */
};

struct http_field {
	struct bytes name, value; /* value: without white space around it */
};

/* Borrows from the bytes it was parsed from. */
struct http_head {
	struct bytes method, target; /* of a request */
	struct bytes reason;         /* of a response; may be empty */
	unsigned status;             /* of a response: 100..999; else 0 */
	unsigned minor;              /* of HTTP/1.x: 0 or 1 */
	enum http_framing framing;
	uint64_t body_len; /* LENGTH */
	size_t n_fields;
	struct http_field fields[HTTP_FIELDS_MAX];
};

/** http_head_parse() - @head is one whole head that http_head_scan() has let pass. Return: OK or
 * what is wrong; then @ret is unspecified. */
enum http_head_result http_head_parse(struct bytes head, struct http_head *ret);
/** http_head_parse_response() - the same for a response; the framing is what its fields say, which
 * method and status may overrule (http_response.h). */
enum http_head_result http_head_parse_response(struct bytes head, struct http_head *ret);

/** http_head_find() - the field @name (any case) from @i on, or NULL. */
const struct http_field *http_head_find(const struct http_head *head, const char *name, size_t i);
/** http_head_lists() - whether one of the fields @name is a list with @word in it, in any case. */
bool http_head_lists(const struct http_head *head, const char *name, const char *word);

#endif
