#ifndef CHAIN_SELECT_H
#define CHAIN_SELECT_H
/*
 * Does: chooses one of several by strategy and weight among those that live, and says why not the
 * others. Knows: numbers. Never knows: what they stand for, clocks.
 */
#include "chain/spec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_SELECT_NONE           SIZE_MAX
/* LOWEST_RTT leaves who it chose last only for one that is better by this part and this much: the
 * jitter of a path moves nothing. */
#define CHAIN_SELECT_BETTER_PERCENT 20
#define CHAIN_SELECT_BETTER_US      1000

struct chain_select_candidate {
	uint64_t identity; /* a hash of what it is: the same wherever it stands in a list */
	uint32_t weight;   /* of LOWEST_RTT: an RTT counts as divided by it. 0 = 1 */
	uint16_t tier;     /* a higher one is used only where all of the lower are aside or tried */
	bool is_aside, is_tried;
	uint32_t rtt_us;  /* 0 = unknown */
	uint64_t back_ms; /* is_aside: among these who is back first is first */
	/* What the strategies remember; zeroed at first. */
	int64_t credit;  /* ROUND_ROBIN */
	bool is_current; /* LOWEST_RTT: chosen last */
	bool is_offered; /* LOWEST_RTT: chosen to become known; until it is */
};
struct chain_select_query {
	enum chain_strategy strategy;
	uint64_t key;     /* HASH_SOURCE, HASH_TARGET: of whom */
	uint64_t *random; /* RANDOM: the state of a generator; any value */
};
/** chain_select() - Return: an index, or CHAIN_SELECT_NONE if all were tried. Those aside are
 * chosen only if nothing else is left. */
size_t chain_select(const struct chain_select_query *query,
	struct chain_select_candidate *candidates, size_t n);
/** chain_select_why() - in words, why @i was not chosen, or why it was (@i = @i_chosen): of one
 * that is aside what chain_select() cannot know is the caller's to say. Returns @to. */
const char *chain_select_why(const struct chain_select_query *query,
	const struct chain_select_candidate *candidates, size_t i_chosen, size_t i, char *to,
	size_t size);
/** chain_strategy_name() - "lowest-rtt" … Static. */
const char *chain_strategy_name(enum chain_strategy strategy);
/** chain_select_hash() - of any bytes, the same on every machine and at any time. */
uint64_t chain_select_hash(const void *data, size_t len);

#endif
