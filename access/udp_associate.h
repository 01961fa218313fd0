#ifndef ACCESS_UDP_ASSOCIATE_H
#define ACCESS_UDP_ASSOCIATE_H
/*
 * Does: SOCKS5 UDP ASSOCIATE (RFC 1928 7): a socket for one client as long as its TCP connection
 * lives; one flow through the chain per target. Knows: the datagram header of SOCKS5, chains'
 * flows. Never knows: the TCP connection, who asked.
 */
#include "access/ingress.h"
#include "chain/datagram.h"

#define ASSOCIATE_FLOWS_MAX 64     /* targets of one association; the quietest makes room */
#define ASSOCIATE_IDLE_MS   120000 /* of one target's flow; 10 s for port 53 after an answer */

struct udp_associate;
/**
 * udp_associate_open() - @local: the address the client reached us at (the socket is bound there, a
 * port of its own); @client: the TCP peer: datagrams from other addresses are dropped, its first
 * datagram fixes the port (or @hint's port, if not 0). Fragments (FRAG ≠ 0) are dropped. Headers
 * down name the target as the client named it… by address where it gave one, by name otherwise.
 * Return: 0, ERR_NOMEM, -errno.
 */
NODISCARD int udp_associate_open(const struct access_ingress *ingress, struct udp_io *io,
	const union addr_sock *local, const union addr_sock *client, const struct addr *hint,
	struct udp_associate **ret);
void udp_associate_close(struct udp_associate *associate); /* NULL ok */
/** udp_associate_bound() - what the client is told. */
void udp_associate_bound(const struct udp_associate *associate, union addr_sock *ret);
struct udp_associate_counters {
	uint64_t n_up, n_down, n_up_bytes, n_down_bytes;
	uint64_t n_dropped; /* foreign sources, fragments, bad headers, limits */
	uint64_t n_flows, n_failed;
};
const struct udp_associate_counters *udp_associate_counters(const struct udp_associate *associate);

#endif
