#ifndef COMMON_TIMER_H
#define COMMON_TIMER_H
/*
 * Does: many timers in one hashed wheel; starting and stopping cost a few stores.
 * Knows: a clock it is told. Never knows: the loop, what a timer is for.
 */
#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct timer;
typedef void timer_fn(struct timer *timer);

/* Embedded by value in what it times; zeroed = stopped. */
struct timer {
	struct timer *next, *prev;
	uint64_t at_ms;
	timer_fn *fn;
};

struct timer_wheel;

NODISCARD int timer_wheel_new(uint64_t now_ms, struct timer_wheel **ret);
/** timer_wheel_free() - asserts that no timer is running. free(NULL) ok. */
void timer_wheel_free(struct timer_wheel *wheel);
/** timer_start() - (re)starts @timer to run @fn once, not before @at_ms and at most 16 ms late. */
void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t at_ms, timer_fn *fn);
/** timer_stop() - idempotent. */
void timer_stop(struct timer_wheel *wheel, struct timer *timer);
bool timer_is_running(const struct timer *timer);
/** timer_wheel_next_ms() - ms from @now_ms until something may be due; -1 if nothing runs. */
int timer_wheel_next_ms(const struct timer_wheel *wheel, uint64_t now_ms);
/** timer_wheel_run() - runs what is due at @now_ms; a callback may start and stop any timer. */
void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms);

#endif
