#ifndef ACCESS_HTTP_REQUEST_H
#define ACCESS_HTTP_REQUEST_H
/*
 * Does: one HTTP request with an absolute URI, as its exchange with the server needs it. Knows:
 * http_body.h. Never knows: where it goes, who asks.
 */
#include "access/http_body.h"

/* Borrows from the greeting that read it. */
struct http_request {
	struct bytes first;    /* to the server before anything else: the rewritten head, and what
				  has come of the body */
	struct http_body body; /* what has not */
	struct bytes rest;     /* came behind the body: the client's next request */
	bool is_head;          /* its answer has no body */
	bool is_upgrade;       /* it may become a WebSocket */
	bool is_old;           /* of HTTP/1.0: takes no interim answers */
	bool closes;           /* its client asks for nothing more on this connection */
	bool is_repeatable;    /* idempotent, without a body: RFC 9110 9.2.2 */
};

#endif
