#ifndef ACCESS_GREETING_H
#define ACCESS_GREETING_H
/*
 * Does: what a client of a proxy listener says before its payload, byte by byte: SOCKS5, SOCKS4a,
 * HTTP CONNECT, HTTP with an absolute URI, told apart by the first byte; and what it is answered.
 * Knows: these protocols (socks.h, http_greeting.h). Never knows: streams, chains, password files.
 *
 * No I/O. Nothing is read behind the greeting where the protocol says where it ends (SOCKS); what
 * was read behind it in HTTP is its body and the next request, or a reason to refuse.
 */
#include "chain/error.h"
#include "common/addr.h"
#include "common/wire.h"

#include <stdbool.h>

/* Which protocols a listener takes. */
enum {
	GREETING_SOCKS = 1, /* 5 and 4a */
	GREETING_HTTP = 2,
};

#define GREETING_HEAD_MAX 16384 /* bytes of an HTTP request head; SOCKS needs 513 at most */
#define GREETING_NAME_MAX 255   /* bytes of a user's name, and of a password */
#define GREETING_MS       30000 /* from accept to the end of the greeting */

struct greeting;
struct http_request;

enum greeting_step {
	GREETING_MORE,     /* send greeting_output() if there is some; feed more */
	GREETING_PASSWORD, /* send output; look the password up, then greeting_verdict() */
	GREETING_READY,    /* the target is known: greeting_request(); then greeting_answer() */
	GREETING_REFUSED,  /* send output, then close gently (lingering) */
	GREETING_SILENT,   /* not one of these protocols: close without a word */
};

enum greeting_command {
	GREETING_CONNECT,
	GREETING_ASSOCIATE, /* SOCKS5 UDP ASSOCIATE */
};

/* Borrowed from the greeting. */
struct greeting_request {
	enum greeting_command command;
	const char *protocol; /* "socks5", "socks4a", "http-connect", "http": for the log. Static */
	struct addr target;   /* ASSOCIATE: where the client will send from, or zeros */
	const char *user;     /* who was let in, or "" */
	const struct http_request *http; /* of "http": for http_exchange.h; else NULL */
};

struct greeting_options {
	unsigned protocols; /* GREETING_SOCKS | GREETING_HTTP */
	bool needs_user;    /* nobody is let in without name and password */
};

/** greeting_new() - Return: 0, ERR_NOMEM. */
NODISCARD int greeting_new(const struct greeting_options *options, struct greeting **ret);
void greeting_free(struct greeting *greeting); /* wipes. NULL ok */
/** greeting_wants() - how many bytes may be read now (at least 1 while MORE): for SOCKS
 * never so many that payload is read; a buffer's worth for HTTP. */
size_t greeting_wants(const struct greeting *greeting);
/** greeting_feed() - at most greeting_wants() bytes; all are taken. */
enum greeting_step greeting_feed(struct greeting *greeting, struct bytes in);
/** greeting_output() - what is to be sent now, once: valid until the next call on @greeting. */
struct bytes greeting_output(struct greeting *greeting);
/** greeting_password() - at PASSWORD: texts of at most GREETING_NAME_MAX bytes, NUL-terminated,
 * valid until the verdict. */
void greeting_password(
	const struct greeting *greeting, const char **ret_name, const char **ret_password);
/** greeting_verdict() - whether they are right; wipes the password. As feed. */
enum greeting_step greeting_verdict(struct greeting *greeting, bool is_right);
/** greeting_request() - at READY, and until free. */
const struct greeting_request *greeting_request(const struct greeting *greeting);
/** greeting_answer() - what the client is told when its chain stands (@error NULL) or not. @bound:
 * ASSOCIATE: where the datagrams go to; else NULL. Valid until the next call. After an error the
 * connection is closed gently. */
struct bytes greeting_answer(
	struct greeting *greeting, const struct chain_error *error, const union addr_sock *bound);

#endif
