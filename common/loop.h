#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H
/*
 * Does: one event loop per worker: time, timers, deferred calls, readiness of raw sockets.
 * Knows: libuv, epoll. Never knows: bytes, protocols. (decisions/0002: sockets are watched by one
 * edge-triggered epoll; libuv's own descriptor is one of its members and serves signals and
 * wake-ups.)
 *
 * Callbacks run on the loop's thread, never from inside the call that asked for them.
 */
#include "common/err.h"
#include "common/timer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct uv_loop_s;

NODISCARD int loop_new(struct loop **ret);
/** loop_free() - after loop_run() returned and every handle on it is closed. free(NULL) ok. */
void loop_free(struct loop *loop);
/**
 * loop_new_on() - a loop that is a guest on @uv: it runs when the caller runs @uv, with loop_run()
 * and its like not to be used. Timers, deferred calls and sockets work as on a loop of its own;
 * loop_uv() is @uv. It keeps @uv alive only while loop_hold() is above zero.
 */
NODISCARD int loop_new_on(struct uv_loop_s *uv, struct loop **ret);
/** loop_hold() - what is under way, by the owner's count: +1, -1. Guests only. */
void loop_hold(struct loop *loop, int change);
/** loop_leave() - frees a guest: as loop_free(), but its handles close in @uv's next turn;
 * @on_left runs then, or never if NULL. */
typedef void loop_left_fn(void *owner);
void loop_leave(struct loop *loop, loop_left_fn *on_left, void *owner);
/** loop_run() - runs until loop_stop(). */
void loop_run(struct loop *loop);
/** loop_run_until() - runs turns until *@done or @timeout_ms passed; for tests. Return: *done. */
bool loop_run_until(struct loop *loop, const bool *done, uint64_t timeout_ms);
/** loop_turn() - one turn that waits for nothing; for tests. */
void loop_turn(struct loop *loop);
/** loop_stop() - loop_run() returns after this turn. From the loop's thread only. */
void loop_stop(struct loop *loop);

/** loop_library() - the version of libuv that runs. Static. */
const char *loop_library(void);

/** loop_now_ms() - CLOCK_MONOTONIC of this turn, in ms; of a guest: now. */
uint64_t loop_now_ms(const struct loop *loop);
/** loop_clock_us() - CLOCK_MONOTONIC now, in us. */
uint64_t loop_clock_us(void);
/** loop_wall_ms() - CLOCK_REALTIME, unix ms, at most one tick of the kernel (10 ms) old. */
uint64_t loop_wall_ms(void);
/** loop_wall_us() - CLOCK_REALTIME now, unix us; for what somebody compares with his own clock. */
uint64_t loop_wall_us(void);

/* Timers: after @delay_ms from now. */
void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn);
void loop_timer_stop(struct loop *loop, struct timer *timer);

/* A deferred call: runs once after the present batch of events, in the order deferred. */
struct task;
typedef void task_fn(struct task *task);
struct task {
	struct task *next;
	task_fn *fn;
	bool is_queued;
};
/** loop_defer() - queues @task; no-op if it is queued already. The memory stays the caller's. */
void loop_defer(struct loop *loop, struct task *task, task_fn *fn);

/* Readiness of one descriptor, edge-triggered: an event says "changed to ready"; the owner reads
 * until EAGAIN or a short read, and asks for another turn with poll_again() when it stops early. */
enum {
	READY_IN = 1,
	READY_OUT = 2,
	READY_RDHUP =
		4, /* peer sent FIN (also seen while not reading), or both directions have ended */
	READY_ERR = 8,     /* EPOLLERR */
	READY_URGENT = 16, /* EPOLLPRI: an urgent byte is in the queue */
};
struct poll;
typedef void poll_fn(struct poll *poll, unsigned events);
struct poll {
	struct poll *next_again;
	poll_fn *fn;
	int fd;        /* -1 = removed */
	uint8_t again; /* events to repeat */
	bool is_queued;
	bool is_watched; /* the kernel does */
};
/** poll_add() - watches @fd for everything until poll_remove(), which comes before close(). */
NODISCARD int poll_add(struct loop *loop, struct poll *poll, int fd, poll_fn *fn);
/** poll_remove() - no callback any more.
 * @poll's memory must live until the deferred calls of this turn have run. */
void poll_remove(struct loop *loop, struct poll *poll);
/** poll_again() - repeats @events once after the present batch of events, before blocking; asked
 * for during that, in the next turn. */
void poll_again(struct loop *loop, struct poll *poll, unsigned events);

/** loop_wake() - from any thread: @fn of loop_on_wake() runs soon on the loop's thread. */
void loop_wake(struct loop *loop);
typedef void loop_wake_fn(void *owner);
void loop_on_wake(struct loop *loop, loop_wake_fn *fn, void *owner);

/** loop_on_signal() - @fn runs on this loop for @signum. At most one per signal number. */
typedef void loop_signal_fn(int signum, void *owner);
NODISCARD int loop_on_signal(struct loop *loop, int signum, loop_signal_fn *fn, void *owner);

/* Scratch memory of the loop, LOOP_BUFFER bytes each: valid until control returns to the loop. READ
 * is what sockets are read into (LOOP_READ_SIZE at a time), PLAIN what records are opened into,
 * SEAL what they are sealed into. */
#define LOOP_READ_SIZE (128 * 1024)
#define LOOP_BUFFER    (LOOP_READ_SIZE + 32 * 1024)
enum loop_scratch {
	LOOP_READ,
	LOOP_PLAIN,
	LOOP_SEAL,
	LOOP_N_SCRATCH,
};
uint8_t *loop_scratch(struct loop *loop, enum loop_scratch which);

/** loop_set_mark() - the mark (SO_MARK) of every socket that is opened from here outwards, so that
 * rules of the kernel can tell them from others; 0 = none. loop_mark_socket(): sets it. Return: 0,
 * or -EPERM: it needs CAP_NET_ADMIN. */
void loop_set_mark(struct loop *loop, uint32_t mark);
NODISCARD int loop_mark_socket(const struct loop *loop, int fd);

/** loop_uv() - for the modules that wrap a library on libuv. */
struct uv_loop_s *loop_uv(struct loop *loop);

#endif
