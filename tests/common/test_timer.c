/* The timer wheel: examples, and random sequences against a model that looks at every timer. */
#include "common/timer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define SLACK_MS 16

static unsigned n_fired;

static void count(struct timer *timer)
{
	cr_assert(!timer_is_running(timer));
	n_fired++;
}

static struct timer_wheel *wheel_at(uint64_t now_ms)
{
	struct timer_wheel *wheel;
	cr_assert_eq(timer_wheel_new(now_ms, &wheel), 0);
	n_fired = 0;
	return wheel;
}

Test(timer, fires_once_never_early_and_at_most_16_ms_late)
{
	for (uint64_t start = 1000; start < 1040; start++) {
		for (uint64_t delay = 0; delay < 70; delay++) {
			struct timer_wheel *wheel = wheel_at(start);
			struct timer timer = { .next = NULL };
			timer_start(wheel, &timer, start + delay, count);
			cr_assert(timer_is_running(&timer));
			for (uint64_t now = start; now < start + 200; now++) {
				timer_wheel_run(wheel, now);
				if (now < start + delay)
					cr_assert_eq(n_fired, 0, "early by %d",
						(int)(start + delay - now));
				if (now >= start + delay + SLACK_MS)
					cr_assert_eq(n_fired, 1);
			}
			timer_wheel_free(wheel);
		}
	}
}

Test(timer, waits_several_revolutions)
{
	struct timer_wheel *wheel = wheel_at(5);
	struct timer timer = { .next = NULL };
	uint64_t at = 5 + 3600 * 1000;
	uint64_t now = 5;
	unsigned n_wakes = 0;
	timer_start(wheel, &timer, at, count);
	while (n_fired == 0) {
		int wait = timer_wheel_next_ms(wheel, now);
		cr_assert_geq(wait, 0);
		cr_assert_leq(wait, 1024 * 16);
		now += (uint64_t)wait;
		n_wakes++;
		timer_wheel_run(wheel, now);
		cr_assert(now >= at || n_fired == 0);
	}
	cr_assert_lt(now, at + SLACK_MS);
	cr_assert_leq(n_wakes, 3600 / 16 + 2);
	cr_assert_eq(timer_wheel_next_ms(wheel, now), -1);
	timer_wheel_free(wheel);
}

Test(timer, stop_is_idempotent_and_restart_moves)
{
	struct timer_wheel *wheel = wheel_at(0);
	struct timer timer = { .next = NULL };
	timer_stop(wheel, &timer);
	timer_start(wheel, &timer, 100, count);
	timer_stop(wheel, &timer);
	timer_stop(wheel, &timer);
	cr_assert_eq(timer_wheel_next_ms(wheel, 0), -1);
	timer_start(wheel, &timer, 100, count);
	timer_start(wheel, &timer, 500, count);
	timer_wheel_run(wheel, 400);
	cr_assert_eq(n_fired, 0);
	timer_wheel_run(wheel, 516);
	cr_assert_eq(n_fired, 1);
	timer_wheel_free(wheel);
}

Test(timer, a_clock_that_goes_back_or_leaps_does_no_harm)
{
	struct timer_wheel *wheel = wheel_at(1000000);
	struct timer near = { .next = NULL }, far = { .next = NULL };
	timer_start(wheel, &near, 1000100, count);
	timer_start(wheel, &far, UINT64_MAX, count);
	timer_wheel_run(wheel, 10);
	cr_assert_eq(n_fired, 0);
	cr_assert_leq(timer_wheel_next_ms(wheel, 10), 1024 * 16);
	timer_wheel_run(wheel, UINT64_C(1) << 50);
	cr_assert_eq(n_fired, 1);
	cr_assert(timer_is_running(&far));
	timer_stop(wheel, &far);
	timer_wheel_free(wheel);
}

static struct timer_wheel *the_wheel;
static struct timer trio[3];

static void stop_the_others(struct timer *timer)
{
	n_fired++;
	for (int i = 0; i < 3; i++)
		if (&trio[i] != timer)
			timer_stop(the_wheel, &trio[i]);
}

static void restart_in_the_past(struct timer *timer)
{
	n_fired++;
	timer_start(the_wheel, timer, 0, restart_in_the_past);
}

