#ifndef ACCESS_UDP_ASSOCIATE_H
#define ACCESS_UDP_ASSOCIATE_H
/*
 * Does: SOCKS5 UDP ASSOCIATE (RFC 1928 7): a socket for one client as long as its TCP connection
 * lives; one flow through the chain per target. Knows: the datagram header of SOCKS5, chains'
 * flows. Never knows: the TCP connection, who asked.
 *
 * Each flow is charged like a client of udp_forward.h and has its idle times. At
 * ASSOCIATE_FLOWS_MAX (or the listener's max_flows, if that is less) the one that is idle for
 * longest makes room.
 *
 * Answers name the target: by address where the client gave one (a literal given as a name is one),
 * else by the name the client used. RFC 1928 wants the remote's address there, which for a name
 * only the exit knows; clients that compare compare with what they asked for.
 *
 * What the chain says about a datagram (nothing listens there, too long) SOCKS5 cannot tell: it is
 * counted, and logged at debug.
 */
#include "access/ingress.h"
#include "chain/datagram.h"

#define ASSOCIATE_FLOWS_MAX 64 /* targets of one association */

struct udp_associate;
/**
 * udp_associate_open() - @local: the address the client reached us at (the socket is bound there, a
 * port of its own); @client: the TCP peer. Mapped addresses are taken for what they are. Datagrams
 * from other addresses are dropped, and the port of its first good one is the only port from then
 * on. @hint: what the request named, or NULL: fixes the port at once if it has one and its address
 * is the client's, or is unspecified and the client is this host. (Many clients name the target
 * there, and behind NAT nobody knows his port.)
 * @user: who was let in, for the rules; copied; or NULL.
 * No callback is ever made but @on_empty of drain.
 * Return: 0, ERR_NOMEM, -errno.
 */
NODISCARD int udp_associate_open(struct access_ingress *ingress, struct udp_io *io,
	const union addr_sock *local, const union addr_sock *client, const struct addr *hint,
	const char *user, struct udp_associate **ret);
void udp_associate_close(struct udp_associate *associate); /* ends all flows. NULL ok */
/** udp_associate_bound() - what the client is told. */
void udp_associate_bound(const struct udp_associate *associate, union addr_sock *ret);
uint32_t udp_associate_count(const struct udp_associate *associate); /* flows */
/** udp_associate_drain() - no new flows, and the old ones end when they are idle for
 * ACCESS_FLOW_DRAIN_MS. @on_empty runs once, from the loop, when there is none (any more); it may
 * close. Idempotent; the first @on_empty counts. */
typedef void udp_associate_empty_fn(void *owner);
void udp_associate_drain(
	struct udp_associate *associate, udp_associate_empty_fn *on_empty, void *owner);

struct udp_associate_counters {
	uint64_t n_up, n_down; /* datagrams that were carried */
	uint64_t n_up_bytes, n_down_bytes;
	uint64_t n_flows, n_failed; /* began; of those */
	/* Dropped. */
	uint64_t n_foreign;   /* of another address or port */
	uint64_t n_fragments; /* FRAG ≠ 0 */
	uint64_t n_bad;       /* no header of SOCKS5, no target */
	uint64_t n_refused;   /* without a flow: limits, draining, no memory */
	uint64_t n_too_long;  /* up: for the chain; down: with the header for UDP */
	uint64_t n_dropped;   /* of a flow that has failed */
	uint64_t n_over_rate; /* up and down */
	/* Not dropped here. */
	uint64_t n_unreachable; /* statuses about what was sent */
};
const struct udp_associate_counters *udp_associate_counters(const struct udp_associate *associate);

#endif
