#include "chain/flow_state.h"

#define NEVER          UINT64_MAX
#define RESEAL_MS      4000  /* without S_n */
#define REPEAT_MS      2000  /* after the first gaps */
#define STALE_MS       20000 /* S_i still missing: a copy of R_i counts for 30 s only */
#define PREVIOUS_MS    10000 /* the exit drops its earlier epoch this long after the next one */
#define PATIENCE_MS    2000
#define PATIENCE_MAX   60000
#define PING_WAIT_MS   1000
#define UNHEARD_MIN    3
#define PAUSE_MS       1000 /* between hints that are obeyed */
#define PAUSE_MAX      4000
#define CONFIRM_MAX_MS 60000
#define REKEY_NUMBER   (UINT64_C(1) << 24)

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint32_t doubled(uint32_t ms, uint32_t most)
{
	return ms < most / 2 ? 2 * ms : most;
}

/* ---- what happened ---- */

void flow_on_repeated(struct flow_client *flow, uint64_t now_ms)
{
	static const uint16_t gaps[] = { 250, 500, 1000 };
	struct flow_attempt *a = &flow->attempt;
	bool is_early = a->i_gap < sizeof gaps / sizeof gaps[0];
	a->repeat_ms = now_ms + (is_early ? gaps[a->i_gap] : REPEAT_MS);
	if (is_early)
		a->i_gap++;
}

void flow_on_sent(struct flow_client *flow, uint64_t now_ms)
{
	if (flow->health.n_unheard == 0)
		flow->health.since_ms = now_ms;
	flow->health.n_unheard++;
}

void flow_on_opened(struct flow_client *flow)
{
	flow->health.n_unheard = 0;
	flow->health.ping_ms = NEVER;
}

void flow_on_delivered(struct flow_client *flow)
{
	flow->health.patience_ms = PATIENCE_MS;
}

void flow_on_confirmed(struct flow_client *flow, uint64_t now_ms)
{
	if (flow->current->is_confirmed)
		return;
	flow->current->is_confirmed = true;
	flow->previous_until_ms = now_ms + PREVIOUS_MS;
}

/* ---- timers: when, and what ---- */

static bool is_calm(const struct flow_client *f)
{
	return f->current != NULL && f->pending == NULL;
}

static uint64_t expire_due(const struct flow_client *f)
{
	return f->pending != NULL ? f->attempt.start_ms + FLOW_CLIENT_FAIL_MS : NEVER;
}
static void expire_run(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms)
{
	(void)wall_ms;
	flow_setup_expire(f, now_ms);
}

static uint64_t hint_due(const struct flow_client *f)
{
	return f->health.wants_setup ? f->attempt.sealed_ms + later(f->health.pause_ms, PAUSE_MS)
				     : NEVER;
}
static void hint_run(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms)
{
	uint32_t pause = f->health.pause_ms;
	f->health.pause_ms = pause == 0 ? PAUSE_MS : doubled(pause, PAUSE_MAX);
	flow_setup_start(f, NULL, now_ms, wall_ms, false);
}

static uint64_t reseal_due(const struct flow_client *f)
{
	return f->pending != NULL ? f->pending->sealed_ms + RESEAL_MS : NEVER;
}
static void reseal_run(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms)
{
	flow_setup_start(f, NULL, now_ms, wall_ms, f->attempt.is_background);
}

static uint64_t repeat_due(const struct flow_client *f)
{
	bool is_missing =
		f->pending != NULL || (f->current != NULL && !flow_epoch_is_complete(f->current));
	return is_missing ? f->attempt.repeat_ms : NEVER;
}
static void repeat_run(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms)
{
	(void)wall_ms;
	flow_on_repeated(f, now_ms);
	flow_send_requests(f, f->pending != NULL ? f->pending : f->current, NULL);
}

/* A new epoch in the background: old, much used, or short of an S_i for too long. */
static uint64_t rekey_due(const struct flow_client *f)
{
	const struct flow_epoch *e = f->current;
	if (!is_calm(f))
		return NEVER;
	if (e->next_number > REKEY_NUMBER || e->window.next > REKEY_NUMBER)
		return f->attempt.retry_ms;
	if (!flow_epoch_is_complete(e))
		return later(e->sealed_ms + STALE_MS, f->attempt.retry_ms);
	return e->has_traffic ? later(e->since_ms + FLOW_CLIENT_REKEY_MS, f->attempt.retry_ms)
			      : NEVER;
}
static void rekey_run(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms)
{
	flow_setup_start(f, NULL, now_ms, wall_ms, true);
}

static uint64_t silence_due(const struct flow_client *f)
{
	const struct flow_health *h = &f->health;
	if (!is_calm(f) || h->n_unheard < UNHEARD_MIN)
		return NEVER;
	return h->ping_ms == NEVER ? h->since_ms + h->patience_ms : h->ping_ms + PING_WAIT_MS;
}
static void silence_run(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms)
{
	if (f->health.ping_ms != NEVER) {
		f->health.ping_ms = NEVER;
		flow_setup_start(f, NULL, now_ms, wall_ms, false);
		return;
	}
	f->health.ping_ms = now_ms;
	f->health.patience_ms = doubled(f->health.patience_ms, PATIENCE_MAX);
	flow_send_ping(f);
}

/* The first PING or its PONG may be lost, and without one the exit stays with its old epoch. */
static uint64_t confirm_due(const struct flow_client *f)
{
	return is_calm(f) && !f->current->is_confirmed ? f->health.confirm_ms : NEVER;
}
static void confirm_run(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms)
{
	(void)wall_ms;
	f->health.confirm_gap_ms = doubled(f->health.confirm_gap_ms, CONFIRM_MAX_MS);
	f->health.confirm_ms = now_ms + f->health.confirm_gap_ms;
	flow_send_ping(f);
}

static uint64_t previous_due(const struct flow_client *f)
{
	return f->previous != NULL ? f->previous_until_ms : NEVER;
}
static void previous_run(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms)
{
	(void)now_ms;
	(void)wall_ms;
	flow_epoch_free(f->previous);
	f->previous = NULL;
}

static uint64_t settle_due(const struct flow_client *f)
{
	return f->current != NULL ? flow_epoch_settle_ms(f->current) : NEVER;
}
static void settle_run(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms)
{
	(void)now_ms;
	(void)wall_ms;
	flow_epoch_settle(f->current);
}

static const struct {
	uint64_t (*due)(const struct flow_client *f);
	void (*run)(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms);
} timers[] = {
	{ expire_due, expire_run },
	{ hint_due, hint_run },
	{ reseal_due, reseal_run },
	{ repeat_due, repeat_run },
	{ rekey_due, rekey_run },
	{ silence_due, silence_run },
	{ confirm_due, confirm_run },
	{ previous_due, previous_run },
	{ settle_due, settle_run },
};
#define N_TIMERS (sizeof timers / sizeof timers[0])

static bool is_running(const struct flow_client *f)
{
	return !f->is_freed && (f->state == FLOW_SETUP || f->state == FLOW_OPEN);
}

void flow_run(struct flow_client *flow, uint64_t now_ms, uint64_t wall_ms)
{
	for (size_t i = 0; i < N_TIMERS && is_running(flow); i++) {
		if (timers[i].due(flow) <= now_ms)
			timers[i].run(flow, now_ms, wall_ms);
	}
}

uint64_t flow_due_ms(const struct flow_client *flow)
{
	uint64_t soonest = NEVER;
	for (size_t i = 0; i < N_TIMERS && is_running(flow); i++) {
		uint64_t due = timers[i].due(flow);
		soonest = due < soonest ? due : soonest;
	}
	return soonest;
}
