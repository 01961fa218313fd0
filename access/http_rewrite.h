#ifndef ACCESS_HTTP_REWRITE_H
#define ACCESS_HTTP_REWRITE_H
/*
 * Does: the head a web server gets, from the head its proxy got. Knows: which fields are for one
 * hop only (RFC 9110 7.6.1). Never knows: where it is sent.
 */
#include "access/http_head.h"
#include "access/http_uri.h"

/** http_rewrite_check() - whether "Connection" is a list of a few tokens that names no field the
 * message cannot do without (Host, Content-Length, Transfer-Encoding). */
bool http_rewrite_check(const struct http_head *head);
/** http_rewrite_size() - never more bytes than this are written for a head of @len bytes. */
size_t http_rewrite_size(size_t len);
/**
 * http_rewrite() - origin form, the path and the query byte by byte (none: "/", for OPTIONS "*"),
 * version and fields as they were and in their order, one space behind the colon.
 * Removed: Connection and what it names, Proxy-*, Keep-Alive, TE, Upgrade, HTTP2-Settings.
 * Transfer-Encoding and Trailer stay: the body goes on as it is. Host is the URI's authority and
 * comes first, "Connection: close" last.
 * Upgrade is not passed on: a client that had no 101 would take what follows for a connection to
 * its proxy. RFC 6455 4.1 has WebSocket clients use CONNECT.
 */
void http_rewrite(const struct http_head *head, const struct http_uri *uri, struct wire_writer *to);

#endif
