#include "common/udp.h"

#include "common/udp_internal.h"

#include <fcntl.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALLS_PER_TURN   4    /* recvmmsg of one socket before others have their turn */
#define PACKETS_PER_TURN 1024 /* datagrams, likewise */
#define FLUSH_ENTRIES    256  /* queued datagrams that do not wait for the end of the turn */
#define FLUSH_BYTES      (256 * 1024)

static void free_io(struct udp_io *io)
{
	for (int i = 0; i < 2; i++) {
		if (io->icmp_fds[i] >= 0)
			close(io->icmp_fds[i]);
	}
	free(io->inbox);
	free(io->outbox);
	pool_free(io->pool);
	free(io);
}

static void free_udp(struct udp_io *io, struct udp *udp)
{
	if (udp->is_connected)
		pool_give(io->pool, udp);
	else
		free(udp);
}

static void free_closed(struct udp_io *io)
{
	while (io->closed != NULL) {
		struct udp *udp = io->closed;
		io->closed = udp->next;
		free_udp(io, udp);
	}
}

static void on_task(struct task *task)
{
	struct udp_io *io = (struct udp_io *)((char *)task - offsetof(struct udp_io, task));
	udp_flush(io);
	udp_report_errors(io);
	free_closed(io);
	if (io->is_freed && !task->is_queued)
		free_io(io);
}

void udp_wake(struct udp_io *io)
{
	loop_defer(io->loop, &io->task, on_task);
}

static void reset_slot(struct udp_inbox *in, unsigned i)
{
	struct msghdr *header = &in->headers[i].msg_hdr;
	header->msg_namelen = sizeof in->names[i];
	header->msg_controllen = sizeof in->controls[i];
}

int udp_io_new(struct loop *loop, struct udp_io **ret)
{
	struct udp_io *io = calloc(1, sizeof *io);
	if (io == NULL)
		return ERR_NOMEM;
	io->loop = loop;
	io->icmp_fds[0] = io->icmp_fds[1] = UDP_RAW_UNOPENED;
	io->inbox = malloc(sizeof *io->inbox); /* untouched pages cost nothing */
	io->outbox = malloc(sizeof *io->outbox);
	io->pool = pool_new(sizeof(struct udp));
	if (io->inbox == NULL || io->outbox == NULL || io->pool == NULL) {
		free_io(io);
		return ERR_NOMEM;
	}
	struct udp_inbox *in = io->inbox;
	for (unsigned i = 0; i < UDP_N_SLOTS; i++) {
		in->vectors[i] = (struct iovec){ in->slots[i].data, UDP_SLOT_SIZE };
		in->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &in->names[i],
			.msg_iov = &in->vectors[i],
			.msg_iovlen = 1,
			.msg_control = in->controls[i].bytes,
		};
		reset_slot(in, i);
	}
	struct udp_outbox *out = io->outbox;
	out->senders = NULL;
	out->last_sender = &out->senders;
	out->n_entries = out->n_routes = out->n_bytes = out->n_single = 0;
	*ret = io;
	return 0;
}

/* The loop may still hold our task, and closed sockets their polls: freed when it ran. */
void udp_io_free(struct udp_io *io)
{
	if (io == NULL)
		return;
	io->is_freed = true;
	udp_wake(io);
}

const struct udp_counters *udp_io_counters(const struct udp_io *io)
{
	return &io->counters;
}

/* What the control messages of a received message say. */
struct told {
	size_t segment; /* size of the datagrams in it; 0 = it is one */
	union addr_sock local;
	bool is_whole; /* local has its port */
};

static void read_control(struct msghdr *header, struct told *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			int size;
			memcpy(&size, CMSG_DATA(c), sizeof size);
			ret->segment = size > 0 ? (size_t)size : 0;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof info);
			ret->local.ip6.sin6_family = AF_INET6;
			ret->local.ip6.sin6_addr = info.ipi6_addr;
			if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
				ret->local.ip6.sin6_scope_id = info.ipi6_ifindex;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof info);
			ret->local.ip4.sin_family = AF_INET;
			ret->local.ip4.sin_addr = info.ipi_spec_dst;
		} else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR) {
			memcpy(&ret->local.ip4, CMSG_DATA(c), sizeof ret->local.ip4);
			ret->is_whole = true;
		} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR) {
			memcpy(&ret->local.ip6, CMSG_DATA(c), sizeof ret->local.ip6);
			ret->is_whole = true;
		}
	}
}

static void find_local(const struct udp *udp, struct told *told)
{
	if (udp->is_connected)
		return;
	if (told->local.any.sa_family == AF_UNSPEC) {
		told->local = udp->local[0];
		return;
	}
	addr_sock_unmap(&told->local);
	if (!told->is_whole)
		addr_sock_set_port(&told->local, addr_sock_port(&udp->local[0]));
}

