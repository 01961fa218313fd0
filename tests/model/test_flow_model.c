/*
 * The flow rules against faults: hundreds of seeded lives of a chain (tests/model/scenario.h).
 * MODEL_SEEDS=N runs N of them; MODEL_SEED=N only that one; MODEL_TRACE=1 shows each datagram.
 */
#include "common/log.h"
#include "common/record.h"
#include "tests/model/scenario.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define N_SEEDS       300
#define N_TIMES       65536 /* what is told of */
#define N_PLANT_SEEDS 60    /* a planted mistake is seen within so many */

static struct scenario running;

/* An assertion in the rules ends the process: say where. */
static void on_abort(int number)
{
	char text[64];
	int n = snprintf(text, sizeof text, "\nflow model: aborted in seed %llu\n",
		(unsigned long long)running.seed);

	(void)number;
	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(1);
}

static void start(void)
{
	struct sigaction action = { .sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND };

	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(record_start(), 0);
	log_set_level(LOG_LEVEL_ERROR);
	sigaction(SIGABRT, &action, NULL);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static bool run(uint64_t seed, bool is_calm, enum plant plant, struct scenario_result *ret)
{
	running = (struct scenario){
		.seed = seed,
		.fault = (enum fault)(seed % FAULT_N),
		.is_calm = is_calm,
		.plant = plant,
	};
	scenario_run(&running, ret);
	return ret->broken[0] == '\0';
}

/* ---- Recovery. */

struct times {
	uint32_t ms[N_TIMES];
	size_t n;
};

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t quantile(const struct times *times, unsigned per_cent)
{
	return times->n == 0 ? 0 : times->ms[(times->n - 1) * per_cent / 100];
}

static void check_times(struct times *times, const char *what, uint32_t median_ms)
{
	qsort(times->ms, times->n, sizeof times->ms[0], compare);
	fprintf(stderr, "flow model: %s: %zu recoveries, median %u ms, 99%% %u ms, worst %u ms\n",
		what, times->n, quantile(times, 50), quantile(times, 99), quantile(times, 100));
	cr_expect_leq(quantile(times, 50), median_ms, "%s", what);
	cr_expect_leq(quantile(times, 99), 5000, "%s", what);
	cr_expect_leq(quantile(times, 100), 15000, "%s", what);
}

static void run_all(bool is_calm, uint64_t n_seeds)
{
	static struct times times[FAULT_N];
	uint64_t only = number_from("MODEL_SEED", 0), n_delivered = 0;

	start();
	for (uint64_t seed = only == 0 ? 1 : only; seed <= (only == 0 ? n_seeds : only); seed++) {
		struct scenario_result result;
		struct times *t = &times[seed % FAULT_N];
		cr_expect(run(seed, is_calm, PLANT_NOTHING, &result), "seed %llu, %u hops: %s",
			(unsigned long long)seed, result.n_hops, result.broken);
		n_delivered += result.n_delivered;
		for (unsigned i = 0; i < result.n_apps && t->n < N_TIMES; i++) {
			t->ms[t->n++] = result.recovery_ms[i];
			if (result.recovery_ms[i] > 5000)
				fprintf(stderr, "flow model: seed %llu: %u ms, %u hops\n",
					(unsigned long long)seed, result.recovery_ms[i],
					result.n_hops);
		}
	}
	fprintf(stderr, "flow model: %llu datagrams delivered\n", (unsigned long long)n_delivered);
	check_times(&times[FAULT_REBINDING], "NAT rebinding", 500);
	check_times(&times[FAULT_RESTART], "restart of a hop", 4000);
}

Test(flow_model, holds_its_rules_and_recovers, .timeout = 600)
{
	run_all(false, number_from("MODEL_SEEDS", N_SEEDS));
}

Test(flow_model, recovers_from_one_fault_alone, .timeout = 600)
{
	run_all(true, number_from("MODEL_SEEDS", N_SEEDS) / 4);
}

/* ---- Mistakes. */

static void expect_caught(enum plant plant)
{
	struct scenario_result result;

	start();
	for (uint64_t seed = 1; seed <= N_PLANT_SEEDS; seed++) {
		bool holds = run(seed, false, plant, &result);
		for (unsigned i = 0; i < result.n_apps && holds; i++)
			holds = result.recovery_ms[i] < 15000;
		if (holds)
			continue;
		fprintf(stderr, "flow model: '%s' is seen in seed %llu: %s\n", plant_name(plant),
			(unsigned long long)seed,
			result.broken[0] != '\0' ? result.broken : "no recovery");
		return;
	}
	cr_assert_fail("'%s' is not seen", plant_name(plant));
}

Test(flow_model, sees_a_window_that_takes_all)
{
	expect_caught(PLANT_WINDOW);
}

Test(flow_model, sees_addresses_that_are_all_equal)
{
	expect_caught(PLANT_SOURCE);
}

Test(flow_model, sees_a_replay_store_that_forgets)
{
	expect_caught(PLANT_REPLAY);
}

Test(flow_model, sees_ids_that_do_not_matter)
{
	expect_caught(PLANT_FLOW_ID);
}

Test(flow_model, sees_timers_that_never_run)
{
	expect_caught(PLANT_TIMERS);
}

Test(flow_model, sees_tags_that_do_not_matter)
{
	expect_caught(PLANT_TAG);
}
