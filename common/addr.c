#include "common/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define IP6_TEXT_MAX (INET6_ADDRSTRLEN + 1 + IF_NAMESIZE) /* with "%zone" */

struct range {
	enum addr_class class;
	int family;
	uint8_t ip[16];
	uint8_t bits;
};

#define IP4(a, b, c, d)                                                                            \
	AF_INET,                                                                                   \
	{                                                                                          \
		a, b, c, d                                                                         \
	}
#define IP6(...)                                                                                   \
	AF_INET6,                                                                                  \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

/* The first that holds an address decides: single addresses come before the ranges around them. */
static const struct range ranges[] = {
	{ ADDR_METADATA, IP4(169, 254, 169, 254), 32 },
	{ ADDR_METADATA, IP4(169, 254, 170, 2), 32 },  /* credentials of container tasks */
	{ ADDR_METADATA, IP4(169, 254, 170, 23), 32 }, /* credentials of pods */
	{ ADDR_METADATA, IP4(100, 100, 100, 200), 32 },
	{ ADDR_METADATA, IP6(0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54), 128 },
	{ ADDR_METADATA, IP6(0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23), 128 },
	{ ADDR_METADATA, IP6(0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54), 128 },
	{ ADDR_MULTICAST, IP4(255, 255, 255, 255), 32 },
	{ ADDR_UNSPECIFIED, IP4(0, 0, 0, 0), 8 },
	{ ADDR_LOOPBACK, IP4(127, 0, 0, 0), 8 },
	{ ADDR_PRIVATE, IP4(10, 0, 0, 0), 8 },
	{ ADDR_PRIVATE, IP4(100, 64, 0, 0), 10 },
	{ ADDR_PRIVATE, IP4(172, 16, 0, 0), 12 },
	{ ADDR_PRIVATE, IP4(192, 168, 0, 0), 16 },
	{ ADDR_LINK_LOCAL, IP4(169, 254, 0, 0), 16 },
	{ ADDR_RESERVED, IP4(192, 0, 0, 0), 24 },
	{ ADDR_RESERVED, IP4(198, 18, 0, 0), 15 },
	{ ADDR_MULTICAST, IP4(224, 0, 0, 0), 4 },
	{ ADDR_RESERVED, IP4(240, 0, 0, 0), 4 },
	{ ADDR_UNSPECIFIED, IP6(0), 128 },
	{ ADDR_LOOPBACK, IP6([15] = 1), 128 },
	{ ADDR_RESERVED, IP6(0), 96 },
	{ ADDR_RESERVED, IP6(0x20, 0x01), 32 }, /* 2001::/32 hides an IP4 address behind an XOR */
	{ ADDR_PRIVATE, IP6(0xfc), 7 },
	{ ADDR_PRIVATE, IP6(0xfe, 0xc0), 10 },
	{ ADDR_LINK_LOCAL, IP6(0xfe, 0x80), 10 },
	{ ADDR_MULTICAST, IP6(0xff), 8 },
};

static const char *const class_names[] = {
	[ADDR_PUBLIC] = "public",
	[ADDR_LOOPBACK] = "loopback",
	[ADDR_UNSPECIFIED] = "unspecified",
	[ADDR_PRIVATE] = "private",
	[ADDR_LINK_LOCAL] = "link-local",
	[ADDR_METADATA] = "metadata",
	[ADDR_MULTICAST] = "multicast",
	[ADDR_RESERVED] = "reserved",
	[ADDR_OWN] = "own",
};

const char *addr_class_name(enum addr_class c)
{
	return class_names[c];
}

