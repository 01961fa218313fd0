/* The listening socket: who gets a port, what is accepted, and what happens without descriptors. */
#include "common/listener.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define WAIT_MS 5000
#define MANY    300
static const bool never = false;

/* A listener and what it gave. */
struct world {
	struct loop *loop;
	struct listener *listener;
	struct sink sinks[MANY];
	union addr_sock peers[MANY];
	int n;
	int n_wanted;
	bool is_enough;
	bool closes; /* the listener, inside its callback */
};

static struct addr loopback(uint16_t port)
{
	return (struct addr){ .kind = ADDR_IP4, .port = port, .ip = { 127, 0, 0, 1 } };
}

static void on_accept(struct stream *stream, const union addr_sock *peer, void *owner)
{
	struct world *w = owner;
	cr_assert_lt(w->n, MANY);
	sink_take(&w->sinks[w->n], stream);
	w->peers[w->n++] = *peer;
	w->is_enough = w->n >= w->n_wanted;
	if (w->closes) {
		listener_close(w->listener);
		w->listener = NULL;
	}
}

static void set_up(struct world *w, struct addr at)
{
	memset(w, 0, sizeof *w);
	w->n_wanted = 1;
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(listener_open(w->loop, &at, false, on_accept, w, &w->listener), 0);
}

static void tear_down(struct world *w)
{
	listener_close(w->listener);
	for (int i = 0; i < w->n; i++) {
		if (w->sinks[i].stream != NULL)
			stream_close(w->sinks[i].stream);
	}
	for (int i = 0; i < w->n; i++) {
		loop_run_until(w->loop, &w->sinks[i].is_closed, WAIT_MS);
		sink_free(&w->sinks[i]);
	}
	loop_turn(w->loop);
	loop_free(w->loop);
}

