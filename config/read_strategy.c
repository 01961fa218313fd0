#include "config/read_strategy.h"

void read_strategy(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "first", "round-robin", "random", "lowest-rtt",
		"hash-source", "hash-target" };
	static const enum chain_strategy meant[] = { CHAIN_FIRST, CHAIN_ROUND_ROBIN, CHAIN_RANDOM,
		CHAIN_LOWEST_RTT, CHAIN_HASH_SOURCE, CHAIN_HASH_TARGET };
	size_t i;
	if (field_word(d, value, words, sizeof words / sizeof words[0], &i))
		*(enum chain_strategy *)to = meant[i];
}

void read_max_fails(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, READ_MAX_FAILS_LIMIT, to);
}

void read_retry_after(struct document *d, const struct json *value, void *to)
{
	field_timeout(d, value, to);
}

void read_weight(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, CHAIN_WEIGHT_MAX, to);
}
