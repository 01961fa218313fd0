#include "common/listener.h"

#include "common/tcp.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define BACKLOG          4096
#define PAUSE_MS         100 /* after descriptors, memory or buffers ran out */

struct listener {
	struct loop *loop;
	struct poll poll;
	struct timer pause;
	struct task freed;
	listener_fn *fn;
	void *owner;
};

static void resume(struct timer *timer)
{
	struct listener *l = (struct listener *)((char *)timer - offsetof(struct listener, pause));
	poll_again(l->loop, &l->poll, READY_IN);
}

static int open_stream(struct listener *l, int fd, const union addr_sock *peer, struct stream **ret)
{
	return peer->any.sa_family == AF_UNIX ? tcp_open_unix_fd(l->loop, fd, ret)
					      : tcp_open_fd(l->loop, fd, ret);
}

/* Return: whether another connection may be taken now. */
static bool accept_one(struct listener *l)
{
	union addr_sock peer = { .any.sa_family = AF_UNSPEC };
	socklen_t len = sizeof peer;
	struct stream *stream;
	int fd = accept4(l->poll.fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 && open_stream(l, fd, &peer, &stream) == 0) {
		addr_sock_unmap(&peer);
		l->fn(stream, &peer, l->owner); /* may close @l */
		return true;
	}
	if (fd < 0 && (errno == EAGAIN || errno == EINVAL)) /* INVAL: it was shut down (place.h) */
		return false;
	if (fd >= 0 || errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		loop_timer_start(l->loop, &l->pause, PAUSE_MS, resume);
		return false;
	}
	return true; /* ECONNABORTED and the like are the peer's, not ours */
}

static void on_poll(struct poll *poll, unsigned events)
{
	struct listener *l = (struct listener *)((char *)poll - offsetof(struct listener, poll));
	if ((events & READY_IN) == 0 || timer_is_running(&l->pause))
		return;
	for (int i = 0; i < ACCEPTS_PER_TURN && l->poll.fd >= 0; i++) {
		if (!accept_one(l))
			return;
	}
	poll_again(l->loop, &l->poll, READY_IN);
}

/* TCP_NODELAY is inherited by what is accepted. */
static int bind_and_listen(const union addr_sock *at, bool is_dual, unsigned flags)
{
	static const int on = 1;
	int only_ip6 = is_dual ? 0 : 1;
	int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (flags & LISTENER_SHARES_PORT)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (at->any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ip6, sizeof only_ip6);
	bool is_ip6 = at->any.sa_family == AF_INET6;
	if ((flags & LISTENER_TRANSPARENT) &&
		setsockopt(fd, is_ip6 ? SOL_IPV6 : SOL_IP,
			is_ip6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof on) != 0) {
		close(fd);
		return -EPERM;
	}
	if (bind(fd, &at->any, addr_sock_len(at)) != 0 || listen(fd, BACKLOG) != 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static int open_socket(const struct addr *at, unsigned flags)
{
	union addr_sock sock = { .any.sa_family = AF_UNSPEC };
	if (at->kind != ADDR_NONE) {
		int error = addr_to_sock(at, &sock);
		return error != 0 ? error : bind_and_listen(&sock, false, flags);
	}
	sock.ip6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(at->port) };
	int fd = bind_and_listen(&sock, true, flags);
	if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
		return fd;
	sock.ip4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(at->port) };
	return bind_and_listen(&sock, false, flags);
}

/* Takes @fd. */
static int watch(struct loop *loop, int fd, listener_fn *fn, void *owner, struct listener **ret)
{
	struct listener *l = calloc(1, sizeof *l);
	if (l == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	int error = poll_add(loop, &l->poll, fd, on_poll);
	if (error != 0) {
		close(fd);
		free(l);
		return error;
	}
	l->loop = loop;
	l->fn = fn;
	l->owner = owner;
	*ret = l;
	return 0;
}

int listener_open(struct loop *loop, const struct addr *at, unsigned flags, listener_fn *fn,
	void *owner, struct listener **ret)
{
	int fd = open_socket(at, flags);
	return fd < 0 ? fd : watch(loop, fd, fn, owner, ret);
}

int listener_open_fd(struct loop *loop, int fd, listener_fn *fn, void *owner, struct listener **ret)
{
	static const int on = 1;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	setsockopt(copy, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* of TCP */
	return watch(loop, copy, fn, owner, ret);
}

static uint16_t port_of(int fd)
{
	union addr_sock at;
	socklen_t len = sizeof at;
	return getsockname(fd, &at.any, &len) == 0 ? addr_sock_port(&at) : 0;
}

int listener_claim(struct addr *at)
{
	int fd = open_socket(at, 0);
	if (fd < 0)
		return fd;
	at->port = port_of(fd);
	close(fd);
	return 0;
}

uint16_t listener_port(const struct listener *l)
{
	return port_of(l->poll.fd);
}

void listener_share(struct listener *l, bool shares_port)
{
	int value = shares_port;
	(void)setsockopt(l->poll.fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof value);
}

static void free_later(struct task *task)
{
	free((char *)task - offsetof(struct listener, freed));
}

void listener_close(struct listener *l)
{
	if (l == NULL)
		return;
	int fd = l->poll.fd;
	loop_timer_stop(l->loop, &l->pause);
	poll_remove(l->loop, &l->poll);
	close(fd);
	loop_defer(l->loop, &l->freed, free_later);
}
