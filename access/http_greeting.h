#ifndef ACCESS_HTTP_GREETING_H
#define ACCESS_HTTP_GREETING_H
/*
 * Does: one request of an HTTP/1 client to a proxy, without I/O: CONNECT (RFC 9110 9.3.6), or an
 * absolute URI (RFC 9112 3.2.2), and what it is answered. Knows: HTTP through llhttp
 * (http_head.h). Never knows: streams, who may come in. For greeting.c.
 */
#include "access/greeting.h"

struct http_greeting;
NODISCARD int http_greeting_new(bool needs_user, struct http_greeting **ret);
void http_greeting_free(struct http_greeting *http); /* wipes. NULL ok */
size_t http_greeting_wants(const struct http_greeting *http);
/**
 * http_greeting_feed() - as greeting_feed().
 * CONNECT: target is the authority; bytes behind the head are refused (400).
 * "http://HOST[:PORT]/…": the request is rewritten to origin form for the target: hop-by-hop
 * fields removed (Connection and what it names, Proxy-*, Keep-Alive, TE, Upgrade, Trailer stays
 * with chunked), "Host" as the URI says, "Connection: close" added; body bytes follow as they are.
 * https:// and other schemes, origin form and "*": 400 with a short body that says what this is.
 * Refused with 400 and an end: Content-Length with Transfer-Encoding, two different or odd lengths,
 * Transfer-Encoding that does not end in chunked, obs-fold, bare LF or CR, space before ':', bytes
 * that are no token, version other than 1.0 and 1.1, no or two Host in 1.1; 431 above
 * GREETING_HEAD_MAX; 407 with Proxy-Authenticate: Basic realm="hopchain" where a user is needed.
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
