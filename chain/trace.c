#include "chain/trace.h"

#include "common/loop.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#define INTERVAL_MS 1000

/* One row's probe of the present round. */
struct step {
	struct chain_trace *trace;
	size_t i_row;
	struct chain_probe *probe; /* NULL: not under way */
	bool has_answer;           /* in this round */
	uint64_t total_us;
};

struct chain_trace {
	struct chain_client *client;
	struct udp_io *io;
	struct addr target;
	struct chain_trace_options options;
	chain_trace_fn *fn;
	void *owner;
	struct timer timer;           /* the next round, or DONE */
	uint64_t n_rounds, n_shown;   /* begun in all; since the last reset */
	uint64_t round_ms;            /* when the present one began */
	size_t n_rows, n_live;        /* n_live: probes under way */
	bool is_paused, is_stopped;   /* is_stopped: DONE follows */
	bool *ret_is_gone;            /* for the callback that is running */
	struct chain_trace_row *rows; /* n_rows */
	struct step steps[CHAIN_HOPS_MAX + 1];
};

/* ---- numbers ---- */

void chain_stat_add(struct chain_stat *stat, uint64_t us)
{
	double value = (double)us, difference = value - stat->mean_us;
	stat->n_heard++;
	stat->last_us = us;
	if (stat->n_heard == 1 || us < stat->best_us)
		stat->best_us = us;
	if (us > stat->worst_us)
		stat->worst_us = us;
	stat->mean_us += difference / (double)stat->n_heard;
	stat->square_us += difference * (value - stat->mean_us);
}

double chain_stat_deviation(const struct chain_stat *stat)
{
	return stat->n_heard > 0 ? sqrt(stat->square_us / (double)stat->n_heard) : 0;
}

/* What row @i adds to the one before it, once both have answered in this round. */
static void add_own(struct chain_trace *t, size_t i)
{
	uint64_t before_us = i > 0 ? t->steps[i - 1].total_us : 0, us = t->steps[i].total_us;
	if (!t->steps[i].has_answer || (i > 0 && !t->steps[i - 1].has_answer))
		return;
	chain_stat_add(&t->rows[i].own, us > before_us ? us - before_us : 0);
}

static void note_answer(struct chain_trace *t, size_t i, uint64_t total_us)
{
	t->steps[i].has_answer = true;
	t->steps[i].total_us = total_us;
	chain_stat_add(&t->rows[i].total, total_us);
	add_own(t, i);
	if (i + 1 < t->n_rows)
		add_own(t, i + 1);
}

/* How the way from the row before it to @i was dialled: its hop told it, of row 1 we know. */
static void note_way(struct chain_trace_row *row, size_t i, const struct chain_answers *answers)
{
	if (i > answers->n_answers)
		return;
	const struct chain_answer *before = i > 0 ? &answers->hops[i - 1] : NULL;
	row->resolve_us = before != NULL ? before->resolve_us : answers->resolve_us;
	row->connect_us = before != NULL ? before->connect_us : answers->connect_us;
	row->tries = before != NULL ? before->tries : answers->tries;
	row->has_address = before != NULL ? before->has_address : answers->has_address;
	row->address = before != NULL ? before->address : answers->address;
}

/* ---- events ---- */

static void destroy(struct chain_trace *t)
{
	free(t->rows);
	free(t);
}

/* Return: false if @t is gone. */
static bool tell(struct chain_trace *t, enum chain_trace_event event)
{
	bool is_gone = false;
	/* cppcheck-suppress autoVariables ; who frees @t tells it, who comes back resets it */
	t->ret_is_gone = &is_gone;
	t->fn(t, event, t->owner);
	if (is_gone)
		return false;
	t->ret_is_gone = NULL;
	return true;
}

static void on_due(struct timer *timer);

static void wake_in(struct chain_trace *t, uint64_t ms)
{
	loop_timer_start(chain_client_loop(t->client), &t->timer, ms, on_due);
}

/* Nothing is under way: what comes next, and when. */
static void plan(struct chain_trace *t)
{
	uint64_t now_ms = loop_now_ms(chain_client_loop(t->client));
	uint64_t due_ms = t->round_ms + t->options.interval_ms;
	if (t->options.n_rounds > 0 && t->n_rounds >= t->options.n_rounds)
		t->is_stopped = true;
	if (t->is_stopped)
		wake_in(t, 0);
	else if (!t->is_paused)
		wake_in(t, due_ms > now_ms ? due_ms - now_ms : 0);
}

/* Over datagrams silence is blamed on the first hop. Where the hop before this row has answered for
 * itself in the same round, it is this row's. */
static void blame(struct chain_trace *t, size_t i, struct chain_error *error)
{
	const struct chain_spec *spec = chain_client_spec(t->client);
	if (!error->is_udp || error->stage != CHAIN_ANSWER || i == 0 || i >= spec->n_hops ||
		error->hop > i || !t->steps[i - 1].has_answer)
		return;
	error->hop = (uint8_t)(i + 1);
	error->address = spec->hops[i].addr;
}

