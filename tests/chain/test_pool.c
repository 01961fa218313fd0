/* Warm connections to real hops, all on one loop. Time is short here: see __wrap_loop_timer_start.
 */
#include "chain/pool_lot.h"
#include "chain/session.h"
#include "hop/session.h"
#include "tests/support/hops.h"

#include <criterion/criterion.h>

#define WAIT_MS  5000
#define PROOF_MS 40 /* instead of 25 to 29 s */

static uint64_t later_ms; /* the clock of everything but the loop's timers is ahead by this much */
static bool is_proving;   /* NOOPs come after PROOF_MS */

uint64_t __real_loop_now_ms(const struct loop *loop);
uint64_t __wrap_loop_now_ms(const struct loop *loop);
uint64_t __wrap_loop_now_ms(const struct loop *loop)
{
	return __real_loop_now_ms(loop) + later_ms;
}

void __real_loop_timer_start(
	struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn);
void __wrap_loop_timer_start(
	struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn);
void __wrap_loop_timer_start(
	struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn)
{
	if (is_proving && delay_ms >= POOL_PROOF_MS && delay_ms < POOL_PROOF_MS + POOL_SPREAD_MS)
		delay_ms = PROOF_MS;
	if (is_proving && delay_ms == POOL_ANSWER_MS)
		delay_ms = PROOF_MS;
	__real_loop_timer_start(loop, timer, delay_ms, fn);
}

/* ---- a world: hops, a target that greets, pools ---- */

struct world {
	struct hops hops;
	struct listener *listener;
	struct addr target;
	struct chain_pools *pools;
	struct chain_session *session;
	bool is_done;
	struct stream *stream;
	struct chain_error error;
	char said[8];
	size_t n_said;
};

static void on_greeted(
	struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	(void)data;
	(void)owner;
	if (event == STREAM_EOF || event == STREAM_FAILED)
		stream_close(stream);
}

static void on_target(struct stream *s, const union addr_sock *peer, void *owner)
{
	(void)peer;
	stream_own(s, on_greeted, owner);
	stream_write(s, bytes_of("hello", 5));
	stream_read_start(s);
}

static void open_world(struct world *w, size_t n_hops)
{
	*w = (struct world){ .is_done = false };
	later_ms = 0;
	is_proving = false;
	hops_open(&w->hops, n_hops);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &w->target), ADDR_OK);
	cr_assert_eq(listener_open(w->hops.loop, &w->target, false, on_target, w, &w->listener), 0);
	w->target.port = listener_port(w->listener);
	cr_assert_eq(chain_pools_new(w->hops.loop, &w->pools), 0);
}

static void close_world(struct world *w)
{
	chain_pools_free(w->pools);
	listener_close(w->listener);
	hops_turn(&w->hops, 20);
	hops_close(&w->hops);
}

static struct chain_pool_counters counters(const struct world *w, size_t n_hops)
{
	return chain_pools_counters(w->hops.client, n_hops);
}

static void await_idle(struct world *w, size_t n_hops, uint32_t n)
{
	for (int i = 0; i < WAIT_MS / 5; i++) {
		struct chain_pool_counters c = counters(w, n_hops);
		if (c.n_idle == n && c.n_building == 0)
			return;
		hops_turn(&w->hops, 5);
	}
	cr_assert_fail("%u idle of %u", counters(w, n_hops).n_idle, n);
}

static void warm_up(struct world *w, size_t n_hops, uint32_t n)
{
	w->hops.spec_hops[n_hops - 1].n_warm = n;
	cr_assert_eq(chain_pools_add(w->pools, w->hops.client), 0);
	await_idle(w, n_hops, n);
}

static void on_session(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct world *w = owner;
	w->is_done = true;
	w->stream = stream;
	if (error != NULL)
		w->error = *error;
}

static void on_payload(
	struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct world *w = owner;
	if (event != STREAM_DATA || w->n_said + data.len > sizeof w->said)
		return;
	memcpy(w->said + w->n_said, data.ptr, data.len);
	w->n_said += data.len;
	if (w->n_said == 5)
		stream_leave(stream);
}

static void start(struct world *w)
{
	struct chain_session_options options = { .target = &w->target };
	w->is_done = false;
	w->stream = NULL;
	w->n_said = 0;
	cr_assert_eq(chain_session_start(w->hops.client, &options, on_session, w, &w->session), 0);
	cr_assert(!w->is_done, "not from inside");
}

/* The greeting comes. */
static void finish(struct world *w)
{
	cr_assert(loop_run_until(w->hops.loop, &w->is_done, WAIT_MS));
	cr_assert_not_null(w->stream, "%s", chain_error_slug(&w->error));
	stream_own(w->stream, on_payload, w);
	stream_read_start(w->stream);
	for (int i = 0; i < 200 && w->n_said < 5; i++)
		hops_turn(&w->hops, 5);
	cr_expect_eq(memcmp(w->said, "hello", 5), 0);
}

