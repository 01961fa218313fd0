#ifndef CHAIN_FOREIGN_H
#define CHAIN_FOREIGN_H
/*
 * Does: the client's side of somebody else's proxy, without I/O: SOCKS5 with and without a login
 * (RFC 1928, RFC 1929) and HTTP CONNECT (RFC 9110 9.3.6) with Basic. Knows: both protocols. Never
 * knows: sockets, what stands before or behind the proxy.
 */
#include "chain/spec.h"

#define CHAIN_FOREIGN_HEAD_MAX 16384 /* bytes of all heads of an HTTP proxy's answer */
#define CHAIN_FOREIGN_TEXT_MAX 60    /* of what it says in words */

enum chain_foreign_step {
	CHAIN_FOREIGN_MORE,     /* write the output, feed at most chain_foreign_wants() bytes */
	CHAIN_FOREIGN_DONE,     /* the next byte belongs to who stands behind the proxy */
	CHAIN_FOREIGN_REFUSED,  /* see chain_foreign_status() */
	CHAIN_FOREIGN_NO_LOGIN, /* it refuses our login, or wants one that we do not have */
	CHAIN_FOREIGN_BROKEN,   /* this is not the protocol */
};

struct chain_foreign;
/** chain_foreign_new() - to reach @target by way of @proxy, a step that is not a hop. Names are
 * sent as names. @target NULL: greeting and login only, which of HTTP is nothing at all: it is DONE
 * as it begins. Borrows nothing. Return: 0, ERR_NOMEM. */
NODISCARD int chain_foreign_new(
	const struct chain_hop *proxy, const struct addr *target, struct chain_foreign **ret);
void chain_foreign_free(struct chain_foreign *foreign); /* wipes. NULL ok */
/** chain_foreign_output() - what is to be written now; each byte once. Valid until the next feed.
 */
struct bytes chain_foreign_output(struct chain_foreign *foreign);
/** chain_foreign_wants() - how many bytes may be read: never one that is not the proxy's own. 0 =
 * it is over. */
size_t chain_foreign_wants(const struct chain_foreign *foreign);
/** chain_foreign_feed() - at most chain_foreign_wants() bytes. */
enum chain_foreign_step chain_foreign_feed(struct chain_foreign *foreign, struct bytes in);
/* After REFUSED: the answer as a status of ours, the number it sent, and its words or ours. */
uint8_t chain_foreign_status(const struct chain_foreign *foreign);
uint16_t chain_foreign_code(const struct chain_foreign *foreign); /* REP; HTTP status */
const char *chain_foreign_text(const struct chain_foreign *foreign);
/** chain_foreign_in() - the last answer as far as it came, for who shows it after BROKEN. */
struct bytes chain_foreign_in(const struct chain_foreign *foreign);

/* ---- HTTP (foreign_http.c) ---- */

/* The head of one answer, found byte-exactly: between the proxy's head and what it carries nothing
 * but an empty line stands. */
struct foreign_head {
	uint8_t *bytes;  /* CHAIN_FOREIGN_HEAD_MAX */
	size_t n, n_all; /* of this head; of all */
	uint8_t n_end;   /* of CR LF CR LF seen */
};
enum foreign_head_step {
	FOREIGN_HEAD_MORE,
	FOREIGN_HEAD_DONE, /* *ret_status is final: not 1xx */
	FOREIGN_HEAD_BROKEN,
};
size_t foreign_head_wants(const struct foreign_head *head);
enum foreign_head_step foreign_head_feed(struct foreign_head *head, struct bytes in,
	uint16_t *ret_status, char ret_text[CHAIN_FOREIGN_TEXT_MAX + 1]);
/** foreign_connect_print() - the request. Return: its length. */
#define FOREIGN_CONNECT_MAX 2048
size_t foreign_connect_print(
	const struct chain_hop *proxy, const struct addr *target, char to[FOREIGN_CONNECT_MAX]);
/** foreign_http_status() - @code, which is not of class 200, as a status of ours. */
uint8_t foreign_http_status(uint16_t code);

#endif
