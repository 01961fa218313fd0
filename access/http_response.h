#ifndef ACCESS_HTTP_RESPONSE_H
#define ACCESS_HTTP_RESPONSE_H
/*
 * Does: the answer of a web server to one request, without I/O: its interim heads, its head, where
 * it ends (RFC 9112 6.3). Knows: http_head.h, http_body.h. Never knows: streams, who reads it, what
 * of a head goes on (http_rewrite.h).
 *
 * What leaves any doubt about where the answer ends is bad: a length with a Transfer-Encoding,
 * several lengths, a coding that does not end in chunked, bare LF, folded lines, and all else
 * that http_head.h refuses. So are a 101 that nobody asked for and a 407, which is a proxy's.
 */
#include "access/http_body.h"
#include "common/err.h"

#define HTTP_RESPONSE_HEAD_MAX 65536
#define HTTP_INTERIM_MAX       1000 /* heads before an answer: one in 20 s for five hours */

/* What the answer belongs to. */
struct http_response_options {
	bool is_head;    /* the method is HEAD: there is no body */
	bool is_upgrade; /* 101 is an answer */
};

enum http_response_step {
	HTTP_RESPONSE_MORE, /* all was taken */
	HTTP_RESPONSE_HEAD, /* one more head is whole: http_response_head() */
	HTTP_RESPONSE_BODY, /* *ret_body goes on as it is */
	HTTP_RESPONSE_BAD,  /* http_response_fault() */
};

struct http_response;
NODISCARD int http_response_new(
	const struct http_response_options *options, struct http_response **ret);
void http_response_free(struct http_response *response); /* NULL ok */
/** http_response_feed() - takes bytes off the front of @in. What is left there once the answer has
 * ended is not part of it. However the bytes are cut, heads and body are the same. */
enum http_response_step http_response_feed(
	struct http_response *response, struct bytes *in, struct bytes *ret_body);
/** http_response_run() - so many bytes of its body come next in which its end is not to be looked
 * for. UINT64_MAX: until the server ends its direction. */
uint64_t http_response_run(const struct http_response *response);
/** http_response_pass() - takes @n bytes of the run that nobody has looked at. */
void http_response_pass(struct http_response *response, uint64_t n);
/** http_response_end() - the server has ended its direction. Return: whether the answer was whole.
 */
bool http_response_end(struct http_response *response);
bool http_response_has_ended(const struct http_response *response);
/** http_response_has_begun() - whether any byte has come. */
bool http_response_has_begun(const struct http_response *response);
/** http_response_head() - at HEAD, until the next feed. Below 200 another one follows, but 101. */
const struct http_head *http_response_head(const struct http_response *response);
/** http_response_is_to_end() - at HEAD: its body ends with the connection. */
bool http_response_is_to_end(const struct http_response *response);
/** http_response_closes() - the server will not take another request. */
bool http_response_closes(const struct http_response *response);
/** http_response_fault() - at BAD: one sentence, lower case. Static. */
const char *http_response_fault(const struct http_response *response);

#endif
