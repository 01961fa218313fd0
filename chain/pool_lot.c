#include "chain/pool_lot.h"

#include "chain/open.h"
#include "chain/session.h"
#include "common/loop.h"
#include "common/tcp.h"

#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#define LOG_MODULE "chain"
#include "common/log.h"

/* One idle connection. */
struct idle {
	struct idle *prev, *next;
	struct pool_lot *lot;
	struct stream *stream;
	struct chain_open *open; /* a NOOP is out: not to be lent */
	struct timer timer;      /* the next NOOP, or its answer's end */
	uint64_t built_ms, heard_ms;
	uint32_t age_max_ms;
	bool is_ending; /* the event that says so is on its way */
};

struct build {
	struct pool_lot *lot;
	struct chain_session *session; /* NULL: free */
};

struct pool_lot {
	struct chain_client *client;
	struct loop *loop;
	size_t n_hops;
	uint32_t n_warm;
	struct idle *all;
	struct build builds[POOL_BUILDING_MAX];
	struct timer refill;
	uint32_t retry_ms; /* 0: the last build succeeded */
	uint64_t missed_ms;
	struct chain_pool_counters counters;
};

static uint32_t spread(uint32_t range_ms)
{
	uint32_t random;
	seal_random(&random, sizeof random);
	return range_ms > 0 ? random % range_ms : 0;
}

/* ---- idle ones ---- */

/* Its stream is let go by the caller. */
static void free_idle(struct idle *idle)
{
	struct pool_lot *lot = idle->lot;
	DL_DELETE(lot->all, idle);
	lot->counters.n_idle--;
	loop_timer_stop(lot->loop, &idle->timer);
	chain_open_free(idle->open);
	free(idle);
}

static void refill_soon(struct pool_lot *lot);

static void die(struct idle *idle, uint64_t *reason)
{
	struct pool_lot *lot = idle->lot;
	++*reason;
	stream_drop(idle->stream);
	free_idle(idle);
	refill_soon(lot);
}

static bool is_busy(const struct pool_lot *lot)
{
	return lot->missed_ms > 0 && loop_now_ms(lot->loop) - lot->missed_ms < POOL_BUSY_MS;
}

static uint32_t n_wanted(const struct pool_lot *lot)
{
	uint32_t n = is_busy(lot) ? 2 * lot->n_warm : lot->n_warm;
	return n < CHAIN_POOL_MAX ? n : CHAIN_POOL_MAX;
}

static void on_due(struct timer *timer);

static void rest(struct idle *idle)
{
	chain_open_free(idle->open);
	idle->open = NULL;
	idle->heard_ms = loop_now_ms(idle->lot->loop);
	stream_read_start(idle->stream); /* a byte or an end is heard at once */
	loop_timer_start(
		idle->lot->loop, &idle->timer, POOL_PROOF_MS + spread(POOL_SPREAD_MS), on_due);
}

static void on_answer(struct idle *idle, struct bytes data)
{
	struct pool_lot *lot = idle->lot;
	if (idle->open == NULL) { /* nobody asked */
		die(idle, &lot->counters.n_dead_peer);
		return;
	}
	switch (chain_open_feed(idle->open, data, loop_wall_ms(), loop_now_ms(lot->loop))) {
	case CHAIN_OPEN_MORE:
		stream_read_limit(idle->stream, chain_open_wants(idle->open));
		return;
	case CHAIN_OPEN_DONE:
		rest(idle);
		return;
	case CHAIN_OPEN_FAILED:
		die(idle, &lot->counters.n_dead_peer);
		return;
	}
}

static void on_event(struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct idle *idle = owner;
	(void)stream;
	switch (event) {
	case STREAM_DATA:
		on_answer(idle, data);
		return;
	case STREAM_EOF:
	case STREAM_FAILED:
		die(idle, &idle->lot->counters.n_dead_peer);
		return;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
	case STREAM_CLOSED:
		return;
	}
}

static void on_silence(struct timer *timer)
{
	struct idle *idle = (struct idle *)((char *)timer - offsetof(struct idle, timer));
	die(idle, &idle->lot->counters.n_dead_silent);
}

