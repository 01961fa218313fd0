#ifndef ACCESS_SOCKS_H
#define ACCESS_SOCKS_H
/*
 * Does: SOCKS5 (RFC 1928, 1929), SOCKS4 and 4a of a client, without I/O. Knows: their bytes, reply
 * codes. Never knows: streams, who may come in. For greeting.c.
 *
 *   state     waits for                                        next
 *   METHODS   the client's methods                             USER, REQUEST, DONE
 *   USER      name and password                                VERDICT, DONE
 *   VERDICT   socks_verdict()                                  REQUEST, DONE
 *   REQUEST   command and target                               READY, DONE
 *   HEAD4     SOCKS4: command, port, address                   USER4
 *   USER4     its user id, byte by byte; it is not looked at   NAME4, READY, DONE
 *   NAME4     SOCKS4a: a name, byte by byte                    READY, DONE
 *   READY     socks_answer() or socks_refuse()                 DONE
 *   DONE      nothing
 */
#include "access/greeting.h"

/* What may be read of the first message, whatever its length: a request, or a user and a request,
 * follow it before any payload does, and they are longer. */
#define SOCKS_FIRST_READ 7

struct socks {
	uint8_t in[2 + 255 + 1 + 255 + 2]; /* the message that is being read */
	uint8_t out[2 + 4 + 16 + 2];       /* of two messages that were read at once */
	uint16_t n_in, n_wanted;           /* n_wanted: as far as its length is known */
	uint8_t n_out;
	uint8_t state; /* of socks.c */
	bool needs_user, is_v4;
	char name[GREETING_NAME_MAX + 1], password[GREETING_NAME_MAX + 1];
	struct greeting_request request;
};
/** socks_init() - reading begins with the first byte of the connection: 4 or 5. */
void socks_init(struct socks *socks, bool needs_user);
void socks_deinit(struct socks *socks); /* wipes */
size_t socks_wants(const struct socks *socks);
/**
 * socks_feed() - as greeting_feed().
 * SOCKS5: methods (00, or 02 where a user is needed; FF if the client has none of ours), name and
 * password, request: CONNECT, UDP ASSOCIATE; BIND and others are answered 07, address types but 1,
 * 3, 4 with 08; names that are none, a version or reserved byte that is not as it should be, and
 * port 0 of CONNECT with 01. (A name that is none is 01, not 08: its type is supported.) A literal
 * sent as a name becomes an address. Names and passwords with a NUL, and empty names, are wrong
 * (01 01) unasked: as texts they would be other ones.
 * SOCKS4 and 4a: CONNECT only, refused (5B) where a user is needed.
 */
enum greeting_step socks_feed(struct socks *socks, struct bytes in);
struct bytes socks_output(struct socks *socks); /* once */
enum greeting_step socks_verdict(struct socks *socks, bool is_right);
/** socks_refuse() - at READY, instead of an answer: not allowed here (02, 5B). */
enum greeting_step socks_refuse(struct socks *socks);
/** socks_answer() - the reply code comes from the status that failed (chain_error_status(),
 * wire_status_socks_reply()). What fails before the exit is 03, 04 or 05 by what it was, else 01:
 * 02, 07 and 08 are about the target. Without @bound: 0.0.0.0:0. SOCKS4: 5A or 5B. */
struct bytes socks_answer(
	struct socks *socks, const struct chain_error *error, const union addr_sock *bound);

#endif
