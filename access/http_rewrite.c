#include "access/http_rewrite.h"

#include <strings.h>

#define N(array)    (sizeof(array) / sizeof((array)[0]))
#define OPTIONS_MAX 32 /* of Connection: each field is compared with all of them */

bool http_rewrite_check(const struct http_head *head)
{
	static const char *const needed[] = { "Host", "Content-Length", "Transfer-Encoding" };
	const struct http_field *field = http_head_find(head, "Connection", 0);
	size_t n_options = 0;
	while (field != NULL) {
		struct bytes list = field->value, option;
		while (http_list_next(&list, &option)) {
			if (++n_options > OPTIONS_MAX)
				return false;
			if (option.len > 0 && !http_is_token(option))
				return false;
			if (http_is_one_of(option, needed, N(needed)))
				return false;
		}
		field = http_head_find(head, "Connection", (size_t)(field - head->fields) + 1);
	}
	return true;
}

static bool is_named(const struct http_head *head, struct bytes name)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		struct bytes list = head->fields[i].value, option;
		if (!http_is_word(head->fields[i].name, "Connection"))
			continue;
		while (http_list_next(&list, &option)) {
			if (option.len == name.len &&
				strncasecmp((const char *)option.ptr, (const char *)name.ptr,
					name.len) == 0)
				return true;
		}
	}
	return false;
}

/* Whether the field @name is for the proxy only; Host is, since it is written anew. */
static bool is_ours(const struct http_head *head, struct bytes name)
{
	static const char *const names[] = { "Host", "Connection", "Keep-Alive", "TE", "Upgrade",
		"HTTP2-Settings" };
	static const char proxy[] = "Proxy-";
	if (name.len >= strlen(proxy) &&
		strncasecmp((const char *)name.ptr, proxy, strlen(proxy)) == 0)
		return true;
	return http_is_one_of(name, names, N(names)) || is_named(head, name);
}

/* Proxy-Status is not: it tells of every proxy on the way (RFC 9209). */
static bool is_for_us(const struct http_head *head, struct bytes name)
{
	static const char *const names[] = { "Connection", "Keep-Alive", "Upgrade",
		"Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info" };
	static const char *const framing[] = { "Content-Length", "Transfer-Encoding" };
	if (http_is_one_of(name, names, N(names)) || is_named(head, name))
		return true;
	if (head->status < 200 || head->status == 204)
		return http_is_one_of(name, framing, N(framing));
	return false;
}

bool http_rewrite_closes(const struct http_head *head)
{
	return head->minor == 0 || http_head_lists(head, "Connection", "close") ||
	       http_head_lists(head, "Proxy-Connection", "close");
}

bool http_rewrite_is_upgrade(const struct http_head *head)
{
	const struct http_field *upgrade = http_head_find(head, "Upgrade", 0);
	return upgrade != NULL && http_is_word(upgrade->value, "websocket") &&
	       head->body_len == 0 && head->framing != HTTP_CHUNKED && !http_rewrite_closes(head) &&
	       http_head_lists(head, "Connection", "upgrade");
}

static void put(struct wire_writer *to, const char *text)
{
	wire_put_bytes(to, text, strlen(text));
}

static void put_path(const struct http_head *head, struct bytes path, struct wire_writer *to)
{
	if (path.len == 0 && http_is_word(head->method, "OPTIONS"))
		put(to, "*");
	else if (path.len == 0 || path.ptr[0] != '/')
		put(to, "/");
	wire_put_bytes(to, path.ptr, path.len);
}

static void put_field(const struct http_field *field, struct wire_writer *to)
{
	wire_put_bytes(to, field->name.ptr, field->name.len);
	put(to, ": ");
	wire_put_bytes(to, field->value.ptr, field->value.len);
	put(to, "\r\n");
}

size_t http_rewrite_size(size_t len)
{
	/* A space behind each colon and behind a status; the scheme gives way to "Host: "; "/"
	 * before the query. */
	return len + HTTP_FIELDS_MAX +
	       sizeof " /\r\nHost: \r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
}

void http_rewrite(const struct http_head *head, const struct http_uri *uri, struct wire_writer *to)
{
	wire_put_bytes(to, head->method.ptr, head->method.len);
	put(to, " ");
	put_path(head, uri->path, to);
	put(to, head->minor == 0 ? " HTTP/1.0\r\nHost: " : " HTTP/1.1\r\nHost: ");
	wire_put_bytes(to, uri->authority.ptr, uri->authority.len);
	put(to, "\r\n");
	for (size_t i = 0; i < head->n_fields; i++) {
		if (!is_ours(head, head->fields[i].name))
			put_field(&head->fields[i], to);
	}
	if (http_rewrite_is_upgrade(head))
		put(to, "Connection: upgrade\r\nUpgrade: websocket\r\n");
	else if (http_rewrite_closes(head))
		put(to, "Connection: close\r\n");
	put(to, "\r\n");
}

void http_rewrite_response(const struct http_head *head, bool closes, struct wire_writer *to)
{
	const char status[] = { ' ', (char)('0' + head->status / 100),
		(char)('0' + head->status / 10 % 10), (char)('0' + head->status % 10), ' ', '\0' };
	put(to, "HTTP/1.1");
	put(to, status);
	wire_put_bytes(to, head->reason.ptr, head->reason.len);
	put(to, "\r\n");
	for (size_t i = 0; i < head->n_fields; i++) {
		if (!is_for_us(head, head->fields[i].name))
			put_field(&head->fields[i], to);
	}
	if (head->status == 101)
		put(to, "Connection: upgrade\r\nUpgrade: websocket\r\n");
	else if (closes && head->status >= 200)
		put(to, "Connection: close\r\n");
	put(to, "\r\n");
}
