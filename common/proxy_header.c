#include "common/proxy_header.h"

#include <arpa/inet.h>
#include <string.h>

#define LINE_MIN   15 /* "PROXY UNKNOWN\r\n" */
#define LINE_MAX   107
#define BINARY_MIN 16
#define IP4_LEN    12 /* two addresses and two ports */
#define IP6_LEN    36

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* Decimal, 0..65535, without leading zeros. */
static bool read_port(const char *text, uint16_t *ret)
{
	unsigned value = 0;
	size_t len = strlen(text);
	if (len == 0 || len > 5 || (text[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*ret = (uint16_t)value;
	return value <= UINT16_MAX;
}

/* Addresses in text, of one family. */
static bool read_address(int family, const char *ip, const char *port, union addr_sock *ret)
{
	uint16_t number;
	union addr_sock at = { .any.sa_family = (sa_family_t)family };
	void *to = family == AF_INET ? (void *)&at.ip4.sin_addr : (void *)&at.ip6.sin6_addr;
	if (inet_pton(family, ip, to) != 1 || !read_port(port, &number))
		return false;
	addr_sock_set_port(&at, number);
	*ret = at;
	return true;
}

/* "PROXY TCP4 SOURCE TARGET PORT PORT" with single spaces; @line is scratch. */
static bool read_line(char *line, union addr_sock *ret)
{
	char *words[6], *rest = line;
	union addr_sock from, to;
	size_t n = 0;
	if (strcmp(line, "PROXY UNKNOWN") == 0 || strncmp(line, "PROXY UNKNOWN ", 14) == 0)
		return true; /* whatever follows */
	while (n < 6 && rest != NULL)
		words[n++] = strsep(&rest, " ");
	if (n != 6 || rest != NULL)
		return false;
	bool is_ip4 = strcmp(words[1], "TCP4") == 0;
	if (!is_ip4 && strcmp(words[1], "TCP6") != 0)
		return false;
	int family = is_ip4 ? AF_INET : AF_INET6;
	if (!read_address(family, words[2], words[4], &from) ||
		!read_address(family, words[3], words[5], &to))
		return false;
	addr_sock_unmap(&from);
	*ret = from;
	return true;
}

static enum proxy_header_result read_text(struct bytes data, size_t *ret_len, union addr_sock *ret)
{
	char line[LINE_MAX + 1];
	size_t n = data.len < LINE_MAX ? data.len : LINE_MAX;
	const uint8_t *end = memchr(data.ptr, '\n', n);
	if (end == NULL) {
		*ret_len = data.ptr[n - 1] == '\r' ? n + 1 : n + 2;
		if (*ret_len < LINE_MIN)
			*ret_len = LINE_MIN;
		return *ret_len <= LINE_MAX ? PROXY_HEADER_MORE : PROXY_HEADER_BAD;
	}
	size_t len = (size_t)(end - data.ptr);
	if (len == 0 || data.ptr[len - 1] != '\r' || memchr(data.ptr, '\0', len) != NULL)
		return PROXY_HEADER_BAD;
	memcpy(line, data.ptr, len - 1);
	line[len - 1] = '\0';
	*ret_len = len + 1;
	return read_line(line, ret) ? PROXY_HEADER_WHOLE : PROXY_HEADER_BAD;
}

/* What follows the addresses (TLVs) is not looked at. */
static bool read_binary_address(uint8_t family, struct bytes body, union addr_sock *ret)
{
	if (family == 0x11 || family == 0x12) {
		if (body.len < IP4_LEN)
			return false;
		ret->ip4.sin_family = AF_INET;
		memcpy(&ret->ip4.sin_addr, body.ptr, 4);
		memcpy(&ret->ip4.sin_port, body.ptr + 8, 2);
		return true;
	}
	if (family == 0x21 || family == 0x22) {
		if (body.len < IP6_LEN)
			return false;
		ret->ip6.sin6_family = AF_INET6;
		memcpy(&ret->ip6.sin6_addr, body.ptr, 16);
		memcpy(&ret->ip6.sin6_port, body.ptr + 32, 2);
		addr_sock_unmap(ret);
		return true;
	}
	return family == 0x00 || family == 0x31 || family == 0x32;
}

static enum proxy_header_result read_binary(
	struct bytes data, size_t *ret_len, union addr_sock *ret)
{
	*ret_len = BINARY_MIN;
	if (data.len < BINARY_MIN)
		return PROXY_HEADER_MORE;
	uint8_t command = data.ptr[12];
	size_t len = (size_t)data.ptr[14] << 8 | data.ptr[15];
	if ((command != 0x20 && command != 0x21) || len > PROXY_HEADER_MAX - BINARY_MIN)
		return PROXY_HEADER_BAD;
	*ret_len = BINARY_MIN + len;
	if (data.len < *ret_len)
		return PROXY_HEADER_MORE;
	if (command == 0x20) /* LOCAL: the balancer's own */
		return PROXY_HEADER_WHOLE;
	return read_binary_address(data.ptr[13], bytes_of(data.ptr + BINARY_MIN, len), ret)
		       ? PROXY_HEADER_WHOLE
		       : PROXY_HEADER_BAD;
}

enum proxy_header_result proxy_header_read(struct bytes data, size_t *ret_len, union addr_sock *ret)
{
	static const char word[] = "PROXY ";
	memset(ret, 0, sizeof *ret);
	*ret_len = LINE_MIN;
	if (data.len == 0)
		return PROXY_HEADER_MORE;
	size_t n = data.len < sizeof signature ? data.len : sizeof signature;
	if (memcmp(data.ptr, signature, n) == 0)
		return read_binary(data, ret_len, ret);
	n = data.len < sizeof word - 1 ? data.len : sizeof word - 1;
	return memcmp(data.ptr, word, n) == 0 ? read_text(data, ret_len, ret) : PROXY_HEADER_BAD;
}

static void put_ip6(struct wire_writer *w, const union addr_sock *s)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	if (s->any.sa_family == AF_INET6) {
		wire_put_bytes(w, &s->ip6.sin6_addr, 16);
		return;
	}
	wire_put_bytes(w, mapped, sizeof mapped);
	wire_put_bytes(w, &s->ip4.sin_addr, 4);
}

size_t proxy_header_write(const union addr_sock *client, const union addr_sock *target,
	uint8_t to[PROXY_HEADER_WRITE])
{
	struct wire_writer w;
	bool is_ip4 = client->any.sa_family == AF_INET && target->any.sa_family == AF_INET;
	wire_writer_init(&w, to, PROXY_HEADER_WRITE);
	wire_put_bytes(&w, signature, sizeof signature);
	wire_put_u8(&w, 0x21);
	wire_put_u8(&w, is_ip4 ? 0x11 : 0x21);
	wire_put_u16(&w, is_ip4 ? IP4_LEN : IP6_LEN);
	if (is_ip4) {
		wire_put_bytes(&w, &client->ip4.sin_addr, 4);
		wire_put_bytes(&w, &target->ip4.sin_addr, 4);
	} else {
		put_ip6(&w, client);
		put_ip6(&w, target);
	}
	wire_put_u16(&w, addr_sock_port(client));
	wire_put_u16(&w, addr_sock_port(target));
	return wire_written(&w);
}
