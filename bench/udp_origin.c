#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "ends.h"
#include "origin.h"
#include "udp_load.h"

#define BATCH 64

static char chunks[BATCH][UDP_LOAD_BYTES_MAX + 1];
static struct sockaddr_in from[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];

static void udp_origin_send(int fd, unsigned n)
{
	for (unsigned i = 0; i < n;) {
		int n_sent = sendmmsg(fd, messages + i, n - i, 0);

		i += n_sent > 0 ? (unsigned)n_sent : 1; /* refused: the next one */
	}
}

static void udp_origin_run(int fd)
{
	for (;;) {
		int n;

		for (int i = 0; i < BATCH; i++) {
			parts[i] = (struct iovec){ chunks[i], sizeof(chunks[i]) };
			messages[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
				.msg_namelen = sizeof(from[i]),
				.msg_iov = &parts[i],
				.msg_iovlen = 1 };
		}
		n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < n; i++)
			parts[i].iov_len = messages[i].msg_len;
		if (n > 0)
			udp_origin_send(fd, (unsigned)n);
	}
}

int udp_origin_start(int port)
{
	struct sockaddr_in at = loopback(1, port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	set_buffers(fd);
	if (bind(fd, (void *)&at, sizeof(at)))
		die("origin");
	return origin_fork(fd, udp_origin_run);
}
