#ifndef ACCESS_SOCKS_DATAGRAM_H
#define ACCESS_SOCKS_DATAGRAM_H
/*
 * Does: the header of a datagram between a SOCKS5 client and its proxy (RFC 1928 7), without I/O.
 * Knows: its bytes. Never knows: sockets, who sent it.
 *
 *   RSV 00 00 | FRAG | ATYP 1, 3 or 4 | address | port | data
 */
#include "common/addr.h"

#define SOCKS_DATAGRAM_HEADER_MAX (2 + 1 + 1 + 1 + 255 + 2)

enum socks_datagram_verdict {
	SOCKS_DATAGRAM_OK,
	SOCKS_DATAGRAM_FRAGMENT, /* FRAG is not 0: we put nothing together, and RFC 1928 says drop
				  */
	SOCKS_DATAGRAM_BAD,      /* cut off, RSV not 0, another ATYP, no name, port 0 */
};
/**
 * socks_datagram_decode() - the target, and what is for it (a view into @in; may be empty).
 * A name must be one (addr_name_is_valid()), one trailing dot aside, which is removed. A literal
 * that was given as a name is the address it is; with a zone it is bad.
 */
enum socks_datagram_verdict socks_datagram_decode(
	struct bytes in, struct addr *ret_target, struct bytes *ret_data);
/** socks_datagram_encode() - the header of @target, an address or a name. Return: its length. */
size_t socks_datagram_encode(const struct addr *target, uint8_t to[SOCKS_DATAGRAM_HEADER_MAX]);

#endif
