/* The measuring service as a stream by itself. */
#include "common/loop.h"
#include "hop/measure.h"
#include "tests/support/failing.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define NUMBER  8
#define WAIT_MS 5000

struct world {
	struct loop *loop;
	struct sink sink;
};

static void set_up(struct world *w)
{
	struct stream *s;
	*w = (struct world){ .loop = NULL };
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(measure_open(w->loop, &s), 0);
	sink_take(&w->sink, s);
}

static void tear_down(struct world *w)
{
	if (w->sink.stream != NULL)
		stream_close(w->sink.stream);
	cr_expect(loop_run_until(w->loop, &w->sink.is_closed, WAIT_MS), "CLOSED comes");
	cr_expect_eq(w->sink.n_events_after_end, 0);
	cr_expect_eq(w->sink.n_reentered, 0, "no event inside a call");
	cr_expect(!w->sink.has_failed);
	sink_free(&w->sink);
	loop_free(w->loop);
}

static void turns(struct world *w, int n)
{
	for (int i = 0; i < n; i++)
		loop_turn(w->loop);
}

static void put(struct world *w, const void *bytes, size_t len)
{
	w->sink.is_inside = true;
	cr_expect_not(stream_write(w->sink.stream, bytes_of(bytes, len)), "never held up");
	w->sink.is_inside = false;
}

static void ask(struct world *w, uint64_t wanted)
{
	uint8_t number[NUMBER];
	struct wire_writer to;
	wire_writer_init(&to, number, sizeof number);
	wire_put_u64(&to, wanted);
	put(w, number, sizeof number);
}

static void start(struct world *w, uint64_t limit)
{
	w->sink.is_inside = true;
	if (limit == STREAM_NO_LIMIT)
		stream_read_start(w->sink.stream);
	else
		stream_read_limit(w->sink.stream, limit);
	w->sink.is_inside = false;
}

static void shut(struct world *w)
{
	w->sink.is_inside = true;
	cr_expect_not(stream_shutdown(w->sink.stream), "nothing is ever queued");
	w->sink.is_inside = false;
}

/* Whether what has come is @n_zeros and the count @n_counted. */
static void expect_all(struct world *w, size_t n_zeros, uint64_t n_counted)
{
	struct wire_reader from;
	cr_expect(loop_run_until(w->loop, &w->sink.has_ended, WAIT_MS), "EOF comes");
	cr_assert_eq(w->sink.n, n_zeros + NUMBER, "%zu bytes", w->sink.n);
	for (size_t i = 0; i < n_zeros; i++)
		cr_assert_eq(w->sink.data[i], 0);
	wire_reader_init(&from, bytes_of(w->sink.data + n_zeros, NUMBER));
	cr_expect_eq(wire_u64(&from), n_counted);
}

Test(measure, what_is_asked_for_comes_and_what_is_written_is_counted)
{
	static const size_t amounts[] = { 0, 1, 7, 8, 65536, LOOP_READ_SIZE - 1, LOOP_READ_SIZE,
		LOOP_READ_SIZE + 1, 3000000 };
	static uint8_t data[200000];
	memset(data, 0xff, sizeof data);
	for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
		struct world w;
		set_up(&w);
		start(&w, STREAM_NO_LIMIT);
		ask(&w, amounts[i]);
		put(&w, data, amounts[i] % sizeof data);
		put(&w, data, 3);
		put(&w, data, 0);
		shut(&w);
		expect_all(&w, amounts[i], amounts[i] % sizeof data + 3);
		tear_down(&w);
	}
}