const char *addr_parse_text(enum addr_parse_error error)
{
	static const char *const texts[] = {
		[ADDR_OK] = "is fine",
		[ADDR_EMPTY] = "has no host",
		[ADDR_NO_PORT] = "has no port",
		[ADDR_BAD_PORT] = "has a port that is not a number",
		[ADDR_PORT_RANGE] = "has a port that is out of range (1 to 65535)",
		[ADDR_AMBIGUOUS_IP6] = "is ambiguous; write [IPv6]:PORT",
		[ADDR_BAD_IP6] = "has a malformed IPv6 address in its brackets",
		[ADDR_BAD_NAME] = "has neither an IP address nor a valid name as its host",
		[ADDR_BAD_PATH] = "has no absolute path of at most 107 bytes",
		[ADDR_BAD_SYSTEMD] = "has no name that systemd would pass",
	};
	return texts[error];
}

/* "inet_aton" takes as an address what ends in a number; such a name is never looked up. */
static bool is_number(const uint8_t *label, size_t len)
{
	size_t i = 0;
	bool is_hex = len >= 2 && label[0] == '0' && (label[1] | 0x20) == 'x';
	if (is_hex)
		i = 2;
	for (; i < len; i++) {
		if (is_hex ? !isxdigit(label[i]) : !isdigit(label[i]))
			return false;
	}
	return true;
}

static bool is_name_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
	       c == '_';
}

bool addr_name_is_valid(struct bytes name)
{
	size_t begin = 0;
	if (name.len == 0 || name.len > ADDR_NAME_MAX)
		return false;
	for (size_t i = 0; i <= name.len; i++) {
		if (i < name.len && name.ptr[i] != '.') {
			if (!is_name_byte(name.ptr[i]))
				return false;
			continue;
		}
		if (i == begin || i - begin > 63)
			return false;
		if (i == name.len)
			return !is_number(name.ptr + begin, i - begin);
		begin = i + 1;
	}
	return false;
}

/* Decimal without sign, spaces or leading zeros. */
static enum addr_parse_error parse_port(const char *text, unsigned low, uint16_t *ret)
{
	unsigned port = 0;
	if (*text == '\0')
		return ADDR_NO_PORT;
	if (strspn(text, "0123456789") != strlen(text) || (text[0] == '0' && text[1] != '\0'))
		return ADDR_BAD_PORT;
	for (const char *c = text; *c != '\0'; c++) {
		port = port * 10 + (unsigned)(*c - '0');
		if (port > UINT16_MAX)
			return ADDR_PORT_RANGE;
	}
	if (port < low)
		return ADDR_PORT_RANGE;
	*ret = (uint16_t)port;
	return ADDR_OK;
}

static bool parse_zone(const char *zone, const uint8_t ip[16], uint32_t *ret)
{
	uint32_t index = 0;
	if (ip[0] != 0xfe || (ip[1] & 0xc0) != 0x80)
		return false; /* a zone means something for link-local addresses only */
	if (*zone == '\0' || strlen(zone) >= IF_NAMESIZE)
		return false;
	if (strspn(zone, "0123456789") != strlen(zone)) {
		index = if_nametoindex(zone);
	} else {
		for (const char *c = zone; *c != '\0'; c++) {
			if (__builtin_mul_overflow(index, 10, &index) ||
				__builtin_add_overflow(index, (uint32_t)(*c - '0'), &index))
				return false;
		}
	}
	*ret = index;
	return index != 0;
}

/* @text: what stands between the brackets. */
static bool parse_ip6(const char *text, size_t len, struct addr *a)
{
	char copy[IP6_TEXT_MAX];
	if (len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	char *zone = strchr(copy, '%');
	if (zone != NULL)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, copy, a->ip) != 1)
		return false;
	a->kind = ADDR_IP6;
	return zone == NULL || parse_zone(zone, a->ip, &a->scope);
}

static bool parse_host(const char *text, size_t len, struct addr *a)
{
	char copy[ADDR_NAME_MAX + 2];
	if (len > ADDR_NAME_MAX + 1)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, a->ip) == 1) {
		a->kind = ADDR_IP4;
		return true;
	}
	memset(a->ip, 0, sizeof a->ip);
	if (len > 0 && copy[len - 1] == '.')
		copy[--len] = '\0';
	if (!addr_name_is_valid(bytes_of(copy, len)))
		return false;
	a->kind = ADDR_NAME;
	memcpy(a->name, copy, len + 1);
	return true;
}

