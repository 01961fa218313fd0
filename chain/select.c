#include "chain/select.h"

#include <math.h>
#include <stdio.h>

static uint64_t weight_of(const struct chain_select_candidate *c)
{
	return c->weight > 0 ? c->weight : 1;
}

/* The finalizer of splitmix64: every bit of @x decides every bit of the result. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t chain_select_hash(const void *data, size_t len)
{
	const uint8_t *at = data;
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	return mix(hash);
}

/* The tier that is chosen from; -1 where nothing lives. */
static int tier_of(const struct chain_select_candidate *candidates, size_t n)
{
	int tier = -1;
	for (size_t i = 0; i < n; i++) {
		const struct chain_select_candidate *c = &candidates[i];
		if (!c->is_tried && !c->is_aside && (tier < 0 || c->tier < tier))
			tier = c->tier;
	}
	return tier;
}

static bool is_eligible(const struct chain_select_candidate *c, int tier)
{
	return !c->is_tried && !c->is_aside && c->tier == tier;
}

static size_t first(const struct chain_select_candidate *candidates, size_t n, int tier)
{
	for (size_t i = 0; i < n; i++) {
		if (is_eligible(&candidates[i], tier))
			return i;
	}
	return CHAIN_SELECT_NONE;
}

/* Everyone earns his weight each turn; the richest is chosen and pays what was earned. So the turns
 * of a heavy one are spread, not in a row. */
static size_t round_robin(struct chain_select_candidate *candidates, size_t n, int tier)
{
	size_t best = CHAIN_SELECT_NONE;
	int64_t sum = 0;
	for (size_t i = 0; i < n; i++) {
		struct chain_select_candidate *c = &candidates[i];
		if (!is_eligible(c, tier))
			continue;
		c->credit += (int64_t)weight_of(c);
		sum += (int64_t)weight_of(c);
		if (best == CHAIN_SELECT_NONE || c->credit > candidates[best].credit)
			best = i;
	}
	candidates[best].credit -= sum;
	return best;
}

static size_t at_random(
	const struct chain_select_candidate *candidates, size_t n, int tier, uint64_t *random)
{
	uint64_t sum = 0, at;
	size_t chosen = CHAIN_SELECT_NONE;
	for (size_t i = 0; i < n; i++)
		sum += is_eligible(&candidates[i], tier) ? weight_of(&candidates[i]) : 0;
	if (sum == 0)
		return CHAIN_SELECT_NONE;
	*random += 0x9e3779b97f4a7c15u;
	at = mix(*random) % sum;
	for (size_t i = 0; i < n; i++) {
		if (!is_eligible(&candidates[i], tier))
			continue;
		chosen = i;
		if (at < weight_of(&candidates[i]))
			break;
		at -= weight_of(&candidates[i]);
	}
	return chosen;
}

static double score_us(const struct chain_select_candidate *c)
{
	return (double)c->rtt_us / (double)weight_of(c);
}

static bool is_better(
	const struct chain_select_candidate *a, const struct chain_select_candidate *b)
{
	return score_us(a) < score_us(b) * (100 - CHAIN_SELECT_BETTER_PERCENT) / 100 &&
	       score_us(a) + CHAIN_SELECT_BETTER_US < score_us(b);
}

/* Of those whose RTT is known the lowest, but the one chosen last unless another is clearly better.
 * Before, each that is unknown is offered once. */
static size_t lowest_rtt(struct chain_select_candidate *candidates, size_t n, int tier)
{
	size_t best = CHAIN_SELECT_NONE, current = CHAIN_SELECT_NONE;
	for (size_t i = 0; i < n; i++) {
		struct chain_select_candidate *c = &candidates[i];
		if (!is_eligible(c, tier))
			continue;
		if (c->rtt_us > 0)
			c->is_offered = false;
		if (c->rtt_us == 0 && !c->is_offered) {
			c->is_offered = true;
			return i;
		}
		if (c->rtt_us == 0)
			continue;
		if (c->is_current)
			current = i;
		if (best == CHAIN_SELECT_NONE || score_us(c) < score_us(&candidates[best]))
			best = i;
	}
	if (best == CHAIN_SELECT_NONE)
		return first(candidates, n, tier);
	if (current != CHAIN_SELECT_NONE && !is_better(&candidates[best], &candidates[current]))
		best = current;
	for (size_t i = 0; i < n; i++)
		candidates[i].is_current = i == best;
	return best;
}

/* Weighted rendezvous hashing: each candidate draws a number of its own for @key, and the highest
 * wins: who is away moves only what was its own. */
static size_t by_hash(
	const struct chain_select_candidate *candidates, size_t n, int tier, uint64_t key)
{
	size_t best = CHAIN_SELECT_NONE;
	double best_score = 0;
	for (size_t i = 0; i < n; i++) {
		const struct chain_select_candidate *c = &candidates[i];
		if (!is_eligible(c, tier))
			continue;
		uint64_t drawn = mix(mix(key) ^ c->identity) >> 11; /* 53 bits: exact as a double */
		double score = (double)weight_of(c) / -log(((double)drawn + 0.5) / 0x1p53);
		if (best == CHAIN_SELECT_NONE || score > best_score) {
			best = i;
			best_score = score;
		}
	}
	return best;
}

