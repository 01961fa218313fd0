#ifndef COMMON_PROXY_HEADER_H
#define COMMON_PROXY_HEADER_H
/*
 * Does: the header of the PROXY protocol, version 1 and 2, that a load balancer puts before a
 * connection: whose it is. No I/O. Knows: its bytes. Never knows: who may send it.
 */
#include "common/addr.h"

#define PROXY_HEADER_MAX   536 /* bytes; version 1: 107 */
#define PROXY_HEADER_WRITE 52  /* bytes of what we write at most */

enum proxy_header_result {
	PROXY_HEADER_WHOLE,
	PROXY_HEADER_MORE,
	PROXY_HEADER_BAD,
};
/** proxy_header_read() - @data: what came so far. MORE: *ret_len is how long the header is at
 * least, more than @data. WHOLE: *ret_len is its length; *ret is the client, of family AF_UNSPEC if
 * it names none (LOCAL, UNSPEC, UNKNOWN, unix sockets): then the peer of the connection is the
 * client. */
NODISCARD enum proxy_header_result proxy_header_read(
	struct bytes data, size_t *ret_len, union addr_sock *ret);
/** proxy_header_write() - version 2: @client is connected to @target, both IP; of different
 * families, both as IP6. Return: bytes written. */
size_t proxy_header_write(const union addr_sock *client, const union addr_sock *target,
	uint8_t to[PROXY_HEADER_WRITE]);

#endif
