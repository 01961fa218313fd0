#ifndef COMMON_ADDR_H
#define COMMON_ADDR_H
/*
 * Does: host-or-IP with a port: parse, print, compare, classify. Knows: text forms, address ranges.
 * Never knows: policy, DNS.
 */
#include "common/err.h"
#include "common/wire.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDR_NAME_MAX 253                  /* longest DNS name in text, without a trailing dot */
#define ADDR_TEXT_MAX (ADDR_NAME_MAX + 10) /* "[...]:65535" and NUL */

/* A socket address of the two families we dial; 28 bytes. AF_UNIX, without more, is the peer of a
 * unix socket: somebody on this host. */
union addr_sock {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

enum addr_kind {
	ADDR_NONE,
	ADDR_IP4,
	ADDR_IP6,
	ADDR_NAME,
	/* Only where one listens. */
	ADDR_UNIX,    /* a socket file: its path is the name */
	ADDR_SYSTEMD, /* what systemd passed under this name */
	ADDR_STDIO,   /* the one connection on descriptors 0 and 1 */
};

#define ADDR_PATH_MAX 107 /* of a socket file */

/* What a person or a header names: a literal or a DNS name, and a port. */
struct addr {
	enum addr_kind kind;
	uint16_t port;                /* host order */
	uint8_t ip[16];               /* IP4: first 4 bytes, rest zero; IP6: all 16 */
	uint32_t scope;               /* IP6: interface index of a link-local literal, else 0 */
	char name[ADDR_NAME_MAX + 1]; /* NAME: text without trailing dot; UNIX, SYSTEMD; else "" */
};

enum addr_parse_error {
	ADDR_OK,
	ADDR_EMPTY,
	ADDR_NO_PORT,       /* "host" where "host:port" is needed */
	ADDR_BAD_PORT,      /* not a number */
	ADDR_PORT_RANGE,    /* not 1..65535 (listen: 0..65535) */
	ADDR_AMBIGUOUS_IP6, /* "2001:db8::1:7000": needs brackets */
	ADDR_BAD_IP6,
	ADDR_BAD_NAME,
	ADDR_BAD_PATH,    /* "unix:PATH": not absolute, or longer than ADDR_PATH_MAX */
	ADDR_BAD_SYSTEMD, /* "systemd:NAME": not what systemd accepts as a name */
};

/**
 * addr_parse_dial() - "HOST:PORT" or "[IPV6%zone]:PORT" (interface.md 2.3)
 * A dotted quad is an IP4 literal; anything else inet_aton() would take ("127.1", "0x7f.1") is
 * ADDR_BAD_NAME. One trailing dot of a name is removed. @ret is written only on ADDR_OK.
 */
enum addr_parse_error addr_parse_dial(const char *text, struct addr *ret);

/**
 * addr_parse_listen() - ":PORT", "*:PORT", "HOST:PORT" (IP literal only), "[IPV6%zone]:PORT"; PORT
 * 0 = any.
 * ":PORT" and "*:PORT" give kind ADDR_NONE: one dual-stack socket, 0.0.0.0 where IPv6 is off.
 * A host name is ADDR_BAD_NAME. Or "unix:/PATH", "systemd:NAME", "stdio"; addr_print() gives them
 * back.
 */
enum addr_parse_error addr_parse_listen(const char *text, struct addr *ret);

/** addr_parse_text() - one sentence for @error, e.g. "has no port". Static. */
const char *addr_parse_text(enum addr_parse_error error);

/**
 * addr_name_is_valid() - protocol.md 2.4: 1..253 of [A-Za-z0-9._-], labels 1..63 bytes, no trailing
 * dot, last label neither all digits nor 0x followed by hex digits only.
 */
bool addr_name_is_valid(struct bytes name);

/** addr_to_sock() - the socket address of an IP4 or IP6 literal. Return: 0, ERR_INVAL for a name.
 */
NODISCARD int addr_to_sock(const struct addr *a, union addr_sock *ret);
void addr_from_sock(const union addr_sock *s, struct addr *ret);
/** addr_is_equal() - the same kind, host and port; names letter by letter. */
bool addr_is_equal(const struct addr *a, const struct addr *b);
socklen_t addr_sock_len(const union addr_sock *s);
uint16_t addr_sock_port(const union addr_sock *s);
void addr_sock_set_port(union addr_sock *s, uint16_t port);
/** addr_sock_is_equal() - same family, address and port (scope too when both have one). */
bool addr_sock_is_equal(const union addr_sock *a, const union addr_sock *b);
/** addr_is_port() - whether @a is an address with a port to bind: no socket file, nothing passed.
 */
bool addr_is_port(const struct addr *a);
/** addr_sock_unmap() - turns ::ffff:a.b.c.d into the IP4 address it is; everything else stays. */
void addr_sock_unmap(union addr_sock *s);

/** addr_print() - "host:port" or "[ip6%zone]:port", "*:port" of kind NONE; always NUL-terminated.
 * Returns @to. */
const char *addr_print(const struct addr *a, char to[ADDR_TEXT_MAX]);
const char *addr_sock_print(const union addr_sock *s, char to[ADDR_TEXT_MAX]);

/* Classes of a socket address (security.md 6, "Open proxy / SSRF"). */
enum addr_class {
	ADDR_PUBLIC,
	ADDR_LOOPBACK,    /* 127/8, ::1 */
	ADDR_UNSPECIFIED, /* 0/8, :: */
	ADDR_PRIVATE,     /* 10/8, 100.64/10, 172.16/12, 192.168/16, fc00::/7, fec0::/10 */
	ADDR_LINK_LOCAL,  /* 169.254/16, fe80::/10 */
	ADDR_METADATA,    /* cloud metadata services: 169.254.169.254, fd00:ec2::254 and the like */
	ADDR_MULTICAST,   /* 224/4, ff00::/8, 255.255.255.255 */
	ADDR_RESERVED,    /* 192.0.0/24, 198.18/15, 240/4, ::/96, 2001::/32 */
	ADDR_OWN, /* an address of this host: no range, local.h knows. Only rules have it, no
		     function here returns it */
};

/**
 * addr_classify() - the class of @s; an address that embeds an IP4 address (mapped, compatible,
 * NAT64 64:ff9b::/96, 6to4 2002::/16) has the embedded address's class unless that is public.
 * @ret_is_embedded (may be NULL) says whether an embedded IP4 address decided.
 */
enum addr_class addr_classify(const union addr_sock *s, bool *ret_is_embedded);
/**
 * addr_classify_net() - the class whose one range holds all of @net/@prefix_bits; ADDR_PUBLIC if
 * none does. Embedded addresses are not looked at: with the full length this is the class of @net's
 * own form.
 */
enum addr_class addr_classify_net(const union addr_sock *net, unsigned prefix_bits);
/** addr_class_name() - "loopback", "link-local" … Static. */
const char *addr_class_name(enum addr_class c);

/** addr_embedded() - the IP4 address inside mapped, compatible, NAT64 or 6to4 @s. Return: false if
 * none. */
bool addr_embedded(const union addr_sock *s, union addr_sock *ret);

#endif
