#ifndef COMMON_WINDOW_H
#define COMMON_WINDOW_H
/*
 * Does: an anti-replay window over packet numbers (RFC 6479). Knows: numbers. Never knows: packets.
 */
#include <stdbool.h>
#include <stdint.h>

#define WINDOW_SIZE 1024 /* numbers below the highest that are still told apart */

/* Zeroed = nothing seen. */
struct window {
	uint64_t next; /* highest number seen + 1; 0 = none */
	uint64_t bits[WINDOW_SIZE / 64 + 1];
};
/** window_start() - every number below @next counts as seen. */
void window_start(struct window *window, uint64_t next);
/** window_is_fresh() - whether @number is above the window, or in it and not seen. Changes nothing:
 * may be asked before the tag is checked. */
bool window_is_fresh(const struct window *window, uint64_t number);
/** window_take() - marks @number as seen. Return: false, and nothing changes, if it is not fresh.
 * Only for what has authenticated. */
bool window_take(struct window *window, uint64_t number);

#endif
