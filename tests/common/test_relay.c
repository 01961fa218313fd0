/* The relay over in-memory streams and over sockets: ends, errors, back-pressure, splicing. */
#include "common/relay.h"
#include "common/tcp.h"
#include "tests/support/pair.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 5000
static const bool never = false;

/* left <-> (a relay b) <-> right */
struct world {
	struct loop *loop;
	struct relay_group *group;
	struct relay *relay;
	struct sink left, right;
	bool is_done;
	struct relay_result result;
};

static void on_done(const struct relay_result *result, void *owner)
{
	struct world *w = owner;
	w->is_done = true;
	w->result = *result;
}

static void set_up(struct world *w, enum streams_kind kind, struct relay_options options)
{
	struct stream *left, *a, *b, *right;
	*w = (struct world){ .loop = NULL };
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(relay_group_new(w->loop, &w->group), 0);
	streams_open(w->loop, kind, &left, &a);
	streams_open(w->loop, kind, &b, &right);
	sink_take(&w->left, left);
	sink_take(&w->right, right);
	cr_assert_eq(relay_new(w->group, a, b, &options, on_done, w, &w->relay), 0);
	stream_read_start(left);
	stream_read_start(right);
}

static void tear_down(struct world *w)
{
	if (w->left.stream != NULL)
		stream_close(w->left.stream);
	if (w->right.stream != NULL)
		stream_close(w->right.stream);
	relay_group_stop(w->group);
	cr_assert(loop_run_until(w->loop, &w->is_done, WAIT_MS));
	loop_run_until(w->loop, &w->left.is_closed, WAIT_MS);
	loop_run_until(w->loop, &w->right.is_closed, WAIT_MS);
	cr_expect_eq(w->left.n_events_after_end + w->right.n_events_after_end, 0);
	relay_group_free(w->group);
	sink_free(&w->left);
	sink_free(&w->right);
	loop_free(w->loop);
}

static bool wait_bytes(struct world *w, const struct sink *k, size_t n)
{
	for (int i = 0; i < WAIT_MS && k->n < n && !k->has_failed; i++)
		loop_run_until(w->loop, &never, 1);
	return k->n >= n;
}

