#include "common/admin.h"

#include "common/listener.h"
#include "common/place.h"
#include "common/stream.h"

#include <llhttp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#define LOG_MODULE "admin"
#include "common/log.h"

#define URL_MAX    2048
#define HEADER_MAX 32 /* of a header that matters */

struct admin_exchange {
	struct admin_exchange *prev, *next;
	struct admin *admin;
	struct stream *stream; /* NULL: the client has gone; the answer is not wanted any more */
	llhttp_t parser;
	struct timer deadline;
	size_t n_in;
	char url[URL_MAX];
	char name[HEADER_MAX], value[HEADER_MAX]; /* of the header that is being read; cut */
	uint8_t body[ADMIN_REQUEST_MAX];
	size_t n_body;
	const char *wrong; /* what is wrong with the request: the slug; or NULL */
	bool is_in_value, has_origin, is_json;
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
	llhttp_settings_t settings;
};

/* ---- The request ---- */

static void append(char *to, size_t size, const char *at, size_t len)
{
	size_t has = strlen(to);
	if (len > size - 1 - has)
		len = size - 1 - has;
	memcpy(to + has, at, len);
	to[has + len] = '\0';
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
	struct admin_exchange *e = parser->data;
	if (strlen(e->url) + len >= URL_MAX)
		e->wrong = "too-long";
	append(e->url, URL_MAX, at, len);
	return 0;
}

static void end_header(struct admin_exchange *e)
{
	static const char json[] = "application/json";
	char next = e->value[strlen(json) < sizeof e->value ? strlen(json) : 0];
	if (strcasecmp(e->name, "origin") == 0)
		e->has_origin = true;
	else if (strcasecmp(e->name, "content-type") == 0)
		e->is_json = strncasecmp(e->value, json, strlen(json)) == 0 &&
			     (next == '\0' || next == ';' || next == ' ');
	e->name[0] = e->value[0] = '\0';
	e->is_in_value = false;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
	struct admin_exchange *e = parser->data;
	if (e->is_in_value)
		end_header(e);
	append(e->name, sizeof e->name, at, len);
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
	struct admin_exchange *e = parser->data;
	e->is_in_value = true;
	append(e->value, sizeof e->value, at, len);
	return 0;
}

static int on_head(llhttp_t *parser)
{
	struct admin_exchange *e = parser->data;
	if (e->name[0] != '\0')
		end_header(e);
	return parser->upgrade ? -1 : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
	struct admin_exchange *e = parser->data;
	if (len > sizeof e->body - e->n_body)
		return -1; /* cannot be: all input is bounded by as much */
	memcpy(e->body + e->n_body, at, len);
	e->n_body += len;
	return 0;
}

static int on_complete(llhttp_t *parser)
{
	struct admin_exchange *e = parser->data;
	e->is_asked = true;
	return HPE_PAUSED;
}

/* ---- Exchanges ---- */

static void free_exchange(struct admin_exchange *e)
{
	loop_timer_stop(e->admin->loop, &e->deadline);
	DL_DELETE(e->admin->exchanges, e);
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
		admin_put_text(to, slug);
		fputs(",\"message\":", to);
		admin_put_text(to, message);
		fputs("}}", to);
		(void)fclose(to);
	}
	admin_answer(exchange, status, json);
}

static void serve(struct admin_exchange *e)
{
	const char *method = llhttp_method_name(llhttp_get_method(&e->parser));
	char *query = strchr(e->url, '?');
	struct admin_request request = { .body = bytes_of(e->body, e->n_body) };
	bool is_known = false;
	loop_timer_stop(e->admin->loop, &e->deadline);
	stream_read_stop(e->stream);
	if (query != NULL)
		*query++ = '\0';
	request.query = query != NULL ? query : "";
	for (size_t i = 0; i < e->admin->n_routes; i++) {
		const struct admin_route *route = &e->admin->routes[i];
		if (strcmp(route->path, e->url) != 0)
			continue;
		is_known = true;
		if (strcmp(route->method, method) != 0)
			continue;
		if (strcmp(method, "GET") != 0 && e->has_origin)
			admin_refuse(e, 403, "origin", "a page in a browser may not ask for this");
		else if (strcmp(method, "GET") != 0 && !e->is_json)
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
	e->n_in += data.len;
	if (e->n_in > ADMIN_REQUEST_MAX) {
		refuse_bad(e, 413, "too-long", "a request has at most 8192 bytes");
		return;
	}
	enum llhttp_errno error = llhttp_execute(&e->parser, (const char *)data.ptr, data.len);
	if (e->wrong != NULL)
		refuse_bad(e, 413, e->wrong, "the path is too long");
	else if (e->is_asked)
		serve(e);
	else if (error != HPE_OK)
		refuse_bad(e, 400, "syntax", "this is no HTTP/1.1 request");
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
	if (e == NULL) {
		stream_drop(stream);
		return;
	}
	e->admin = admin;
	e->stream = stream;
	llhttp_init(&e->parser, HTTP_REQUEST, &admin->settings);
	e->parser.data = e;
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
	strcpy(at.name, path);
	struct admin *admin = calloc(1, sizeof *admin);
	if (admin == NULL)
		return ERR_NOMEM;
	admin->loop = loop;
	admin->routes = routes;
	admin->n_routes = n_routes;
	admin->owner = owner;
	llhttp_settings_init(&admin->settings);
	admin->settings.on_url = on_url;
	admin->settings.on_header_field = on_name;
	admin->settings.on_header_value = on_value;
	admin->settings.on_headers_complete = on_head;
	admin->settings.on_body = on_body;
	admin->settings.on_message_complete = on_complete;
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

/* ---- Texts ---- */

static int hex_of(char c)
{
	const char *digits = "0123456789abcdef";
	const char *found =
		c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
	return found != NULL ? (int)(found - digits) : -1;
}

static bool decode(const char *text, size_t len, char *to, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++, n++) {
		int c = text[i] == '+' ? ' ' : (unsigned char)text[i];
		if (n + 1 >= size)
			return false;
		if (text[i] == '%') {
			int high = i + 2 < len ? hex_of(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_of(text[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = high * 16 + low;
			i += 2;
		}
		if (c < ' ' || c >= 0x7f)
			return false;
		to[n] = (char)c;
	}
	to[n] = '\0';
	return true;
}

bool admin_query(const char *query, const char *name, char *to, size_t size)
{
	size_t n_name = strlen(name);
	while (*query != '\0') {
		size_t len = strcspn(query, "&");
		if (len > n_name && query[n_name] == '=' && strncmp(query, name, n_name) == 0)
			return decode(query + n_name + 1, len - n_name - 1, to, size);
		query += len + (query[len] == '&');
	}
	return false;
}

void admin_put_text(FILE *to, const char *text)
{
	if (text == NULL) {
		fputs("null", to);
		return;
	}
	fputc('"', to);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			fprintf(to, "\\u%04x", c);
		else
			fputc(c, to);
	}
	fputc('"', to);
}
