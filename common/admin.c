#include "common/admin.h"

#include "common/json_text.h"
#include "common/listener.h"
#include "common/place.h"
#include "common/stream.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LOG_MODULE "admin"
#include "common/log.h"

struct admin_exchange {
	struct admin_exchange *prev, *next;
	struct admin *admin;
	struct stream *stream; /* NULL: the client has gone; the answer is not wanted any more */
	struct admin_parser *parser;
	struct timer deadline;
	bool is_asked;    /* the request is complete */
	bool is_answered; /* the answer has been written */
};

struct admin {
	struct loop *loop;
	struct place *place;
	struct listener *listener;
	const struct admin_route *routes;
	size_t n_routes;
	void *owner;
	struct admin_exchange *exchanges;
	unsigned n_clients;
};

/* ---- Exchanges ---- */

static void free_exchange(struct admin_exchange *e)
{
	loop_timer_stop(e->admin->loop, &e->deadline);
	DL_DELETE(e->admin->exchanges, e);
	admin_parser_free(e->parser);
	free(e);
}

/* Its client is gone: a handler may still be at work. */
static void on_closed(struct admin_exchange *e)
{
	e->stream = NULL;
	e->admin->n_clients--;
	loop_timer_stop(e->admin->loop, &e->deadline);
	if (!e->is_asked || e->is_answered)
		free_exchange(e);
}

static void on_late(struct timer *timer)
{
	struct admin_exchange *e =
		(struct admin_exchange *)((char *)timer -
					  offsetof(struct admin_exchange, deadline));
	stream_close(e->stream);
}

