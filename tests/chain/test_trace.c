/* The numbers of a trace, and its rounds through a chain of real hops on one loop. */
#include "chain/trace.h"
#include "tests/support/failing.h"
#include "tests/support/hops.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#define WAIT_MS 5000

Test(trace, numbers_of_what_was_heard)
{
	static const uint64_t values[] = { 2000, 4000, 4000, 4000, 5000, 5000, 7000, 9000 };
	struct chain_stat stat = { 0 };
	cr_expect_eq(chain_stat_deviation(&stat), 0);
	for (size_t i = 0; i < 8; i++)
		chain_stat_add(&stat, values[i]);
	cr_expect_eq(stat.n_heard, 8);
	cr_expect_eq(stat.last_us, 9000);
	cr_expect_eq(stat.best_us, 2000);
	cr_expect_eq(stat.worst_us, 9000);
	cr_expect(fabs(stat.mean_us - 5000) < 1e-6);
	cr_expect(fabs(chain_stat_deviation(&stat) - 2000) < 1e-6);
}

Test(trace, one_value_has_no_deviation_and_zero_is_a_value)
{
	struct chain_stat stat = { 0 };
	chain_stat_add(&stat, 0);
	cr_expect_eq(stat.n_heard, 1);
	cr_expect_eq(stat.best_us, 0);
	cr_expect_eq(chain_stat_deviation(&stat), 0);
	chain_stat_add(&stat, 10);
	cr_expect_eq(stat.best_us, 0);
	cr_expect_eq(stat.worst_us, 10);
}

/* Far from zero, differences stay exact: what a sum of squares would lose. */
Test(trace, large_values_keep_their_deviation)
{
	struct chain_stat stat = { 0 };
	for (uint64_t i = 0; i < 1000; i++)
		chain_stat_add(&stat, UINT64_C(100000000000) + i % 2);
	cr_expect(fabs(chain_stat_deviation(&stat) - 0.5) < 1e-3);
}

/* What a trace told, and what the test does when it is told. */
struct told {
	struct hops hops;
	struct chain_trace *trace;
	unsigned n_changed, n_rounds, n_done;
	unsigned act_at; /* at this CHANGED */
	void (*act)(struct told *t);
	bool is_done, has_acted;
	struct chain_trace_row rows[HOPS_MAX + 1];
	size_t n_rows;
};

static void keep_rows(struct told *t)
{
	const struct chain_trace_row *rows = chain_trace_rows(t->trace, &t->n_rows);
	memcpy(t->rows, rows, t->n_rows * sizeof rows[0]);
}

static void on_event(struct chain_trace *trace, enum chain_trace_event event, void *owner)
{
	struct told *t = owner;
	cr_assert_eq(trace, t->trace);
	cr_assert(!t->is_done, "nothing after DONE");
	keep_rows(t);
	switch (event) {
	case CHAIN_TRACE_CHANGED:
		t->n_changed++;
		if (t->n_changed == t->act_at) {
			t->has_acted = true;
			t->act(t);
		}
		break;
	case CHAIN_TRACE_ROUND:
		t->n_rounds++;
		break;
	case CHAIN_TRACE_DONE:
		t->n_done++;
		t->is_done = true;
		break;
	}
}

static void start(struct told *t, const struct chain_trace_options *options)
{
	t->n_changed = t->n_rounds = t->n_done = 0;
	t->is_done = t->has_acted = false;
	cr_assert_eq(
		chain_trace_start(t->hops.client, t->hops.io, options, on_event, t, &t->trace), 0);
	cr_assert_eq(t->n_changed, 0, "not from inside");
}

static void set_up(struct told *t, size_t n_hops)
{
	*t = (struct told){ .act_at = 0 };
	hops_open(&t->hops, n_hops);
}

static void wait_for_end(struct told *t)
{
	cr_assert(loop_run_until(t->hops.loop, &t->is_done, WAIT_MS));
	cr_expect_eq(t->n_done, 1);
}

static void check_counts(const struct told *t, uint64_t n)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct chain_stat *s = &t->rows[i].total;
		cr_expect_eq(s->n_sent, n, "row %zu: %zu", i, (size_t)s->n_sent);
		cr_expect_eq(s->n_lost + s->n_heard, n, "row %zu", i);
	}
}

static void on_accept(struct stream *s, const union addr_sock *peer, void *owner)
{
	(void)peer;
	(void)owner;
	stream_drop(s);
}

