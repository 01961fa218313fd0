/* Token buckets in virtual time: rates, bursts, shares, sets of several, datagrams. */
#include "common/shaper.h"

#include <criterion/criterion.h>

#define KIB   UINT64_C(1024)
#define MIB   (KIB * 1024)
#define START UINT64_C(5000000)

static struct shaper_set set_of(uint64_t a, uint64_t b)
{
	struct shaper_set set = { .n = 0 };
	uint64_t rates[] = { a, b };
	for (int i = 0; i < 2; i++) {
		struct shaper *shaper;
		cr_assert_eq(shaper_new(rates[i], &shaper), 0);
		shaper_set_add(&set, shaper);
		shaper_release(shaper); /* the set holds it */
	}
	return set;
}

static uint64_t burst_of(uint64_t rate)
{
	return rate / 20 > SHAPER_BURST_MIN ? rate / 20 : SHAPER_BURST_MIN;
}

/* What one reader gets who asks whenever he is told to, for @us. */
static uint64_t read_for(const struct shaper_set *set, uint64_t us)
{
	struct shaper_wait wait = { .at = NULL };
	uint64_t sum = 0, at = START;
	while (at < START + us) {
		size_t n = shaper_set_ask(set, SHAPER_DOWN, &wait, at);
		sum += n;
		if (n == 0)
			at += (wait.ms + 15) / 16 * 16 * 1000; /* as the wheel does */
	}
	shaper_wait_end(&wait, SHAPER_DOWN);
	return sum;
}

Test(shaper, one_reader_gets_the_rate_and_one_burst)
{
	static const uint64_t rates[] = { 1, 1000, 10 * KIB, 100 * KIB, MIB, 50 * MIB, 1024 * MIB };
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct shaper_set set = set_of(rates[i], 0);
		uint64_t got = read_for(&set, 3000000), most = rates[i] * 3 + burst_of(rates[i]);
		cr_expect_leq(got, most, "rate %zu: %zu", (size_t)rates[i], (size_t)got);
		cr_expect_geq(got + 4096, most - most / 50, "rate %zu: %zu of %zu",
			(size_t)rates[i], (size_t)got, (size_t)most);
		shaper_set_release(&set);
	}
}

Test(shaper, the_smallest_of_a_set_decides)
{
	struct shaper_set both = set_of(50 * MIB, MIB), one = { .n = 0 };
	uint64_t got = read_for(&both, 3000000);
	cr_expect_leq(got, 3 * MIB + burst_of(MIB));
	cr_expect_geq(got, 3 * MIB);
	shaper_set_add(&one, both.of[0]);
	struct shaper_wait wait = { .at = NULL };
	cr_expect_gt(shaper_set_ask(&one, SHAPER_DOWN, &wait, START + 3000000), 0,
		"the larger one has not been used up");
	cr_expect_gt(shaper_set_ask(&both, SHAPER_UP, &wait, START), 0, "nor has the other lane");
	shaper_set_release(&one);
	shaper_set_release(&both);
}

/* Many at one bucket, asking in any order: what each got differs by little. */
Test(shaper, those_who_wait_get_equal_shares)
{
	enum {
		N = 7
	};
	struct shaper_set set = set_of(10 * MIB, 0);
	struct shaper_wait waits[N] = { { .at = NULL } };
	uint64_t got[N] = { 0 }, least = UINT64_MAX, most = 0;
	uint32_t order = 1;
	for (uint64_t at = START; at < START + 10000000; at += 1000) {
		order = order * 1664525 + 1013904223;
		unsigned i = (order >> 16) % N;
		got[i] += shaper_set_ask(&set, SHAPER_UP, &waits[i], at);
	}
	for (int i = 0; i < N; i++) {
		shaper_wait_end(&waits[i], SHAPER_UP);
		least = got[i] < least ? got[i] : least;
		most = got[i] > most ? got[i] : most;
	}
	cr_expect_leq(most * 10, least * 11, "from %zu to %zu", (size_t)least, (size_t)most);
	shaper_set_release(&set);
}

