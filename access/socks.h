#ifndef ACCESS_SOCKS_H
#define ACCESS_SOCKS_H
/*
 * Does: SOCKS5 (RFC 1928, 1929) and SOCKS4a of a client, without I/O. Knows: their bytes, reply
 * codes. Never knows: streams, who may come in. For greeting.c.
 */
#include "access/greeting.h"

struct socks {
	uint8_t in[2 + 255 + 1 + 255 + 2]; /* the message that is being read */
	uint8_t out[2 + 4 + 16 + 2];
	uint16_t n_in, n_wanted, n_out;
	uint8_t state; /* of socks.c */
	bool needs_user, is_v4;
	char name[GREETING_NAME_MAX + 1], password[GREETING_NAME_MAX + 1];
	struct greeting_request request;
};
/** socks_init() - reading begins with the first byte of the connection. */
void socks_init(struct socks *socks, bool needs_user);
void socks_deinit(struct socks *socks); /* wipes */
size_t socks_wants(const struct socks *socks);
/** socks_feed() - as greeting_feed(). SOCKS5: methods (00, or 02 where a user is needed; FF if the
 * client has none of ours), name and password, request: CONNECT, UDP ASSOCIATE; BIND and others are
 * answered 07, address types but 1, 3, 4 with 08; names that are none and port 0 with 01.
 * SOCKS4 and 4a: CONNECT only, refused (5B) where a user is needed. */
enum greeting_step socks_feed(struct socks *socks, struct bytes in);
struct bytes socks_output(struct socks *socks); /* once */
enum greeting_step socks_verdict(struct socks *socks, bool is_right);
/** socks_answer() - the reply code comes from the row of the status that failed
 * (wire_status_socks_reply()): a hop's failure before the exit is 01 or 03/04/05 by what it was. */
struct bytes socks_answer(
	struct socks *socks, const struct chain_error *error, const union addr_sock *bound);

#endif