/* What is idle at hop @i is ended by the hop. */
static void kill_at(struct world *w, size_t i)
{
	hop_sessions_stop(&w->hops.hop[i - 1].worker);
}

Test(pool, lends_what_it_keeps_and_fills_up_again, .timeout = 60)
{
	struct world w;
	open_world(&w, 3);
	for (size_t k = 1; k <= 3; k++) {
		struct chain_warm warm;
		cr_expect(!chain_pools_take(w.hops.client, &warm), "no pools");
		warm_up(&w, k, 2);
		start(&w);
		cr_expect_eq(counters(&w, k).n_lent, 1);
		finish(&w);
		await_idle(&w, k, 2);
		cr_expect_eq(counters(&w, k).n_built, 3);
		cr_expect_eq(counters(&w, k).n_failed, 0);
		chain_pools_remove(w.hops.client);
		w.hops.spec_hops[k - 1].n_warm = 0;
		hops_turn(&w.hops, 20);
	}
	close_world(&w);
}

Test(pool, the_deepest_is_lent_first, .timeout = 60)
{
	struct world w;
	open_world(&w, 3);
	w.hops.spec_hops[0].n_warm = 1;
	warm_up(&w, 3, 1);
	await_idle(&w, 1, 1);
	start(&w);
	cr_expect_eq(counters(&w, 3).n_lent, 1);
	finish(&w);
	start(&w); /* hop 3's is being built, or is there again */
	finish(&w);
	cr_expect_eq(counters(&w, 3).n_lent + counters(&w, 1).n_lent, 2);
	close_world(&w);
}

Test(pool, one_that_ends_is_replaced_at_once, .timeout = 60)
{
	struct world w;
	open_world(&w, 2);
	warm_up(&w, 2, 3);
	kill_at(&w, 1);
	hops_turn(&w.hops, 50);
	cr_expect_eq(counters(&w, 2).n_dead_peer, 3);
	await_idle(&w, 2, 3);
	cr_expect_eq(counters(&w, 2).n_built, 6);
	kill_at(&w, 2);
	hops_turn(&w.hops, 50);
	cr_expect_eq(counters(&w, 2).n_dead_peer, 6);
	await_idle(&w, 2, 3);
	close_world(&w);
}

/* The end is there, and the loop has not told yet. */
Test(pool, what_has_ended_is_not_lent, .timeout = 60)
{
	struct world w;
	open_world(&w, 1);
	warm_up(&w, 1, 1);
	kill_at(&w, 1);
	start(&w);
	cr_expect_eq(counters(&w, 1).n_lent, 0);
	cr_expect_eq(counters(&w, 1).n_missed, 1);
	finish(&w);
	close_world(&w);
}

Test(pool, one_that_dies_before_its_first_answer_is_replaced_unseen, .timeout = 60)
{
	struct world w;
	open_world(&w, 2);
	warm_up(&w, 1, 2);
	start(&w);
	cr_expect_eq(counters(&w, 1).n_lent, 1);
	kill_at(&w, 1); /* before it reads the stack */
	finish(&w);
	cr_expect_eq(counters(&w, 1).n_dead_lent, 1);
	await_idle(&w, 1, 2);
	close_world(&w);
}

Test(pool, it_is_replaced_once, .timeout = 60)
{
	struct world w;
	open_world(&w, 1);
	warm_up(&w, 1, 1);
	start(&w);
	kill_at(&w, 1);
	hops_stop(&w.hops, 1);
	cr_assert(loop_run_until(w.hops.loop, &w.is_done, WAIT_MS));
	cr_expect_null(w.stream);
	cr_expect_eq(w.error.stage, CHAIN_DIAL);
	cr_expect_eq(w.error.code, -ECONNREFUSED);
	close_world(&w);
}

Test(pool, a_refusal_on_a_warm_connection_is_told, .timeout = 60)
{
	struct world w;
	open_world(&w, 2);
	warm_up(&w, 2, 1);
	listener_close(w.listener);
	w.listener = NULL;
	start(&w);
	cr_assert(loop_run_until(w.hops.loop, &w.is_done, WAIT_MS));
	cr_expect_eq(w.error.stage, CHAIN_STATUS);
	cr_expect_eq(w.error.hop, 2);
	cr_expect_str_eq(chain_error_slug(&w.error), "refused");
	close_world(&w);
}

Test(pool, life_is_proved_again_and_again, .timeout = 60)
{
	struct world w;
	open_world(&w, 3);
	is_proving = true;
	warm_up(&w, 2, 2);
	hops_turn(&w.hops, 10 * PROOF_MS);
	struct chain_pool_counters c = counters(&w, 2);
	cr_expect_eq(c.n_idle, 2);
	cr_expect_eq(c.n_built, 2, "the same ones");
	cr_expect_eq(c.n_dead_peer + c.n_dead_silent + c.n_dead_age, 0);
	is_proving = false; /* one NOOP more may be out */
	hops_turn(&w.hops, 3 * PROOF_MS);
	start(&w);
	cr_expect_eq(counters(&w, 2).n_lent, 1);
	finish(&w);
	close_world(&w);
}