Test(shaper, nobody_goes_before_those_who_wait)
{
	struct shaper_set set = set_of(MIB, 0);
	struct shaper_wait first = { .at = NULL }, second = { .at = NULL };
	while (shaper_set_ask(&set, SHAPER_UP, &first, START) > 0)
		;
	cr_expect_eq(shaper_set_ask(&set, SHAPER_UP, &second, START + 16000), 0);
	cr_expect_gt(shaper_set_ask(&set, SHAPER_UP, &first, START + 16000), 0);
	cr_expect_gt(shaper_set_ask(&set, SHAPER_UP, &second, START + 32000), 0);
	cr_expect(first.at == NULL && second.at == NULL);
	shaper_set_release(&set);
}

/* Who waits for his own slow limit does not hold up others at a fast one that both have. */
Test(shaper, a_slow_one_holds_nobody_up)
{
	struct shaper_set slow = set_of(50 * MIB, 1), fast = { .n = 0 };
	struct shaper_wait wait = { .at = NULL };
	shaper_set_add(&fast, slow.of[0]);
	while (shaper_set_ask(&slow, SHAPER_DOWN, &wait, START - 100000) > 0)
		;
	uint64_t got = read_for(&fast, 1000000);
	cr_expect_geq(got, 50 * MIB);
	shaper_wait_end(&wait, SHAPER_DOWN);
	shaper_set_release(&fast);
	shaper_set_release(&slow);
}

Test(shaper, datagrams_over_a_rate_are_refused_and_cost_nothing)
{
	struct shaper_set set = set_of(100 * MIB, 100 * KIB);
	unsigned n_taken = 0;
	for (uint64_t at = START; at < START + 1000000; at += 100)
		n_taken += shaper_set_take(&set, SHAPER_UP, 1000, at);
	cr_expect_leq(n_taken * 1000, 100 * KIB + SHAPER_BURST_MIN);
	cr_expect_geq(n_taken * 1000, 100 * KIB + SHAPER_BURST_MIN - 2000);
	struct shaper_set wide = { .n = 0 };
	shaper_set_add(&wide, set.of[0]);
	cr_expect(shaper_set_take(&wide, SHAPER_UP, 60000, START + 1000000),
		"what the narrow one refused was given back");
	cr_expect(shaper_set_take(&set, SHAPER_DOWN, 65507, START), "the largest fits");
	shaper_set_release(&wide);
	shaper_set_release(&set);
}

Test(shaper, debts_are_paid_and_refunds_return)
{
	struct shaper_set set = set_of(MIB, 0);
	struct shaper_wait wait = { .at = NULL };
	shaper_set_charge(&set, SHAPER_UP, 2 * MIB, START);
	cr_expect_eq(shaper_set_ask(&set, SHAPER_UP, &wait, START + 1900000), 0);
	cr_expect_gt(wait.ms, 16);
	shaper_set_refund(&set, SHAPER_UP, MIB);
	cr_expect_gt(shaper_set_ask(&set, SHAPER_UP, &wait, START + 1000000), 0);
	shaper_set_release(&set);
}

Test(shaper, a_rate_is_set_while_somebody_waits)
{
	struct shaper_set set = set_of(1, 0);
	struct shaper_wait wait = { .at = NULL };
	while (shaper_set_ask(&set, SHAPER_UP, &wait, START) > 0)
		;
	cr_expect_leq(wait.ms, 1000, "so that a new rate is seen");
	shaper_set_rate(set.of[0], 0);
	cr_expect_gt(shaper_set_ask(&set, SHAPER_UP, &wait, START + 1000), 65536);
	shaper_set_rate(set.of[0], MIB);
	size_t n = shaper_set_ask(&set, SHAPER_UP, &wait, START + 1000);
	cr_expect(n > 0 && n <= SHAPER_BURST_MIN);
	shaper_set_release(&set);
}

/* What one was given he keeps when a rate is lowered or comes back: it must not be for long. */
Test(shaper, nobody_is_given_much_at_a_time)
{
	static const uint64_t rates[] = { 0, 1, 50 * MIB, UINT64_C(1) << 36, UINT64_MAX };
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct shaper_set set = set_of(1, rates[i]);
		struct shaper_wait wait = { .at = NULL };
		size_t n = shaper_set_ask(&set, SHAPER_UP, &wait, START);
		cr_expect(n > 0 && n <= 256 * 1024, "%zu", n);
		shaper_set_release(&set);
	}
}
