#include "chain/health.h"

#include "common/seal.h"

#include <criterion/criterion.h>

#define RETRY_MS 30000

static struct chain_health *health;
static struct chain_health_entry *entry;

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(chain_health_new(&health), 0);
	entry = chain_health_get(health, "a", 1, 0);
	cr_assert_not_null(entry);
}

static void tear_down(void)
{
	chain_health_put(entry, 0);
	chain_health_free(health);
}

TestSuite(health, .init = set_up, .fini = tear_down);

static struct chain_health_state state_of(const struct chain_health_entry *e)
{
	struct chain_health_state state;
	chain_health_read(e, &state);
	return state;
}

/* Fails until @entry is aside. */
static void put_aside(uint64_t now_ms)
{
	while (!chain_health_failed(entry, "refused", 3, RETRY_MS, now_ms))
		cr_assert_lt(state_of(entry).n_failed, 3);
}

static void expect_about(uint64_t value, uint64_t wanted)
{
	cr_expect(value >= wanted * 4 / 5 && value <= wanted * 6 / 5, "%lu is not about %lu",
		(unsigned long)value, (unsigned long)wanted);
}

Test(health, one_is_put_aside_after_failures_in_a_row_only)
{
	cr_expect_not(chain_health_failed(entry, "refused", 3, RETRY_MS, 1000));
	cr_expect_not(chain_health_failed(entry, "refused", 3, RETRY_MS, 1000));
	cr_expect_not(chain_health_ok(entry, 0, 1000));
	cr_expect_not(chain_health_failed(entry, "refused", 3, RETRY_MS, 1000));
	cr_expect_not(chain_health_failed(entry, "timeout", 3, RETRY_MS, 1000));
	cr_expect_not(state_of(entry).is_aside);
	cr_expect(chain_health_failed(entry, "no-answer", 3, RETRY_MS, 2000));
	struct chain_health_state state = state_of(entry);
	cr_expect(state.is_aside);
	cr_expect_eq(state.n_failed_in_row, 3);
	cr_expect_eq(state.n_failed, 5);
	cr_expect_eq(state.n_ok, 1);
	cr_expect_eq(state.loss_per_mille, 5 * 1000 / 6);
	cr_expect_str_eq(state.last_error, "no-answer");
	cr_expect_eq(state.last_error_ms, 2000);
	cr_expect_eq(state.last_ok_ms, 1000);
	expect_about(state.back_ms - 2000, RETRY_MS);
}

Test(health, the_time_aside_doubles_up_to_sixteen_times)
{
	static const unsigned times[] = { 1, 2, 4, 8, 16, 16, 16 };
	uint64_t now_ms = 5000;
	put_aside(now_ms);
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		struct chain_health_state state = state_of(entry);
		expect_about(state.back_ms - now_ms, (uint64_t)RETRY_MS * times[i]);
		now_ms = state.back_ms;
		cr_expect_not(chain_health_failed(entry, "refused", 3, RETRY_MS, now_ms));
	}
	cr_expect(chain_health_ok(entry, 0, now_ms), "it is back");
	cr_expect_not(chain_health_ok(entry, 0, now_ms), "it was back");
	cr_expect_eq(state_of(entry).back_ms, 0);
	for (int i = 0; i < 3; i++)
		(void)chain_health_failed(entry, "refused", 3, RETRY_MS, now_ms);
	expect_about(state_of(entry).back_ms - now_ms, RETRY_MS);
}

Test(health, who_is_tried_although_aside_is_not_aside_for_longer)
{
	put_aside(1000);
	uint64_t back_ms = state_of(entry).back_ms;
	cr_expect_not(chain_health_failed(entry, "refused", 3, RETRY_MS, back_ms - 1));
	cr_expect_eq(state_of(entry).back_ms, back_ms);
}