static void check_rounds(bool is_udp)
{
	struct told t;
	struct listener *listener;
	struct addr target;
	set_up(&t, 3);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &target), ADDR_OK);
	cr_assert_eq(listener_open(t.hops.loop, &target, false, on_accept, NULL, &listener), 0);
	target.port = listener_port(listener);
	struct chain_trace_options options = {
		.target = &target, .is_udp = is_udp, .n_rounds = 4, .interval_ms = 30
	};
	uint64_t start_ms = loop_now_ms(t.hops.loop);
	start(&t, &options);
	wait_for_end(&t);
	cr_expect_geq(loop_now_ms(t.hops.loop) - start_ms, 3 * 30);
	cr_assert_eq(t.n_rows, 4);
	cr_expect_eq(t.n_changed, 16);
	cr_expect_eq(t.n_rounds, 4);
	check_counts(&t, 4);
	for (size_t i = 0; i < 4; i++) {
		const struct chain_trace_row *r = &t.rows[i];
		uint16_t port = i < 3 ? t.hops.spec_hops[i].addr.port : target.port;
		cr_expect_eq(r->total.n_heard, 4, "row %zu", i);
		cr_expect_eq(r->own.n_heard, 4);
		cr_expect(r->total.best_us > 0 && r->total.best_us <= r->total.worst_us);
		cr_expect(!r->has_error && r->has_answer && r->has_address);
		cr_expect_eq(addr_sock_port(&r->address), port, "row %zu", i);
		cr_expect_eq(r->tries, 1);
		cr_expect_eq(strncmp(r->answer.software, "hopchain ", 9), 0);
		cr_expect_eq(r->answer.cipher != 0, i == 3);
	}
	cr_expect(fabs(t.rows[0].own.mean_us - t.rows[0].total.mean_us) < 1e-6);
	listener_close(listener);
	hops_close(&t.hops);
}

Test(trace, every_round_asks_every_row_over_tcp, .timeout = 60)
{
	check_rounds(false);
}

Test(trace, every_round_asks_every_row_over_udp, .timeout = 60)
{
	check_rounds(true);
}

Test(trace, a_lost_row_counts_as_lost_and_has_no_share, .timeout = 60)
{
	struct told t;
	set_up(&t, 3);
	hops_spoil(&t.hops, 2);
	struct chain_trace_options options = { .n_rounds = 3, .interval_ms = 1, .timeout_ms = 400 };
	uint64_t start_ms = loop_now_ms(t.hops.loop);
	start(&t, &options);
	wait_for_end(&t);
	cr_expect_geq(loop_now_ms(t.hops.loop) - start_ms, 3 * 400, "rounds do not overlap");
	check_counts(&t, 3);
	cr_expect_eq(t.rows[0].total.n_lost, 0);
	for (size_t i = 1; i < 3; i++) {
		cr_expect_eq(t.rows[i].total.n_lost, 3);
		cr_expect_eq(t.rows[i].own.n_heard, 0);
		cr_expect(t.rows[i].has_error && !t.rows[i].has_answer);
		cr_expect_eq(t.rows[i].error.hop, 2, "hop %d stage %d code %d status %d",
			t.rows[i].error.hop, t.rows[i].error.stage, t.rows[i].error.code,
			t.rows[i].error.status);
	}
	cr_expect(t.rows[1].has_address, "hop 1 dialled hop 2");
	cr_expect(!t.rows[2].has_address);
	hops_close(&t.hops);
}

/* ---- rounds whose probes end as the test says, in its order ---- */

struct scripted {
	chain_probe_fn *on_done;
	void *owner;
	bool is_live;
};
static struct scripted script[8];
static size_t n_script;
static bool is_scripted;

int __real_chain_probe_start(struct chain_client *client, struct udp_io *io,
	const struct chain_probe_options *options, chain_probe_fn *on_done, void *owner,
	struct chain_probe **ret);
int __wrap_chain_probe_start(struct chain_client *client, struct udp_io *io,
	const struct chain_probe_options *options, chain_probe_fn *on_done, void *owner,
	struct chain_probe **ret)
{
	if (!is_scripted)
		return __real_chain_probe_start(client, io, options, on_done, owner, ret);
	script[n_script] = (struct scripted){ .on_done = on_done, .owner = owner, .is_live = true };
	*ret = (struct chain_probe *)&script[n_script++];
	return 0;
}

void __real_chain_probe_cancel(struct chain_probe *probe);
void __wrap_chain_probe_cancel(struct chain_probe *probe)
{
	if (!is_scripted)
		__real_chain_probe_cancel(probe);
	else
		((struct scripted *)probe)->is_live = false;
}

