#ifndef COMMON_UDP_H
#define COMMON_UDP_H
/*
 * Does: datagram sockets with batched system calls: recvmmsg, sendmmsg, UDP_GRO and UDP_SEGMENT
 * where the kernel has them. Knows: sockets, ICMP errors. Never knows: who is served, any format.
 *
 * The sockets of a loop share a struct udp_io: receive buffers, a send queue, counters. Sending
 * copies into the queue; what was sent during a batch of events leaves together after it. The
 * kernel's socket buffer is the only queue beyond that: what it does not take is dropped and
 * counted.
 */
#include "common/addr.h"
#include "common/loop.h"

#define UDP_PAYLOAD_MAX 65507             /* largest UDP payload over IP4 */
#define UDP_BUFFER      (4 * 1024 * 1024) /* receive and send buffer of a shared socket, bytes */
#define UDP_FLOW_BUFFER (1 * 1024 * 1024) /* of a socket of one flow */

struct udp_io;

/* Datagrams that were lost here, by reason; and what passed. Of one loop. */
struct udp_counters {
	uint64_t n_received, n_sent; /* datagrams */
	uint64_t n_received_bytes, n_sent_bytes;
	uint64_t n_receive_calls, n_send_calls; /* system calls */
	uint64_t n_truncated;                   /* longer than UDP_PAYLOAD_MAX */
	uint64_t n_full;        /* the socket's send buffer was full (EAGAIN, ENOBUFS) */
	uint64_t n_too_long;    /* EMSGSIZE */
	uint64_t n_unreachable; /* refused by an ICMP error or the routing table */
	uint64_t n_failed;      /* any other error */
};

NODISCARD int udp_io_new(struct loop *loop, struct udp_io **ret);
void udp_io_free(struct udp_io *io); /* after every socket was closed. NULL ok */
const struct udp_counters *udp_io_counters(const struct udp_io *io);

struct udp_options {
	const struct addr *bind; /* kind NONE: dual stack, 0.0.0.0 where IPv6 is off; or NULL = any
				    port of the family of @connect */
	const union addr_sock *connect; /* or NULL */
	bool shares_port;               /* SO_REUSEPORT, for several workers */
	bool is_transparent; /* IP_TRANSPARENT: takes what goes to other hosts, if rules of the
				kernel give it to us; udp_packet.local is then where it was going */
	bool speaks_for;     /* IP_TRANSPARENT: @bind is an address of another host, in whose name
				we answer. Several sockets may have it (SO_REUSEADDR) */
	int adopted_fd; /* a bound socket, of which a copy is used instead of all that; 0 = none */
	bool keeps_df;  /* IP_PMTUDISC_PROBE; else IP_PMTUDISC_DONT: fragmentation is allowed */
	bool is_shared; /* buffers of UDP_BUFFER, else of UDP_FLOW_BUFFER */
};

/* One received datagram; valid until the callback returns. @data may be written to. */
struct udp_packet {
	uint8_t *data;
	size_t len;
	const union addr_sock *from;  /* unmapped */
	const union addr_sock *local; /* address it came to, unmapped, with our port: what the
					 answer must come from. Family AF_UNSPEC if the socket is
					 connected */
};

struct udp;
struct udp_ops {
	void (*on_packet)(struct udp *udp, const struct udp_packet *packet, void *owner);
	/* An error about what was sent earlier, of a connected socket: -ECONNREFUSED (ICMP port
	 * unreachable), -EHOSTUNREACH, -ENETUNREACH, -EACCES …; -EMSGSIZE with @mtu = the largest
	 * UDP payload that can be sent now (0 = not known). At most once per batch and socket. */
	void (*on_error)(struct udp *udp, int error, size_t mtu, void *owner);
};

/** udp_open() - a socket, bound and connected as told. @ops is borrowed. Callbacks run on the loop;
 * a callback may close any socket. Return: 0, or -errno of socket, bind, connect. */
NODISCARD int udp_open(struct udp_io *io, const struct udp_options *options,
	const struct udp_ops *ops, void *owner, struct udp **ret);
/** udp_close() - what was queued still leaves; no callback will come; frees itself. NULL ok. */
void udp_close(struct udp *udp);
/** udp_claim() - as listener_claim(): whether @at can be bound by nobody but us; sets at->port if
 * it was 0. */
NODISCARD int udp_claim(struct addr *at);
/** udp_peer() - of a connected socket. Return: 0, or -errno. */
NODISCARD int udp_peer(const struct udp *udp, union addr_sock *ret);
uint16_t udp_port(const struct udp *udp);
void udp_share(struct udp *udp, bool shares_port); /* as listener_share() */
/** udp_path_max() - largest UDP payload to the connected peer without fragments, by the kernel's
 * view of the path (IP_MTU). 0 = not known. */
size_t udp_path_max(const struct udp *udp);
/** udp_send() - queues @head ‖ @body (either may be empty) as one datagram; copies both.
 * @to: NULL on a connected socket. @local: udp_packet.local of what is answered, or NULL.
 * Errors come as on_error, later; a datagram that is lost is counted. */
void udp_send(struct udp *udp, const union addr_sock *to, const union addr_sock *local,
	struct bytes head, struct bytes body);

/** udp_tell_unreachable() - tells the local program at @client that what it sent to @local (our
 * socket) came to a closed port: one ICMP port unreachable through a raw socket, as a kernel would
 * send it, so that a connected socket gets ECONNREFUSED. @payload_len: of the client's datagram.
 * Return: false if this process may not (CAP_NET_RAW), or it could not be sent. */
bool udp_tell_unreachable(struct udp_io *io, const union addr_sock *client,
	const union addr_sock *local, size_t payload_len);

#endif
