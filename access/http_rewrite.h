#ifndef ACCESS_HTTP_REWRITE_H
#define ACCESS_HTTP_REWRITE_H
/*
 * Does: the head a web server gets, from the head its proxy got; and the head a client gets, from
 * the server's. Knows: which fields are for one hop only (RFC 9110 7.6.1). Never knows: where they
 * are sent.
 *
 * No Via is written, either way: who asks a server need not tell that a proxy did it for him.
 */
#include "access/http_head.h"
#include "access/http_uri.h"

/** http_rewrite_check() - whether "Connection" is a list of a few tokens that names no field the
 * message cannot do without (Host, Content-Length, Transfer-Encoding). */
bool http_rewrite_check(const struct http_head *head);
/** http_rewrite_closes() - whether the sender of @head will not go on after this message. */
bool http_rewrite_closes(const struct http_head *head);
/** http_rewrite_is_upgrade() - whether the request may become a WebSocket (RFC 6455 4.1). */
bool http_rewrite_is_upgrade(const struct http_head *head);
/** http_rewrite_size() - never more bytes than this are written for a head of @len bytes. */
size_t http_rewrite_size(size_t len);
/**
 * http_rewrite() - origin form, the path and the query byte by byte (none: "/", for OPTIONS "*"),
 * version and fields as they were and in their order, one space behind the colon.
 * Removed: Connection and what it names, Proxy-*, Keep-Alive, TE, Upgrade, HTTP2-Settings.
 * Transfer-Encoding and Trailer stay: the body goes on as it is. Host is the URI's authority and
 * comes first, "Connection: close" last if the client closes; that of a WebSocket with its Upgrade.
 * No other Upgrade is passed on: its client would take what follows for a connection to its proxy.
 */
void http_rewrite(const struct http_head *head, const struct http_uri *uri, struct wire_writer *to);
/**
 * http_rewrite_response() - the same for a response, in HTTP/1.1. Removed: Connection and what it
 * names, Keep-Alive, Upgrade but of 101, and what only a proxy says: Proxy-Connection,
 * Proxy-Authenticate, Proxy-Authentication-Info; a length or a coding where there must be none
 * (1xx, 204). @closes: "Connection: close" last.
 */
void http_rewrite_response(const struct http_head *head, bool closes, struct wire_writer *to);

#endif
