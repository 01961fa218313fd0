#ifndef ACCESS_HTTP_URI_H
#define ACCESS_HTTP_URI_H
/*
 * Does: what a request to a proxy names: the authority of CONNECT, or an absolute http URI. Knows:
 * RFC 9112 3.2, addr.h. Never knows: fields.
 */
#include "common/addr.h"

enum http_uri_result {
	HTTP_URI_OK,
	HTTP_URI_NOT_ABSOLUTE, /* "/path" or "*": meant for a web server */
	HTTP_URI_TLS,          /* https: or wss: */
	HTTP_URI_BAD_SCHEME,
	HTTP_URI_BAD_AUTHORITY, /* user information, no valid host, port that is none */
	HTTP_URI_FRAGMENT,
};
/** http_uri_text() - one sentence about @result, lower case, no full stop. Static. */
const char *http_uri_text(enum http_uri_result result);

/* Borrows from the text it was parsed from. */
struct http_uri {
	struct bytes authority; /* as given */
	struct bytes path;      /* with the query: "" or from '/' or '?' on, as given */
	struct addr target;     /* literals are addresses; no port: 80 */
};
/** http_uri_parse() - "http://HOST[:PORT]…"; @ret is written only on OK. */
enum http_uri_result http_uri_parse(struct bytes text, struct http_uri *ret);

/** http_authority_parse() - HOST:PORT as addr_parse_dial() takes it, without zones. @default_port
 * 0: the port must be there. @ret is written only on success. */
bool http_authority_parse(struct bytes text, uint16_t default_port, struct addr *ret);

#endif