/* Row @i (of 0..) ends: with @total_us, or 0 = it fails, no hop having said anything. */
static void end_row(size_t i, uint64_t total_us)
{
	struct chain_error error = { .stage = CHAIN_ANSWER, .hop = 1, .code = ERR_TIMEOUT };
	struct chain_answers answers = { .tries = 1, .connect_us = 5 };
	for (size_t k = 0; k <= i && total_us > 0; k++) {
		answers.hops[k].connect_us = (uint32_t)(100 * (k + 1));
		answers.hops[k].tries = (uint8_t)(k + 2);
		answers.n_answers = k + 1;
	}
	cr_assert(script[i].is_live);
	script[i].is_live = false;
	script[i].on_done(total_us > 0 ? NULL : &error, &answers, total_us, script[i].owner);
}

static void wait_for_round(struct told *t)
{
	n_script = 0;
	for (int i = 0; i < 100 && n_script == 0; i++)
		hops_turn(&t->hops, 5);
	cr_assert_eq(n_script, 3);
}

Test(trace, the_share_of_a_row_is_of_rounds_where_both_answered, .timeout = 60)
{
	/* Per round: in which order the rows end, and after how long. */
	static const struct {
		size_t order[3];
		uint64_t total_us[3];
	} rounds[] = {
		{ { 0, 1, 2 }, { 100, 300, 600 } }, /* shares 100, 200, 300 */
		{ { 2, 1, 0 }, { 200, 100, 700 } }, /* 200, 0 (never below), 600 */
		{ { 1, 0, 2 }, { 300, 0, 900 } },   /* 300, none, none */
		{ { 2, 0, 1 }, { 0, 500, 1000 } },  /* none, none, 500 */
	};
	struct told t;
	set_up(&t, 3);
	is_scripted = true;
	struct chain_trace_options options = { .interval_ms = 1, .n_rounds = 4 };
	start(&t, &options);
	for (size_t r = 0; r < 4; r++) {
		wait_for_round(&t);
		for (size_t k = 0; k < 3; k++)
			end_row(rounds[r].order[k], rounds[r].total_us[rounds[r].order[k]]);
		cr_expect_eq(t.n_rounds, r + 1);
		cr_expect_eq(chain_trace_n_rounds(t.trace), r + 1);
	}
	wait_for_end(&t);
	is_scripted = false;
	static const double mean[] = { 200, 100, 1400.0 / 3 };
	static const uint64_t n[] = { 3, 2, 3 }, last[] = { 300, 0, 500 };
	for (size_t i = 0; i < 3; i++) {
		cr_expect_eq(t.rows[i].own.n_heard, n[i], "row %zu", i);
		cr_expect_eq(t.rows[i].own.last_us, last[i], "row %zu", i);
		cr_expect(fabs(t.rows[i].own.mean_us - mean[i]) < 1e-6, "row %zu: %f", i,
			t.rows[i].own.mean_us);
	}
	cr_expect_eq(t.rows[0].total.n_lost, 1);
	cr_expect(t.rows[0].has_error && !t.rows[2].has_error, "of the last round");
	hops_close(&t.hops);
}

Test(trace, how_a_row_was_dialled_is_told_by_the_row_before, .timeout = 60)
{
	struct told t;
	set_up(&t, 3);
	is_scripted = true;
	struct chain_trace_options options = { .interval_ms = 1, .n_rounds = 2 };
	start(&t, &options);
	for (int r = 0; r < 2; r++) {
		wait_for_round(&t);
		for (size_t i = 0; i < 3; i++)
			end_row(i, r == 0 ? 1000 : 0); /* what was known stays */
		for (size_t i = 0; i < 3; i++) {
			cr_expect_eq(t.rows[i].connect_us, i == 0 ? 5 : 100 * i);
			cr_expect_eq(t.rows[i].tries, i + 1);
			cr_expect_eq(t.rows[i].answer.connect_us, 100 * (i + 1), "its own");
		}
	}
	wait_for_end(&t);
	is_scripted = false;
	hops_close(&t.hops);
}

Test(trace, a_stop_drops_what_is_under_way, .timeout = 60)
{
	struct told t;
	set_up(&t, 3);
	is_scripted = true;
	struct chain_trace_options options = { .interval_ms = 1 };
	start(&t, &options);
	wait_for_round(&t);
	end_row(1, 1000);
	chain_trace_stop(t.trace);
	cr_expect(!script[0].is_live && !script[2].is_live);
	wait_for_end(&t);
	is_scripted = false;
	cr_expect_eq(t.rows[0].total.n_sent, 0);
	cr_expect_eq(t.rows[1].total.n_sent, 1);
	cr_expect_eq(t.n_rounds, 0);
	hops_close(&t.hops);
}

