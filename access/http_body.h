#ifndef ACCESS_HTTP_BODY_H
#define ACCESS_HTTP_BODY_H
/*
 * Does: finds where the body of one message ends, byte by byte; changes nothing. Knows: RFC 9112 6,
 * 7.1. Never knows: who reads it.
 *
 * What follows a request's body is for the proxy, not for this request's server: a client that was
 * not told "Connection: close" may send its next request there, with its credentials.
 */
#include "access/http_head.h"

struct http_body {
	uint8_t state;    /* of http_body.c */
	uint64_t left;    /* bytes of the body, or of this chunk */
	uint32_t n_extra; /* bytes of this chunk's line, or of all trailer lines */
};

void http_body_init(struct http_body *body, const struct http_head *head);
/** http_body_take() - Return: how many of the first bytes of @in belong to the body: all of them,
 * unless it ended there or is malformed. */
size_t http_body_take(struct http_body *body, struct bytes in);
/** http_body_run() - so many bytes of it come next in which its end is not to be looked for. */
uint64_t http_body_run(const struct http_body *body);
/** http_body_pass() - takes @n bytes of the run that nobody has looked at. */
void http_body_pass(struct http_body *body, uint64_t n);
bool http_body_has_ended(const struct http_body *body);
bool http_body_is_chunked(const struct http_body *body);
/** http_body_is_bad() - chunks that are none; nothing more is taken. */
bool http_body_is_bad(const struct http_body *body);

#endif