/* One test per kind. (Criterion's parameterized tests leak, and a leak must fail.) */
#define KINDS(name)                                                                                \
	static void name(enum streams_kind kind);                                                  \
	Test(relay, name##_pair, .timeout = 60)                                                    \
	{                                                                                          \
		name(STREAMS_PAIR);                                                                \
	}                                                                                          \
	Test(relay, name##_tcp, .timeout = 60)                                                     \
	{                                                                                          \
		name(STREAMS_TCP);                                                                 \
	}                                                                                          \
	Test(relay, name##_secure_pair, .timeout = 60)                                             \
	{                                                                                          \
		name(STREAMS_SECURE_PAIR);                                                         \
	}                                                                                          \
	Test(relay, name##_secure_tcp, .timeout = 60)                                              \
	{                                                                                          \
		name(STREAMS_SECURE_TCP);                                                          \
	}                                                                                          \
	static void name(enum streams_kind kind)

static const struct relay_options plain = RELAY_OPTIONS_DEFAULT;

static void half_close(enum streams_kind kind, bool left_first)
{
	struct world w;
	set_up(&w, kind, plain);
	struct sink *first = left_first ? &w.left : &w.right,
		    *second = left_first ? &w.right : &w.left;
	stream_write(first->stream, bytes_of("request", 7));
	stream_shutdown(first->stream);
	cr_assert(loop_run_until(w.loop, &second->has_ended, WAIT_MS));
	cr_expect_eq(second->n, 7);
	cr_expect(!first->has_ended && !w.is_done, "the other direction lives on");
	stream_write(second->stream, bytes_of("response", 8));
	stream_shutdown(second->stream);
	cr_assert(loop_run_until(w.loop, &first->has_ended, WAIT_MS));
	cr_expect_eq(first->n, 8);
	cr_assert(loop_run_until(w.loop, &w.is_done, WAIT_MS));
	cr_expect_eq(w.result.end, left_first ? RELAY_END_A : RELAY_END_B);
	cr_expect_eq(w.result.n_bytes_ab, left_first ? 7 : 8);
	cr_expect_eq(w.result.n_bytes_ba, left_first ? 8 : 7);
	cr_expect(!first->has_failed && !second->has_failed);
	tear_down(&w);
}

KINDS(half_close_client_first)
{
	half_close(kind, true);
}

KINDS(half_close_target_first)
{
	half_close(kind, false);
}

KINDS(reset_becomes_reset)
{
	struct world w;
	set_up(&w, kind, plain);
	stream_write(w.left.stream, bytes_of("x", 1));
	cr_assert(wait_bytes(&w, &w.right, 1));
	stream_abort(w.left.stream);
	cr_assert(loop_run_until(w.loop, &w.right.has_failed, WAIT_MS));
	cr_expect(!w.right.has_ended, "a cut stream never ends cleanly");
	cr_assert(loop_run_until(w.loop, &w.is_done, WAIT_MS));
	cr_expect_eq(w.result.end, RELAY_FAILED_A);
	tear_down(&w);
}

KINDS(reset_after_half_close_becomes_reset)
{
	struct world w;
	set_up(&w, kind, plain);
	stream_shutdown(w.left.stream);
	cr_assert(loop_run_until(w.loop, &w.right.has_ended, WAIT_MS));
	stream_write(w.right.stream, bytes_of("partial", 7));
	cr_assert(wait_bytes(&w, &w.left, 7));
	stream_abort(w.right.stream);
	cr_assert(loop_run_until(w.loop, &w.left.has_failed, WAIT_MS));
	cr_expect(!w.left.has_ended);
	tear_down(&w);
}

KINDS(a_stalled_reader_stops_the_sender_and_memory)
{
	struct world w;
	size_t n = 256 * 1024, sent = 0, n_blocked = 0;
	uint8_t *data = calloc(1, n);
	set_up(&w, kind, plain);
	stream_read_stop(w.right.stream);
	for (int i = 0; i < 400 && n_blocked < 50; i++) {
		if (w.left.is_drained || sent == 0 || n_blocked == 0) {
			w.left.is_drained = false;
			bool is_blocked = stream_write(w.left.stream, bytes_of(data, n));
			sent += n;
			n_blocked += is_blocked;
		} else {
			n_blocked++;
		}
		loop_run_until(w.loop, &never, 1);
	}
	cr_expect_geq(n_blocked, 50, "the sender was stopped (%zu bytes sent)", sent);
	stream_read_start(w.right.stream);
	cr_assert(wait_bytes(&w, &w.right, sent));
	cr_expect_eq(w.right.n, sent);
	free(data);
	tear_down(&w);
}

KINDS(bulk_is_equal_at_the_other_end)
{
	struct world w;
	size_t n = 1024 * 1024, total = 20 * n, sent = 0;
	uint8_t *data = malloc(n);
	for (size_t i = 0; i < n; i++)
		data[i] = streams_pattern(i);
	bool is_blocked = false;
	set_up(&w, kind, plain);
	for (int i = 0; i < 200000 && w.right.n < total; i++) {
		if (w.left.is_drained)
			w.left.is_drained = is_blocked = false;
		if (!is_blocked && sent < total) {
			is_blocked = stream_write(w.left.stream, bytes_of(data, n));
			sent += n;
		}
		loop_run_until(w.loop, &never, 1);
	}
	stream_shutdown(w.left.stream);
	cr_assert(loop_run_until(w.loop, &w.right.has_ended, WAIT_MS));
	cr_assert_eq(w.right.n, total);
	for (size_t i = 0; i < 20; i++)
		cr_assert_arr_eq(w.right.data + i * n, data, n);
	free(data);
	tear_down(&w);
}

KINDS(bulk_then_small_messages)
{
	struct world w;
	size_t n = 4 * 1024 * 1024;
	uint8_t *data = calloc(1, n);
	set_up(&w, kind, plain);
	stream_write(w.left.stream, bytes_of(data, n));
	cr_assert(wait_bytes(&w, &w.right, n));
	for (size_t i = 0; i < 50; i++) {
		stream_write(w.left.stream, bytes_of("ping", 4));
		cr_assert(wait_bytes(&w, &w.right, n + 4 * (i + 1)));
	}
	free(data);
	tear_down(&w);
}

Test(relay, idle_timeout_aborts_both, .timeout = 20)
{
	struct world w;
	struct relay_options options = { .idle_timeout_ms = 1000 };
	set_up(&w, STREAMS_TCP, options);
	cr_assert(loop_run_until(w.loop, &w.is_done, WAIT_MS));
	cr_expect_eq(w.result.end, RELAY_IDLE);
	tear_down(&w);
}

Test(relay, half_close_timeout_counts_only_after_an_end, .timeout = 20)
{
	struct world w;
	struct relay_options options = { .half_close_timeout_ms = 1000 };
	set_up(&w, STREAMS_TCP, options);
	loop_run_until(w.loop, &never, 1500);
	cr_expect(!w.is_done);
	stream_shutdown(w.left.stream);
	cr_assert(loop_run_until(w.loop, &w.is_done, WAIT_MS));
	cr_expect_eq(w.result.end, RELAY_HALF_CLOSED);
	tear_down(&w);
}

Test(relay, stop_ends_every_relay_of_the_group, .timeout = 20)
{
	struct world w;
	set_up(&w, STREAMS_TCP, plain);
	relay_group_stop(w.group);
	cr_expect(!w.is_done, "never from inside");
	cr_assert(loop_run_until(w.loop, &w.is_done, WAIT_MS));
	cr_expect_eq(w.result.end, RELAY_STOPPED);
	tear_down(&w);
}

static int count_fds(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* A connection that dies with bytes in its pipe must not leave them to the next one. */
Test(relay, bytes_of_a_dead_connection_never_reach_another, .timeout = 60)
{
	struct world w;
	size_t n = 8 * 1024 * 1024;
	uint8_t *secret = malloc(n);
	memset(secret, 0xee, n);
	set_up(&w, STREAMS_TCP, plain);
	stream_read_stop(w.right.stream);
	stream_write(w.left.stream, bytes_of(secret, n));
	loop_run_until(w.loop, &never, 200); /* spliced until the pipe is stuck */
	stream_abort(w.left.stream);
	cr_assert(loop_run_until(w.loop, &w.is_done, WAIT_MS));

	struct stream *left, *a, *b, *right;
	struct sink l2 = { 0 }, r2 = { 0 };
	streams_open(w.loop, STREAMS_TCP, &left, &a);
	streams_open(w.loop, STREAMS_TCP, &b, &right);
	sink_take(&l2, left);
	sink_take(&r2, right);
	w.is_done = false;
	cr_assert_eq(relay_new(w.group, a, b, &plain, on_done, &w, &w.relay), 0);
	stream_read_start(right);
	memset(secret, 0x11, n);
	stream_write(left, bytes_of(secret, n));
	cr_assert(wait_bytes(&w, &r2, n));
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(r2.data[i], 0x11, "byte %zu belongs to another connection", i);
	stream_close(left);
	stream_close(right);
	loop_run_until(w.loop, &l2.is_closed, WAIT_MS);
	loop_run_until(w.loop, &r2.is_closed, WAIT_MS);
	sink_free(&l2);
	sink_free(&r2);
	free(secret);
	tear_down(&w);
}

Test(relay, an_idle_relay_holds_no_pipe, .timeout = 60)
{
	struct world w;
	size_t n = 4 * 1024 * 1024;
	uint8_t *data = calloc(1, n);
	set_up(&w, STREAMS_TCP, plain);
	int before = count_fds();
	stream_write(w.left.stream, bytes_of(data, n));
	cr_assert(wait_bytes(&w, &w.right, n));
	loop_run_until(w.loop, &never, 20);
	cr_expect_leq(count_fds(), before + 2, "at most the pool's pipe stays");
	free(data);
	tear_down(&w);
}

/* Urgent data is passed on like any other: recv() and splice() stop at its mark, and must not take
 * that for "no more". */
static void urgent(size_t n_before)
{
	int left[2], right[2];
	struct world w = { .loop = NULL };
	struct stream *a, *b, *end;
	uint8_t *data = calloc(1, n_before + 3);
	cr_assert_eq(loop_new(&w.loop), 0);
	cr_assert_eq(relay_group_new(w.loop, &w.group), 0);
	streams_tcp_fds(left);
	streams_tcp_fds(right);
	cr_assert(tcp_open_fd(w.loop, left[1], &a) == 0 && tcp_open_fd(w.loop, right[0], &b) == 0 &&
		  tcp_open_fd(w.loop, right[1], &end) == 0);
	sink_take(&w.right, end);
	stream_read_start(end);
	cr_assert_eq(relay_new(w.group, a, b, &plain, on_done, &w, &w.relay), 0);
	for (size_t sent = 0; sent < n_before;) {
		ssize_t n = send(left[0], data, n_before - sent, MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		loop_turn(w.loop);
	}
	cr_assert_eq(send(left[0], "abc", 3, 0), 3);
	cr_assert_eq(send(left[0], "!", 1, MSG_OOB), 1);
	cr_assert_eq(send(left[0], "def", 3, 0), 3);
	cr_assert(
		wait_bytes(&w, &w.right, n_before + 6), "%zu of %zu came", w.right.n, n_before + 6);
	cr_expect_arr_eq(w.right.data + n_before + 3, "def", 3);
	close(left[0]);
	stream_close(w.right.stream);
	cr_assert(loop_run_until(w.loop, &w.is_done, WAIT_MS));
	loop_run_until(w.loop, &w.right.is_closed, WAIT_MS);
	relay_group_free(w.group);
	sink_free(&w.right);
	free(data);
	loop_free(w.loop);
}

Test(relay, urgent_data_does_not_stop_a_copy, .timeout = 20)
{
	urgent(0);
}

Test(relay, urgent_data_does_not_stop_a_splice, .timeout = 20)
{
	urgent(4 * 1024 * 1024);
}
