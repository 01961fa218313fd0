/* What common/stream.h promises, for every kind of stream. */
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define WAIT_MS 5000

struct world {
	struct loop *loop;
	struct sink a, b;
};

static void set_up(struct world *w, enum streams_kind kind)
{
	struct stream *a, *b;
	*w = (struct world){ .loop = NULL };
	cr_assert_eq(loop_new(&w->loop), 0);
	streams_open(w->loop, kind, &a, &b);
	sink_take(&w->a, a);
	sink_take(&w->b, b);
}

static void tear_down(struct world *w, enum streams_kind kind)
{
	const char *name = streams_kind_name(kind);
	if (w->a.stream != NULL)
		stream_close(w->a.stream);
	if (w->b.stream != NULL)
		stream_close(w->b.stream);
	loop_run_until(w->loop, &w->a.is_closed, WAIT_MS);
	loop_run_until(w->loop, &w->b.is_closed, WAIT_MS);
	cr_expect(w->a.is_closed && w->b.is_closed, "%s: CLOSED comes", name);
	cr_expect_eq(w->a.n_events_after_end + w->b.n_events_after_end, 0,
		"%s: nothing after the end", name);
	cr_expect_eq(w->a.n_reentered + w->b.n_reentered, 0, "%s: no event inside a call", name);
	sink_free(&w->a);
	sink_free(&w->b);
	loop_free(w->loop);
}

static bool wait_bytes(struct world *w, struct sink *k, size_t n)
{
	static const bool never = false;
	for (int i = 0; i < WAIT_MS / 5 && k->n < n && !k->has_failed; i++)
		loop_run_until(w->loop, &never, 5);
	return k->n >= n;
}

static void turns(struct world *w)
{
	static const bool never = false;
	loop_run_until(w->loop, &never, 20);
}

static uint8_t *pattern(size_t n)
{
	uint8_t *p = malloc(n);
	for (size_t i = 0; i < n; i++)
		p[i] = streams_pattern(i);
	return p;
}