Test(timer, callback_stops_others_of_the_same_slot)
{
	the_wheel = wheel_at(0);
	for (int i = 0; i < 3; i++)
		timer_start(the_wheel, &trio[i], 40, stop_the_others);
	timer_wheel_run(the_wheel, 100);
	cr_assert_eq(n_fired, 1);
	timer_wheel_free(the_wheel);
}

Test(timer, callback_that_restarts_itself_runs_once_a_run)
{
	the_wheel = wheel_at(0);
	struct timer timer = { .next = NULL };
	timer_start(the_wheel, &timer, 0, restart_in_the_past);
	for (uint64_t now = 16; now <= 1600; now += 16)
		timer_wheel_run(the_wheel, now);
	cr_assert_eq(n_fired, 100);
	timer_wheel_run(the_wheel, 100000); /* a long sleep is one run */
	cr_assert_eq(n_fired, 101);
	timer_stop(the_wheel, &timer);
	timer_wheel_free(the_wheel);
}

/* ---- Against the model. */

#define N_TIMERS 200

static struct modelled {
	struct timer timer;     /* first */
	uint64_t at_ms, due_ms; /* due: at, or when it was started if that was later */
	bool is_running;
} modelled[N_TIMERS];
static uint64_t now_ms;
static uint32_t seed;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)seed * below >> 32);
}

static void on_modelled(struct timer *timer);

static void start_some(void)
{
	static const uint32_t ranges[] = { 1, 20, 300, 5000, 40000, 400000 };
	struct modelled *m = &modelled[next_random(N_TIMERS)];
	m->at_ms = now_ms + next_random(ranges[next_random(6)]);
	if (next_random(20) == 0)
		m->at_ms = now_ms - next_random(1000);
	m->due_ms = m->at_ms > now_ms ? m->at_ms : now_ms;
	m->is_running = true;
	timer_start(the_wheel, &m->timer, m->at_ms, on_modelled);
}

static void stop_some(void)
{
	struct modelled *m = &modelled[next_random(N_TIMERS)];
	m->is_running = false;
	timer_stop(the_wheel, &m->timer);
}

static void on_modelled(struct timer *timer)
{
	struct modelled *m = (struct modelled *)timer;
	cr_assert(m->is_running);
	cr_assert_leq(m->at_ms, now_ms);
	m->is_running = false;
	if (next_random(4) == 0)
		start_some();
	if (next_random(4) == 0)
		stop_some();
}

/* The latest moment by which the wheel must ask to be run. */
static void check_next(void)
{
	uint64_t first = UINT64_MAX;
	int next = timer_wheel_next_ms(the_wheel, now_ms);
	for (int i = 0; i < N_TIMERS; i++) {
		cr_assert_eq(timer_is_running(&modelled[i].timer), modelled[i].is_running);
		if (modelled[i].is_running && modelled[i].at_ms < first)
			first = modelled[i].at_ms;
	}
	if (first == UINT64_MAX) {
		cr_assert_lt(next, 1024 * 16 + 1);
		return;
	}
	cr_assert_geq(next, 0);
	uint64_t latest = (first > now_ms ? first : now_ms) + SLACK_MS;
	cr_assert_leq(now_ms + (uint64_t)next, latest);
}

Test(timer, agrees_with_a_naive_model)
{
	for (seed = 1; seed < 20; seed++) {
		uint32_t this_seed = seed;
		now_ms = 1000000;
		the_wheel = wheel_at(now_ms);
		memset(modelled, 0, sizeof modelled);
		for (int step = 0; step < 20000; step++) {
			uint32_t what = next_random(10);
			if (what < 4)
				start_some();
			else if (what < 6)
				stop_some();
			else
				now_ms += next_random(what == 9 ? 3000 : 30);
			if (step % 997 == 0)
				now_ms += next_random(100000);
			timer_wheel_run(the_wheel, now_ms);
			for (int i = 0; i < N_TIMERS; i++)
				cr_assert(!modelled[i].is_running ||
						  modelled[i].due_ms + SLACK_MS > now_ms,
					"seed %u: not fired", this_seed);
			check_next();
		}
		for (int i = 0; i < N_TIMERS; i++)
			timer_stop(the_wheel, &modelled[i].timer);
		timer_wheel_free(the_wheel);
		seed = this_seed;
	}
}
