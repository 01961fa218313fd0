#include "chain/select.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define N 4

static struct chain_select_candidate candidates[N];
static uint64_t random_state;
static struct chain_select_query query;

static void set_up(void)
{
	static const uint32_t weights[N] = { 5, 1, 1, 3 };
	random_state = 42;
	query = (struct chain_select_query){ .random = &random_state };
	for (size_t i = 0; i < N; i++)
		candidates[i] = (struct chain_select_candidate){
			.identity = chain_select_hash(&i, sizeof i), .weight = weights[i]
		};
}

TestSuite(select, .init = set_up);

static size_t choose(void)
{
	return chain_select(&query, candidates, N);
}

static const char *why(size_t i_chosen, size_t i)
{
	static char text[64];
	return chain_select_why(&query, candidates, i_chosen, i, text, sizeof text);
}

static void expect_about(unsigned n, unsigned wanted)
{
	cr_expect(n * 100 > wanted * 90 && n * 100 < wanted * 110, "%u is not about %u", n, wanted);
}

Test(select, the_first_that_lives)
{
	cr_expect_eq(choose(), 0);
	candidates[0].is_aside = true;
	cr_expect_eq(choose(), 1);
	candidates[1].is_tried = true;
	cr_expect_eq(choose(), 2);
	cr_expect_str_eq(why(2, 0), "aside");
	cr_expect_str_eq(why(2, 1), "has failed for this connection");
	cr_expect_str_eq(why(2, 2), "the first that lives");
	cr_expect_str_eq(why(2, 3), "an earlier one lives");
}

Test(select, whoever_is_aside_comes_last_and_by_the_time_of_return)
{
	static const enum chain_strategy all[] = { CHAIN_FIRST, CHAIN_ROUND_ROBIN, CHAIN_RANDOM,
		CHAIN_LOWEST_RTT, CHAIN_HASH_SOURCE, CHAIN_HASH_TARGET };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		set_up();
		query.strategy = all[i];
		for (size_t k = 0; k < N; k++) {
			candidates[k].is_aside = k != 2;
			candidates[k].back_ms = 100 - k;
		}
		cr_expect_eq(choose(), 2);
		candidates[2].is_tried = true;
		cr_expect_eq(choose(), 3);
		cr_expect_str_eq(why(3, 3), "nothing else is left, and this one is back first");
		candidates[3].is_tried = true;
		cr_expect_eq(choose(), 1);
		candidates[1].is_tried = candidates[0].is_tried = true;
		cr_expect_eq(choose(), CHAIN_SELECT_NONE);
	}
	cr_expect_eq(chain_select(&query, candidates, 0), CHAIN_SELECT_NONE);
}

Test(select, a_higher_tier_only_without_the_lower)
{
	query.strategy = CHAIN_ROUND_ROBIN;
	for (size_t i = 0; i < N; i++)
		candidates[i].tier = i < 2 ? 10 : 20;
	for (int i = 0; i < 20; i++)
		cr_assert_lt(choose(), 2);
	cr_expect_str_eq(why(0, 3), "one of higher priority lives");
	candidates[0].is_aside = candidates[1].is_tried = true;
	for (int i = 0; i < 20; i++)
		cr_assert_geq(choose(), 2);
	cr_assert_lt(choose(), N);
}

Test(select, turns_are_shared_by_weight_and_spread)
{
	unsigned n[N] = { 0 }, n_in_row = 0, longest = 0;
	size_t last = N;
	query.strategy = CHAIN_ROUND_ROBIN;
	for (int i = 0; i < 1000; i++) {
		size_t chosen = choose();
		n[chosen]++;
		n_in_row = chosen == last ? n_in_row + 1 : 1;
		longest = n_in_row > longest ? n_in_row : longest;
		last = chosen;
	}
	cr_expect(n[0] == 500 && n[1] == 100 && n[2] == 100 && n[3] == 300, "%u %u %u %u", n[0],
		n[1], n[2], n[3]);
	cr_expect_leq(longest, 2);
}

Test(select, chance_follows_the_weights_of_those_that_live)
{
	unsigned n[N] = { 0 };
	query.strategy = CHAIN_RANDOM;
	for (int i = 0; i < 20000; i++)
		n[choose()]++;
	expect_about(n[0], 10000);
	expect_about(n[1], 2000);
	expect_about(n[2], 2000);
	expect_about(n[3], 6000);
	memset(n, 0, sizeof n);
	candidates[0].is_aside = true;
	candidates[1].weight = 0; /* counts as 1 */
	for (int i = 0; i < 20000; i++)
		n[choose()]++;
	cr_expect_eq(n[0], 0);
	expect_about(n[1], 4000);
	expect_about(n[3], 12000);
}

