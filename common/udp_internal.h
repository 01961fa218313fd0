#ifndef COMMON_UDP_INTERNAL_H
#define COMMON_UDP_INTERNAL_H
/*
 * Does: what the files of common/udp.h share: the socket, the queue, the buffers. Knows: sockets.
 * Never knows: who is served. Nobody else includes it.
 */
#include "common/pool.h"
#include "common/udp.h"

#include <assert.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define UDP_N_SLOTS    32            /* datagrams, or trains of them, of one recvmmsg */
#define UDP_SLOT_SIZE  65536         /* what UDP_GRO can give at once, and more */
#define UDP_N_QUEUED   2048          /* datagrams in the send queue */
#define UDP_ARENA      (1024 * 1024) /* their bytes */
#define UDP_N_MESSAGES 64            /* of one sendmmsg */
#define UDP_NONE       UINT32_MAX    /* no index */

/* Slots are not a power of two apart: their first lines would share one cache set. */
struct udp_slot {
	uint8_t data[UDP_SLOT_SIZE + 192];
};
union udp_control {
	size_t align; /* of a struct cmsghdr */
	uint8_t bytes[CMSG_SPACE(sizeof(struct sockaddr_in6)) + CMSG_SPACE(sizeof(int))];
};

/* Where recvmmsg() puts things. */
struct udp_inbox {
	struct mmsghdr headers[UDP_N_SLOTS];
	struct iovec vectors[UDP_N_SLOTS];
	union addr_sock names[UDP_N_SLOTS];
	union udp_control controls[UDP_N_SLOTS];
	struct udp_slot slots[UDP_N_SLOTS];
};

/* A queued datagram; those of one socket are chained. */
struct udp_entry {
	uint32_t at; /* in the arena */
	uint32_t next;
	uint32_t route; /* UDP_NONE on a connected socket */
	uint16_t len;
};
struct udp_route {
	union addr_sock to;    /* as the socket wants it: mapped on a dual-stack one */
	union addr_sock local; /* AF_UNSPEC = the kernel chooses */
};
/* What one message of a sendmmsg() consists of. */
struct udp_message {
	uint32_t first; /* entry */
	uint16_t n;     /* entries */
	bool is_retry;  /* a part of one that failed as a train */
};
struct udp_outbox {
	struct udp *senders, **last_sender; /* sockets with queued datagrams */
	uint32_t n_entries, n_routes, n_bytes;
	uint32_t n_single;    /* so many datagrams go alone: as a train they failed */
	uint16_t train_limit; /* udp->train_max if they succeed alone */
	struct udp_entry entries[UDP_N_QUEUED];
	struct udp_route routes[UDP_N_QUEUED];
	struct udp_message messages[UDP_N_MESSAGES];
	struct mmsghdr headers[UDP_N_MESSAGES];
	union udp_control controls[UDP_N_MESSAGES];
	struct iovec vectors[UDP_N_QUEUED];
	uint8_t arena[UDP_ARENA];
};

struct udp_io {
	struct loop *loop;
	struct task task; /* flushes, reports, frees */
	struct udp_counters counters;
	struct pool *pool;              /* connected sockets */
	struct udp *errors, *reporting; /* sockets with an error to report */
	struct udp *closed;             /* to be freed */
	bool is_freed;
	int icmp_fds[2]; /* IP4, IP6: UDP_RAW_* or a descriptor */
	struct udp_inbox *inbox;
	struct udp_outbox *outbox;
};
#define UDP_RAW_UNOPENED (-1)
#define UDP_RAW_REFUSED  (-2)

/* One per flow: small. */
struct udp {
	struct poll poll;
	struct udp_io *io;
	const struct udp_ops *ops;
	void *owner;
	struct udp *next_sender;
	struct udp *next; /* in io->errors, reporting or closed */
	uint32_t first_queued, last_queued;
	int error;          /* to report; in io->errors if not 0 */
	uint16_t train_max; /* longest datagram that may be sent with UDP_SEGMENT */
	bool is_connected, is_ip6, tells_local; /* tells_local: bound to any address */
	union addr_sock local[];                /* one, unless connected */
};

/** udp_wake() - the task runs after this batch of events. */
void udp_wake(struct udp_io *io);
/** udp_flush() - sends what is queued. Calls nobody back. */
void udp_flush(struct udp_io *io);
/** udp_note_error() - to be reported from the task, if @udp is connected. @error: -errno. */
void udp_note_error(struct udp *udp, int error);
/** udp_forget_error() - it will not be reported. */
void udp_forget_error(struct udp *udp);
/** udp_read_errors() - notes what ICMP said about earlier datagrams. */
void udp_read_errors(struct udp *udp);
/** udp_report_errors() - calls on_error() of everyone who has an error noted by now. */
void udp_report_errors(struct udp_io *io);
/** udp_add_control() - appends a control message; the buffer has room for all that we use. */
void udp_add_control(struct msghdr *header, int level, int type, const void *data, size_t len);
/** udp_add_source() - the control message that makes @local the source. @is_ip6: of the socket. */
void udp_add_source(struct msghdr *header, const union addr_sock *local, bool is_ip6);
/** udp_map() - an IP4 address becomes ::ffff:a.b.c.d; others stay. */
void udp_map(union addr_sock *s);

#endif
