/* The anti-replay window: its edges, and random numbers against a model that remembers them all. */
#include "common/window.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EDGE (UINT64_C(1) << 48)

Test(window, takes_each_number_once)
{
	struct window window = { 0 };
	for (uint64_t n = 0; n < 5000; n++) {
		cr_assert(window_is_fresh(&window, n));
		cr_assert(window_is_fresh(&window, n), "asking changes nothing");
		cr_assert(window_take(&window, n));
		cr_assert(!window_is_fresh(&window, n));
		cr_assert(!window_take(&window, n));
	}
	cr_assert_eq(window.next, 5000);
}

Test(window, tells_exactly_1024_below_the_highest_apart)
{
	for (uint64_t highest = WINDOW_SIZE; highest < WINDOW_SIZE + 200; highest++) {
		struct window window = { 0 };
		cr_assert(window_take(&window, highest));
		cr_assert(window_is_fresh(&window, highest - WINDOW_SIZE));
		if (highest > WINDOW_SIZE)
			cr_assert(!window_is_fresh(&window, highest - WINDOW_SIZE - 1));
		for (uint64_t n = highest - WINDOW_SIZE; n < highest; n++)
			cr_assert(window_take(&window, n));
		for (uint64_t n = 0; n <= highest; n++)
			cr_assert(!window_take(&window, n));
	}
}

Test(window, takes_numbers_in_reverse)
{
	struct window window = { 0 };
	for (uint64_t n = WINDOW_SIZE + 1; n-- > 0;)
		cr_assert(window_take(&window, n), "%d", (int)n);
	for (uint64_t n = 0; n <= WINDOW_SIZE; n++)
		cr_assert(!window_is_fresh(&window, n));
}

Test(window, a_jump_forgets_nothing_that_it_could_take_again)
{
	for (uint64_t jump = 1; jump < 3 * WINDOW_SIZE; jump++) {
		struct window window = { 0 };
		for (uint64_t n = 0; n < WINDOW_SIZE; n++)
			cr_assert(window_take(&window, n));
		uint64_t highest = WINDOW_SIZE - 1 + jump;
		cr_assert(window_take(&window, highest));
		for (uint64_t n = 0; n < highest; n++) {
			bool is_fresh = n >= WINDOW_SIZE && highest - n <= WINDOW_SIZE;
			cr_assert_eq(window_is_fresh(&window, n), is_fresh);
		}
	}
}

Test(window, holds_at_the_edges_of_the_numbers)
{
	struct window window = { 0 };
	cr_assert(window_take(&window, EDGE - 3));
	cr_assert(window_take(&window, EDGE - 1));
	cr_assert(window_take(&window, EDGE - 2));
	cr_assert(!window_take(&window, EDGE - 1));
	cr_assert(window_is_fresh(&window, EDGE - 1 - WINDOW_SIZE));
	cr_assert(!window_is_fresh(&window, EDGE - 2 - WINDOW_SIZE));
	cr_assert(window_take(&window, EDGE));

	cr_assert(window_take(&window, UINT64_MAX - 1));
	cr_assert(!window_take(&window, UINT64_MAX), "there is no number after it");
	cr_assert(!window_take(&window, UINT64_MAX - 1));
	cr_assert(window_take(&window, UINT64_MAX - 1 - WINDOW_SIZE));
	cr_assert(!window_take(&window, 0));
}

/* ---- Against the model: a flag for each number from @base on. */

#define N_NUMBERS 60000

static uint8_t was_taken[N_NUMBERS];
static uint32_t seed;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)seed * below >> 32);
}

static void run_against_model(uint64_t base, uint32_t this_seed)
{
	static const uint32_t steps[] = { 2, 3, 70, 1030, 4000 };
	struct window window = { 0 };
	uint64_t highest = 0;
	bool has_highest = false;

	memset(was_taken, 0, sizeof was_taken);
	seed = this_seed;
	for (unsigned i = 0; i < 30000; i++) {
		uint64_t n;
		if (next_random(2) == 0 || highest < 2000)
			n = highest +
			    next_random(
				    steps[next_random(100) < 96 ? next_random(3) : next_random(5)]);
		else
			n = highest - next_random(next_random(2) == 0 ? 1100 : 20);
		if (n >= N_NUMBERS)
			break;
		bool is_fresh = !was_taken[n] &&
				(!has_highest || n > highest || highest - n <= WINDOW_SIZE);
		cr_assert_eq(window_is_fresh(&window, base + n), is_fresh, "seed %u, step %u",
			this_seed, i);
		if (next_random(8) == 0)
			continue; /* did not authenticate */
		cr_assert_eq(
			window_take(&window, base + n), is_fresh, "seed %u, step %u", this_seed, i);
		was_taken[n] = 1;
		highest = has_highest && highest > n ? highest : n;
		has_highest = true;
	}
}

Test(window, agrees_with_a_naive_model)
{
	for (uint32_t s = 1; s <= 100; s++) {
		run_against_model(0, s);
		run_against_model(EDGE - 1 - s * 100, s);
		run_against_model(UINT64_MAX - N_NUMBERS, s);
	}
}

Test(window, what_lies_below_a_start_counts_as_seen)
{
	const uint64_t starts[] = { 0, 1, 63, 64, 65, 1023, 1024, 5000, UINT64_C(1) << 47 };
	for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
		struct window w;
		uint64_t start = starts[i];
		window_start(&w, start);
		for (uint64_t below = 1; below <= 2 * WINDOW_SIZE && below <= start; below++)
			cr_assert(!window_take(&w, start - below));
		for (uint64_t above = 0; above < 3 * WINDOW_SIZE; above++) {
			cr_assert(window_take(&w, start + above), "start %" PRIu64, start);
			cr_assert(!window_take(&w, start + above));
		}
	}
}
