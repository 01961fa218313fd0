#ifndef COMMON_LOOP_INTERNAL_H
#define COMMON_LOOP_INTERNAL_H
/*
 * Does: what the files of common/loop.h share: the loop, its turn. Knows: libuv, epoll. Never
 * knows: who runs it. Nobody else includes it.
 */
#include "common/loop.h"

#include <uv.h>

struct loop_signal {
	uv_signal_t handle;
	loop_signal_fn *fn;
	void *owner;
	struct loop_signal *next;
};

struct loop {
	uv_loop_t *uv; /* &own_uv, or the caller's */
	uv_loop_t own_uv;
	uv_async_t wake;
	int epoll_fd;
	bool is_guest;
	bool is_between;   /* a guest outside of its turns: nobody runs what is deferred unless the
			      caller's loop is told */
	bool holds_timers; /* a guest's turns run none, but those for it */
	bool is_stopping;
	bool uv_needs_turn; /* watchers may have been added that libuv has not told the kernel yet
			     */
	uint64_t now_ms;
	uint32_t mark;
	struct timer_wheel *wheel;
	struct poll *again, *again_running;
	struct task *first_task, **last_task;
	loop_wake_fn *wake_fn;
	void *wake_owner;
	struct loop_signal *signals;
	uint8_t *scratch[LOOP_N_SCRATCH];
};

/** loop_init() - of zeroed memory: all but libuv. Return: 0, ERR_NOMEM, -errno. */
NODISCARD int loop_init(struct loop *loop);
/** loop_deinit() - of what loop_init() made, also after it failed. */
void loop_deinit(struct loop *loop);
/** loop_init_wake() - opens the wake-up on loop->uv. */
NODISCARD int loop_init_wake(struct loop *loop);
/** loop_run_tasks() - a bounded number of rounds. */
void loop_run_tasks(struct loop *loop);
/** loop_guest_poke() - something was deferred or started outside of a turn: the caller's loop must
 * not block before it was looked at. */
void loop_guest_poke(struct loop *loop);

#endif