Test(measure, the_first_number_may_be_split_anywhere)
{
	static const uint8_t in[] = { 0, 0, 0, 0, 0, 0, 1, 2, 'a', 'b', 'c' };
	for (size_t cut = 0; cut <= sizeof in; cut++) {
		for (size_t next = cut; next <= sizeof in; next++) {
			struct world w;
			set_up(&w);
			start(&w, STREAM_NO_LIMIT);
			put(&w, in, cut);
			turns(&w, 2);
			cr_expect_eq(w.sink.n, cut < NUMBER ? 0 : 258);
			put(&w, in + cut, next - cut);
			turns(&w, 2);
			put(&w, in + next, sizeof in - next);
			shut(&w);
			expect_all(&w, 258, 3);
			tear_down(&w);
		}
	}
}

Test(measure, an_end_before_the_first_number_is_whole_asks_for_nothing)
{
	for (size_t n = 0; n < NUMBER; n++) {
		struct world w;
		set_up(&w);
		start(&w, STREAM_NO_LIMIT);
		put(&w, "\xff\xff\xff\xff\xff\xff\xff", n);
		turns(&w, 3);
		cr_expect_eq(w.sink.n, 0);
		shut(&w);
		shut(&w);
		expect_all(&w, 0, 0);
		tear_down(&w);
	}
}

Test(measure, the_count_waits_for_the_writers_end)
{
	struct world w;
	set_up(&w);
	start(&w, STREAM_NO_LIMIT);
	ask(&w, 5);
	turns(&w, 5);
	cr_expect_eq(w.sink.n, 5);
	for (int i = 0; i < 100; i++) {
		put(&w, "1234567", 7);
		turns(&w, 1);
	}
	cr_expect(w.sink.n == 5 && !w.sink.has_ended);
	shut(&w);
	put(&w, "late", 4);
	expect_all(&w, 5, 700);
	put(&w, "later", 5);
	turns(&w, 3);
	cr_expect_eq(w.sink.n, 13);
	tear_down(&w);
}

Test(measure, nothing_comes_while_nobody_reads)
{
	struct world w;
	set_up(&w);
	ask(&w, 10000000);
	turns(&w, 3);
	cr_expect_eq(w.sink.n, 0);
	w.sink.stops_after_data = true;
	for (size_t i = 1; i <= 10; i++) {
		start(&w, STREAM_NO_LIMIT);
		turns(&w, 5);
		cr_expect_eq(w.sink.n, i * LOOP_READ_SIZE, "one piece, then quiet");
	}
	start(&w, STREAM_NO_LIMIT);
	stream_read_stop(w.sink.stream);
	turns(&w, 3);
	cr_expect_eq(w.sink.n, 10 * LOOP_READ_SIZE);
	shut(&w);
	turns(&w, 3);
	cr_expect_eq(w.sink.n, 10 * LOOP_READ_SIZE);
	w.sink.stops_after_data = false;
	start(&w, STREAM_NO_LIMIT);
	expect_all(&w, 10000000, 0);
	start(&w, STREAM_NO_LIMIT);
	turns(&w, 3);
	tear_down(&w);
}

Test(measure, a_limit_is_exact_over_zeros_count_and_end)
{
	static const size_t limits[] = { 1, 2, 3, 1, 7 };
	struct world w;
	size_t n = 0;
	set_up(&w);
	ask(&w, 4);
	put(&w, "x", 1);
	shut(&w);
	for (size_t i = 0; n < 12; i = (i + 1) % 5) {
		size_t limit = limits[i] < 12 - n ? limits[i] : 12 - n;
		start(&w, limit);
		turns(&w, 6);
		n += limit;
		cr_expect_eq(w.sink.n, n, "limit %zu: %zu", limit, w.sink.n);
	}
	turns(&w, 3);
	cr_expect(!w.sink.has_ended, "reading has stopped");
	start(&w, STREAM_NO_LIMIT);
	stream_read_stop(w.sink.stream);
	turns(&w, 3);
	cr_expect(!w.sink.has_ended, "and has stopped again");
	start(&w, STREAM_NO_LIMIT);
	expect_all(&w, 4, 1);
	tear_down(&w);
}