static const char *reason_of(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 422:
		return "Unprocessable Content";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

void admin_answer(struct admin_exchange *exchange, unsigned status, char *json)
{
	char head[256];
	const char *body = json != NULL ? json : "{\"error\":{\"slug\":\"memory\"}}";
	exchange->is_answered = true;
	if (exchange->stream == NULL) {
		free(json);
		free_exchange(exchange);
		return;
	}
	int n = snprintf(head, sizeof head,
		"HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		"Cache-Control: no-store\r\nConnection: close\r\n\r\n",
		json != NULL ? status : 500, reason_of(json != NULL ? status : 500),
		strlen(body) + 1);
	stream_write(exchange->stream, bytes_of(head, (size_t)n));
	stream_write(exchange->stream, bytes_of(body, strlen(body)));
	stream_write(exchange->stream, bytes_of("\n", 1));
	free(json);
	(void)stream_shutdown(exchange->stream);
	stream_read_start(exchange->stream); /* its end tells that the answer was taken */
	loop_timer_start(exchange->admin->loop, &exchange->deadline, ADMIN_TIMEOUT_MS, on_late);
}

void admin_refuse(
	struct admin_exchange *exchange, unsigned status, const char *slug, const char *message)
{
	char *json = NULL;
	size_t size;
	FILE *to = open_memstream(&json, &size);
	if (to != NULL) {
		fputs("{\"error\":{\"slug\":", to);
		json_text_put(to, slug);
		fputs(",\"message\":", to);
		json_text_put(to, message);
		fputs("}}", to);
		(void)fclose(to);
	}
	admin_answer(exchange, status, json);
}

static void serve(struct admin_exchange *e)
{
	struct admin_asked asked = admin_parser_asked(e->parser);
	struct admin_request request = { .query = asked.query, .body = asked.body };
	bool is_known = false, is_get = strcmp(asked.method, "GET") == 0;
	e->is_asked = true;
	loop_timer_stop(e->admin->loop, &e->deadline);
	stream_read_stop(e->stream);
	for (size_t i = 0; i < e->admin->n_routes; i++) {
		const struct admin_route *route = &e->admin->routes[i];
		if (strcmp(route->path, asked.path) != 0)
			continue;
		is_known = true;
		if (strcmp(route->method, asked.method) != 0)
			continue;
		if (!is_get && asked.has_origin)
			admin_refuse(e, 403, "origin", "a page in a browser may not ask for this");
		else if (!is_get && !asked.is_json)
			admin_refuse(e, 415, "content-type",
				"this needs Content-Type: application/json");
		else
			route->fn(e, &request, e->admin->owner);
		return;
	}
	if (is_known)
		admin_refuse(e, 405, "method", "that path is asked with another method");
	else
		admin_refuse(e, 404, "path", "there is no such path");
}

static void refuse_bad(struct admin_exchange *e, unsigned status, const char *slug, const char *why)
{
	e->is_asked = true;
	stream_read_stop(e->stream);
	admin_refuse(e, status, slug, why);
}

static void on_bytes(struct admin_exchange *e, struct bytes data)
{
	if (e->is_answered)
		return; /* what comes behind the request */
	switch (admin_parser_feed(e->parser, data)) {
	case ADMIN_MORE:
		return;
	case ADMIN_WHOLE:
		serve(e);
		return;
	case ADMIN_WRONG:
		refuse_bad(e, 400, "syntax", "this is no HTTP/1.1 request");
		return;
	case ADMIN_TOO_LONG:
		refuse_bad(e, 413, "too-long", "a request has at most 8192 bytes");
		return;
	case ADMIN_URL_TOO_LONG:
		refuse_bad(e, 413, "too-long", "the path is too long");
		return;
	}
}

static void on_stream(
	struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct admin_exchange *e = owner;
	switch (event) {
	case STREAM_DATA:
		on_bytes(e, data);
		return;
	case STREAM_EOF:
		if (!e->is_asked || e->is_answered)
			stream_close(stream);
		return;
	case STREAM_FAILED:
		stream_close(stream);
		return;
	case STREAM_CLOSED:
		on_closed(e);
		return;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
		return;
	}
}

static void on_accept(struct stream *stream, const union addr_sock *peer, void *owner)
{
	struct admin *admin = owner;
	struct admin_exchange *e = NULL;
	(void)peer;
	if (admin->n_clients < ADMIN_CLIENTS_MAX)
		e = calloc(1, sizeof *e);
	if (e == NULL || (e->parser = admin_parser_new()) == NULL) {
		free(e);
		stream_drop(stream);
		return;
	}
	e->admin = admin;
	e->stream = stream;
	admin->n_clients++;
	DL_APPEND(admin->exchanges, e);
	stream_own(stream, on_stream, e);
	loop_timer_start(admin->loop, &e->deadline, ADMIN_TIMEOUT_MS, on_late);
	stream_read_start(stream);
}

/* ---- The socket ---- */

int admin_new(struct loop *loop, const char *path, uint32_t mode, const struct admin_route *routes,
	size_t n_routes, void *owner, struct admin **ret)
{
	struct addr at = { .kind = ADDR_UNIX };
	if (strlen(path) > ADDR_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(at.name, path, strlen(path));
	struct admin *admin = calloc(1, sizeof *admin);
	if (admin == NULL)
		return ERR_NOMEM;
	admin->loop = loop;
	admin->routes = routes;
	admin->n_routes = n_routes;
	admin->owner = owner;
	int error = place_open(&at, mode != 0 ? mode : ADMIN_MODE, NULL, &admin->place);
	if (error == 0)
		error = listener_open_fd(loop, place_fd(admin->place, SOCK_STREAM, 0), on_accept,
			admin, &admin->listener);
	if (error != 0) {
		place_free(admin->place);
		free(admin);
		return error;
	}
	*ret = admin;
	return 0;
}

void admin_free(struct admin *admin)
{
	struct admin_exchange *e, *next;
	if (admin == NULL)
		return;
	listener_close(admin->listener);
	place_free(admin->place);
	DL_FOREACH_SAFE (admin->exchanges, e, next) {
		if (e->stream != NULL)
			stream_drop(e->stream);
		free_exchange(e);
	}
	free(admin);
}
