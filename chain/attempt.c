#include "chain/attempt.h"

#include "common/loop.h"

#include <stddef.h>
#include <stdlib.h>

#define LOG_MODULE "chain"
#include "common/log.h"

#define LEFT_MIN_MS 200 /* with less time another try is not begun */

/* One way that is being built. */
struct chain_try {
	struct chain_attempt *attempt;
	struct chain_session *session; /* NULL: this place is free */
	size_t i_tried;
	uint64_t start_us;
};

struct chain_attempt {
	struct chain_upstream *upstream;
	struct chain_attempt_options options;
	struct addr target;
	union addr_sock source, client;
	struct chain_upstream_wait wait; /* for SRV records */
	bool is_waiting;
	struct timer timer; /* the patience with what is under way; or what is to be told soon */
	uint64_t start_ms;
	uint64_t end_ms; /* for a second try; 0 = nothing was tried yet */
	size_t n_tried;
	struct chain_tried tried[CHAIN_ATTEMPT_TRIES];
	struct chain_try tries[CHAIN_ATTEMPT_AT_ONCE];
	struct chain_answers *answers; /* one per place in tries, or NULL: nobody asks for them */
	size_t i_failed;               /* of tried: whose error it is */
	struct chain_error error;
	chain_attempt_fn *on_done;
	void *owner;
};

static struct loop *loop_of(const struct chain_attempt *a)
{
	return chain_upstream_loop(a->upstream);
}

static size_t n_running(const struct chain_attempt *a)
{
	size_t n = 0;
	for (size_t i = 0; i < CHAIN_ATTEMPT_AT_ONCE; i++)
		n += a->tries[i].session != NULL ? 1 : 0;
	return n;
}

static struct chain_way *way_of(const struct chain_try *t)
{
	return t->attempt->tried[t->i_tried].way;
}

/* Clocks are read for who wants to know only. */
static bool wants_answers(const struct chain_attempt *a)
{
	return a->options.answers != NULL || chain_upstream_has_choice(a->upstream);
}

/* Return: NULL where they are not wanted. */
static struct chain_answers *answers_of(const struct chain_try *t)
{
	const struct chain_attempt *a = t->attempt;
	return a->answers != NULL ? &a->answers[t - a->tries] : NULL;
}

static void cancel(struct chain_try *t)
{
	if (t->session != NULL)
		chain_session_cancel(t->session);
	t->session = NULL;
}

/* All that is held but the ways. */
static void let_go(struct chain_attempt *a)
{
	loop_timer_stop(loop_of(a), &a->timer);
	if (a->is_waiting)
		chain_upstream_unwait(a->upstream, &a->wait);
	for (size_t i = 0; i < CHAIN_ATTEMPT_AT_ONCE; i++)
		cancel(&a->tries[i]);
}

static void destroy(struct chain_attempt *a)
{
	let_go(a);
	for (size_t i = 0; i < a->n_tried; i++)
		chain_way_release(a->tried[i].way);
	free(a->answers);
	free(a);
}

/* The last word: of the way @i, if there was any. */
static void finish(struct chain_attempt *a, struct stream *stream, size_t i)
{
	const struct chain_spec *way =
		a->n_tried > 0 ? chain_client_spec(chain_way_client(a->tried[i].way))
			       : chain_upstream_spec_of(a->upstream)->members[0].chain;
	let_go(a);
	a->error.elapsed_ms = (uint32_t)(loop_now_ms(loop_of(a)) - a->start_ms);
	a->on_done(stream, way, stream == NULL ? &a->error : NULL, a->owner);
	destroy(a);
}

/* ---- failures ---- */

static bool start_next(struct chain_attempt *a);

static void log_failed(const struct chain_attempt *a, const struct chain_error *error)
{
	char address[ADDR_TEXT_MAX];
	LOG_DEBUG("try failed n=%zu hop=%u stage=%s status=%s addr=%s after_ms=%u", a->n_tried,
		error->hop, chain_stage_name(error->stage), chain_error_slug(error),
		addr_print(&error->address, address), error->elapsed_ms);
}

/* What tells most is the last of a hop; our own want tells of no hop. */
static void note_error(
	struct chain_attempt *a, const struct chain_try *t, const struct chain_error *error)
{
	bool has_error = a->error.hop != 0 || a->error.code != 0 || a->error.status != 0;
	if (has_error && error->stage == CHAIN_SETUP)
		return;
	a->error = *error;
	a->i_failed = t->i_tried;
	if (a->options.answers != NULL)
		*a->options.answers = *answers_of(t);
}

