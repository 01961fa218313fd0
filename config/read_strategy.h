#ifndef CONFIG_READ_STRATEGY_H
#define CONFIG_READ_STRATEGY_H
/*
 * Does: how one of several is chosen: "strategy", "max_fails", "retry_after", "weight", as groups
 * of hops and groups of chains have them. Knows: fields. Never knows: what is chosen among.
 */
#include "chain/spec.h"
#include "config/field.h"

#define READ_STRATEGY_DEFAULT CHAIN_LOWEST_RTT
#define READ_MAX_FAILS_LIMIT  1000

/** read_strategy() - @to: enum chain_strategy. */
field_fn read_strategy;
/** read_max_fails() - 1..READ_MAX_FAILS_LIMIT; @to: uint32_t. */
field_fn read_max_fails;
/** read_retry_after() - a duration that is not 0; @to: uint32_t, ms. */
field_fn read_retry_after;
/** read_weight() - 1..CHAIN_WEIGHT_MAX; @to: uint32_t. */
field_fn read_weight;

#endif
