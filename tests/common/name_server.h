#ifndef TESTS_COMMON_NAME_SERVER_H
#define TESTS_COMMON_NAME_SERVER_H
/*
 * Does: a small DNS server on loopback, UDP and TCP on one port the kernel chose, on the test's own
 * loop. Knows: the zone a test gives it. Never knows: any other name (NXDOMAIN).
 */
#include "common/loop.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum name_rcode {
	NAME_OK = 0,
	NAME_SERVFAIL = 2,
	NAME_NXDOMAIN = 3,
	NAME_REFUSED = 5,
	NAME_SILENT = 100, /* no answer at all */
	NAME_TCP_ONLY,     /* over UDP a truncated answer */
};

/* An SRV record of a name of the zone. */
struct name_service {
	const char *name;
	uint16_t priority, weight, port;
	const char *host; /* "" is the root */
};

struct name_record {
	const char *name;
	enum name_rcode rcode;
	uint32_t ttl_s;
	const char *addresses[24]; /* of both families */
};

struct name_server {
	struct loop *loop;
	const struct name_record *zone;      /* ends with name NULL */
	const struct name_service *services; /* the same; NULL, or set by the test */
	struct poll udp, listener, tcp;
	char text[40]; /* for resolver_new() */
	int n_queries; /* UDP and TCP */
};

/* Reads the name of the question at @at. Return: what follows it. */
static const uint8_t *name_server_read(const uint8_t *at, char *to)
{
	while (*at != 0) {
		memcpy(to, at + 1, *at);
		to += *at;
		*to++ = '.';
		at += *at + 1;
	}
	to[-1] = '\0';
	return at + 1;
}

static uint8_t *name_server_put(uint8_t *to, const void *from, size_t n)
{
	memcpy(to, from, n);
	return to + n;
}

/* Appends the records of @record that a question of @type asks for. */
static uint8_t *name_server_records(
	uint8_t *to, const struct name_record *record, int type, uint8_t *count)
{
	for (int i = 0; i < 24 && record->addresses[i] != NULL; i++) {
		uint8_t ip[16];
		int family = strchr(record->addresses[i], ':') ? AF_INET6 : AF_INET;
		if ((type == 28) != (family == AF_INET6))
			continue;
		cr_assert_eq(inet_pton(family, record->addresses[i], ip), 1);
		uint8_t n = family == AF_INET ? 4 : 16;
		uint32_t ttl = htonl(record->ttl_s);
		to = name_server_put(to, (uint8_t[]){ 0xc0, 12, 0, (uint8_t)type, 0, 1 }, 6);
		to = name_server_put(to, &ttl, 4);
		to = name_server_put(to, (uint8_t[]){ 0, n }, 2);
		to = name_server_put(to, ip, n);
		++*count;
	}
	return to;
}

static uint8_t *name_server_put16(uint8_t *to, uint16_t value)
{
	value = htons(value);
	return name_server_put(to, &value, 2);
}

static uint8_t *name_server_put_name(uint8_t *to, const char *name)
{
	while (*name != '\0') {
		size_t n = strcspn(name, ".");
		*to++ = (uint8_t)n;
		to = name_server_put(to, name, n);
		name += n + (name[n] == '.');
	}
	*to++ = 0;
	return to;
}

static uint8_t *name_server_services(uint8_t *to, const struct name_server *server,
	const struct name_record *record, uint8_t *count)
{
	const struct name_service *service = server->services;
	for (; service != NULL && service->name != NULL; service++) {
		uint32_t ttl = htonl(record->ttl_s);
		if (strcmp(service->name, record->name) != 0)
			continue;
		to = name_server_put(to, (uint8_t[]){ 0xc0, 12, 0, 33, 0, 1 }, 6);
		to = name_server_put(to, &ttl, 4);
		uint8_t *len = to;
		to = name_server_put16(to + 2, service->priority);
		to = name_server_put16(to, service->weight);
		to = name_server_put16(to, service->port);
		to = name_server_put_name(to, service->host);
		name_server_put16(len, (uint16_t)(to - len - 2));
		++*count;
	}
	return to;
}