/* One message, which may be a train of datagrams. Return: how many it had. */
static unsigned deliver(struct udp *udp, unsigned i)
{
	struct udp_io *io = udp->io;
	struct msghdr *header = &io->inbox->headers[i].msg_hdr;
	size_t len = io->inbox->headers[i].msg_len, at = 0;
	struct told told = { .segment = 0, .local.any.sa_family = AF_UNSPEC };
	unsigned n = 0;
	if ((header->msg_flags & MSG_TRUNC) != 0) {
		io->counters.n_truncated++;
		return 1;
	}
	read_control(header, &told);
	find_local(udp, &told);
	addr_sock_unmap(&io->inbox->names[i]);
	size_t segment = told.segment > 0 ? told.segment : len;
	do {
		struct udp_packet packet = {
			.data = io->inbox->slots[i].data + at,
			.len = segment < len - at ? segment : len - at,
			.from = &io->inbox->names[i],
			.local = &told.local,
		};
		at += packet.len;
		n++;
		if (packet.len > UDP_PAYLOAD_MAX) {
			io->counters.n_truncated++;
			continue;
		}
		io->counters.n_received++;
		io->counters.n_received_bytes += packet.len;
		udp->ops->on_packet(udp, &packet, udp->owner); /* may close any socket */
	} while (at < len && udp->poll.fd >= 0);
	return n;
}

enum progress {
	DRAINED, /* an edge will tell of more */
	MORE,
	FAILED, /* an error was taken from the socket; there may be more */
};
static enum progress receive(struct udp *udp, unsigned *n_packets)
{
	struct udp_io *io = udp->io;
	struct udp_inbox *in = io->inbox;
	int n = recvmmsg(udp->poll.fd, in->headers, UDP_N_SLOTS, MSG_DONTWAIT, NULL);
	io->counters.n_receive_calls++;
	if (n < 0 && errno == EINTR)
		return MORE;
	if (n < 0 && errno == EAGAIN)
		return DRAINED;
	if (n < 0) {
		int error = -errno;
		udp_read_errors(udp);
		udp_note_error(udp, error);
		return FAILED;
	}
	for (unsigned i = 0; i < (unsigned)n; i++) {
		if (udp->poll.fd >= 0)
			*n_packets += deliver(udp, i);
		reset_slot(in, i);
	}
	if (io->outbox->n_entries >= FLUSH_ENTRIES || io->outbox->n_bytes >= FLUSH_BYTES)
		udp_flush(io);
	return n < UDP_N_SLOTS ? DRAINED : MORE;
}

/* The memory of @udp lives until the task has run, whoever closes it. */
static void on_poll(struct poll *poll, unsigned events)
{
	struct udp *udp = (struct udp *)((char *)poll - offsetof(struct udp, poll));
	enum progress progress = MORE;
	unsigned n_packets = 0;
	if ((events & READY_ERR) != 0)
		udp_read_errors(udp);
	if ((events & (READY_IN | READY_ERR)) == 0)
		return;
	for (int i = 0; i < CALLS_PER_TURN && n_packets < PACKETS_PER_TURN; i++) {
		progress = receive(udp, &n_packets);
		if (progress == DRAINED || udp->poll.fd < 0)
			return;
	}
	if (progress == MORE)
		poll_again(udp->io->loop, poll, READY_IN);
}

static bool is_any(const union addr_sock *s)
{
	if (s->any.sa_family == AF_INET)
		return s->ip4.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&s->ip6.sin6_addr);
}

static void set_option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof value);
}

/* Without the privilege the system's limit is what we get. */
static void set_buffer(int fd, int forced, int name, int size)
{
	if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof size) != 0)
		setsockopt(fd, SOL_SOCKET, name, &size, sizeof size);
}

/* Errors of the path are wanted where a peer is known: elsewhere they would fail sends to others.
 * What a kernel does not know (UDP_GRO) is not missed. */
static void set_options(int fd, const struct udp_options *options, int family)
{
	int size = options->is_shared ? UDP_BUFFER : UDP_FLOW_BUFFER;
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, size);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, size);
	set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
	set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER,
		options->keeps_df ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
	if (family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
			options->keeps_df ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT);
	if (options->connect != NULL && family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	else if (options->connect != NULL)
		set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
}

