#include "common/udp_internal.h"

#include <assert.h>
#include <netinet/udp.h>
#include <string.h>

#define TRAIN_MAX_N     64    /* datagrams of one message; the least that any kernel takes */
#define TRAIN_MAX_BYTES 65000 /* of payload: one IP packet, whatever its headers are */

void udp_map(union addr_sock *s)
{
	if (s->any.sa_family != AF_INET)
		return;
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = s->ip4.sin_port };
	mapped.sin6_addr.s6_addr[10] = 0xff;
	mapped.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&mapped.sin6_addr.s6_addr[12], &s->ip4.sin_addr, 4);
	s->ip6 = mapped;
}

void udp_add_control(struct msghdr *header, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *control =
		(struct cmsghdr *)(void *)((uint8_t *)header->msg_control + header->msg_controllen);
	*control = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(len),
		.cmsg_level = level,
		.cmsg_type = type,
	};
	memcpy(CMSG_DATA(control), data, len);
	header->msg_controllen += CMSG_SPACE(len);
}

void udp_add_source(struct msghdr *header, const union addr_sock *local, bool is_ip6)
{
	if (!is_ip6) {
		struct in_pktinfo info = { .ipi_spec_dst = local->ip4.sin_addr };
		udp_add_control(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
		return;
	}
	union addr_sock mapped = *local;
	udp_map(&mapped);
	struct in6_pktinfo info = {
		.ipi6_addr = mapped.ip6.sin6_addr,
		.ipi6_ifindex = mapped.ip6.sin6_scope_id,
	};
	udp_add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

/* The route of the datagram before it is shared if it is the same. */
static uint32_t add_route(struct udp *udp, const union addr_sock *to, const union addr_sock *local)
{
	struct udp_outbox *out = udp->io->outbox;
	struct udp_route route = { .to = *to };
	if (udp->is_ip6)
		udp_map(&route.to);
	if (local != NULL && udp->tells_local)
		route.local = *local;
	if (udp->first_queued != UDP_NONE) {
		uint32_t last = out->entries[udp->last_queued].route;
		const struct udp_route *before = &out->routes[last];
		if (addr_sock_is_equal(&before->to, &route.to) &&
			before->local.any.sa_family == route.local.any.sa_family &&
			(route.local.any.sa_family == AF_UNSPEC ||
				addr_sock_is_equal(&before->local, &route.local)))
			return last;
	}
	out->routes[out->n_routes] = route;
	return out->n_routes++;
}

static void chain_entry(struct udp *udp, uint32_t index)
{
	struct udp_outbox *out = udp->io->outbox;
	if (udp->first_queued == UDP_NONE) {
		udp->first_queued = index;
		udp->next_sender = NULL;
		*out->last_sender = udp;
		out->last_sender = &udp->next_sender;
	} else {
		out->entries[udp->last_queued].next = index;
	}
	udp->last_queued = index;
}

static void copy_part(uint8_t *to, struct bytes part)
{
	if (part.len > 0)
		memcpy(to, part.ptr, part.len);
}

void udp_send(struct udp *udp, const union addr_sock *to, const union addr_sock *local,
	struct bytes head, struct bytes body)
{
	struct udp_io *io = udp->io;
	struct udp_outbox *out = io->outbox;
	assert(udp->poll.fd >= 0 && (to == NULL) == udp->is_connected);
	if (head.len > UDP_PAYLOAD_MAX || body.len > UDP_PAYLOAD_MAX - head.len) {
		io->counters.n_too_long++;
		udp_note_error(udp, -EMSGSIZE);
		return;
	}
	uint32_t len = (uint32_t)(head.len + body.len);
	if (out->n_entries == UDP_N_QUEUED || UDP_ARENA - out->n_bytes < len)
		udp_flush(io);
	uint8_t *data = out->arena + out->n_bytes;
	copy_part(data, head);
	copy_part(data + head.len, body);
	out->entries[out->n_entries] = (struct udp_entry){
		.at = out->n_bytes,
		.next = UDP_NONE,
		.route = to != NULL ? add_route(udp, to, local) : UDP_NONE,
		.len = (uint16_t)len,
	};
	chain_entry(udp, out->n_entries++);
	out->n_bytes += len;
	udp_wake(io);
}

/* Whether @next may follow @last in a train whose datagrams have @size bytes: only the last one of
 * a train may be shorter, and none is empty. */
static bool may_join(
	const struct udp_entry *last, const struct udp_entry *next, uint32_t size, uint32_t n_bytes)
{
	return last->len == size && next->len <= size && next->len > 0 &&
	       next->route == last->route && n_bytes + next->len <= TRAIN_MAX_BYTES;
}

/* Return: how many vectors the message takes. */
static size_t fill_message(
	struct udp *udp, struct udp_message *message, struct msghdr *header, struct iovec *vectors)
{
	struct udp_outbox *out = udp->io->outbox;
	const struct udp_entry *last = &out->entries[message->first];
	uint32_t size = last->len, n_bytes = size;
	size_t n_vectors = 1;
	vectors[0] = (struct iovec){ out->arena + last->at, size };
	message->n = 1;
	message->is_retry = out->n_single > 0;
	uint32_t limit = TRAIN_MAX_N;
	if (message->is_retry) {
		out->n_single--;
		limit = 1;
	} else if (size > udp->train_max) {
		limit = 1;
	}
	while (message->n < limit && last->next != UDP_NONE) {
		const struct udp_entry *next = &out->entries[last->next];
		if (!may_join(last, next, size, n_bytes))
			break;
		if (next->at == last->at + last->len)
			vectors[n_vectors - 1].iov_len += next->len;
		else
			vectors[n_vectors++] = (struct iovec){ out->arena + next->at, next->len };
		n_bytes += next->len;
		message->n++;
		last = next;
	}
	header->msg_iov = vectors;
	header->msg_iovlen = n_vectors;
	if (message->n > 1) {
		uint16_t segment = (uint16_t)size;
		udp_add_control(header, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
	}
	return n_vectors;
}

/* Return: number of messages; *cursor is the first datagram that is in none. */
static unsigned fill_messages(struct udp *udp, uint32_t *cursor)
{
	struct udp_outbox *out = udp->io->outbox;
	unsigned n = 0;
	size_t n_vectors = 0;
	while (*cursor != UDP_NONE && n < UDP_N_MESSAGES) {
		struct msghdr *header = &out->headers[n].msg_hdr;
		struct udp_message *message = &out->messages[n];
		uint32_t route = out->entries[*cursor].route;
		*header = (struct msghdr){ .msg_control = out->controls[n].bytes };
		if (route != UDP_NONE) {
			struct udp_route *r = &out->routes[route];
			header->msg_name = &r->to;
			header->msg_namelen = addr_sock_len(&r->to);
			if (r->local.any.sa_family != AF_UNSPEC)
				udp_add_source(header, &r->local, udp->is_ip6);
		}
		message->first = *cursor;
		n_vectors += fill_message(udp, message, header, out->vectors + n_vectors);
		if (header->msg_controllen == 0)
			header->msg_control = NULL;
		for (unsigned i = 0; i < message->n; i++)
			*cursor = out->entries[*cursor].next;
		n++;
	}
	return n;
}

static void count_sent(struct udp *udp, unsigned first, unsigned n)
{
	struct udp_outbox *out = udp->io->outbox;
	for (unsigned i = first; i < first + n; i++) {
		const struct udp_message *message = &out->messages[i];
		udp->io->counters.n_sent += message->n;
		udp->io->counters.n_sent_bytes += out->headers[i].msg_len;
		if (message->is_retry && out->entries[message->first].len > out->train_limit)
			udp->train_max = out->train_limit;
	}
}

static void count_lost(struct udp *udp, int error, unsigned n)
{
	struct udp_counters *counters = &udp->io->counters;
	switch (error) {
	case EMSGSIZE:
		counters->n_too_long += n;
		return;
	case EAGAIN:
	case ENOBUFS:
		counters->n_full += n;
		return;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EACCES:
	case EPERM:
		counters->n_unreachable += n;
		return;
	default:
		counters->n_failed += n;
	}
}

static unsigned count_chain(const struct udp_outbox *out, uint32_t first)
{
	unsigned n = 0;
	for (; first != UDP_NONE; first = out->entries[first].next)
		n++;
	return n;
}

/* The kernel refuses trains of this size, of this device, or all of them. */
static bool is_about_trains(int error)
{
	return error == EMSGSIZE || error == EINVAL || error == EIO || error == EOPNOTSUPP;
}

/* The longest datagram for trains, if those of @message can be sent alone. */
static uint16_t limit_after(
	const struct udp_outbox *out, const struct udp_message *message, int error)
{
	if (error == EIO || error == EOPNOTSUPP)
		return 0;
	return (uint16_t)(out->entries[message->first].len - 1);
}

/* What becomes of a message that was not sent. */
enum verdict {
	AGAIN,  /* sent once more: what failed may have been an earlier datagram */
	SINGLY, /* its datagrams are sent one by one */
	LOST,
	FULL, /* nothing more can be sent now */
};
static enum verdict judge(
	struct udp *udp, const struct udp_message *message, int error, bool is_second)
{
	if (error == EINTR)
		return AGAIN;
	if (error == EAGAIN)
		return FULL;
	if (message->n > 1 && is_about_trains(error))
		return SINGLY;
	if (error == ENOBUFS || !udp->is_connected)
		return LOST;
	udp_read_errors(udp);
	udp_note_error(udp, -error);
	return is_second ? LOST : AGAIN;
}

/* Return: the datagram to go on with. @next follows the last message. */
static uint32_t send_messages(struct udp *udp, unsigned n, uint32_t next)
{
	struct udp_outbox *out = udp->io->outbox;
	bool is_second = false;
	for (unsigned i = 0; i < n;) {
		const struct udp_message *message = &out->messages[i];
		int n_sent = sendmmsg(udp->poll.fd, out->headers + i, n - i, MSG_NOSIGNAL);
		int error = errno;
		udp->io->counters.n_send_calls++;
		if (n_sent > 0) {
			count_sent(udp, i, (unsigned)n_sent);
			i += (unsigned)n_sent;
			is_second = false;
			continue;
		}
		switch (judge(udp, message, error, is_second)) {
		case AGAIN:
			is_second = error != EINTR || is_second;
			break;
		case SINGLY:
			out->n_single = message->n;
			out->train_limit = limit_after(out, message, error);
			return message->first;
		case LOST:
			count_lost(udp, error, message->n);
			is_second = false;
			i++;
			break;
		case FULL:
			count_lost(udp, error, count_chain(out, message->first));
			return UDP_NONE;
		}
	}
	return next;
}

void udp_flush(struct udp_io *io)
{
	struct udp_outbox *out = io->outbox;
	for (struct udp *udp = out->senders; udp != NULL; udp = udp->next_sender) {
		uint32_t cursor = udp->first_queued;
		udp->first_queued = UDP_NONE;
		out->n_single = 0;
		while (cursor != UDP_NONE) {
			unsigned n = fill_messages(udp, &cursor);
			cursor = send_messages(udp, n, cursor);
		}
	}
	out->senders = NULL;
	out->last_sender = &out->senders;
	out->n_entries = out->n_routes = out->n_bytes = 0;
}