/* One test per kind. (Criterion's parameterized tests leak, and a leak must fail.) */
#define KINDS(name)                                                                                \
	static void name(enum streams_kind kind);                                                  \
	Test(stream, name##_pair, .timeout = 60)                                                   \
	{                                                                                          \
		name(STREAMS_PAIR);                                                                \
	}                                                                                          \
	Test(stream, name##_tcp, .timeout = 60)                                                    \
	{                                                                                          \
		name(STREAMS_TCP);                                                                 \
	}                                                                                          \
	Test(stream, name##_secure_pair, .timeout = 60)                                            \
	{                                                                                          \
		name(STREAMS_SECURE_PAIR);                                                         \
	}                                                                                          \
	Test(stream, name##_secure_tcp, .timeout = 60)                                             \
	{                                                                                          \
		name(STREAMS_SECURE_TCP);                                                          \
	}                                                                                          \
	Test(stream, name##_unix, .timeout = 60)                                                   \
	{                                                                                          \
		name(STREAMS_UNIX);                                                                \
	}                                                                                          \
	Test(stream, name##_pipes, .timeout = 60)                                                  \
	{                                                                                          \
		name(STREAMS_PIPES);                                                               \
	}                                                                                          \
	static void name(enum streams_kind kind)

KINDS(small_writes_arrive_in_order)
{
	struct world w;
	set_up(&w, kind);
	stream_read_start(w.b.stream);
	for (size_t i = 0; i < 1000; i++) {
		uint8_t byte = streams_pattern(i);
		w.a.is_inside = w.b.is_inside = true;
		stream_write(w.a.stream, bytes_of(&byte, 1));
		w.a.is_inside = w.b.is_inside = false;
	}
	cr_assert(wait_bytes(&w, &w.b, 1000));
	for (size_t i = 0; i < 1000; i++)
		cr_assert_eq(w.b.data[i], streams_pattern(i));
	tear_down(&w, kind);
}

KINDS(nothing_comes_before_read_start)
{
	struct world w;
	set_up(&w, kind);
	stream_write(w.a.stream, bytes_of("hello", 5));
	turns(&w);
	cr_expect_eq(w.b.n, 0);
	w.b.is_inside = true;
	stream_read_start(w.b.stream);
	w.b.is_inside = false;
	cr_assert(wait_bytes(&w, &w.b, 5));
	cr_expect_arr_eq(w.b.data, "hello", 5);
	tear_down(&w, kind);
}

KINDS(a_limit_is_exact)
{
	struct world w;
	uint8_t *data = pattern(5000);
	set_up(&w, kind);
	stream_write(w.a.stream, bytes_of(data, 5000));
	size_t limits[] = { 1, 127, 128, 1000, 2000 }, total = 0;
	for (size_t i = 0; i < 5; i++) {
		stream_read_limit(w.b.stream, limits[i]);
		total += limits[i];
		cr_assert(wait_bytes(&w, &w.b, total));
		turns(&w);
		cr_expect_eq(w.b.n, total, "limit %zu took %zu", limits[i], w.b.n);
	}
	stream_read_start(w.b.stream);
	cr_assert(wait_bytes(&w, &w.b, 5000));
	cr_expect_arr_eq(w.b.data, data, 5000);
	free(data);
	tear_down(&w, kind);
}

KINDS(a_writer_is_told_to_wait_and_when_to_go_on)
{
	struct world w;
	size_t n = 64 * 1024, total = 0;
	uint8_t *data = pattern(n);
	bool is_blocked = false;
	set_up(&w, kind);
	for (int i = 0; i < 1000 && !is_blocked; i++) {
		is_blocked = stream_write(w.a.stream, bytes_of(data, n));
		total += n;
	}
	cr_assert(is_blocked, "a stalled reader stops the writer");
	turns(&w);
	cr_expect(!w.a.is_drained);
	stream_read_start(w.b.stream);
	cr_assert(loop_run_until(w.loop, &w.a.is_drained, WAIT_MS), "DRAINED comes");
	cr_assert(wait_bytes(&w, &w.b, total));
	for (size_t i = 0; i < total; i++)
		cr_assert_eq(w.b.data[i], streams_pattern(i % n));
	free(data);
	tear_down(&w, kind);
}

KINDS(half_close_leaves_the_other_direction_open)
{
	struct world w;
	set_up(&w, kind);
	stream_read_start(w.a.stream);
	stream_read_start(w.b.stream);
	stream_write(w.a.stream, bytes_of("question", 8));
	w.a.is_inside = true;
	stream_shutdown(w.a.stream);
	stream_shutdown(w.a.stream);
	w.a.is_inside = false;
	cr_assert(loop_run_until(w.loop, &w.b.has_ended, WAIT_MS));
	cr_expect_eq(w.b.n, 8);
	cr_expect(!w.a.has_ended);
	stream_write(w.b.stream, bytes_of("answer", 6));
	stream_shutdown(w.b.stream);
	cr_assert(loop_run_until(w.loop, &w.a.has_ended, WAIT_MS));
	cr_expect_eq(w.a.n, 6);
	cr_expect(!w.a.has_failed && !w.b.has_failed);
	tear_down(&w, kind);
}

KINDS(end_waits_for_queued_bytes)
{
	struct world w;
	size_t n = 64 * 1024, total = 0;
	uint8_t *data = pattern(n);
	set_up(&w, kind);
	for (int i = 0; i < 1000; i++) {
		total += n;
		if (stream_write(w.a.stream, bytes_of(data, n)))
			break;
	}
	cr_expect(stream_shutdown(w.a.stream), "something is still queued");
	stream_read_start(w.b.stream);
	cr_assert(loop_run_until(w.loop, &w.b.has_ended, WAIT_MS));
	cr_expect_eq(w.b.n, total);
	cr_expect(w.a.is_drained);
	free(data);
	tear_down(&w, kind);
}

KINDS(an_end_that_came_while_reading_was_off_is_told_later)
{
	struct world w;
	set_up(&w, kind);
	stream_shutdown(w.a.stream);
	turns(&w);
	cr_expect(!w.b.has_ended);
	stream_read_start(w.b.stream);
	cr_assert(loop_run_until(w.loop, &w.b.has_ended, WAIT_MS));
	tear_down(&w, kind);
}

KINDS(an_abort_is_a_failure_and_never_an_end)
{
	struct world w;
	if (kind == STREAMS_PIPES) /* an end is all that a pipe can tell */
		return;
	set_up(&w, kind);
	stream_read_start(w.b.stream);
	stream_write(w.a.stream, bytes_of("cut", 3));
	turns(&w);
	if (kind == STREAMS_UNIX) { /* knows no reset: only what nobody read tells of one */
		stream_write(w.b.stream, bytes_of("unread", 6));
		turns(&w);
	}
	stream_abort(w.a.stream);
	cr_assert(loop_run_until(w.loop, &w.b.has_failed, WAIT_MS));
	cr_expect(!w.b.has_ended);
	cr_expect_neq(w.b.error, 0);
	tear_down(&w, kind);
}

KINDS(closed_comes_once_and_last)
{
	struct world w;
	set_up(&w, kind);
	stream_read_start(w.a.stream);
	stream_read_start(w.b.stream);
	stream_write(w.b.stream, bytes_of("late", 4));
	w.a.is_inside = true;
	stream_close(w.a.stream);
	stream_close(w.a.stream);
	w.a.is_inside = false;
	cr_assert(loop_run_until(w.loop, &w.a.is_closed, WAIT_MS));
	cr_expect_eq(w.a.n, 0);
	tear_down(&w, kind);
}

KINDS(may_be_closed_inside_data_and_end)
{
	struct world w;
	set_up(&w, kind);
	w.b.closes_on_data = true;
	w.a.closes_on_end = true;
	stream_read_start(w.a.stream);
	stream_read_start(w.b.stream);
	stream_write(w.a.stream, bytes_of("x", 1));
	cr_assert(loop_run_until(w.loop, &w.b.is_closed, WAIT_MS));
	turns(&w);
	tear_down(&w, kind);
}

KINDS(may_be_stopped_inside_data)
{
	struct world w;
	size_t n = 200 * 1024;
	uint8_t *data = pattern(n);
	set_up(&w, kind);
	w.b.stops_after_data = true;
	stream_write(w.a.stream, bytes_of(data, n));
	size_t last = 0;
	for (int i = 0; i < 10000 && w.b.n < n; i++) {
		stream_read_start(w.b.stream);
		cr_assert(wait_bytes(&w, &w.b, last + 1));
		last = w.b.n;
	}
	cr_expect_eq(w.b.n, n);
	cr_expect_arr_eq(w.b.data, data, n);
	free(data);
	tear_down(&w, kind);
}

KINDS(ten_megabytes_each_way)
{
	struct world w;
	size_t n = 1024 * 1024, sent_a = 0, sent_b = 0, total = 10 * n;
	uint8_t *data = pattern(n);
	bool blocked_a = false, blocked_b = false;
	set_up(&w, kind);
	stream_read_start(w.a.stream);
	stream_read_start(w.b.stream);
	for (int i = 0; i < 100000 && (w.a.n < total || w.b.n < total); i++) {
		if (w.a.is_drained)
			w.a.is_drained = blocked_a = false;
		if (w.b.is_drained)
			w.b.is_drained = blocked_b = false;
		if (!blocked_a && sent_a < total) {
			blocked_a = stream_write(w.a.stream, bytes_of(data, n));
			sent_a += n;
		}
		if (!blocked_b && sent_b < total) {
			blocked_b = stream_write(w.b.stream, bytes_of(data, n));
			sent_b += n;
		}
		static const bool never = false;
		loop_run_until(w.loop, &never, 1);
	}
	cr_assert_eq(w.a.n, total);
	cr_assert_eq(w.b.n, total);
	for (size_t i = 0; i < 10; i++) {
		cr_assert_arr_eq(w.a.data + i * n, data, n);
		cr_assert_arr_eq(w.b.data + i * n, data, n);
	}
	free(data);
	tear_down(&w, kind);
}