static bool looks_like_ip6(const char *text)
{
	size_t n = strspn(text, "0123456789abcdefABCDEF:.");
	return text[n] == '\0' || text[n] == '%';
}

static enum addr_parse_error parse_bracketed(const char *text, unsigned port_low, struct addr *a)
{
	const char *end = strchr(text, ']');
	if (end == NULL || !parse_ip6(text + 1, (size_t)(end - text - 1), a))
		return ADDR_BAD_IP6;
	if (end[1] == '\0')
		return ADDR_NO_PORT;
	if (end[1] != ':')
		return ADDR_BAD_IP6;
	return parse_port(end + 2, port_low, &a->port);
}

static enum addr_parse_error parse(const char *text, bool is_listen, struct addr *a)
{
	unsigned port_low = is_listen ? 0 : 1;
	const char *colon = strrchr(text, ':');
	if (*text == '\0')
		return ADDR_EMPTY;
	if (*text == '[')
		return parse_bracketed(text, port_low, a);
	if (colon != NULL && strchr(text, ':') != colon)
		return looks_like_ip6(text) ? ADDR_AMBIGUOUS_IP6 : ADDR_BAD_NAME;
	size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
	bool is_any = is_listen && (len == 0 || (len == 1 && *text == '*'));
	if (len == 0 && !is_listen)
		return ADDR_EMPTY;
	if (!is_any && (!parse_host(text, len, a) || (is_listen && a->kind == ADDR_NAME)))
		return ADDR_BAD_NAME;
	return colon == NULL ? ADDR_NO_PORT : parse_port(colon + 1, port_low, &a->port);
}

static enum addr_parse_error parse_whole(const char *text, bool is_listen, struct addr *ret)
{
	struct addr a = { 0 };
	enum addr_parse_error error = parse(text, is_listen, &a);
	if (error == ADDR_OK)
		*ret = a;
	return error;
}

/* As systemd checks FileDescriptorName=: no control bytes, no colon. */
static enum addr_parse_error parse_systemd(const char *name, struct addr *a)
{
	size_t len = strlen(name);
	if (len == 0 || len > ADDR_NAME_MAX)
		return ADDR_BAD_SYSTEMD;
	for (const char *c = name; *c != '\0'; c++) {
		if (*c <= ' ' || *c == 0x7f || *c == ':')
			return ADDR_BAD_SYSTEMD;
	}
	a->kind = ADDR_SYSTEMD;
	memcpy(a->name, name, len + 1);
	return ADDR_OK;
}

static enum addr_parse_error parse_unix(const char *path, struct addr *a)
{
	size_t len = strlen(path);
	if (*path != '/' || len < 2 || len > ADDR_PATH_MAX)
		return ADDR_BAD_PATH;
	a->kind = ADDR_UNIX;
	memcpy(a->name, path, len + 1);
	return ADDR_OK;
}

enum addr_parse_error addr_parse_dial(const char *text, struct addr *ret)
{
	return parse_whole(text, false, ret);
}

enum addr_parse_error addr_parse_listen(const char *text, struct addr *ret)
{
	struct addr a = { 0 };
	enum addr_parse_error error = ADDR_OK;
	if (strcmp(text, "stdio") == 0)
		a.kind = ADDR_STDIO;
	else if (strncmp(text, "unix:", 5) == 0)
		error = parse_unix(text + 5, &a);
	else if (strncmp(text, "systemd:", 8) == 0)
		error = parse_systemd(text + 8, &a);
	else
		return parse_whole(text, true, ret);
	if (error == ADDR_OK)
		*ret = a;
	return error;
}

