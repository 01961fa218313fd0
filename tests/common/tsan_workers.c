/* Workers start, hear signals, drain, are stopped when they do not, and end; a failed start ends
 * all. */
#include "common/log.h"
#include "common/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define N_WORKERS 4

struct scene {
	const char *name;
	int i_fails;       /* worker whose start fails, -1 = none */
	unsigned stubborn; /* bits of workers that do not drain */
	int signals[2];    /* sent by the last worker, 0 = none */
	uint64_t drain_ms;
	unsigned n_drains, n_stops; /* expected */
	_Atomic unsigned n_started, n_drained, n_stopped, n_finished;
};

struct server {
	struct scene *scene;
	struct loop *loop;
	unsigned i;
	struct timer timer;
	unsigned n_sent;
};

static void send_signal(struct timer *timer)
{
	struct server *s = (struct server *)((char *)timer - offsetof(struct server, timer));
	int signum = s->n_sent < 2 ? s->scene->signals[s->n_sent++] : 0;
	if (signum == 0)
		return;
	kill(getpid(), signum);
	loop_timer_start(s->loop, &s->timer, 100, send_signal);
}

static int start(struct loop *loop, unsigned i, void *owner, void **ret)
{
	struct scene *scene = owner;
	if ((int)i == scene->i_fails)
		return -EADDRINUSE;
	struct server *s = calloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	*s = (struct server){ .scene = scene, .loop = loop, .i = i };
	if (atomic_fetch_add(&scene->n_started, 1) == N_WORKERS - 1)
		loop_timer_start(loop, &s->timer, 20, send_signal);
	*ret = s;
	return 0;
}

static void drain(void *worker)
{
	struct server *s = worker;
	atomic_fetch_add(&s->scene->n_drained, 1);
	if (!(s->scene->stubborn & 1u << s->i))
		workers_drained(s->loop);
}

static void stop(void *worker)
{
	struct server *s = worker;
	atomic_fetch_add(&s->scene->n_stopped, 1);
	workers_drained(s->loop);
}

static void finish(void *worker)
{
	struct server *s = worker;
	loop_timer_stop(s->loop, &s->timer);
	atomic_fetch_add(&s->scene->n_finished, 1);
	free(s);
}

static int run(struct scene *scene, unsigned n_workers)
{
	static const struct workers_ops ops = {
		.start = start, .drain = drain, .stop = stop, .finish = finish
	};
	int expected = scene->i_fails >= 0 ? -EADDRINUSE : 0;
	int error = workers_run(n_workers, scene->drain_ms, &ops, scene);
	bool good = error == expected && scene->n_finished == scene->n_started &&
		    scene->n_drained == scene->n_drains && scene->n_stopped == scene->n_stops;
	printf("%s: %s (%d; started %u drained %u stopped %u finished %u)\n", scene->name,
		good ? "ok" : "FAILED", error, scene->n_started, scene->n_drained, scene->n_stopped,
		scene->n_finished);
	return !good;
}

int main(void)
{
	static struct scene scenes[] = {
		{ .name = "drain",
			.i_fails = -1,
			.signals = { SIGTERM },
			.drain_ms = 5000,
			.n_drains = 4 },
		{ .name = "quit",
			.i_fails = -1,
			.signals = { SIGQUIT },
			.drain_ms = 5000,
			.n_stops = 4 },
		{ .name = "twice",
			.i_fails = -1,
			.stubborn = 0xe,
			.signals = { SIGTERM, SIGINT },
			.drain_ms = 60000,
			.n_drains = 4,
			.n_stops = 3 },
		{ .name = "timeout",
			.i_fails = -1,
			.stubborn = 0x6,
			.signals = { SIGINT },
			.drain_ms = 100,
			.n_drains = 4,
			.n_stops = 2 },
		{ .name = "first fails", .i_fails = 0 },
		{ .name = "third fails", .i_fails = 2, .n_stops = 2 },
	};
	log_set_level(LOG_LEVEL_WARNING);
	int failed = 0;
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
		failed |= run(&scenes[i], N_WORKERS);
	return failed;
}
