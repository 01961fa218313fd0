#include "common/udp_internal.h"

#include <assert.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define ERRORS_PER_TURN 16

void udp_note_error(struct udp *udp, int error)
{
	if (!udp->is_connected || udp->poll.fd < 0 || udp->error != 0)
		return;
	udp->error = error;
	udp->next = udp->io->errors;
	udp->io->errors = udp;
	udp_wake(udp->io);
}

static void unlink_error(struct udp **list, const struct udp *udp)
{
	while (*list != NULL && *list != udp)
		list = &(*list)->next;
	if (*list != NULL)
		*list = udp->next;
}

void udp_forget_error(struct udp *udp)
{
	if (udp->error == 0)
		return;
	unlink_error(&udp->io->errors, udp);
	unlink_error(&udp->io->reporting, udp);
	udp->error = 0;
}

void udp_report_errors(struct udp_io *io)
{
	io->reporting = io->errors;
	io->errors = NULL;
	while (io->reporting != NULL) {
		struct udp *udp = io->reporting;
		int error = udp->error;
		io->reporting = udp->next;
		udp->error = 0;
		size_t mtu = error == -EMSGSIZE ? udp_path_max(udp) : 0;
		udp->ops->on_error(udp, error, mtu, udp->owner); /* may close any socket */
	}
}

size_t udp_path_max(const struct udp *udp)
{
	int mtu = 0;
	socklen_t len = sizeof mtu;
	int headers = (udp->is_ip6 ? (int)sizeof(struct ip6_hdr) : (int)sizeof(struct ip)) +
		      (int)sizeof(struct udphdr);
	int level = udp->is_ip6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int name = udp->is_ip6 ? IPV6_MTU : IP_MTU;
	if (getsockopt(udp->poll.fd, level, name, &mtu, &len) != 0 || mtu <= headers)
		return 0;
	return mtu - headers < UDP_PAYLOAD_MAX ? (size_t)(mtu - headers) : UDP_PAYLOAD_MAX;
}

/* What the kernel itself found wrong was returned by the call that did it. */
static void note_control(struct udp *udp, struct msghdr *header)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
		struct sock_extended_err error;
		bool is_ip4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
		bool is_ip6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
		if (!is_ip4 && !is_ip6)
			continue;
		memcpy(&error, CMSG_DATA(c), sizeof error);
		if (error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6)
			udp_note_error(udp, -(int)error.ee_errno);
	}
}

void udp_read_errors(struct udp *udp)
{
	uint8_t control[256] __attribute__((aligned(8)));
	if (!udp->is_connected)
		return;
	for (int i = 0; i < ERRORS_PER_TURN; i++) {
		struct msghdr header = { .msg_control = control, .msg_controllen = sizeof control };
		if (recvmsg(udp->poll.fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
		note_control(udp, &header);
	}
}

/* RFC 1071. */
static uint16_t checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* RFC 792: the header of what could not be delivered, and its first 8 bytes. */
struct unreachable4 {
	struct icmphdr icmp;
	struct ip ip;
	struct udphdr udp;
};
static_assert(sizeof(struct unreachable4) == 36, "no padding");
/* RFC 4443, 3.1. */
struct unreachable6 {
	struct icmp6_hdr icmp;
	struct ip6_hdr ip;
	struct udphdr udp;
};
static_assert(sizeof(struct unreachable6) == 56, "no padding");

static void fill_unreachable4(struct unreachable4 *packet, const struct sockaddr_in *client,
	const struct sockaddr_in *local, uint16_t udp_len)
{
	*packet = (struct unreachable4){
		.icmp = { .type = ICMP_DEST_UNREACH, .code = ICMP_PORT_UNREACH },
		.ip = { .ip_v = 4, .ip_hl = 5, .ip_ttl = 64, .ip_p = IPPROTO_UDP },
	};
	packet->ip.ip_len = htons((uint16_t)(sizeof packet->ip + udp_len));
	packet->ip.ip_src = client->sin_addr;
	packet->ip.ip_dst = local->sin_addr;
	packet->ip.ip_sum = checksum(&packet->ip, sizeof packet->ip);
	packet->udp.source = client->sin_port;
	packet->udp.dest = local->sin_port;
	packet->udp.len = htons(udp_len);
	packet->icmp.checksum = checksum(packet, sizeof *packet);
}

/* The kernel fills in the checksum of ICMP for IP6. */
static void fill_unreachable6(struct unreachable6 *packet, const struct sockaddr_in6 *client,
	const struct sockaddr_in6 *local, uint16_t udp_len)
{
	*packet = (struct unreachable6){
		.icmp = { .icmp6_type = ICMP6_DST_UNREACH, .icmp6_code = ICMP6_DST_UNREACH_NOPORT },
		.ip = { .ip6_src = client->sin6_addr, .ip6_dst = local->sin6_addr },
	};
	packet->ip.ip6_flow = htonl(6U << 28);
	packet->ip.ip6_plen = htons(udp_len);
	packet->ip.ip6_nxt = IPPROTO_UDP;
	packet->ip.ip6_hlim = 64;
	packet->udp.source = client->sin6_port;
	packet->udp.dest = local->sin6_port;
	packet->udp.len = htons(udp_len);
}

/* Nothing is to be received: every type is filtered. */
static int open_icmp(bool is_ip6)
{
	static const struct icmp_filter none = { .data = UINT32_MAX };
	struct icmp6_filter none6;
	int fd = socket(is_ip6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
		is_ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	if (fd < 0)
		return errno == EPERM || errno == EACCES ? UDP_RAW_REFUSED : UDP_RAW_UNOPENED;
	ICMP6_FILTER_SETBLOCKALL(&none6);
	if (is_ip6)
		setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &none6, sizeof none6);
	else
		setsockopt(fd, SOL_RAW, ICMP_FILTER, &none, sizeof none);
	return fd;
}

bool udp_tell_unreachable(struct udp_io *io, const union addr_sock *client,
	const union addr_sock *local, size_t payload_len)
{
	union {
		struct unreachable4 ip4;
		struct unreachable6 ip6;
	} packet;
	union udp_control control = { 0 };
	union addr_sock to = *client, from = *local;
	addr_sock_unmap(&to);
	addr_sock_unmap(&from);
	bool is_ip6 = to.any.sa_family == AF_INET6;
	int *fd = &io->icmp_fds[is_ip6 ? 1 : 0];
	if (from.any.sa_family != to.any.sa_family || payload_len > UDP_PAYLOAD_MAX)
		return false;
	if (*fd == UDP_RAW_UNOPENED)
		*fd = open_icmp(is_ip6);
	if (*fd < 0)
		return false;
	uint16_t udp_len = (uint16_t)(sizeof(struct udphdr) + payload_len);
	if (is_ip6)
		fill_unreachable6(&packet.ip6, &to.ip6, &from.ip6, udp_len);
	else
		fill_unreachable4(&packet.ip4, &to.ip4, &from.ip4, udp_len);
	addr_sock_set_port(&to, 0); /* a raw socket takes it for a protocol */
	struct iovec vector = { &packet, is_ip6 ? sizeof packet.ip6 : sizeof packet.ip4 };
	struct msghdr header = {
		.msg_name = &to,
		.msg_namelen = addr_sock_len(&to),
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
	};
	udp_add_source(&header, &from, is_ip6);
	return sendmsg(*fd, &header, MSG_NOSIGNAL) >= 0;
}
