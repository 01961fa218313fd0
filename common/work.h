#ifndef COMMON_WORK_H
#define COMMON_WORK_H
/*
 * Does: runs what blocks on a thread of libuv's pool, and tells the loop when it has ended. Knows:
 * libuv. Never knows: what the work is. The pool is one for the process: 4 threads, unless
 * UV_THREADPOOL_SIZE says otherwise.
 */
#include "common/err.h"

#include <stdbool.h>

struct loop;
struct work;
/** work_fn - on a thread: only @owner, and of that only what nobody else touches until the end. */
typedef void work_fn(void *owner);
/** work_done_fn - on the loop; the work is gone. @has_run: false if it was cancelled in time. */
typedef void work_done_fn(bool has_run, void *owner);

/** work_start() - @done runs exactly once, never from inside, also after a cancel; for what is
 * still under way at the end inside of loop_free(), which waits for it: nothing may be deferred or
 * started there. Return: 0, ERR_NOMEM. */
NODISCARD int work_start(
	struct loop *loop, work_fn *fn, work_done_fn *done, void *owner, struct work **ret);
/** work_cancel() - what no thread has begun will not run; what runs goes on to its end. */
void work_cancel(struct work *work);

#endif
