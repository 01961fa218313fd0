#include "access/socks_name.h"

#include <stdio.h>
#include <string.h>

/* As for every other text here, addr_parse_dial() says what is a name and what a literal. */
bool socks_name_read(struct bytes name, uint16_t port, struct addr *ret)
{
	char text[2 + 255 + sizeof "]:1"];
	struct addr parsed;
	int len = (int)name.len;
	const char *host = (const char *)name.ptr;
	if (name.len == 0 || name.len > 255 || memchr(host, '\0', name.len) != NULL ||
		memchr(host, '%', name.len) != NULL)
		return false;
	bool is_bare_ip6 = host[0] != '[' && memchr(host, ':', name.len) != NULL;
	snprintf(text, sizeof text, is_bare_ip6 ? "[%.*s]:1" : "%.*s:1", len, host);
	if (addr_parse_dial(text, &parsed) != ADDR_OK)
		return false;
	parsed.port = port;
	*ret = parsed;
	return true;
}
