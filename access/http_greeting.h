#ifndef ACCESS_HTTP_GREETING_H
#define ACCESS_HTTP_GREETING_H
/*
 * Does: one request of an HTTP/1 client to a proxy, without I/O: CONNECT (RFC 9110 9.3.6), or an
 * absolute URI (RFC 9112 3.2.2), and what it is answered. Knows: HTTP through llhttp
 * (http_head.h). Never knows: streams, who may come in. For greeting.c.
 */
#include "access/greeting.h"

#define HTTP_ASKED_MAX 8

struct http_greeting;
NODISCARD int http_greeting_new(bool needs_user, struct http_greeting **ret);
void http_greeting_free(struct http_greeting *http); /* wipes. NULL ok */
size_t http_greeting_wants(const struct http_greeting *http);
/**
 * http_greeting_feed() - as greeting_feed(). However the bytes of a head are cut, the outcome is
 * one; what is behind the head is looked at if it came with the head's end.
 *  - CONNECT: target is the authority; bytes behind the head, a body and Transfer-Encoding are
 *    refused (400). "Content-Length: 0" is not: WinHTTP sends it.
 *  - "http://HOST[:PORT]/…": the request is rewritten to origin form for the target
 *    (http_rewrite.h); the body goes on as it is; what is behind it is the next request
 *    (http_request.h).
 *  - https:// and other schemes, origin form and "*": 400 with a short body that says what this is.
 *  - 400: Content-Length with Transfer-Encoding, two lengths or an odd one, two Transfer-Encoding
 *    or one that does not end in chunked or is of 1.0, obs-fold, bare LF or CR, space before ':',
 *    bytes that are no token, version other than 1.0 and 1.1, no or two Host in 1.1 or one that is
 *    none, user information, a fragment, "Connection" that names Host or a length.
 *  - 431 above GREETING_HEAD_MAX or HTTP_FIELDS_MAX; 501 for methods that llhttp does not know and
 *    unknown codings; 407 with Proxy-Authenticate: Basic realm="hopchain" where a user is needed.
 *  - Behind a 407 the same client may ask anew (MORE, with output), HTTP_ASKED_MAX times: if its
 *    request had no body, nothing came behind it, and it did not say that it closes.
 */
enum greeting_step http_greeting_feed(struct http_greeting *http, struct bytes in);
struct bytes http_greeting_output(struct http_greeting *http); /* once */
void http_greeting_password(
	const struct http_greeting *http, const char **ret_name, const char **ret_password);
enum greeting_step http_greeting_verdict(struct http_greeting *http, bool is_right);
const struct greeting_request *http_greeting_request(const struct http_greeting *http);
/** http_greeting_answer() - "HTTP/1.1 200 …" for CONNECT, nothing for other methods; on error 502,
 * 503, 504 or 403 by the status, with Proxy-Status (RFC 9209: hopchain; error=…; details="…") that
 * names the hop, Content-Length, Connection: close and a short text body (none for HEAD). */
struct bytes http_greeting_answer(struct http_greeting *http, const struct chain_error *error);

#endif
