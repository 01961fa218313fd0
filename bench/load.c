/*
 * Does: one measurement. This process is the clients, a child of it the origin; a JSON object with
 * the result goes to stdout. Knows: the port to dial, and the processes whose CPU time is to be
 * sampled. Never knows: what stands between client and origin.
 *
 *   load bulk -e ENTRY -o ORIGIN -n STREAMS [-u]  bytes per second, down, or up with -u
 *   load rate -e ENTRY -o ORIGIN -n CONCURRENT    connect, one byte each way, close
 *   load ping -e ENTRY -o ORIGIN -z SIZE          SIZE bytes there and back, one at a time
 *   load idle -e ENTRY -o ORIGIN -n CONNECTIONS   opens them, holds them until stdin ends
 *
 *   load udp-echo  -e ENTRY -o ORIGIN -n FLOWS -z SIZE -d OUTSTANDING  datagrams there and back
 *   load udp-offer -e ENTRY -o ORIGIN -n FLOWS -z SIZE -r PER_SECOND   at a steady rate
 *   load udp-idle  -e ENTRY -o ORIGIN -n FLOWS    opens them, holds them until stdin ends
 *
 *   -g socks5|http: the entry is a proxy that is to be told the origin's port
 *   -e, -o: ports on loopback; -t: seconds measured, -w: of warm-up before; -p PID,...: to sample
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ends.h"
#include "greet.h"
#include "meter.h"
#include "origin.h"
#include "udp_load.h"

#define PING_BYTES_MAX  65536
#define SOURCES         8 /* clients connect from 127.0.0.2 to .9, for more ports */
#define WATCHDOG_S      30
#define REPLY_TIMEOUT_S 5

static struct {
	int entry, origin; /* ports */
	int n;             /* streams, connections at once, connections, flows */
	int size;
	int depth, per_s; /* of datagrams: outstanding; offered */
	bool is_up;
	double secs, warm_s;
} opt = { .n = 1, .size = 64, .depth = 1, .per_s = 1000, .secs = 1.0, .warm_s = 0.2 };

static uint64_t n_done, n_failed; /* bytes or exchanges since the start */
static int epoll = -1;

/* ---- sockets ---- */

/* A connection to the first proxy, from the next source address; @flags: SOCK_NONBLOCK or 0. */
static int dial(int flags)
{
	static uint32_t n_dialled;
	struct sockaddr_in from = loopback(2 + n_dialled++ % SOURCES, 0);
	struct sockaddr_in to = loopback(1, opt.entry);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		die("socket");
	set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	if (bind(fd, (void *)&from, sizeof(from)))
		die("bind");
	if (connect(fd, (void *)&to, sizeof(to)) && errno != EINPROGRESS)
		die("connect");
	return fd;
}

/* A blocking connection on which the origin knows its part; waits for answers for REPLY_TIMEOUT_S.
 */