int addr_to_sock(const struct addr *a, union addr_sock *ret)
{
	if (a->kind != ADDR_IP4 && a->kind != ADDR_IP6)
		return ERR_INVAL;
	memset(ret, 0, sizeof *ret);
	if (a->kind == ADDR_IP4) {
		ret->ip4.sin_family = AF_INET;
		ret->ip4.sin_port = htons(a->port);
		memcpy(&ret->ip4.sin_addr, a->ip, 4);
		return 0;
	}
	ret->ip6.sin6_family = AF_INET6;
	ret->ip6.sin6_port = htons(a->port);
	ret->ip6.sin6_scope_id = a->scope;
	memcpy(&ret->ip6.sin6_addr, a->ip, 16);
	return 0;
}

void addr_from_sock(const union addr_sock *s, struct addr *ret)
{
	*ret = (struct addr){ .port = addr_sock_port(s) };
	if (s->any.sa_family == AF_UNIX) {
		ret->kind = ADDR_UNIX;
		return;
	}
	if (s->any.sa_family == AF_INET) {
		ret->kind = ADDR_IP4;
		memcpy(ret->ip, &s->ip4.sin_addr, 4);
		return;
	}
	assert(s->any.sa_family == AF_INET6);
	ret->kind = ADDR_IP6;
	ret->scope = s->ip6.sin6_scope_id;
	memcpy(ret->ip, &s->ip6.sin6_addr, 16);
}

bool addr_is_port(const struct addr *a)
{
	return a->kind != ADDR_UNIX && a->kind != ADDR_SYSTEMD && a->kind != ADDR_STDIO;
}

bool addr_is_equal(const struct addr *a, const struct addr *b)
{
	return a->kind == b->kind && a->port == b->port && a->scope == b->scope &&
	       memcmp(a->ip, b->ip, sizeof a->ip) == 0 && strcmp(a->name, b->name) == 0;
}

socklen_t addr_sock_len(const union addr_sock *s)
{
	if (s->any.sa_family == AF_UNIX)
		return sizeof s->any.sa_family;
	return s->any.sa_family == AF_INET ? sizeof s->ip4 : sizeof s->ip6;
}

uint16_t addr_sock_port(const union addr_sock *s)
{
	if (s->any.sa_family == AF_UNIX)
		return 0;
	return ntohs(s->any.sa_family == AF_INET ? s->ip4.sin_port : s->ip6.sin6_port);
}

void addr_sock_set_port(union addr_sock *s, uint16_t port)
{
	if (s->any.sa_family == AF_INET)
		s->ip4.sin_port = htons(port);
	else
		s->ip6.sin6_port = htons(port);
}

static const uint8_t *ip_of(const union addr_sock *s)
{
	return s->any.sa_family == AF_INET ? (const uint8_t *)&s->ip4.sin_addr
					   : s->ip6.sin6_addr.s6_addr;
}

bool addr_sock_is_equal(const union addr_sock *a, const union addr_sock *b)
{
	if (a->any.sa_family != b->any.sa_family || addr_sock_port(a) != addr_sock_port(b))
		return false;
	if (a->any.sa_family == AF_INET)
		return a->ip4.sin_addr.s_addr == b->ip4.sin_addr.s_addr;
	if (a->any.sa_family == AF_UNIX)
		return true;
	uint32_t scope_a = a->ip6.sin6_scope_id, scope_b = b->ip6.sin6_scope_id;
	if (scope_a != 0 && scope_b != 0 && scope_a != scope_b)
		return false;
	return memcmp(ip_of(a), ip_of(b), 16) == 0;
}

/* Where the IP4 address begins in the 16 bytes of an IP6 address; 0 = there is none. */
static unsigned embedded_offset(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }, compatible[12];
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b }, unspecified[16],
			     loopback[16] = { [15] = 1 };
	if (ip[0] == 0x20 && ip[1] == 0x02)
		return 2;
	if (memcmp(ip, mapped, 12) == 0 || memcmp(ip, nat64, 12) == 0)
		return 12;
	if (memcmp(ip, unspecified, 16) == 0 || memcmp(ip, loopback, 16) == 0)
		return 0;
	return memcmp(ip, compatible, 12) == 0 ? 12 : 0;
}

