#ifndef COMMON_WORKERS_H
#define COMMON_WORKERS_H
/*
 * Does: runs one loop per worker thread, turns signals into drain, stop and reload. Knows: threads,
 * signals. Never knows: what a worker serves.
 */
#include "common/loop.h"

#define WORKERS_MAX 256

struct workers_ops {
	/* On the worker's thread, before its loop runs. Return: 0, or negative: everything stops.
	 */
	int (*start)(struct loop *loop, unsigned i_worker, void *owner, void **ret_worker);
	/* Accept nothing new; call workers_drained() (same thread) once nothing is left. */
	void (*drain)(void *worker);
	/* End everything now, without waiting; then workers_drained(). Also called without drain
	 * before. */
	void (*stop)(void *worker);
	/* SIGHUP, while nothing drains; on worker 0's thread. NULL: the signal is ignored. */
	void (*reload)(void *worker);
	/* After loop_wake() of this worker's loop, on its thread; also without cause. NULL ok. */
	void (*heed)(void *worker);
	/* The loop has ended; frees @worker. */
	void (*finish)(void *worker);
};

struct workers;
/**
 * workers_run() - runs @n_workers (1 = on the calling thread) until all are drained.
 * SIGTERM, SIGINT: drain, and stop after @drain_ms; a second one: stop now. SIGQUIT: stop now.
 * SIGHUP: reload. SIGPIPE is ignored. Return: 0 after a clean end; or the first worker's negative
 * start error.
 */
NODISCARD int workers_run(
	unsigned n_workers, uint64_t drain_ms, const struct workers_ops *ops, void *owner);
/** workers_drained() - this worker has nothing left: its loop ends. */
void workers_drained(struct loop *loop);

#endif