Test(health, one_asks_whether_it_lives_again)
{
	cr_expect_not(chain_health_claim(entry, 1000), "it is not aside");
	put_aside(1000);
	uint64_t back_ms = state_of(entry).back_ms;
	cr_expect_not(chain_health_claim(entry, back_ms - 1));
	cr_expect(chain_health_claim(entry, back_ms));
	cr_expect_eq(state_of(entry).asked_ms, back_ms + CHAIN_HEALTH_ASK_MS);
	cr_expect_not(chain_health_claim(entry, back_ms + CHAIN_HEALTH_ASK_MS - 1));
	cr_expect(chain_health_claim(entry, back_ms + CHAIN_HEALTH_ASK_MS));
	(void)chain_health_failed(entry, "refused", 3, RETRY_MS, back_ms + CHAIN_HEALTH_ASK_MS);
	cr_expect_not(chain_health_claim(entry, back_ms + 2 * CHAIN_HEALTH_ASK_MS));
	cr_expect(chain_health_claim(entry, state_of(entry).back_ms));
}

Test(health, an_rtt_is_smoothed_and_forgotten_by_death)
{
	(void)chain_health_ok(entry, 8000, 1000);
	cr_expect_eq(state_of(entry).rtt_us, 8000);
	(void)chain_health_ok(entry, 16000, 2000);
	cr_expect_eq(state_of(entry).rtt_us, 9000);
	(void)chain_health_ok(entry, 0, 3000);
	cr_expect_eq(state_of(entry).rtt_us, 9000);
	cr_expect_eq(state_of(entry).rtt_ms, 2000);
	put_aside(4000);
	(void)chain_health_ok(entry, 40000, 5000);
	cr_expect_eq(state_of(entry).rtt_us, 40000);
}

Test(health, loss_is_of_the_last_64_tries)
{
	for (int i = 0; i < 64; i++)
		(void)chain_health_failed(entry, "refused", 1000, RETRY_MS, 1000);
	cr_expect_eq(state_of(entry).loss_per_mille, 1000);
	for (int i = 0; i < 16; i++)
		(void)chain_health_ok(entry, 0, 1000);
	cr_expect_eq(state_of(entry).loss_per_mille, 750);
	for (int i = 0; i < 48; i++)
		(void)chain_health_ok(entry, 0, 1000);
	cr_expect_eq(state_of(entry).loss_per_mille, 0);
}

Test(health, an_entry_is_the_same_for_all_and_for_a_while_after)
{
	struct chain_health_entry *same = chain_health_get(health, "a", 1, 0);
	struct chain_health_entry *other = chain_health_get(health, "ab", 2, 0);
	cr_expect_eq(same, entry);
	cr_expect_neq(other, entry);
	chain_health_put(same, 0);
	(void)chain_health_ok(other, 7000, 1000);
	chain_health_put(other, 1000);
	other = chain_health_get(health, "ab", 2, 1000 + CHAIN_HEALTH_KEEP_MS - 1);
	cr_expect_eq(state_of(other).rtt_us, 7000);
	chain_health_put(other, 1000);
	other = chain_health_get(health, "ab", 2, 1000 + CHAIN_HEALTH_KEEP_MS);
	cr_expect_eq(state_of(other).rtt_us, 0, "forgotten");
	chain_health_put(other, 1000 + CHAIN_HEALTH_KEEP_MS);
	cr_expect_eq(state_of(entry).n_ok, 0);
}

Test(health, what_nobody_holds_has_a_limit)
{
	for (uint32_t i = 0; i < CHAIN_HEALTH_UNUSED_MAX + 10; i++) {
		struct chain_health_entry *e = chain_health_get(health, &i, sizeof i, i);
		(void)chain_health_ok(e, 1000, i);
		chain_health_put(e, i);
	}
	uint32_t oldest = 0, newest = CHAIN_HEALTH_UNUSED_MAX + 9;
	struct chain_health_entry *e = chain_health_get(health, &newest, sizeof newest, newest);
	cr_expect_eq(state_of(e).n_ok, 1);
	chain_health_put(e, newest);
	e = chain_health_get(health, &oldest, sizeof oldest, newest);
	cr_expect_eq(state_of(e).n_ok, 0);
	chain_health_put(e, newest);
}