static int dial_part(char part)
{
	struct timeval timeout = { .tv_sec = REPLY_TIMEOUT_S };
	int fd = dial(0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	greet_whole(fd);
	if (send(fd, &part, 1, MSG_NOSIGNAL) != 1)
		die("send");
	return fd;
}

static void watch(int op, int fd, uint32_t events, epoll_data_t data)
{
	struct epoll_event event = { .events = events, .data = data };

	if (epoll_ctl(epoll, op, fd, &event))
		die("epoll_ctl");
}

/* ---- one measurement: warm up, then count ---- */

static void measure(void (*turn)(void))
{
	struct mark marks[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		double until = now() + (i ? opt.secs : opt.warm_s);

		samples_forget();
		while (now() < until)
			turn();
		marks[i] = mark_now(n_done, 0);
	}
	print_answer(&marks[0], &marks[1], n_failed, 0);
}

/* ---- bulk ---- */

static void bulk_turn(void)
{
	struct epoll_event events[ENDS_EVENTS_MAX];
	int n_events = epoll_wait(epoll, events, ENDS_EVENTS_MAX, 50);

	for (int i = 0; i < n_events; i++) {
		int fd = events[i].data.fd;
		ssize_t n = opt.is_up ? pour(fd) : discard(fd);

		if (is_over(n))
			die("a stream ended early");
		if (n > 0 && !opt.is_up)
			n_done += (uint64_t)n;
	}
	if (opt.is_up)
		n_done = origin_swallowed();
}

static void bulk(void)
{
	for (int i = 0; i < opt.n; i++) {
		int fd = dial_part(opt.is_up ? 'u' : 'd');

		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		watch(EPOLL_CTL_ADD, fd, opt.is_up ? EPOLLOUT : EPOLLIN,
			(epoll_data_t){ .fd = fd });
	}
	measure(bulk_turn);
}

/* ---- connections per second ---- */

struct attempt {
	int fd;
	bool is_connected, is_asked;
	struct greet greet;
	double begun_at;
};

static void attempt_start(struct attempt *attempt)
{
	*attempt = (struct attempt){ .begun_at = now(), .fd = dial(SOCK_NONBLOCK) };
	watch(EPOLL_CTL_ADD, attempt->fd, EPOLLIN | EPOLLOUT | EPOLLET,
		(epoll_data_t){ .ptr = attempt });
}

/* Return: 0 while it goes on, 1 when the answer is there, -1 when it failed. */
static int attempt_step(struct attempt *attempt, uint32_t events)
{
	char byte = 'r';
	ssize_t n;

	attempt->is_connected |= (events & EPOLLOUT) != 0;
	if (!attempt->is_asked && attempt->is_connected) {
		int greeted = greet_step(&attempt->greet, attempt->fd);
		if (greeted != 1)
			return greeted;
		attempt->is_asked = true;
		return send(attempt->fd, &byte, 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return 0;
	n = recv(attempt->fd, &byte, 1, 0);
	if (n < 0 && errno == EAGAIN)
		return 0;
	return n == 1 ? 1 : -1;
}

static void rate_turn(void)
{
	struct epoll_event events[ENDS_EVENTS_MAX];
	int n_events = epoll_wait(epoll, events, ENDS_EVENTS_MAX, 50);

	for (int i = 0; i < n_events; i++) {
		struct attempt *attempt = events[i].data.ptr;
		int outcome = attempt_step(attempt, events[i].events);

		if (outcome == 0)
			continue;
		n_failed += outcome < 0;
		n_done += outcome > 0;
		if (outcome > 0)
			sample_add(now() - attempt->begun_at);
		close(attempt->fd);
		attempt_start(attempt);
	}
}

static void rate(void)
{
	struct attempt *attempts = calloc((size_t)opt.n, sizeof(*attempts));

	if (!attempts)
		die("attempts");
	for (int i = 0; i < opt.n; i++)
		attempt_start(&attempts[i]);
	measure(rate_turn);
}

/* ---- ping-pong ---- */

static int ping_fd;
static char chunk[PING_BYTES_MAX];

static void receive_exactly(int fd, size_t size)
{
	ssize_t n = recv(fd, chunk, size, MSG_WAITALL);

	if (n != (ssize_t)size) {
		errno = n < 0 ? errno : 0;
		die("answer");
	}
}

static void ping_turn(void)
{
	double sent_at = now();

	if (send(ping_fd, chunk, (size_t)opt.size, MSG_NOSIGNAL) != opt.size)
		die("send");
	receive_exactly(ping_fd, (size_t)opt.size);
	sample_add(now() - sent_at);
	n_done++;
}

static void ping(void)
{
	ping_fd = dial_part('e');
	measure(ping_turn);
}

/* ---- idle connections ---- */

static void idle(void)
{
	for (int i = 0; i < opt.n; i++)
		receive_exactly(dial_part('r'), 1);
	printf("{\"open\": %d}\n", opt.n);
	fflush(stdout);
	while (read(STDIN_FILENO, chunk, sizeof(chunk)) > 0)
		continue;
}

/* ---- datagrams ---- */

static void udp_run(void (*run)(const struct udp_load *))
{
	struct udp_load load = { .entry = opt.entry,
		.n_flows = opt.n,
		.size = opt.size,
		.depth = opt.depth,
		.per_s = opt.per_s,
		.secs = opt.secs,
		.warm_s = opt.warm_s };

	if (opt.size < UDP_LOAD_BYTES_MIN || opt.size > UDP_LOAD_BYTES_MAX || opt.depth < 1 ||
		opt.per_s < 1)
		die("options");
	run(&load);
}

static void run_udp_echo(void)
{
	udp_run(udp_echo);
}

static void run_udp_offer(void)
{
	udp_run(udp_offer);
}

static void run_udp_idle(void)
{
	udp_run(udp_idle);
}

/* ---- command line ---- */

static void read_options(int argc, char **argv)
{
	int *const ints[128] = {
		['e'] = &opt.entry,
		['o'] = &opt.origin,
		['n'] = &opt.n,
		['z'] = &opt.size,
		['d'] = &opt.depth,
		['r'] = &opt.per_s,
	};
	const char *greeting = NULL;
	double *const reals[128] = { ['t'] = &opt.secs, ['w'] = &opt.warm_s };

	for (int c; (c = getopt(argc, argv, "e:o:n:z:d:r:t:w:p:g:u")) != -1;) {
		if (c == '?')
			exit(2);
		if (c == 'u')
			opt.is_up = true;
		else if (c == 'p')
			meter_add_proxies(optarg);
		else if (c == 'g')
			greeting = optarg;
		else if (ints[c])
			*ints[c] = atoi(optarg);
		else
			*reals[c] = atof(optarg);
	}
	if (greeting && !greet_set(greeting, opt.origin))
		die("options");
	if (opt.n < 1 || opt.size < 1 || opt.size > PING_BYTES_MAX)
		die("options");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		pid_t (*origin)(int port);
		void (*run)(void);
		bool is_held; /* until stdin ends */
	} modes[] = { { "bulk", origin_start, bulk, false }, { "rate", origin_start, rate, false },
		{ "ping", origin_start, ping, false }, { "idle", origin_start, idle, true },
		{ "udp-echo", udp_origin_start, run_udp_echo, false },
		{ "udp-offer", udp_origin_start, run_udp_offer, false },
		{ "udp-idle", udp_origin_start, run_udp_idle, true } };
	struct rlimit files;

	errno = 0;
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name) != 0)
			continue;
		read_options(argc - 1, argv + 1);
		getrlimit(RLIMIT_NOFILE, &files);
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
		meter_set_origin(modes[i].origin(opt.origin));
		epoll = epoll_create1(EPOLL_CLOEXEC);
		alarm((unsigned)(opt.secs + opt.warm_s) + (modes[i].is_held ? 600 : WATCHDOG_S));
		modes[i].run();
		return 0;
	}
	fprintf(stderr, "usage: load MODE OPTION... (see the top of bench/load.c)\n");
	return 2;
}