static int dial(int family, uint16_t port)
{
	union addr_sock to = { .any.sa_family = AF_UNSPEC };
	if (family == AF_INET)
		to.ip4 = (struct sockaddr_in){ .sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	else
		to.ip6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			.sin6_port = htons(port),
			.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, &to.any, addr_sock_len(&to)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int open_one(struct loop *loop, struct addr at, bool shares, struct listener **ret)
{
	static struct world unused;
	return listener_open(loop, &at, shares, on_accept, &unused, ret);
}

static double cpu_s(void)
{
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

Test(listener, gives_streams_and_peers, .timeout = 20)
{
	struct world w;
	struct sockaddr_in mine;
	socklen_t len = sizeof mine;
	set_up(&w, loopback(0));
	cr_assert_neq(listener_port(w.listener), 0);
	int fd = dial(AF_INET, listener_port(w.listener));
	cr_assert(loop_run_until(w.loop, &w.is_enough, WAIT_MS));
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&mine, &len), 0);
	cr_expect_eq(w.peers[0].any.sa_family, AF_INET);
	cr_expect_eq(addr_sock_port(&w.peers[0]), ntohs(mine.sin_port));
	stream_write(w.sinks[0].stream, bytes_of("hello", 5));
	char got[8] = "";
	cr_expect_eq(recv(fd, got, sizeof got, 0), 5);
	cr_expect_str_eq(got, "hello");
	close(fd);
	tear_down(&w);
}

/* An application's small writes must not wait for acknowledgements. */
Test(listener, what_is_accepted_does_not_delay, .timeout = 20)
{
	struct world w;
	int n_seen = 0, on = 0;
	socklen_t len = sizeof on;
	set_up(&w, loopback(0));
	int fd = dial(AF_INET, listener_port(w.listener));
	cr_assert(loop_run_until(w.loop, &w.is_enough, WAIT_MS));
	for (int i = 3; i < 64; i++) {
		struct sockaddr_in peer;
		socklen_t n = sizeof peer;
		if (i == fd || getpeername(i, (struct sockaddr *)&peer, &n) != 0 ||
			n != sizeof peer || peer.sin_port != w.peers[0].ip4.sin_port)
			continue;
		cr_expect_eq(getsockopt(i, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, &len), 0);
		cr_expect_eq(on, 1);
		cr_expect(fcntl(i, F_GETFL) & O_NONBLOCK);
		cr_expect(fcntl(i, F_GETFD) & FD_CLOEXEC);
		n_seen++;
	}
	cr_expect_eq(n_seen, 1);
	close(fd);
	tear_down(&w);
}

Test(listener, dual_stack_serves_both_and_unmaps, .timeout = 20)
{
	struct world w;
	set_up(&w, (struct addr){ .kind = ADDR_NONE });
	int fd4 = dial(AF_INET, listener_port(w.listener));
	cr_assert_geq(fd4, 0);
	cr_assert(loop_run_until(w.loop, &w.is_enough, WAIT_MS));
	cr_expect_eq(w.peers[0].any.sa_family, AF_INET, "not ::ffff:127.0.0.1");
	cr_expect_eq(w.peers[0].ip4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	int fd6 = dial(AF_INET6, listener_port(w.listener));
	if (fd6 >= 0) { /* a machine may have no IPv6 */
		w.is_enough = false;
		w.n_wanted = 2;
		cr_assert(loop_run_until(w.loop, &w.is_enough, WAIT_MS));
		cr_expect_eq(w.peers[1].any.sa_family, AF_INET6);
		close(fd6);
	}
	close(fd4);
	tear_down(&w);
}

Test(listener, an_ip6_address_is_ip6_only, .timeout = 20)
{
	struct world w;
	struct addr at = { .kind = ADDR_IP6, .ip = { [15] = 1 } };
	struct loop *loop;
	struct listener *probe;
	cr_assert_eq(loop_new(&loop), 0);
	int error = open_one(loop, at, false, &probe);
	if (error == 0)
		listener_close(probe);
	loop_turn(loop);
	loop_free(loop);
	if (error != 0)
		cr_skip_test("no IPv6 here");
	set_up(&w, at);
	cr_expect_eq(dial(AF_INET, listener_port(w.listener)), -1);
	tear_down(&w);
}

Test(listener, serves_a_crowd, .timeout = 20)
{
	struct world w;
	int fds[MANY];
	set_up(&w, loopback(0));
	w.n_wanted = MANY;
	for (int i = 0; i < MANY; i++)
		cr_assert_geq(fds[i] = dial(AF_INET, listener_port(w.listener)), 0);
	loop_turn(w.loop);
	cr_expect_leq(w.n, 128, "others have their turn too"); /* 64, and 64 after the batch */
	cr_assert(loop_run_until(w.loop, &w.is_enough, WAIT_MS));
	cr_expect_eq(w.n, MANY);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	tear_down(&w);
}

Test(listener, may_be_closed_by_its_callback, .timeout = 20)
{
	struct world w;
	int fds[5];
	set_up(&w, loopback(0));
	w.closes = true;
	uint16_t port = listener_port(w.listener);
	for (int i = 0; i < 5; i++)
		cr_assert_geq(fds[i] = dial(AF_INET, port), 0);
	cr_assert(loop_run_until(w.loop, &w.is_enough, WAIT_MS));
	loop_run_until(w.loop, &never, 50);
	cr_expect_eq(w.n, 1, "no connection after the close");
	cr_expect_eq(dial(AF_INET, port), -1, "nobody listens");
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	tear_down(&w);
	listener_close(NULL);
}

/* Clients that have gone before they were accepted are nobody's error. */
Test(listener, bears_clients_that_reset_in_the_backlog, .timeout = 20)
{
	static const struct linger hard = { .l_onoff = 1 };
	struct world w;
	set_up(&w, loopback(0));
	w.n_wanted = 11;
	for (int i = 0; i < 10; i++) {
		int gone = dial(AF_INET, listener_port(w.listener));
		setsockopt(gone, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
		close(gone);
	}
	int fd = dial(AF_INET, listener_port(w.listener));
	cr_assert_geq(fd, 0);
	loop_run_until(w.loop, &w.is_enough, 200);
	cr_expect_geq(w.n, 1);
	cr_expect_not(w.sinks[w.n - 1].has_failed);
	close(fd);
	tear_down(&w);
}

/* The limit is of this test's process alone: Criterion forks. */
static void leave_descriptors(int n)
{
	struct rlimit limit;
	int next = dup(0);
	cr_assert_geq(next, 0);
	close(next);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = (rlim_t)(next + n);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void restore_descriptors(void)
{
	struct rlimit limit;
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

Test(listener, pauses_without_descriptors_and_recovers, .timeout = 20)
{
	struct world w;
	int fds[6];
	set_up(&w, loopback(0));
	w.n_wanted = 6;
	for (int i = 0; i < 6; i++)
		cr_assert_geq(fds[i] = dial(AF_INET, listener_port(w.listener)), 0);
	leave_descriptors(2);
	double before_s = cpu_s();
	loop_run_until(w.loop, &w.is_enough, 500);
	cr_expect_eq(w.n, 2, "as many as there are descriptors");
	cr_expect_lt(cpu_s() - before_s, 0.1, "no spinning");
	restore_descriptors();
	uint64_t start_us = loop_clock_us();
	cr_assert(loop_run_until(w.loop, &w.is_enough, WAIT_MS), "the backlog waits");
	cr_expect_lt(loop_clock_us() - start_us, 1000000);
	for (int i = 0; i < 6; i++) {
		cr_expect_not(w.sinks[i].has_failed);
		close(fds[i]);
	}
	tear_down(&w);
}

/* No new edge comes for connections that wait already: only the pause leads back to them. */
Test(listener, recovers_when_a_connection_ends, .timeout = 20)
{
	struct world w;
	int fds[2];
	set_up(&w, loopback(0));
	w.n_wanted = 2;
	for (int i = 0; i < 2; i++)
		cr_assert_geq(fds[i] = dial(AF_INET, listener_port(w.listener)), 0);
	leave_descriptors(1);
	loop_run_until(w.loop, &w.is_enough, 150);
	cr_assert_eq(w.n, 1);
	stream_close(w.sinks[0].stream);
	cr_assert(loop_run_until(w.loop, &w.is_enough, 1000));
	restore_descriptors();
	for (int i = 0; i < 2; i++)
		close(fds[i]);
	tear_down(&w);
}

Test(listener, may_be_closed_in_its_pause, .timeout = 20)
{
	struct world w;
	set_up(&w, loopback(0));
	int fd = dial(AF_INET, listener_port(w.listener));
	leave_descriptors(0);
	loop_run_until(w.loop, &w.is_enough, 50);
	cr_assert_eq(w.n, 0);
	listener_close(w.listener);
	w.listener = NULL;
	restore_descriptors();
	loop_run_until(w.loop, &w.is_enough, 300);
	cr_expect_eq(w.n, 0);
	close(fd);
	tear_down(&w);
}

Test(listener, a_port_in_use_is_an_error, .timeout = 20)
{
	struct world w;
	struct listener *other;
	set_up(&w, loopback(0));
	uint16_t port = listener_port(w.listener);
	cr_expect_eq(open_one(w.loop, loopback(port), false, &other), -EADDRINUSE);
	cr_expect_eq(open_one(w.loop, loopback(port), true, &other), -EADDRINUSE,
		"sharing needs both sides");
	tear_down(&w);
}

Test(listener, workers_share_a_port, .timeout = 20)
{
	struct loop *loop;
	struct listener *first, *second, *third;
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(open_one(loop, loopback(0), true, &first), 0);
	uint16_t port = listener_port(first);
	cr_expect_eq(open_one(loop, loopback(port), true, &second), 0);
	cr_expect_eq(listener_port(second), port);
	cr_expect_eq(open_one(loop, loopback(port), false, &third), -EADDRINUSE);
	listener_close(first);
	listener_close(second);
	loop_turn(loop);
	loop_free(loop);
}

Test(listener, an_address_that_is_not_ours_is_an_error, .timeout = 20)
{
	struct loop *loop;
	struct listener *l;
	struct addr foreign = { .kind = ADDR_IP4, .ip = { 192, 0, 2, 1 } };
	struct addr name = { .kind = ADDR_NAME, .name = "localhost" };
	cr_assert_eq(loop_new(&loop), 0);
	cr_expect_eq(open_one(loop, foreign, false, &l), -EADDRNOTAVAIL);
	cr_expect_eq(open_one(loop, name, false, &l), ERR_INVAL);
	loop_free(loop);
}

Test(claim, finds_a_port_and_leaves_it_free, .timeout = 20)
{
	struct world w;
	struct addr at = loopback(0), any = { .kind = ADDR_NONE };
	cr_expect_eq(listener_claim(&at), 0);
	cr_assert_neq(at.port, 0);
	cr_expect_eq(listener_claim(&any), 0);
	cr_expect_neq(any.port, 0);
	set_up(&w, at);
	cr_expect_eq(listener_port(w.listener), at.port);
	tear_down(&w);
}

/* Two programs that both share their ports would otherwise take each other's connections. */
Test(claim, refuses_a_port_that_others_share, .timeout = 20)
{
	struct loop *loop;
	struct listener *held;
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(open_one(loop, loopback(0), true, &held), 0);
	struct addr at = loopback(listener_port(held));
	cr_expect_eq(listener_claim(&at), -EADDRINUSE);
	listener_close(held);
	loop_turn(loop);
	cr_expect_eq(listener_claim(&at), 0);
	loop_free(loop);
}
