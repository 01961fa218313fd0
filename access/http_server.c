#include "access/http_server.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void http_server_begin(struct http_server *server, struct stream *stream,
	const struct greeting_request *request, uint32_t idle_timeout_ms)
{
	assert(server->stream == NULL);
	*server = (struct http_server){
		.stream = stream, .addr = request->target, .idle_timeout_ms = idle_timeout_ms
	};
	snprintf(server->user, sizeof server->user, "%s", request->user);
}

bool http_server_serves(const struct http_server *server, const struct greeting_request *request)
{
	return server->stream != NULL && addr_is_equal(&server->addr, &request->target) &&
	       strcmp(server->user, request->user) == 0;
}

void http_server_leave(struct http_server *server)
{
	if (server->stream != NULL)
		stream_leave(server->stream);
	server->stream = NULL;
}

void http_server_drop(struct http_server *server)
{
	if (server->stream != NULL)
		stream_drop(server->stream);
	server->stream = NULL;
}

/* What it sends for nobody, or its end, goes no further. */
static void on_kept(struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct http_server *server = owner;
	(void)stream;
	(void)data;
	if (event == STREAM_FAILED)
		http_server_drop(server);
	else if (event == STREAM_DATA || event == STREAM_EOF)
		http_server_leave(server);
}

void http_server_keep(struct http_server *server)
{
	server->is_used = true;
	stream_own(server->stream, on_kept, server);
	stream_read_start(server->stream);
}
