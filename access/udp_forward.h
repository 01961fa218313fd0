#ifndef ACCESS_UDP_FORWARD_H
#define ACCESS_UDP_FORWARD_H
/*
 * Does: a UDP listener: one flow through the chain per (client address, listener); idle expiry,
 * caps, errors told to the local program. Knows: its target, its chain. Never knows: header
 * layouts, keys, sockets of hops.
 */
#include "access/ingress.h"
#include "chain/datagram.h"

#define ACCESS_FLOW_IDLE_MS      120000
#define ACCESS_FLOW_UNREPLIED_MS 35000 /* a chain that does not answer fails before */
#define ACCESS_FLOW_DNS_MS       10000 /* target port 53, after an answer */
#define ACCESS_FLOW_FAILED_MS    1000  /* a failed flow takes this long to be forgotten */
#define ACCESS_FLOW_DRAIN_MS     1000
#define ACCESS_FLOWS_MAX         16384 /* default cap per listener and worker */

struct access_udp;
/** access_udp_open() - listens for @ingress (borrowed) on the socket of @socket. Return: 0, -errno.
 */
NODISCARD int access_udp_open(struct access_ingress *ingress, struct udp_io *io,
	const struct udp_options *socket, struct access_udp **ret);
void access_udp_use(struct access_udp *udp, struct access_ingress *ingress); /* for new flows */
uint16_t access_udp_port(const struct access_udp *udp);
void access_udp_share(struct access_udp *udp, bool shares_port); /* as listener_share() */
/** access_udp_drain() - no new flows, and the old ones end when they are idle for
 * ACCESS_FLOW_DRAIN_MS. As always, on_session_end of the ingress's worker runs after each. NULL ok.
 */
void access_udp_drain(struct access_udp *udp);
uint32_t access_udp_count(const struct access_udp *udp);

/* What was not carried, since open. */
struct access_udp_counters {
	uint64_t n_flows;       /* began */
	uint64_t n_failed;      /* of those */
	uint64_t n_refused;     /* datagrams without a flow: source, limits, draining, no memory */
	uint64_t n_dropped;     /* datagrams of a flow that the chain did not take */
	uint64_t n_over_rate;   /* datagrams over a rate, up and down */
	uint64_t n_unreachable; /* statuses told or logged: nothing listens at the target … */
};
const struct access_udp_counters *access_udp_counters(const struct access_udp *udp);
void access_udp_close(struct access_udp *udp); /* ends all flows. NULL ok */

#endif
