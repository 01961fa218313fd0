#ifndef ACCESS_HTTP_SERVER_H
#define ACCESS_HTTP_SERVER_H
/*
 * Does: the connection to one web server: of the exchange that is under way, or kept for the
 * client's next request. Knows: streams, who it was made for. Never knows: chains, what is said on
 * it.
 */
#include "access/greeting.h"
#include "common/stream.h"

struct http_server {
	struct stream *stream; /* or NULL: there is none */
	struct addr addr;
	char user[GREETING_NAME_MAX + 1]; /* who it was made for, or "" */
	uint32_t idle_timeout_ms;
	bool is_used; /* it has answered before: it may close at any time */
};

/** http_server_begin() - @stream leads to the target of @request. There is none before. */
void http_server_begin(struct http_server *server, struct stream *stream,
	const struct greeting_request *request, uint32_t idle_timeout_ms);
/** http_server_serves() - whether it is there, for this target and user. */
bool http_server_serves(const struct http_server *server, const struct greeting_request *request);
/** http_server_keep() - it has answered; owns its events until another does. If it says something
 * or ends meanwhile, it is of no more use. */
void http_server_keep(struct http_server *server);
/** http_server_leave() - ends it in order, if there is one. */
void http_server_leave(struct http_server *server);
/** http_server_drop() - aborts it: it shall not take what it has for whole. */
void http_server_drop(struct http_server *server);

#endif
