#include "access/http_uri.h"

#include <stdio.h>
#include <strings.h>

#define HTTP_PORT 80

const char *http_uri_text(enum http_uri_result result)
{
	static const char *const texts[] = {
		[HTTP_URI_OK] = "nothing is wrong with it",
		[HTTP_URI_NOT_ABSOLUTE] = "this is a proxy, not a web server: it takes CONNECT "
					  "HOST:PORT and http:// URLs",
		[HTTP_URI_TLS] = "this proxy takes https and wss through CONNECT only",
		[HTTP_URI_BAD_SCHEME] = "this proxy takes http:// URLs only, and CONNECT",
		[HTTP_URI_BAD_AUTHORITY] = "the target is not HOST:PORT, with a name or an address "
					   "and a port from 1 to 65535",
		[HTTP_URI_FRAGMENT] = "the URL has a fragment",
	};
	return texts[result];
}

bool http_authority_parse(struct bytes text, uint16_t default_port, struct addr *ret)
{
	char copy[ADDR_TEXT_MAX + sizeof ":65535"];
	if (text.len == 0 || text.len >= ADDR_TEXT_MAX ||
		memchr(text.ptr, '\0', text.len) != NULL || memchr(text.ptr, '%', text.len) != NULL)
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	enum addr_parse_error error = addr_parse_dial(copy, ret);
	if (error == ADDR_NO_PORT && default_port != 0) {
		snprintf(copy + text.len, sizeof copy - text.len, ":%u", default_port);
		error = addr_parse_dial(copy, ret);
	}
	return error == ADDR_OK;
}

static bool cut_prefix(struct bytes *text, const char *prefix)
{
	size_t len = strlen(prefix);
	if (text->len < len || strncasecmp((const char *)text->ptr, prefix, len) != 0)
		return false;
	*text = bytes_of(text->ptr + len, text->len - len);
	return true;
}

enum http_uri_result http_uri_parse(struct bytes text, struct http_uri *ret)
{
	struct http_uri uri;
	size_t n = 0;
	if (text.len == 0 || text.ptr[0] == '/' || (text.len == 1 && text.ptr[0] == '*'))
		return HTTP_URI_NOT_ABSOLUTE;
	if (cut_prefix(&text, "https:") || cut_prefix(&text, "wss:"))
		return HTTP_URI_TLS;
	if (!cut_prefix(&text, "http://"))
		return HTTP_URI_BAD_SCHEME;
	if (memchr(text.ptr, '#', text.len) != NULL)
		return HTTP_URI_FRAGMENT;
	while (n < text.len && text.ptr[n] != '/' && text.ptr[n] != '?')
		n++;
	uri.authority = bytes_of(text.ptr, n);
	uri.path = bytes_of(text.ptr + n, text.len - n);
	if (!http_authority_parse(uri.authority, HTTP_PORT, &uri.target))
		return HTTP_URI_BAD_AUTHORITY;
	*ret = uri;
	return HTTP_URI_OK;
}