static void set_rtts(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	uint32_t rtts[N] = { a, b, c, d };
	for (size_t i = 0; i < N; i++) {
		candidates[i].rtt_us = rtts[i];
		candidates[i].weight = 1;
	}
}

Test(select, the_nearest_after_each_was_offered_once)
{
	query.strategy = CHAIN_LOWEST_RTT;
	set_rtts(31200, 0, 12400, 0);
	cr_expect_eq(choose(), 1);
	cr_expect_str_eq(why(1, 1), "to be measured");
	cr_expect_str_eq(why(1, 0), "the other is to be measured first");
	cr_expect_eq(choose(), 3);
	cr_expect_eq(choose(), 2, "none is offered twice while nothing is known");
	cr_expect_str_eq(why(2, 2), "fastest: 12.4 ms");
	cr_expect_str_eq(why(2, 0), "slower: 31.2 ms against 12.4 ms");
	cr_expect_str_eq(why(2, 1), "not measured yet");
	candidates[3].rtt_us = 5000;
	cr_expect_eq(choose(), 3);
	candidates[3].rtt_us = 0; /* died, and is back */
	cr_expect_eq(choose(), 3);
	set_rtts(0, 0, 0, 0);
	for (int i = 0; i < 4; i++)
		(void)choose();
	cr_expect_eq(choose(), 0, "the first where nothing is known");
}

Test(select, jitter_moves_nothing)
{
	query.strategy = CHAIN_LOWEST_RTT;
	set_rtts(20000, 20500, 80000, 80000);
	size_t chosen = choose();
	for (int i = 0; i < 1000; i++) {
		candidates[0].rtt_us = 20000 + (uint32_t)(i * 7919 % 2000) - 1000;
		candidates[1].rtt_us = 20000 + (uint32_t)(i * 104729 % 2000) - 1000;
		cr_assert_eq(choose(), chosen);
	}
	candidates[1].rtt_us = 15000;
	cr_expect_eq(choose(), 1);
	candidates[0].rtt_us = 14000;
	cr_expect_eq(choose(), 1);
	cr_expect_str_eq(why(1, 0), "not clearly faster: 14.0 ms against 15.0 ms");
	set_rtts(300, 900, 80000, 80000);
	cr_expect_eq(choose(), 1, "0.6 ms are nothing");
}

Test(select, a_heavy_one_counts_as_nearer)
{
	query.strategy = CHAIN_LOWEST_RTT;
	set_rtts(20000, 30000, 80000, 80000);
	candidates[1].weight = 2;
	cr_expect_eq(choose(), 1);
	cr_expect_str_eq(why(1, 0), "weighs less: 20.0 ms against 30.0 ms");
}

Test(select, a_key_keeps_its_own_and_the_dead_move_only_theirs)
{
	unsigned n[N] = { 0 };
	query.strategy = CHAIN_HASH_SOURCE;
	for (uint32_t i = 0; i < 10000; i++) {
		query.key = chain_select_hash(&i, sizeof i);
		size_t chosen = choose();
		n[chosen]++;
		cr_assert_eq(choose(), chosen);
		candidates[0].is_aside = true;
		size_t without = choose();
		cr_assert(chosen == 0 ? without != 0 : without == chosen);
		candidates[0].is_aside = false;
	}
	expect_about(n[0], 5000);
	expect_about(n[1], 1000);
	expect_about(n[2], 1000);
	expect_about(n[3], 3000);
}

Test(select, a_list_in_another_order_changes_no_key)
{
	struct chain_select_candidate turned[N];
	query.strategy = CHAIN_HASH_TARGET;
	for (size_t i = 0; i < N; i++)
		turned[i] = candidates[N - 1 - i];
	for (uint32_t i = 0; i < 100; i++) {
		query.key = chain_select_hash(&i, sizeof i);
		cr_assert_eq(choose(), N - 1 - chain_select(&query, turned, N));
	}
}

Test(select, every_strategy_has_words)
{
	for (int s = CHAIN_FIRST; s <= CHAIN_HASH_TARGET; s++) {
		query.strategy = (enum chain_strategy)s;
		set_rtts(1000, 2000, 3000, 4000);
		size_t chosen = choose();
		cr_expect_str_not_empty(chain_strategy_name(query.strategy));
		for (size_t i = 0; i < N; i++)
			cr_expect_str_not_empty(why(chosen, i));
	}
}