/* Return: whether another way may do better. */
static bool note_failed(struct chain_try *t, const struct chain_error *error)
{
	struct chain_attempt *a = t->attempt;
	struct chain_verdict verdict = chain_way_report(way_of(t), error, answers_of(t), 0);
	log_failed(a, error);
	a->tried[t->i_tried].hop = verdict.hop;
	note_error(a, t, error);
	return verdict.may_retry;
}

/* It has had its time: @t is counted as failed where the time is its hops'. */
static void give_up(struct chain_try *t)
{
	struct chain_error error;
	chain_session_late(t->session, &error);
	(void)note_failed(t, &error);
	cancel(t);
}

/* ---- tries ---- */

/* What was begun before the one that stands is slower by more than is usual: that is a fault. */
static void stand(struct chain_try *t, struct stream *stream)
{
	struct chain_attempt *a = t->attempt;
	(void)chain_way_report(way_of(t), NULL, answers_of(t), loop_clock_us() - t->start_us);
	for (size_t i = 0; i < CHAIN_ATTEMPT_AT_ONCE; i++) {
		if (a->tries[i].session != NULL && a->tries[i].i_tried < t->i_tried)
			give_up(&a->tries[i]);
	}
	if (a->options.answers != NULL)
		*a->options.answers = *answers_of(t);
	finish(a, stream, t->i_tried);
}

static void on_session(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct chain_try *t = owner;
	struct chain_attempt *a = t->attempt;
	t->session = NULL;
	if (stream != NULL) {
		stand(t, stream);
		return;
	}
	bool may_retry = note_failed(t, error);
	if (!may_retry || (n_running(a) == 0 && !start_next(a)))
		finish(a, NULL, a->i_failed);
}

static uint32_t timeout_of_next(const struct chain_attempt *a)
{
	uint64_t now_ms = loop_now_ms(loop_of(a));
	if (a->n_tried <= 1)
		return a->options.timeout_ms;
	return a->end_ms > now_ms ? (uint32_t)(a->end_ms - now_ms) : 1;
}

static int start_session(struct chain_try *t, struct chain_way *way)
{
	struct chain_attempt *a = t->attempt;
	if (a->answers == NULL && wants_answers(a)) {
		a->answers = calloc(CHAIN_ATTEMPT_AT_ONCE, sizeof *a->answers);
		if (a->answers == NULL)
			return ERR_NOMEM;
	}
	struct chain_session_options options = {
		.purpose = a->options.purpose,
		.target = a->options.target,
		.client = a->options.client,
		.is_trace = a->options.is_trace,
		.timeout_ms = timeout_of_next(a),
		.answers = answers_of(t),
	};
	t->start_us = loop_clock_us();
	if (options.answers != NULL)
		*options.answers = (struct chain_answers){ 0 };
	return chain_session_start(chain_way_client(way), &options, on_session, t, &t->session);
}

static struct chain_way *choose(struct chain_attempt *a)
{
	struct chain_who who = {
		.target = a->options.target,
		.source = a->options.source,
		.tried = a->tried,
		.n_tried = a->n_tried,
	};
	return chain_upstream_choose(a->upstream, &who);
}

static struct chain_try *free_place(struct chain_attempt *a)
{
	for (size_t i = 0; i < CHAIN_ATTEMPT_AT_ONCE; i++) {
		if (a->tries[i].session == NULL)
			return &a->tries[i];
	}
	return NULL;
}

static void on_patience(struct timer *timer);

/* Takes @way. */
static int start_on(struct chain_attempt *a, struct chain_way *way)
{
	struct chain_try *t = free_place(a);
	const struct chain_spec *spec = chain_client_spec(chain_way_client(way));
	uint64_t limit_ms = a->options.timeout_ms > 0
				    ? a->options.timeout_ms
				    : (spec->n_hops + 1ull) * spec->connect_timeout_ms;
	if (a->end_ms == 0)
		a->end_ms = loop_now_ms(loop_of(a)) + limit_ms;
	t->i_tried = a->n_tried;
	a->tried[a->n_tried++] = (struct chain_tried){ .way = way };
	int error = start_session(t, way);
	if (error != 0) {
		t->session = NULL;
		a->n_tried--;
		chain_way_release(way);
		return error;
	}
	if (chain_upstream_has_choice(a->upstream))
		loop_timer_start(loop_of(a), &a->timer, chain_way_patience_ms(way), on_patience);
	return 0;
}

