#include "common/admin_request.h"

#include <llhttp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER_MAX 32 /* of a header that matters */

struct admin_parser {
	llhttp_t http;
	llhttp_settings_t settings;
	size_t n_in;
	char url[ADMIN_URL_MAX + 1];
	char name[HEADER_MAX], value[HEADER_MAX]; /* of the header that is being read; cut */
	uint8_t body[ADMIN_REQUEST_MAX];
	size_t n_body;
	bool has_origin, is_json, is_url_too_long, is_whole;
};

static void append(char *to, size_t size, const char *at, size_t len)
{
	size_t has = strlen(to);
	if (len > size - 1 - has)
		len = size - 1 - has;
	memcpy(to + has, at, len);
	to[has + len] = '\0';
}

static int on_url(llhttp_t *http, const char *at, size_t len)
{
	struct admin_parser *p = http->data;
	if (strlen(p->url) + len > ADMIN_URL_MAX)
		p->is_url_too_long = true;
	append(p->url, sizeof p->url, at, len);
	return 0;
}

static int on_name(llhttp_t *http, const char *at, size_t len)
{
	struct admin_parser *p = http->data;
	append(p->name, sizeof p->name, at, len);
	return 0;
}

static int on_value(llhttp_t *http, const char *at, size_t len)
{
	struct admin_parser *p = http->data;
	append(p->value, sizeof p->value, at, len);
	return 0;
}

static int on_header(llhttp_t *http)
{
	static const char json[] = "application/json";
	struct admin_parser *p = http->data;
	char next = p->value[sizeof json - 1];
	if (strcasecmp(p->name, "origin") == 0)
		p->has_origin = true;
	else if (strcasecmp(p->name, "content-type") == 0)
		p->is_json = strncasecmp(p->value, json, sizeof json - 1) == 0 &&
			     (next == '\0' || next == ';' || next == ' ');
	memset(p->name, 0, sizeof p->name);
	memset(p->value, 0, sizeof p->value);
	return 0;
}

static int on_head(llhttp_t *http)
{
	return http->upgrade ? -1 : 0;
}

static int on_body(llhttp_t *http, const char *at, size_t len)
{
	struct admin_parser *p = http->data;
	if (len > sizeof p->body - p->n_body)
		return -1; /* cannot be: all input is bounded by as much */
	memcpy(p->body + p->n_body, at, len);
	p->n_body += len;
	return 0;
}

static int on_complete(llhttp_t *http)
{
	struct admin_parser *p = http->data;
	p->is_whole = true;
	return HPE_PAUSED;
}

struct admin_parser *admin_parser_new(void)
{
	struct admin_parser *p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	llhttp_settings_init(&p->settings);
	p->settings.on_url = on_url;
	p->settings.on_header_field = on_name;
	p->settings.on_header_value = on_value;
	p->settings.on_header_value_complete = on_header;
	p->settings.on_headers_complete = on_head;
	p->settings.on_body = on_body;
	p->settings.on_message_complete = on_complete;
	llhttp_init(&p->http, HTTP_REQUEST, &p->settings);
	p->http.data = p;
	return p;
}

void admin_parser_free(struct admin_parser *parser)
{
	free(parser);
}

enum admin_parsed admin_parser_feed(struct admin_parser *p, struct bytes data)
{
	p->n_in += data.len;
	if (p->n_in > ADMIN_REQUEST_MAX)
		return ADMIN_TOO_LONG;
	enum llhttp_errno error = llhttp_execute(&p->http, (const char *)data.ptr, data.len);
	if (p->is_url_too_long)
		return ADMIN_URL_TOO_LONG;
	if (p->is_whole)
		return ADMIN_WHOLE;
	return error == HPE_OK ? ADMIN_MORE : ADMIN_WRONG;
}

struct admin_asked admin_parser_asked(struct admin_parser *p)
{
	char *query = strchr(p->url, '?');
	if (query != NULL)
		*query++ = '\0';
	return (struct admin_asked){
		.method = llhttp_method_name(llhttp_get_method(&p->http)),
		.path = p->url,
		.query = query != NULL ? query : "",
		.body = bytes_of(p->body, p->n_body),
		.has_origin = p->has_origin,
		.is_json = p->is_json,
	};
}