/* Return: length of the answer in @to, 0 = none. */
static size_t name_server_answer(
	struct name_server *server, const uint8_t *query, bool is_tcp, uint8_t *to)
{
	char name[256];
	const uint8_t *end = name_server_read(query + 12, name);
	const struct name_record *record = server->zone;
	int type = end[1];
	uint8_t *at = name_server_put(to, query, (size_t)(end + 4 - query));
	server->n_queries++;
	while (record->name != NULL && strcasecmp(record->name, name) != 0)
		record++;
	enum name_rcode rcode = record->name != NULL ? record->rcode : NAME_NXDOMAIN;
	if (rcode == NAME_SILENT)
		return 0;
	bool is_cut = rcode == NAME_TCP_ONLY && !is_tcp;
	to[2] = (uint8_t)(0x81 | (is_cut ? 0x02 : 0));
	to[3] = (uint8_t)(0x80 | (rcode == NAME_TCP_ONLY ? 0 : rcode));
	memset(to + 6, 0, 6);
	if (!is_cut && (rcode == NAME_OK || rcode == NAME_TCP_ONLY))
		at = type == 33 ? name_server_services(at, server, record, &to[7])
				: name_server_records(at, record, type, &to[7]);
	return (size_t)(at - to);
}

static void name_server_on_udp(struct poll *poll, unsigned events)
{
	struct name_server *server =
		(struct name_server *)((char *)poll - offsetof(struct name_server, udp));
	(void)events;
	for (;;) {
		uint8_t query[1500], answer[4096];
		struct sockaddr_in peer;
		socklen_t len = sizeof peer;
		ssize_t n = recvfrom(poll->fd, query, sizeof query, MSG_DONTWAIT,
			(struct sockaddr *)&peer, &len);
		if (n < 0)
			return;
		size_t n_answer = name_server_answer(server, query, false, answer);
		if (n_answer > 0)
			sendto(poll->fd, answer, n_answer, 0, (struct sockaddr *)&peer, len);
	}
}

/* One query per segment and one connection at a time are enough here. */
static void name_server_on_tcp(struct poll *poll, unsigned events)
{
	struct name_server *server =
		(struct name_server *)((char *)poll - offsetof(struct name_server, tcp));
	uint8_t in[3000], out[4098];
	ssize_t n = (events & READY_IN) ? recv(poll->fd, in, sizeof in, MSG_DONTWAIT) : -1;
	for (ssize_t at = 0; at + 2 < n; at += 2 + in[at] * 256 + in[at + 1]) {
		size_t n_out = name_server_answer(server, in + at + 2, true, out + 2);
		out[0] = (uint8_t)(n_out >> 8);
		out[1] = (uint8_t)n_out;
		cr_assert_eq(send(poll->fd, out, n_out + 2, MSG_NOSIGNAL), (ssize_t)n_out + 2);
	}
}

static void name_server_on_accept(struct poll *poll, unsigned events)
{
	struct name_server *server =
		(struct name_server *)((char *)poll - offsetof(struct name_server, listener));
	(void)events;
	int fd = accept(poll->fd, NULL, NULL);
	if (fd >= 0)
		cr_assert_eq(poll_add(server->loop, &server->tcp, fd, name_server_on_tcp), 0);
}

static void name_server_open(
	struct name_server *server, struct loop *loop, const struct name_record *zone)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int udp, tcp;
	*server = (struct name_server){ .loop = loop, .zone = zone, .tcp.fd = -1 };
	do { /* until a port is free for both */
		at.sin_port = 0;
		udp = socket(AF_INET, SOCK_DGRAM, 0);
		tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		cr_assert_eq(bind(udp, (struct sockaddr *)&at, sizeof at), 0);
		getsockname(udp, (struct sockaddr *)&at, &len);
	} while (bind(tcp, (struct sockaddr *)&at, sizeof at) != 0 && close(udp) == 0 &&
		 close(tcp) == 0);
	cr_assert_eq(listen(tcp, 8), 0);
	cr_assert_eq(poll_add(loop, &server->udp, udp, name_server_on_udp), 0);
	cr_assert_eq(poll_add(loop, &server->listener, tcp, name_server_on_accept), 0);
	snprintf(server->text, sizeof server->text, "127.0.0.1:%u", ntohs(at.sin_port));
}

static void name_server_close(struct name_server *server)
{
	struct poll *polls[] = { &server->udp, &server->listener, &server->tcp };
	for (int i = 0; i < 3; i++) {
		int fd = polls[i]->fd;
		if (fd < 0)
			continue;
		poll_remove(server->loop, polls[i]);
		close(fd);
	}
}

#endif
