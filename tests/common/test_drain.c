/* The silent drain and the lingering close: what the peer sees, and when it all is gone. */
#include "common/drain.h"
#include "common/tcp.h"
#include "tests/support/pair.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS 5000
#define LONG_MS 60000
static const bool never = false;

/* A drain, and the far end of one connection that is in it. */
struct world {
	struct loop *loop;
	struct drain *drain;
	bool is_empty;
	unsigned n_empty;
	int peer;
	struct stream *stream; /* not given away yet */
};

static void on_empty(void *owner)
{
	struct world *w = owner;
	w->n_empty++;
	w->is_empty = true;
}

static void set_up(struct world *w, uint32_t n_bytes, uint32_t n_ms)
{
	int fds[2];
	*w = (struct world){ .peer = -1 };
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(
		drain_new(w->loop, (struct drain_limits){ n_bytes, n_ms }, on_empty, w, &w->drain),
		0);
	streams_tcp_fds(fds);
	w->peer = fds[0];
	cr_assert_eq(tcp_open_fd(w->loop, fds[1], &w->stream), 0);
}

static void tear_down(struct world *w)
{
	cr_expect(drain_is_empty(w->drain));
	drain_free(w->drain);
	loop_free(w->loop);
	if (w->peer >= 0)
		close(w->peer);
}

static void turn(struct world *w, uint64_t ms)
{
	loop_run_until(w->loop, &never, ms);
}

static void send_bytes(struct world *w, size_t n)
{
	static const uint8_t junk[1024];
	for (size_t left = n; left > 0;) {
		size_t part = left < sizeof junk ? left : sizeof junk;
		ssize_t sent = send(w->peer, junk, part, MSG_NOSIGNAL);
		if (sent < 0) {
			cr_assert_eq(errno, EAGAIN);
			loop_turn(w->loop);
			continue;
		}
		left -= (size_t)sent;
	}
}

enum seen {
	SEEN_NOTHING,
	SEEN_BYTES,
	SEEN_FIN,
	SEEN_RESET,
};

static enum seen look(const struct world *w)
{
	uint8_t byte;
	ssize_t n = recv(w->peer, &byte, 1, MSG_DONTWAIT);
	if (n > 0)
		return SEEN_BYTES;
	if (n == 0)
		return SEEN_FIN;
	return errno == EAGAIN ? SEEN_NOTHING : SEEN_RESET;
}

