#ifndef COMMON_SHAPER_H
#define COMMON_SHAPER_H
/*
 * Does: limits of bytes per second, each direction on its own: token buckets shared by workers
 * (atomic) and held by whom they limit. Knows: numbers, a clock it is told. Never knows: streams,
 * datagrams, whom it limits.
 *
 * A bucket is as deep as 50 ms of its rate and never below SHAPER_BURST_MIN. Who is refused waits
 * at the bucket that was the emptiest; while somebody waits there, nobody else goes before.
 */
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHAPER_BURST_MIN (64 * 1024) /* the largest datagram fits */
#define SHAPER_SET_MAX   5

enum shaper_lane {
	SHAPER_UP, /* from the client */
	SHAPER_DOWN,
	SHAPER_N_LANES,
};

struct shaper;
/** shaper_new() - @rate: bytes per second of each direction; 0 = no limit, until it is set. */
NODISCARD int shaper_new(uint64_t rate, struct shaper **ret);
struct shaper *shaper_hold(struct shaper *shaper);
void shaper_release(struct shaper *shaper); /* NULL ok */
/** shaper_set_rate() - for all that it limits, at once; its buckets are full again. */
void shaper_set_rate(struct shaper *shaper, uint64_t rate);
uint64_t shaper_rate(const struct shaper *shaper);

/* All that limit one relay or flow; each is held. */
struct shaper_set {
	struct shaper *of[SHAPER_SET_MAX];
	unsigned n;
};
/** shaper_set_add() - holds @shaper; NULL: no change. */
void shaper_set_add(struct shaper_set *set, struct shaper *shaper);
void shaper_set_copy(struct shaper_set *to, const struct shaper_set *from);
void shaper_set_release(struct shaper_set *set); /* idempotent */

/* Where one direction of a relay waits; zeroed = nowhere. */
struct shaper_wait {
	struct shaper *at;
	uint32_t ms; /* from the last question on */
};
/**
 * shaper_set_ask() - takes what may be read now, a piece at a time, so that all who wait get some.
 * Return: bytes, which are paid for; 0: none now, then @wait says when to ask again.
 */
size_t shaper_set_ask(const struct shaper_set *set, enum shaper_lane lane, struct shaper_wait *wait,
	uint64_t now_us);
/** shaper_wait_end() - asks no more. Idempotent. */
void shaper_wait_end(struct shaper_wait *wait, enum shaper_lane lane);
/** shaper_set_charge() - pays for what was read already, on credit if need be. */
void shaper_set_charge(
	const struct shaper_set *set, enum shaper_lane lane, size_t n, uint64_t now_us);
/** shaper_set_refund() - gives back what was paid for and not read. */
void shaper_set_refund(const struct shaper_set *set, enum shaper_lane lane, size_t n);
/** shaper_set_take() - pays for a datagram. Return: false if it is over a rate: nothing is paid. */
NODISCARD bool shaper_set_take(
	const struct shaper_set *set, enum shaper_lane lane, size_t n, uint64_t now_us);

#endif