/* Which of the host's addresses a datagram came to, where that is not known. */
static void tell_local(int fd, const union addr_sock *at)
{
	if (is_any(at))
		set_option(fd, at->any.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP,
			at->any.sa_family == AF_INET6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
}

/* A dual-stack socket is asked about both families. */
static bool set_transparent(int fd, int family, bool tells_target)
{
	static const int on = 1;
	bool is_ip6 = family == AF_INET6;
	if (setsockopt(fd, is_ip6 ? SOL_IPV6 : SOL_IP, is_ip6 ? IPV6_TRANSPARENT : IP_TRANSPARENT,
		    &on, sizeof on) != 0)
		return false;
	if (tells_target)
		set_option(fd, SOL_IP, IP_RECVORIGDSTADDR, 1);
	if (tells_target && is_ip6)
		set_option(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR, 1);
	return true;
}

static int bind_and_connect(
	int fd, const union addr_sock *at, bool is_dual, const struct udp_options *options)
{
	if (at != NULL && at->any.sa_family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_dual ? 0 : 1);
	if (options->shares_port)
		set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (options->speaks_for)
		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (at != NULL && (options->is_transparent || options->speaks_for)) {
		if (!set_transparent(fd, at->any.sa_family, options->is_transparent))
			return -EPERM;
	} else if (at != NULL && options->connect == NULL) {
		tell_local(fd, at);
	}
	if (at != NULL && bind(fd, &at->any, addr_sock_len(at)) != 0)
		return -errno;
	const union addr_sock *to = options->connect;
	if (to != NULL && connect(fd, &to->any, addr_sock_len(to)) != 0)
		return -errno;
	return 0;
}

/* Return: descriptor, or -errno. */
static int open_at(const union addr_sock *at, bool is_dual, const struct udp_options *options)
{
	int family = at != NULL ? at->any.sa_family : options->connect->any.sa_family;
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	set_options(fd, options, family);
	int error = bind_and_connect(fd, at, is_dual, options);
	if (error != 0) {
		close(fd);
		return error;
	}
	return fd;
}

static int adopt(const struct udp_options *options)
{
	union addr_sock at = { .any.sa_family = AF_UNSPEC };
	socklen_t len = sizeof at;
	int fd = fcntl(options->adopted_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (getsockname(fd, &at.any, &len) != 0 ||
		(at.any.sa_family != AF_INET && at.any.sa_family != AF_INET6)) {
		close(fd);
		return -EAFNOSUPPORT;
	}
	set_options(fd, options, at.any.sa_family);
	tell_local(fd, &at);
	return fd;
}

static int open_socket(const struct udp_options *options)
{
	if (options->adopted_fd > 0)
		return adopt(options);
	const struct addr *bind_to = options->bind;
	union addr_sock at = { .any.sa_family = AF_UNSPEC };
	if (bind_to == NULL)
		return options->connect != NULL ? open_at(NULL, false, options) : ERR_INVAL;
	if (bind_to->kind != ADDR_NONE) {
		int error = addr_to_sock(bind_to, &at);
		return error != 0 ? error : open_at(&at, false, options);
	}
	bool is_ip4 = options->connect != NULL && options->connect->any.sa_family == AF_INET;
	at.ip6 =
		(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(bind_to->port) };
	int fd = is_ip4 ? -EAFNOSUPPORT : open_at(&at, true, options);
	if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
		return fd;
	at.ip4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(bind_to->port) };
	return open_at(&at, false, options);
}

int udp_open(struct udp_io *io, const struct udp_options *options, const struct udp_ops *ops,
	void *owner, struct udp **ret)
{
	bool is_connected = options->connect != NULL;
	struct udp *udp = is_connected ? pool_take(io->pool)
				       : calloc(1, sizeof *udp + sizeof(union addr_sock));
	union addr_sock local = { .any.sa_family = AF_UNSPEC };
	socklen_t len = sizeof local;
	if (udp == NULL)
		return ERR_NOMEM;
	udp->is_connected = is_connected;
	int fd = open_socket(options);
	int error = fd < 0 ? fd : 0;
	if (error == 0)
		error = loop_mark_socket(io->loop, fd);
	if (error == 0 && getsockname(fd, &local.any, &len) != 0)
		error = -errno;
	if (error == 0)
		error = poll_add(io->loop, &udp->poll, fd, on_poll);
	if (error != 0) {
		if (fd >= 0)
			close(fd);
		free_udp(io, udp);
		return error;
	}
	udp->io = io;
	udp->ops = ops;
	udp->owner = owner;
	udp->first_queued = UDP_NONE;
	udp->train_max = UINT16_MAX;
	udp->is_ip6 = local.any.sa_family == AF_INET6;
	udp->tells_local = !is_connected && is_any(&local) && !options->is_transparent;
	if (!is_connected)
		udp->local[0] = local;
	*ret = udp;
	return 0;
}

void udp_close(struct udp *udp)
{
	if (udp == NULL)
		return;
	struct udp_io *io = udp->io;
	if (udp->first_queued != UDP_NONE)
		udp_flush(io);
	udp_forget_error(udp);
	int fd = udp->poll.fd;
	poll_remove(io->loop, &udp->poll);
	close(fd);
	udp->next = io->closed;
	io->closed = udp;
	udp_wake(io);
}

static uint16_t port_of(int fd)
{
	union addr_sock at;
	socklen_t len = sizeof at;
	return getsockname(fd, &at.any, &len) == 0 ? addr_sock_port(&at) : 0;
}

int udp_claim(struct addr *at)
{
	const struct udp_options options = { .bind = at };
	int fd = open_socket(&options);
	if (fd < 0)
		return fd;
	at->port = port_of(fd);
	close(fd);
	return 0;
}

int udp_peer(const struct udp *udp, union addr_sock *ret)
{
	socklen_t len = sizeof *ret;
	if (getpeername(udp->poll.fd, &ret->any, &len) != 0)
		return -errno;
	addr_sock_unmap(ret);
	return 0;
}

void udp_share(struct udp *udp, bool shares_port)
{
	int value = shares_port;
	(void)setsockopt(udp->poll.fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof value);
}

uint16_t udp_port(const struct udp *udp)
{
	return port_of(udp->poll.fd);
}