/* Whether the other side's socket is gone altogether, not only its sending half. */
static bool is_peer_closed(const struct world *w)
{
	struct tcp_info info;
	socklen_t len = sizeof info;
	cr_assert_eq(getsockopt(w->peer, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_state == TCP_CLOSE;
}

static uint64_t elapsed_ms(uint64_t since_us)
{
	return (loop_clock_us() - since_us) / 1000;
}

/* Turns the loop until the peer sees something. */
static enum seen await_sight(struct world *w, uint64_t timeout_ms)
{
	uint64_t start_us = loop_clock_us();
	enum seen seen;
	while ((seen = look(w)) == SEEN_NOTHING && elapsed_ms(start_us) < timeout_ms)
		turn(w, 2);
	return seen;
}

static void expect_gone(struct world *w, uint64_t timeout_ms)
{
	cr_expect(loop_run_until(w->loop, &w->is_empty, timeout_ms));
	cr_expect_eq(w->n_empty, 1);
}

Test(limits, are_of_the_installation, .timeout = 10)
{
	uint8_t secret[16] = { 1 }, other[16] = { 2 };
	struct drain_limits a = drain_limits_derive(secret), b = drain_limits_derive(secret);
	struct drain_limits c = drain_limits_derive(other);
	cr_expect_eq(a.n_bytes, b.n_bytes);
	cr_expect_eq(a.n_ms, b.n_ms);
	cr_expect(a.n_bytes != c.n_bytes || a.n_ms != c.n_ms);
}

Test(limits, lie_and_spread_in_the_ranges_of_the_protocol, .timeout = 10)
{
	uint32_t min_bytes = UINT32_MAX, max_bytes = 0, min_ms = UINT32_MAX, max_ms = 0;
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t secret[16] = { (uint8_t)i, (uint8_t)(i >> 8) };
		struct drain_limits l = drain_limits_derive(secret);
		min_bytes = l.n_bytes < min_bytes ? l.n_bytes : min_bytes;
		max_bytes = l.n_bytes > max_bytes ? l.n_bytes : max_bytes;
		min_ms = l.n_ms < min_ms ? l.n_ms : min_ms;
		max_ms = l.n_ms > max_ms ? l.n_ms : max_ms;
	}
	cr_expect_geq(min_bytes, 1024);
	cr_expect_leq(max_bytes, 16 * 1024);
	cr_expect_geq(min_ms, 20000);
	cr_expect_leq(max_ms, 60000);
	cr_expect_lt(min_bytes, 1200, "N spreads: least %u", min_bytes);
	cr_expect_gt(max_bytes, 16200, "N spreads: most %u", max_bytes);
	cr_expect_lt(min_ms, 21000, "T spreads: least %u", min_ms);
	cr_expect_gt(max_ms, 59000, "T spreads: most %u", max_ms);
}

Test(silent, ends_with_a_fin_at_exactly_n_bytes, .timeout = 20)
{
	struct world w;
	set_up(&w, 4096, LONG_MS);
	drain_silent(w.drain, w.stream, 0, loop_now_ms(w.loop));
	send_bytes(&w, 4095);
	turn(&w, 50);
	cr_expect_eq(look(&w), SEEN_NOTHING);
	send_bytes(&w, 1);
	cr_expect_eq(await_sight(&w, WAIT_MS), SEEN_FIN);
	cr_expect_not(w.is_empty, "it still discards for a while");
	expect_gone(&w, WAIT_MS);
	tear_down(&w);
}

Test(silent, counts_what_was_received_before, .timeout = 20)
{
	struct world w;
	set_up(&w, 4096, LONG_MS);
	drain_silent(w.drain, w.stream, 4000, loop_now_ms(w.loop));
	send_bytes(&w, 95);
	turn(&w, 50);
	cr_expect_eq(look(&w), SEEN_NOTHING);
	send_bytes(&w, 1);
	cr_expect_eq(await_sight(&w, WAIT_MS), SEEN_FIN);
	expect_gone(&w, WAIT_MS);
	tear_down(&w);
}

Test(silent, ends_at_once_when_n_is_received_already, .timeout = 20)
{
	struct world w;
	set_up(&w, 1024, LONG_MS);
	drain_silent(w.drain, w.stream, 1024, loop_now_ms(w.loop));
	cr_expect_eq(await_sight(&w, 500), SEEN_FIN);
	expect_gone(&w, WAIT_MS);
	tear_down(&w);
}

Test(silent, ends_t_after_the_start_and_not_before, .timeout = 20)
{
	struct world w;
	set_up(&w, 4096, 300);
	uint64_t start_us = loop_clock_us();
	drain_silent(w.drain, w.stream, 0, loop_now_ms(w.loop));
	cr_expect_eq(await_sight(&w, WAIT_MS), SEEN_FIN);
	cr_expect_geq(elapsed_ms(start_us), 298);
	cr_expect_lt(elapsed_ms(start_us), 1500);
	expect_gone(&w, WAIT_MS);
	tear_down(&w);
}

/* T is counted from accept: what came before the drain is not given again. */
Test(silent, counts_t_from_the_given_start, .timeout = 20)
{
	struct world w;
	set_up(&w, 4096, 10000);
	uint64_t start_us = loop_clock_us();
	drain_silent(w.drain, w.stream, 0, loop_now_ms(w.loop) - 9800);
	cr_expect_eq(await_sight(&w, WAIT_MS), SEEN_FIN);
	cr_expect_geq(elapsed_ms(start_us), 198);
	cr_expect_lt(elapsed_ms(start_us), 1500);
	expect_gone(&w, WAIT_MS);
	tear_down(&w);
}

Test(silent, ends_at_once_when_t_has_passed, .timeout = 20)
{
	struct world w;
	set_up(&w, 4096, 20);
	uint64_t start_ms = loop_now_ms(w.loop);
	turn(&w, 100);
	drain_silent(w.drain, w.stream, 0, start_ms);
	cr_expect_eq(await_sight(&w, 500), SEEN_FIN);
	expect_gone(&w, WAIT_MS);
	tear_down(&w);
}

/* Bytes do not push T away. */
Test(silent, bytes_do_not_prolong_t, .timeout = 20)
{
	struct world w;
	set_up(&w, 4096, 300);
	uint64_t start_us = loop_clock_us();
	drain_silent(w.drain, w.stream, 0, loop_now_ms(w.loop));
	while (look(&w) == SEEN_NOTHING && elapsed_ms(start_us) < WAIT_MS) {
		send_bytes(&w, 1);
		turn(&w, 10);
	}
	cr_expect_geq(elapsed_ms(start_us), 298);
	cr_expect_lt(elapsed_ms(start_us), 1500);
	expect_gone(&w, WAIT_MS);
	tear_down(&w);
}

Test(silent, answers_a_fin_with_a_close, .timeout = 20)
{
	struct world w;
	set_up(&w, 4096, LONG_MS);
	drain_silent(w.drain, w.stream, 0, loop_now_ms(w.loop));
	send_bytes(&w, 100);
	shutdown(w.peer, SHUT_WR);
	expect_gone(&w, 500);
	cr_expect_eq(look(&w), SEEN_FIN);
	cr_expect(is_peer_closed(&w));
	tear_down(&w);
}

Test(silent, survives_a_reset, .timeout = 20)
{
	static const struct linger hard = { .l_onoff = 1 };
	struct world w;
	set_up(&w, 4096, LONG_MS);
	drain_silent(w.drain, w.stream, 0, loop_now_ms(w.loop));
	setsockopt(w.peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	close(w.peer);
	w.peer = -1;
	expect_gone(&w, 500);
	tear_down(&w);
}

/* The last second: a peer that ignores the FIN and sends on is read, then closed on. */
Test(silent, discards_one_second_at_most_after_its_fin, .timeout = 20)
{
	struct world w;
	set_up(&w, 1024, LONG_MS);
	drain_silent(w.drain, w.stream, 0, loop_now_ms(w.loop));
	send_bytes(&w, 1024);
	cr_expect_eq(await_sight(&w, WAIT_MS), SEEN_FIN);
	uint64_t fin_us = loop_clock_us();
	send_bytes(&w, 1024);
	turn(&w, 100);
	cr_expect_eq(look(&w), SEEN_FIN, "in order, no reset while it discards");
	expect_gone(&w, WAIT_MS);
	cr_expect_geq(elapsed_ms(fin_us), 800);
	cr_expect_lt(elapsed_ms(fin_us), 2000);
	tear_down(&w);
}

Test(silent, a_flood_after_the_fin_is_cut, .timeout = 20)
{
	struct world w;
	set_up(&w, 1024, LONG_MS);
	drain_silent(w.drain, w.stream, 0, loop_now_ms(w.loop));
	send_bytes(&w, 1024);
	cr_expect_eq(await_sight(&w, WAIT_MS), SEEN_FIN);
	send_bytes(&w, DRAIN_LINGER_BYTES);
	expect_gone(&w, 500);
	tear_down(&w);
}

/* 1,025 streams in memory: the first of them must give way, and only that one. */
Test(silent, one_too_many_ends_the_oldest, .timeout = 60)
{
	enum {
		N = DRAIN_MAX_STREAMS + 1
	};
	struct world w;
	struct sink *peers = calloc(N, sizeof *peers);
	set_up(&w, 4096, LONG_MS);
	stream_drop(w.stream);
	for (int i = 0; i < N; i++) {
		struct stream *near, *far;
		cr_assert_eq(pair_new(w.loop, 4096, &near, &far), 0);
		sink_take(&peers[i], far);
		peers[i].closes_on_end = true;
		stream_read_start(far);
		cr_expect_not(peers[0].has_ended, "at %d", i);
		drain_silent(w.drain, near, 0, loop_now_ms(w.loop));
	}
	loop_run_until(w.loop, &peers[0].is_closed, WAIT_MS);
	turn(&w, 20);
	cr_expect(peers[0].has_ended, "the oldest is ended, with a FIN");
	cr_expect_not(peers[0].has_failed);
	for (int i = 1; i < N; i++)
		cr_expect_not(peers[i].has_ended || peers[i].has_failed, "number %d stays", i);
	drain_stop(w.drain);
	expect_gone(&w, WAIT_MS);
	turn(&w, 20);
	for (int i = 0; i < N; i++) {
		cr_expect(peers[i].is_closed, "number %d", i);
		cr_expect_eq(peers[i].n, 0, "not one byte was said");
		sink_free(&peers[i]);
	}
	free(peers);
	tear_down(&w);
}

Test(linger, delivers_the_answer_before_the_end, .timeout = 20)
{
	static const uint8_t answer[96] = { 7 };
	uint8_t got[128];
	struct world w;
	set_up(&w, 1024, LONG_MS);
	send_bytes(&w, 2000); /* unread at our side: close() alone would reset */
	stream_write(w.stream, bytes_of(answer, sizeof answer));
	drain_linger(w.drain, w.stream);
	turn(&w, 50);
	cr_expect_eq(recv(w.peer, got, sizeof got, MSG_DONTWAIT), (ssize_t)sizeof answer);
	cr_expect_eq(look(&w), SEEN_FIN);
	cr_expect_not(w.is_empty);
	close(w.peer);
	w.peer = -1;
	expect_gone(&w, 500);
	tear_down(&w);
}

Test(linger, is_bounded_by_bytes, .timeout = 20)
{
	struct world w;
	set_up(&w, 1024, LONG_MS);
	drain_linger(w.drain, w.stream);
	send_bytes(&w, DRAIN_LINGER_BYTES - 1);
	turn(&w, 100);
	cr_expect_not(w.is_empty, "64 KiB - 1 are borne");
	send_bytes(&w, 1);
	expect_gone(&w, 500);
	tear_down(&w);
}

Test(linger, is_bounded_by_time, .timeout = 20)
{
	struct world w;
	uint64_t start_us = loop_clock_us();
	set_up(&w, 1024, LONG_MS);
	drain_linger(w.drain, w.stream);
	expect_gone(&w, DRAIN_LINGER_MS + 1000);
	cr_expect_geq(elapsed_ms(start_us), DRAIN_LINGER_MS - 10);
	cr_expect_eq(look(&w), SEEN_FIN);
	tear_down(&w);
}

Test(stop, closes_both_kinds_and_tells_once, .timeout = 20)
{
	int fds[2];
	struct stream *other;
	struct world w;
	set_up(&w, 1024, LONG_MS);
	streams_tcp_fds(fds);
	cr_assert_eq(tcp_open_fd(w.loop, fds[1], &other), 0);
	cr_expect(drain_is_empty(w.drain));
	drain_silent(w.drain, w.stream, 0, loop_now_ms(w.loop));
	drain_linger(w.drain, other);
	cr_expect_not(drain_is_empty(w.drain));
	drain_stop(w.drain);
	cr_expect_not(w.is_empty, "nothing is told from inside the call");
	expect_gone(&w, 500);
	cr_expect_eq(look(&w), SEEN_FIN);
	close(fds[0]);
	tear_down(&w);
}

Test(stop, of_an_empty_drain_is_nothing, .timeout = 20)
{
	struct world w;
	set_up(&w, 1024, LONG_MS);
	drain_stop(w.drain);
	turn(&w, 20);
	cr_expect_eq(w.n_empty, 0);
	stream_drop(w.stream);
	turn(&w, 20);
	tear_down(&w);
	drain_free(NULL);
}

/* Stopped in its last second: both timers and the FIN are out already. */
Test(stop, in_the_last_second, .timeout = 20)
{
	struct world w;
	set_up(&w, 1024, LONG_MS);
	drain_silent(w.drain, w.stream, 1024, loop_now_ms(w.loop));
	cr_expect_eq(await_sight(&w, 500), SEEN_FIN);
	drain_stop(w.drain);
	drain_stop(w.drain);
	expect_gone(&w, 500);
	tear_down(&w);
}