static void ask(struct idle *idle)
{
	struct pool_lot *lot = idle->lot;
	static const struct addr nowhere = { 0 };
	struct chain_open_options options = {
		.spec = chain_client_spec(lot->client),
		.first = lot->n_hops - 1,
		.n_hops = lot->n_hops,
		.cmd = WIRE_NOOP,
		.target = &nowhere,
	};
	int error = chain_open_new(&options, loop_wall_ms(), loop_now_ms(lot->loop), &idle->open);
	if (error != 0) {
		die(idle, &lot->counters.n_dead_silent);
		return;
	}
	stream_write(idle->stream, chain_open_request(idle->open));
	stream_read_limit(idle->stream, chain_open_wants(idle->open));
	loop_timer_start(lot->loop, &idle->timer, POOL_ANSWER_MS, on_silence);
}

/* Old, or one more than are wanted. */
static bool is_past(const struct idle *idle)
{
	return loop_now_ms(idle->lot->loop) - idle->built_ms >= idle->age_max_ms ||
	       idle->lot->counters.n_idle > n_wanted(idle->lot);
}

static void on_due(struct timer *timer)
{
	struct idle *idle = (struct idle *)((char *)timer - offsetof(struct idle, timer));
	struct pool_lot *lot = idle->lot;
	if (!is_past(idle)) {
		ask(idle);
		return;
	}
	lot->counters.n_dead_age++;
	stream_leave(idle->stream);
	free_idle(idle);
	refill_soon(lot);
}

static void keep(struct pool_lot *lot, struct stream *stream)
{
	struct idle *idle = calloc(1, sizeof *idle);
	if (idle == NULL) {
		stream_drop(stream);
		return;
	}
	idle->lot = lot;
	idle->stream = stream;
	idle->built_ms = loop_now_ms(lot->loop);
	idle->age_max_ms = POOL_AGE_MS - spread(POOL_AGE_MS / 10);
	DL_PREPEND(lot->all, idle);
	lot->counters.n_idle++;
	stream_own(stream, on_event, idle);
	rest(idle);
}

/* ---- building ---- */

static void back_off(struct pool_lot *lot)
{
	lot->retry_ms = lot->retry_ms == 0 ? POOL_RETRY_MS : 2 * lot->retry_ms;
	if (lot->retry_ms > POOL_RETRY_MAX_MS)
		lot->retry_ms = POOL_RETRY_MAX_MS;
}

static void on_built(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct build *build = owner;
	struct pool_lot *lot = build->lot;
	build->session = NULL;
	lot->counters.n_building--;
	if (stream != NULL) {
		lot->counters.n_built++;
		lot->retry_ms = 0;
		keep(lot, stream);
	} else {
		char text[512];
		lot->counters.n_failed++;
		if (lot->counters.n_building == 0 || lot->retry_ms == 0)
			back_off(lot);
		LOG_LIMITED(LOG_LEVEL_WARNING, "no warm connection: %s",
			chain_error_print(error, text, sizeof text));
	}
	refill_soon(lot);
}

static bool start_build(struct pool_lot *lot)
{
	struct chain_session_options options = { .purpose = CHAIN_TO_KEEP, .n_hops = lot->n_hops };
	struct build *build = lot->builds;
	while (build->session != NULL)
		build++;
	build->lot = lot;
	if (chain_session_start(lot->client, &options, on_built, build, &build->session) != 0) {
		build->session = NULL;
		back_off(lot);
		return false;
	}
	lot->counters.n_building++;
	return true;
}

static void on_refill(struct timer *timer)
{
	struct pool_lot *lot =
		(struct pool_lot *)((char *)timer - offsetof(struct pool_lot, refill));
	/* After a failure one tries the way for all. */
	uint32_t n_max = lot->retry_ms > 0 ? 1 : POOL_BUILDING_MAX;
	while (lot->counters.n_idle + lot->counters.n_building < n_wanted(lot) &&
		lot->counters.n_building < n_max) {
		if (start_build(lot))
			continue;
		refill_soon(lot);
		return;
	}
}