static size_t back_first(const struct chain_select_candidate *candidates, size_t n)
{
	size_t best = CHAIN_SELECT_NONE;
	for (size_t i = 0; i < n; i++) {
		const struct chain_select_candidate *c = &candidates[i];
		if (!c->is_tried &&
			(best == CHAIN_SELECT_NONE || c->back_ms < candidates[best].back_ms))
			best = i;
	}
	return best;
}

size_t chain_select(
	const struct chain_select_query *query, struct chain_select_candidate *candidates, size_t n)
{
	int tier = tier_of(candidates, n);
	if (tier < 0)
		return back_first(candidates, n);
	switch (query->strategy) {
	case CHAIN_FIRST:
		return first(candidates, n, tier);
	case CHAIN_ROUND_ROBIN:
		return round_robin(candidates, n, tier);
	case CHAIN_RANDOM:
		return at_random(candidates, n, tier, query->random);
	case CHAIN_LOWEST_RTT:
		return lowest_rtt(candidates, n, tier);
	case CHAIN_HASH_SOURCE:
	case CHAIN_HASH_TARGET:
		return by_hash(candidates, n, tier, query->key);
	}
	return CHAIN_SELECT_NONE;
}

static void say_ms(uint32_t us, char *to, size_t size)
{
	snprintf(to, size, "%u.%u ms", us / 1000, us % 1000 / 100);
}

static void say_why_chosen(const struct chain_select_query *query,
	const struct chain_select_candidate *c, char *to, size_t size)
{
	static const char *const words[] = {
		[CHAIN_FIRST] = "the first that lives",
		[CHAIN_ROUND_ROBIN] = "its turn",
		[CHAIN_RANDOM] = "drawn",
		[CHAIN_HASH_SOURCE] = "the source's own",
		[CHAIN_HASH_TARGET] = "the target's own",
	};
	char rtt[24];
	say_ms(c->rtt_us, rtt, sizeof rtt);
	if (c->is_aside)
		snprintf(to, size, "nothing else is left, and this one is back first");
	else if (query->strategy != CHAIN_LOWEST_RTT)
		snprintf(to, size, "%s", words[query->strategy]);
	else if (c->rtt_us == 0)
		snprintf(to, size, "to be measured");
	else
		snprintf(to, size, "fastest: %s", rtt);
}

static void say_slower(const struct chain_select_candidate *chosen,
	const struct chain_select_candidate *c, char *to, size_t size)
{
	char mine[24], its[24];
	say_ms(c->rtt_us, mine, sizeof mine);
	say_ms(chosen->rtt_us, its, sizeof its);
	if (c->rtt_us == 0)
		snprintf(to, size, "not measured yet");
	else if (chosen->rtt_us == 0)
		snprintf(to, size, "the other is to be measured first");
	else if (score_us(c) < score_us(chosen))
		snprintf(to, size, "not clearly faster: %s against %s", mine, its);
	else if (c->rtt_us < chosen->rtt_us)
		snprintf(to, size, "weighs less: %s against %s", mine, its);
	else
		snprintf(to, size, "slower: %s against %s", mine, its);
}

const char *chain_select_why(const struct chain_select_query *query,
	const struct chain_select_candidate *candidates, size_t i_chosen, size_t i, char *to,
	size_t size)
{
	static const char *const words[] = {
		[CHAIN_FIRST] = "an earlier one lives",
		[CHAIN_ROUND_ROBIN] = "not its turn",
		[CHAIN_RANDOM] = "not drawn",
		[CHAIN_HASH_SOURCE] = "another is the source's own",
		[CHAIN_HASH_TARGET] = "another is the target's own",
	};
	const struct chain_select_candidate *c = &candidates[i];
	if (i == i_chosen)
		say_why_chosen(query, c, to, size);
	else if (c->is_tried)
		snprintf(to, size, "has failed for this connection");
	else if (c->is_aside)
		snprintf(to, size, "aside");
	else if (i_chosen != CHAIN_SELECT_NONE && c->tier > candidates[i_chosen].tier)
		snprintf(to, size, "one of higher priority lives");
	else if (query->strategy == CHAIN_LOWEST_RTT && i_chosen != CHAIN_SELECT_NONE)
		say_slower(&candidates[i_chosen], c, to, size);
	else
		snprintf(to, size, "%s",
			query->strategy != CHAIN_LOWEST_RTT ? words[query->strategy] : "");
	return to;
}

const char *chain_strategy_name(enum chain_strategy strategy)
{
	static const char *const names[] = {
		[CHAIN_FIRST] = "first",
		[CHAIN_ROUND_ROBIN] = "round-robin",
		[CHAIN_RANDOM] = "random",
		[CHAIN_LOWEST_RTT] = "lowest-rtt",
		[CHAIN_HASH_SOURCE] = "hash-source",
		[CHAIN_HASH_TARGET] = "hash-target",
	};
	return names[strategy];
}
