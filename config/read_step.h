#ifndef CONFIG_READ_STEP_H
#define CONFIG_READ_STEP_H
/*
 * Does: one step of a chain: a hop, somebody else's proxy, or several of both to choose from.
 * Knows: the chain schema's steps. Never knows: what stands before and behind them.
 */
#include "chain/spec.h"
#include "config/document.h"

/** read_step_is_group() - whether @object has a member that only groups have. */
bool read_step_is_group(const struct json *object);
/** read_step() - a hop or proxy into zeroed @hop, which owns what it got in any case; what is wrong
 * is in the report. */
void read_step(struct document *document, const struct json *object, struct chain_hop *hop);
/** read_step_group() - a group; the same. Return: NULL without memory. */
NODISCARD struct chain_group *read_step_group(struct document *document, const struct json *object);

#endif