/* Not from inside: who borrows writes first. */
static void refill_soon(struct pool_lot *lot)
{
	if (lot->retry_ms > 0 && timer_is_running(&lot->refill))
		return;
	uint32_t wait_ms = lot->retry_ms - lot->retry_ms / 5 + spread(lot->retry_ms / 5 * 2);
	loop_timer_start(lot->loop, &lot->refill, wait_ms, on_refill);
}

/* ---- for the pools ---- */

struct pool_lot *pool_lot_new(struct chain_client *client, size_t n_hops)
{
	struct pool_lot *lot = calloc(1, sizeof *lot);
	if (lot == NULL)
		return NULL;
	lot->client = client;
	lot->loop = chain_client_loop(client);
	lot->n_hops = n_hops;
	return lot;
}

/* What borrows from the client's spec. */
static void drop_pending(struct pool_lot *lot)
{
	for (size_t i = 0; i < POOL_BUILDING_MAX; i++) {
		if (lot->builds[i].session != NULL)
			chain_session_cancel(lot->builds[i].session);
		lot->builds[i].session = NULL;
	}
	lot->counters.n_building = 0;
	struct idle *idle, *next;
	DL_FOREACH_SAFE (lot->all, idle, next) {
		if (idle->open == NULL)
			continue;
		stream_drop(idle->stream);
		free_idle(idle);
	}
}

void pool_lot_free(struct pool_lot *lot)
{
	if (lot == NULL)
		return;
	drop_pending(lot);
	struct idle *idle, *next;
	DL_FOREACH_SAFE (lot->all, idle, next) {
		stream_leave(idle->stream);
		free_idle(idle);
	}
	loop_timer_stop(lot->loop, &lot->refill);
	free(lot);
}

void pool_lot_set(struct pool_lot *lot, struct chain_client *client, uint32_t n_warm)
{
	if (client != lot->client)
		drop_pending(lot);
	lot->client = client;
	lot->n_warm = n_warm;
	refill_soon(lot);
}

struct chain_client *pool_lot_client(const struct pool_lot *lot)
{
	return lot->client;
}

size_t pool_lot_n_hops(const struct pool_lot *lot)
{
	return lot->n_hops;
}

static bool is_lendable(const struct idle *idle)
{
	return idle->open == NULL && !idle->is_ending &&
	       loop_now_ms(idle->lot->loop) - idle->heard_ms < POOL_FRESH_MS;
}

static void miss(struct pool_lot *lot)
{
	lot->counters.n_missed++;
	if (lot->counters.n_built == 0) /* it has only begun */
		return;
	lot->missed_ms = loop_now_ms(lot->loop);
	refill_soon(lot);
}

static struct idle *heard_last(const struct pool_lot *lot)
{
	struct idle *best = NULL, *idle;
	DL_FOREACH (lot->all, idle) {
		if (is_lendable(idle) && (best == NULL || idle->heard_ms > best->heard_ms))
			best = idle;
	}
	return best;
}

bool pool_lot_take(struct pool_lot *lot, struct chain_warm *ret)
{
	struct idle *best;
	while ((best = heard_last(lot)) != NULL && tcp_has_input(best->stream) != 0)
		best->is_ending = true;
	if (best == NULL) {
		miss(lot);
		return false;
	}
	stream_read_stop(best->stream);
	*ret = (struct chain_warm){
		.stream = best->stream,
		.n_hops = lot->n_hops,
		.age_ms = (uint32_t)(loop_now_ms(lot->loop) - best->built_ms),
	};
	free_idle(best);
	lot->counters.n_lent++;
	refill_soon(lot);
	return true;
}

void pool_lot_died(struct pool_lot *lot)
{
	lot->counters.n_dead_lent++;
	struct idle *idle;
	DL_FOREACH (lot->all, idle) {
		if (idle->open == NULL)
			loop_timer_start(lot->loop, &idle->timer, 0, on_due);
	}
}

struct chain_pool_counters pool_lot_counters(const struct pool_lot *lot)
{
	return lot->counters;
}
