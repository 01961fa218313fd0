#ifndef ACCESS_SOCKS_NAME_H
#define ACCESS_SOCKS_NAME_H
/*
 * Does: a name as a SOCKS client writes it, in a request or before a datagram. Knows: literals that
 * are given as names. Never knows: the messages around it.
 */
#include "common/addr.h"

/** socks_name_read() - @name without its length, not NUL-terminated. A literal that somebody sent
 * as a name, which must never be looked up, becomes the address it is; with a zone it is none: that
 * means something on this host only. @port may be 0. Return: false if it is no name. */
NODISCARD bool socks_name_read(struct bytes name, uint16_t port, struct addr *ret);

#endif