bool addr_embedded(const union addr_sock *s, union addr_sock *ret)
{
	if (s->any.sa_family != AF_INET6)
		return false;
	unsigned offset = embedded_offset(s->ip6.sin6_addr.s6_addr);
	if (offset == 0)
		return false;
	union addr_sock inner;
	memset(&inner, 0, sizeof inner);
	inner.ip4.sin_family = AF_INET;
	inner.ip4.sin_port = s->ip6.sin6_port;
	memcpy(&inner.ip4.sin_addr, s->ip6.sin6_addr.s6_addr + offset, 4);
	*ret = inner;
	return true;
}

void addr_sock_unmap(union addr_sock *s)
{
	if (s->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&s->ip6.sin6_addr))
		(void)addr_embedded(s, s);
}

static bool is_same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned n = bits / 8, left = bits % 8;
	if (memcmp(a, b, n) != 0)
		return false;
	return left == 0 || ((a[n] ^ b[n]) >> (8 - left)) == 0;
}

enum addr_class addr_classify_net(const union addr_sock *net, unsigned prefix_bits)
{
	if (net->any.sa_family == AF_UNIX)
		return ADDR_LOOPBACK;
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
		const struct range *r = &ranges[i];
		if (r->family == net->any.sa_family && r->bits <= prefix_bits &&
			is_same_prefix(ip_of(net), r->ip, r->bits))
			return r->class;
	}
	return ADDR_PUBLIC;
}

enum addr_class addr_classify(const union addr_sock *s, bool *ret_is_embedded)
{
	union addr_sock inner;
	enum addr_class class = ADDR_PUBLIC;
	if (addr_embedded(s, &inner))
		class = addr_classify_net(&inner, 32);
	if (ret_is_embedded != NULL)
		*ret_is_embedded = class != ADDR_PUBLIC;
	if (class != ADDR_PUBLIC)
		return class;
	return addr_classify_net(s, s->any.sa_family == AF_INET ? 32 : 128);
}

static void print_ip6(const struct addr *a, char *to)
{
	char ip[INET6_ADDRSTRLEN], zone[IF_NAMESIZE];
	inet_ntop(AF_INET6, a->ip, ip, sizeof ip);
	if (a->scope == 0)
		snprintf(to, ADDR_TEXT_MAX, "[%s]:%u", ip, a->port);
	else if (if_indextoname(a->scope, zone) != NULL)
		snprintf(to, ADDR_TEXT_MAX, "[%s%%%s]:%u", ip, zone, a->port);
	else
		snprintf(to, ADDR_TEXT_MAX, "[%s%%%u]:%u", ip, a->scope, a->port);
}

const char *addr_print(const struct addr *a, char to[ADDR_TEXT_MAX])
{
	char ip[INET_ADDRSTRLEN];
	switch (a->kind) {
	case ADDR_NONE:
		snprintf(to, ADDR_TEXT_MAX, "*:%u", a->port);
		break;
	case ADDR_IP4:
		inet_ntop(AF_INET, a->ip, ip, sizeof ip);
		snprintf(to, ADDR_TEXT_MAX, "%s:%u", ip, a->port);
		break;
	case ADDR_IP6:
		print_ip6(a, to);
		break;
	case ADDR_NAME:
		snprintf(to, ADDR_TEXT_MAX, "%s:%u", a->name, a->port);
		break;
	case ADDR_UNIX:
		snprintf(to, ADDR_TEXT_MAX, *a->name != '\0' ? "unix:%s" : "unix", a->name);
		break;
	case ADDR_SYSTEMD:
		snprintf(to, ADDR_TEXT_MAX, "systemd:%s", a->name);
		break;
	case ADDR_STDIO:
		snprintf(to, ADDR_TEXT_MAX, "stdio");
		break;
	}
	return to;
}

const char *addr_sock_print(const union addr_sock *s, char to[ADDR_TEXT_MAX])
{
	struct addr a;
	addr_from_sock(s, &a);
	return addr_print(&a, to);
}