Test(measure, without_end_means_until_it_is_closed)
{
	struct world w;
	set_up(&w);
	ask(&w, UINT64_MAX);
	start(&w, STREAM_NO_LIMIT);
	turns(&w, 20);
	size_t n = w.sink.n;
	cr_expect_eq(n, 20 * LOOP_READ_SIZE);
	put(&w, "up", 2);
	shut(&w);
	turns(&w, 20);
	cr_expect_eq(w.sink.n, 2 * n);
	cr_expect(!w.sink.has_ended);
	stream_close(w.sink.stream);
	turns(&w, 3);
	cr_expect(w.sink.is_closed);
	cr_expect_eq(w.sink.n, 2 * n);
	tear_down(&w);
}

/* A piece for each in a turn, however many there are: what a socket gets. */
Test(measure, nobody_is_starved)
{
	struct world w;
	struct stream *others[3];
	struct sink sinks[3] = { { 0 } };
	static const uint8_t without_end[NUMBER] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	set_up(&w);
	ask(&w, UINT64_MAX);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(measure_open(w.loop, &others[i]), 0);
		sink_take(&sinks[i], others[i]);
		stream_write(others[i], bytes_of(without_end, NUMBER));
		stream_read_start(others[i]);
	}
	start(&w, STREAM_NO_LIMIT);
	for (size_t n = 1; n <= 10; n++) {
		turns(&w, 1);
		cr_expect_eq(w.sink.n, n * LOOP_READ_SIZE);
		for (int i = 0; i < 3; i++)
			cr_expect_eq(sinks[i].n, n * LOOP_READ_SIZE);
	}
	for (int i = 0; i < 3; i++) {
		stream_drop(others[i]);
		sink_free(&sinks[i]);
	}
	tear_down(&w);
}

Test(measure, it_may_be_closed_at_any_time)
{
	for (int i = 0; i < 7; i++) {
		struct world w;
		set_up(&w);
		w.sink.closes_on_data = i == 5;
		w.sink.closes_on_end = i == 6;
		if (i >= 1)
			start(&w, STREAM_NO_LIMIT);
		if (i >= 2)
			ask(&w, i == 6 ? 0 : 1000000);
		if (i >= 3)
			turns(&w, 1);
		if (i >= 4 && !w.sink.is_closed)
			shut(&w);
		if (i >= 5) {
			turns(&w, 4);
			cr_expect(w.sink.is_closed);
		} else {
			w.sink.is_inside = true;
			stream_abort(w.sink.stream);
			stream_close(w.sink.stream);
			stream_read_start(w.sink.stream);
			stream_write(w.sink.stream, bytes_of("x", 1));
			w.sink.is_inside = false;
		}
		tear_down(&w);
	}
}

struct closer {
	struct task task;
	struct stream *stream;
};

static void close_in_task(struct task *task)
{
	struct closer *closer = (struct closer *)task;
	stream_read_start(closer->stream); /* asks for a turn */
	stream_abort(closer->stream);
}

Test(measure, a_turn_that_was_asked_for_does_not_outlive_it)
{
	struct world w;
	set_up(&w);
	ask(&w, UINT64_MAX);
	struct closer closer = { .stream = w.sink.stream };
	loop_defer(w.loop, &closer.task, close_in_task);
	turns(&w, 3);
	cr_expect(w.sink.is_closed);
	cr_expect_eq(w.sink.n, 0);
	tear_down(&w);
}

Test(measure, it_never_stalls)
{
	struct world w;
	set_up(&w);
	cr_expect_not(stream_is_stalled(w.sink.stream, loop_now_ms(w.loop) + 100000, true));
	tear_down(&w);
}

Test(measure, no_memory_is_told)
{
	struct loop *loop;
	struct stream *s = NULL;
	cr_assert_eq(loop_new(&loop), 0);
	failing_start(1);
	cr_expect_eq(measure_open(loop, &s), ERR_NOMEM);
	failing_stop();
	cr_expect_null(s);
	loop_free(loop);
}