/* ---- what an owner may do, at any time ---- */

static void act_stop(struct told *t)
{
	chain_trace_stop(t->trace);
	chain_trace_stop(t->trace);
}

static void act_cancel(struct told *t)
{
	chain_trace_cancel(t->trace);
}

static void act_reset(struct told *t)
{
	chain_trace_reset(t->trace);
	cr_expect_eq(chain_trace_n_rounds(t->trace), 0);
}

static void act_pause(struct told *t)
{
	chain_trace_pause(t->trace, true);
}

Test(trace, stopped_at_any_row_it_says_so_once, .timeout = 60)
{
	struct told t;
	set_up(&t, 3);
	t.act = act_stop;
	for (t.act_at = 1; t.act_at <= 7; t.act_at++) {
		struct chain_trace_options options = { .interval_ms = 1 };
		start(&t, &options);
		wait_for_end(&t);
		cr_expect_eq(t.n_changed, t.act_at);
		for (size_t i = 0; i < t.n_rows; i++)
			cr_expect_eq(t.rows[i].total.n_sent, t.rows[i].total.n_heard);
	}
	hops_close(&t.hops);
}

Test(trace, cancelled_at_any_row_it_is_silent, .timeout = 60)
{
	struct told t;
	set_up(&t, 3);
	t.act = act_cancel;
	for (t.act_at = 1; t.act_at <= 7; t.act_at++) {
		struct chain_trace_options options = { .interval_ms = 1 };
		start(&t, &options);
		cr_assert(loop_run_until(t.hops.loop, &t.has_acted, WAIT_MS));
		hops_turn(&t.hops, 20);
		cr_expect_eq(t.n_changed, t.act_at);
		cr_expect_eq(t.n_done, 0);
	}
	hops_close(&t.hops);
}

Test(trace, a_reset_forgets_what_is_under_way, .timeout = 60)
{
	struct told t;
	set_up(&t, 3);
	t.act = act_reset;
	for (t.act_at = 1; t.act_at <= 7; t.act_at++) {
		unsigned round = (t.act_at + 2) / 3;
		struct chain_trace_options options = { .interval_ms = 1, .n_rounds = 6 };
		start(&t, &options);
		wait_for_end(&t);
		check_counts(&t, 6 - round);
	}
	hops_close(&t.hops);
}

Test(trace, paused_it_begins_no_round, .timeout = 60)
{
	struct told t;
	set_up(&t, 2);
	t.act = act_pause;
	t.act_at = 1;
	struct chain_trace_options options = { .interval_ms = 1, .n_rounds = 2 };
	start(&t, &options);
	hops_turn(&t.hops, 80);
	cr_expect_eq(t.n_rounds, 1, "what was under way ends");
	cr_expect_eq(t.n_changed, 2);
	chain_trace_pause(t.trace, true);
	chain_trace_pause(t.trace, false);
	wait_for_end(&t);
	check_counts(&t, 2);
	hops_close(&t.hops);
}

Test(trace, cancelled_before_the_first_round, .timeout = 60)
{
	struct told t;
	set_up(&t, 2);
	struct chain_trace_options options = { .interval_ms = 1 };
	start(&t, &options);
	chain_trace_cancel(t.trace);
	hops_turn(&t.hops, 20);
	cr_expect_eq(t.n_changed, 0);
	start(&t, &options);
	chain_trace_stop(t.trace);
	cr_expect_eq(t.n_done, 0, "not from inside");
	wait_for_end(&t);
	hops_close(&t.hops);
}

/* A row whose probe cannot be started is lost; the trace goes on. */
Test(trace, each_allocation_may_fail, .timeout = 120)
{
	struct told t;
	bool has_failed = true;
	unsigned long n;
	set_up(&t, 2);
	for (n = 1; n < 200 && has_failed; n++) {
		struct chain_trace_options options = {
			.n_rounds = 2, .interval_ms = 1, .timeout_ms = 400
		};
		t.n_changed = t.n_rounds = t.n_done = 0;
		t.is_done = false;
		failing_start(n);
		if (chain_trace_start(t.hops.client, t.hops.io, &options, on_event, &t, &t.trace) ==
			0) {
			wait_for_end(&t);
			check_counts(&t, 2);
			cr_expect_eq(t.n_rounds, 2);
		}
		has_failed = failing_stop();
	}
	cr_expect_gt(n, 4);
	cr_expect_lt(n, 200);
	hops_close(&t.hops);
}
