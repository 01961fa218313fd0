#ifndef COMMON_ADMIN_REQUEST_H
#define COMMON_ADMIN_REQUEST_H
/*
 * Does: reads one request of an operator: HTTP/1.1, as it comes, in a room that has an end. Knows:
 * llhttp. Never knows: sockets, which paths there are.
 */
#include "common/err.h"
#include "common/wire.h"

#include <stdbool.h>

#define ADMIN_REQUEST_MAX 8192 /* bytes, with its head */
#define ADMIN_URL_MAX     4095 /* bytes of it: path and query; a full name of each kind fits */

struct admin_parser;
struct admin_parser *admin_parser_new(void); /* NULL: no memory */
void admin_parser_free(struct admin_parser *parser);

enum admin_parsed {
	ADMIN_MORE,
	ADMIN_WHOLE,
	ADMIN_WRONG, /* no request */
	ADMIN_TOO_LONG,
	ADMIN_URL_TOO_LONG,
};
/** admin_parser_feed() - what came; not again once it is not ADMIN_MORE. */
enum admin_parsed admin_parser_feed(struct admin_parser *parser, struct bytes data);

/* What was asked; borrowed from the parser. */
struct admin_asked {
	const char *method, *path;
	const char *query; /* behind the "?", as it came; "" if there is none */
	struct bytes body;
	bool has_origin; /* a page in a browser asks */
	bool is_json;    /* so the body is called */
};
/** admin_parser_asked() - once, after ADMIN_WHOLE. */
struct admin_asked admin_parser_asked(struct admin_parser *parser);

#endif