Test(pool, what_was_not_heard_for_30_s_is_not_lent, .timeout = 60)
{
	struct world w;
	open_world(&w, 1);
	warm_up(&w, 1, 1);
	later_ms = POOL_FRESH_MS;
	start(&w);
	cr_expect_eq(counters(&w, 1).n_lent, 0);
	cr_expect_eq(counters(&w, 1).n_missed, 1);
	finish(&w);
	close_world(&w);
}

Test(pool, the_old_retire, .timeout = 60)
{
	struct world w;
	open_world(&w, 2);
	is_proving = true;
	warm_up(&w, 2, 2);
	later_ms = POOL_AGE_MS;
	hops_turn(&w.hops, 4 * PROOF_MS);
	cr_expect_eq(counters(&w, 2).n_dead_age, 2);
	await_idle(&w, 2, 2);
	close_world(&w);
}

Test(pool, a_silent_hop_is_not_kept, .timeout = 60)
{
	struct world w;
	open_world(&w, 1);
	warm_up(&w, 1, 2);
	chain_pools_remove(w.hops.client);
	hops_turn(&w.hops, 20);
	is_proving = true;
	warm_up(&w, 1, 2);
	hops_spoil(&w.hops, 1); /* no NOOP of ours is understood any more */
	hops_turn(&w.hops, 4 * PROOF_MS);
	cr_expect_eq(counters(&w, 1).n_dead_silent, 2);
	cr_expect_eq(counters(&w, 1).n_idle, 0);
	close_world(&w);
}

Test(pool, misses_double_what_is_kept_for_a_while, .timeout = 60)
{
	struct world w;
	open_world(&w, 1);
	is_proving = true;
	warm_up(&w, 1, 1);
	start(&w);
	chain_session_cancel(w.session);
	start(&w); /* the next one is not there yet */
	cr_expect_geq(counters(&w, 1).n_missed, 1);
	finish(&w);
	await_idle(&w, 1, 2);
	hops_turn(&w.hops, 4 * PROOF_MS);
	await_idle(&w, 1, 2);
	later_ms = POOL_BUSY_MS;
	await_idle(&w, 1, 1);
	cr_expect_eq(counters(&w, 1).n_dead_age, 1);
	close_world(&w);
}

Test(pool, a_way_that_fails_is_tried_less_and_less, .timeout = 60)
{
	struct world w;
	open_world(&w, 2);
	hops_stop(&w.hops, 2);
	w.hops.spec_hops[1].n_warm = 8;
	cr_assert_eq(chain_pools_add(w.pools, w.hops.client), 0);
	hops_turn(&w.hops, 2500);
	/* 8 at first; then one after 0.5 s, and one 1 s after that */
	cr_expect_geq(counters(&w, 2).n_failed, 9);
	cr_expect_leq(counters(&w, 2).n_failed, 11);
	cr_expect_eq(counters(&w, 2).n_idle, 0);
	close_world(&w);
}

Test(pool, ways_that_begin_alike_share, .timeout = 60)
{
	struct world w;
	struct chain_client *other;
	struct chain_hop hops[2];
	open_world(&w, 3);
	struct chain_spec spec = w.hops.spec;
	memcpy(hops, w.hops.spec_hops, sizeof hops);
	hops[1].addr = w.hops.spec_hops[2].addr;
	hops[1].key = w.hops.spec_hops[2].key;
	spec.hops = hops;
	spec.n_hops = 2;
	hops[0].n_warm = 3;
	cr_assert_eq(chain_client_new(w.hops.loop, NULL, &spec, &other), 0);
	warm_up(&w, 1, 1);
	cr_assert_eq(chain_pools_add(w.pools, other), 0);
	cr_assert_eq(chain_pools_add(w.pools, other), 0, "twice is once");
	await_idle(&w, 1, 3);
	cr_expect_eq(chain_pools_counters(other, 1).n_built, counters(&w, 1).n_built);
	chain_client_free(other);
	start(&w);
	finish(&w);
	close_world(&w);
}

Test(pool, may_go_at_any_time, .timeout = 60)
{
	struct world w;
	open_world(&w, 2);
	w.hops.spec_hops[1].n_warm = 4;
	for (int i = 0; i < 12; i++) {
		cr_assert_eq(chain_pools_add(w.pools, w.hops.client), 0);
		for (int k = 0; k < i; k++)
			loop_turn(w.hops.loop);
		chain_pools_remove(w.hops.client);
	}
	hops_turn(&w.hops, 50);
	close_world(&w);
}