static bool may_try(const struct chain_attempt *a)
{
	return a->n_tried < CHAIN_ATTEMPT_TRIES &&
	       (a->n_tried == 0 || loop_now_ms(loop_of(a)) + LEFT_MIN_MS <= a->end_ms);
}

static bool start_next(struct chain_attempt *a)
{
	struct chain_way *way = may_try(a) ? choose(a) : NULL;
	return way != NULL && start_on(a, way) == 0;
}

static struct chain_try *oldest(struct chain_attempt *a)
{
	struct chain_try *first = &a->tries[0];
	for (size_t i = 1; i < CHAIN_ATTEMPT_AT_ONCE; i++) {
		if (a->tries[i].i_tried < first->i_tried)
			first = &a->tries[i];
	}
	return first;
}

/* Whether the target may be what is waited for, and not for long. */
static bool may_be_the_target(const struct chain_try *t, const struct chain_error *late)
{
	return late->stage == CHAIN_ANSWER && late->hop == late->n_hops &&
	       loop_clock_us() - t->start_us < CHAIN_ATTEMPT_EXIT_MS * 1000ull;
}

/* All places are taken: the oldest makes room, if there is somebody to take it. */
static void replace_oldest(struct chain_attempt *a)
{
	struct chain_try *t = oldest(a);
	struct chain_error late;
	chain_session_late(t->session, &late);
	if (may_be_the_target(t, &late)) {
		loop_timer_start(loop_of(a), &a->timer, CHAIN_PATIENCE_MIN_MS, on_patience);
		return;
	}
	struct chain_way *way = may_try(a) ? choose(a) : NULL;
	if (way == NULL)
		return;
	give_up(t);
	(void)start_on(a, way);
}

static void on_patience(struct timer *timer)
{
	struct chain_attempt *a =
		(struct chain_attempt *)((char *)timer - offsetof(struct chain_attempt, timer));
	if (n_running(a) == CHAIN_ATTEMPT_AT_ONCE)
		replace_oldest(a);
	else
		(void)start_next(a);
}

/* ---- the begin ---- */

static void on_no_way(struct timer *timer)
{
	struct chain_attempt *a =
		(struct chain_attempt *)((char *)timer - offsetof(struct chain_attempt, timer));
	finish(a, NULL, 0);
}

/* Return: 0: it goes on, or its end will be told. */
static int begin(struct chain_attempt *a)
{
	struct chain_way *way = choose(a);
	if (way != NULL)
		return start_on(a, way);
	a->is_waiting = chain_upstream_wait(a->upstream, &a->wait);
	if (a->is_waiting)
		return 0;
	a->error = chain_upstream_no_way(a->upstream);
	loop_timer_start(loop_of(a), &a->timer, 0, on_no_way);
	return 0;
}

static void on_records(struct chain_upstream_wait *wait)
{
	struct chain_attempt *a =
		(struct chain_attempt *)((char *)wait - offsetof(struct chain_attempt, wait));
	a->is_waiting = false;
	int error = begin(a);
	if (error == 0)
		return;
	a->error = (struct chain_error){ .hop = 1, .stage = CHAIN_SETUP, .code = error };
	loop_timer_start(loop_of(a), &a->timer, 0, on_no_way);
}

int chain_attempt_start(struct chain_upstream *upstream,
	const struct chain_attempt_options *options, chain_attempt_fn *on_done, void *owner,
	struct chain_attempt **ret)
{
	struct chain_attempt *a = calloc(1, sizeof *a);
	if (a == NULL)
		return ERR_NOMEM;
	a->upstream = upstream;
	a->options = *options;
	if (options->target != NULL) {
		a->target = *options->target;
		a->options.target = &a->target;
	}
	if (options->source != NULL) {
		a->source = *options->source;
		a->options.source = &a->source;
	}
	if (options->client != NULL) {
		a->client = *options->client;
		a->options.client = &a->client;
	}
	for (size_t i = 0; i < CHAIN_ATTEMPT_AT_ONCE; i++)
		a->tries[i].attempt = a;
	a->wait.fn = on_records;
	a->start_ms = loop_now_ms(loop_of(a));
	a->on_done = on_done;
	a->owner = owner;
	int error = begin(a);
	if (error != 0) {
		free(a->answers);
		free(a);
		return error;
	}
	*ret = a;
	return 0;
}

void chain_attempt_cancel(struct chain_attempt *attempt)
{
	destroy(attempt);
}
