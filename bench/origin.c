#include "origin.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ends.h"

#define FDS_MAX    (1 << 17)
#define ECHO_BYTES (64 * 1024)

static uint64_t *swallowed; /* shared by both processes */
static int epoll = -1;

static char part_of[FDS_MAX];

static void watch(int op, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll, op, fd, &event))
		die("origin: epoll_ctl");
}

static void origin_accept(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		set_option(fd, IPPROTO_TCP, TCP_NODELAY);
		part_of[fd % FDS_MAX] = 0;
		watch(EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

static ssize_t origin_learn_part(int fd)
{
	char part = 0;
	ssize_t n = recv(fd, &part, 1, 0);

	if (n <= 0)
		return n;
	part_of[fd % FDS_MAX] = part;
	if (part == 'd')
		watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
	return part == 'r' ? send(fd, &part, 1, MSG_NOSIGNAL) : n;
}

static ssize_t origin_play(int fd)
{
	static char chunk[ECHO_BYTES];
	ssize_t n;

	switch (part_of[fd % FDS_MAX]) {
	case 'd':
		return pour(fd);
	case 'u':
		n = discard(fd);
		if (n > 0)
			__atomic_fetch_add(swallowed, (uint64_t)n, __ATOMIC_RELAXED);
		return n;
	case 'e':
		n = recv(fd, chunk, sizeof(chunk), 0);
		return n > 0 ? send(fd, chunk, (size_t)n, MSG_NOSIGNAL) : n;
	default:
		return recv(fd, chunk, sizeof(chunk), 0);
	}
}

static void origin_run(int listener)
{
	struct epoll_event events[ENDS_EVENTS_MAX];

	epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(EPOLL_CTL_ADD, listener, EPOLLIN);
	for (;;) {
		int n_events = epoll_wait(epoll, events, ENDS_EVENTS_MAX, -1);

		for (int i = 0; i < n_events; i++) {
			int fd = events[i].data.fd;

			if (fd == listener) {
				origin_accept(listener);
				continue;
			}
			if (is_over(part_of[fd % FDS_MAX] ? origin_play(fd)
							  : origin_learn_part(fd)))
				close(fd);
		}
	}
}

static int origin_listen(int port)
{
	struct sockaddr_in at = loopback(1, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	if (bind(fd, (void *)&at, sizeof(at)) || listen(fd, 4096))
		die("origin");
	return fd;
}

pid_t origin_fork(int fd, void (*run)(int fd))
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			run(fd);
		_exit(1);
	}
	close(fd);
	return pid;
}

pid_t origin_start(int port)
{
	int listener = origin_listen(port);

	swallowed = mmap(NULL, sizeof(*swallowed), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (swallowed == MAP_FAILED)
		die("mmap");
	return origin_fork(listener, origin_run);
}

uint64_t origin_swallowed(void)
{
	return __atomic_load_n(swallowed, __ATOMIC_RELAXED);
}