static void on_probe(const struct chain_error *error, const struct chain_answers *answers,
	uint64_t total_us, void *owner)
{
	struct step *step = owner;
	struct chain_trace *t = step->trace;
	size_t i = step->i_row;
	struct chain_trace_row *row = &t->rows[i];
	step->probe = NULL;
	t->n_live--;
	note_way(row, i, answers);
	row->has_error = error != NULL;
	if (error != NULL) {
		row->error = *error;
		blame(t, i, &row->error);
		row->total.n_lost++;
	} else {
		row->has_answer = true;
		row->answer = answers->hops[answers->n_answers - 1];
		note_answer(t, i, total_us);
	}
	bool is_last = t->n_live == 0;
	if (!tell(t, CHAIN_TRACE_CHANGED) || !is_last || t->is_stopped)
		return;
	if (tell(t, CHAIN_TRACE_ROUND) && !t->is_stopped)
		plan(t);
}

/* ---- rounds ---- */

static void note_no_memory(struct chain_trace *t, size_t i, int code)
{
	const struct chain_spec *spec = chain_client_spec(t->client);
	t->rows[i].total.n_lost++;
	t->rows[i].has_error = true;
	t->rows[i].error = (struct chain_error){
		.stage = CHAIN_SETUP,
		.hop = 1,
		.n_hops = (uint8_t)spec->n_hops,
		.code = code,
		.address = spec->hops[0].addr,
	};
}

static void start_step(struct chain_trace *t, size_t i)
{
	size_t n_hops = chain_client_spec(t->client)->n_hops;
	struct step *step = &t->steps[i];
	struct chain_probe_options options = {
		.n_hops = i < n_hops ? i + 1 : 0,
		.target = &t->target,
		.is_udp = t->options.is_udp,
		.timeout_ms = t->options.timeout_ms,
	};
	*step = (struct step){ .trace = t, .i_row = i };
	t->rows[i].total.n_sent++;
	int error = chain_probe_start(t->client, t->io, &options, on_probe, step, &step->probe);
	if (error == 0)
		t->n_live++;
	else
		note_no_memory(t, i, error);
}

static void finish(struct chain_trace *t)
{
	if (tell(t, CHAIN_TRACE_DONE))
		destroy(t);
}

static void on_due(struct timer *timer)
{
	struct chain_trace *t =
		(struct chain_trace *)((char *)timer - offsetof(struct chain_trace, timer));
	if (t->is_stopped) {
		finish(t);
		return;
	}
	t->round_ms = loop_now_ms(chain_client_loop(t->client));
	t->n_rounds++;
	t->n_shown++;
	for (size_t i = 0; i < t->n_rows; i++)
		start_step(t, i);
	if (t->n_live > 0)
		return;
	if (tell(t, CHAIN_TRACE_ROUND) && !t->is_stopped) /* no memory for a single one */
		plan(t);
}

/* What is under way was never sent, by the numbers. */
static void drop_steps(struct chain_trace *t)
{
	for (size_t i = 0; i < t->n_rows; i++) {
		if (t->steps[i].probe != NULL) {
			chain_probe_cancel(t->steps[i].probe);
			t->rows[i].total.n_sent--;
		}
		t->steps[i] = (struct step){ .trace = t, .i_row = i };
	}
	t->n_live = 0;
}

/* ---- for the owner ---- */

int chain_trace_start(struct chain_client *client, struct udp_io *io,
	const struct chain_trace_options *options, chain_trace_fn *fn, void *owner,
	struct chain_trace **ret)
{
	struct chain_trace *t = calloc(1, sizeof *t);
	if (t == NULL)
		return ERR_NOMEM;
	t->client = client;
	t->io = io;
	t->options = *options;
	t->fn = fn;
	t->owner = owner;
	t->n_rows = chain_client_spec(client)->n_hops + (options->target != NULL ? 1 : 0);
	if (options->target != NULL)
		t->target = *options->target;
	if (t->options.interval_ms == 0)
		t->options.interval_ms = INTERVAL_MS;
	t->rows = calloc(t->n_rows, sizeof t->rows[0]);
	if (t->rows == NULL) {
		free(t);
		return ERR_NOMEM;
	}
	wake_in(t, 0);
	*ret = t;
	return 0;
}

const struct chain_trace_row *chain_trace_rows(const struct chain_trace *trace, size_t *ret_n)
{
	*ret_n = trace->n_rows;
	return trace->rows;
}

uint64_t chain_trace_n_rounds(const struct chain_trace *trace)
{
	return trace->n_shown;
}

void chain_trace_reset(struct chain_trace *trace)
{
	bool was_live = trace->n_live > 0;
	drop_steps(trace);
	memset(trace->rows, 0, trace->n_rows * sizeof trace->rows[0]);
	trace->n_shown = 0;
	if (was_live)
		plan(trace);
}

void chain_trace_pause(struct chain_trace *trace, bool is_paused)
{
	struct loop *loop = chain_client_loop(trace->client);
	if (trace->is_stopped || trace->is_paused == is_paused)
		return;
	trace->is_paused = is_paused;
	if (is_paused)
		loop_timer_stop(loop, &trace->timer);
	else if (trace->n_live == 0)
		plan(trace);
}

void chain_trace_stop(struct chain_trace *trace)
{
	if (trace->is_stopped)
		return;
	drop_steps(trace);
	trace->is_stopped = true;
	wake_in(trace, 0);
}

void chain_trace_cancel(struct chain_trace *trace)
{
	loop_timer_stop(chain_client_loop(trace->client), &trace->timer);
	drop_steps(trace);
	if (trace->ret_is_gone != NULL)
		*trace->ret_is_gone = true;
	destroy(trace);
}
