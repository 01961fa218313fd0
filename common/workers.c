#include "common/workers.h"

#define LOG_MODULE "workers"
#include "common/log.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

/* What worker 0, which hears the signals, asks of the others. Only grows. */
enum order {
	ORDER_RUN,
	ORDER_DRAIN,
	ORDER_STOP,
};

struct worker {
	struct workers *all;
	struct loop *loop;
	void *object;     /* of the ops; NULL = did not start */
	pthread_t thread; /* not of worker 0 */
	unsigned i;
	int error;         /* of start(); written before the owner's start_wait ends */
	enum order obeyed; /* own thread only */
	bool is_drained;   /* own thread only */
};

struct workers {
	const struct workers_ops *ops;
	void *owner;
	uint64_t drain_ms;
	struct timer drain_timer; /* on worker 0's loop */
	_Atomic int order;
	_Atomic unsigned n_running; /* threads whose loop has not ended */
	unsigned n_started;         /* workers made, worker 0 included */
	unsigned n_workers;
	pthread_mutex_t mutex; /* for start_wait */
	pthread_cond_t started;
	bool has_started; /* the thread being waited for called start() */
	struct worker worker[];
};

void workers_drained(struct loop *loop)
{
	loop_stop(loop);
}

/* On the worker's thread. */
static void obey(struct worker *w)
{
	enum order order = (enum order)atomic_load(&w->all->order);
	if (w->object == NULL || w->is_drained || order <= w->obeyed)
		return;
	w->obeyed = order;
	if (order == ORDER_DRAIN)
		w->all->ops->drain(w->object);
	else
		w->all->ops->stop(w->object);
}

static void on_wake(void *owner)
{
	struct worker *w = owner;
	obey(w);
	if (w->object != NULL && !w->is_drained && w->all->ops->heed != NULL)
		w->all->ops->heed(w->object);
	/* Worker 0 may have ended before the others: it runs on for the signals, until they end
	 * too. */
	if (w->i == 0 && w->is_drained && atomic_load(&w->all->n_running) == 0)
		loop_stop(w->loop);
}

static void order_all(struct workers *all, enum order order)
{
	if ((int)order <= atomic_load(&all->order))
		return;
	atomic_store(&all->order, (int)order);
	for (unsigned i = 0; i < all->n_started; i++)
		loop_wake(all->worker[i].loop);
}

static void on_drain_timeout(struct timer *timer)
{
	struct workers *all =
		(struct workers *)((char *)timer - offsetof(struct workers, drain_timer));
	LOG_NOTICE("drain time is over, stopping after_ms=%" PRIu64, all->drain_ms);
	order_all(all, ORDER_STOP);
}

static void on_signal(int signum, void *owner)
{
	struct workers *all = owner;
	bool is_draining = atomic_load(&all->order) != ORDER_RUN;
	if (signum == SIGHUP) {
		struct worker *first = &all->worker[0];
		if (!is_draining && first->object != NULL)
			all->ops->reload(first->object);
		return;
	}
	if (signum == SIGQUIT || is_draining) {
		LOG_NOTICE("stopping signal=%d", signum);
		order_all(all, ORDER_STOP);
		return;
	}
	LOG_NOTICE("draining signal=%d limit_ms=%" PRIu64, signum, all->drain_ms);
	order_all(all, ORDER_DRAIN);
	loop_timer_start(all->worker[0].loop, &all->drain_timer, all->drain_ms, on_drain_timeout);
}

static int start_worker(struct worker *w)
{
	void *object = NULL;
	int error = w->all->ops->start(w->loop, w->i, w->all->owner, &object);
	if (error == 0)
		w->object = object;
	return error;
}

static void finish_worker(struct worker *w)
{
	if (w->object != NULL)
		w->all->ops->finish(w->object);
	w->object = NULL;
}

static void *run_thread(void *arg)
{
	struct worker *w = arg;
	struct workers *all = w->all;
	int error = start_worker(w);

	pthread_mutex_lock(&all->mutex);
	w->error = error;
	all->has_started = true;
	pthread_cond_signal(&all->started);
	pthread_mutex_unlock(&all->mutex);
	if (error == 0) {
		loop_run(w->loop);
		w->is_drained = true;
	}
	atomic_fetch_sub(&all->n_running, 1);
	loop_wake(all->worker[0].loop); /* lives until this thread is joined */
	return NULL;
}

/* A new thread inherits the mask: it leaves every signal but those of its own faults to worker 0.
 */
static int create_thread(struct worker *w)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&w->thread, NULL, run_thread, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -error;
}

static int make_loop(struct workers *all, unsigned i)
{
	struct worker *w = &all->worker[i];
	w->all = all;
	w->i = i;
	int error = loop_new(&w->loop);
	if (error == 0)
		loop_on_wake(w->loop, on_wake, w);
	return error;
}

/* Starts worker @i in its thread and waits for the result of start(): one after the other, so that
 * start functions need no locks among themselves. */
static int start_thread(struct workers *all, unsigned i)
{
	struct worker *w = &all->worker[i];
	int error = make_loop(all, i);
	if (error != 0)
		return error;
	all->has_started = false;
	atomic_fetch_add(&all->n_running, 1);
	error = create_thread(w);
	if (error != 0) {
		atomic_fetch_sub(&all->n_running, 1);
		loop_free(w->loop);
		return error;
	}
	all->n_started++;
	pthread_mutex_lock(&all->mutex);
	while (!all->has_started)
		pthread_cond_wait(&all->started, &all->mutex);
	error = w->error;
	pthread_mutex_unlock(&all->mutex);
	return error;
}

static int start_all(struct workers *all)
{
	static const int signums[] = { SIGTERM, SIGINT, SIGQUIT };
	int error = make_loop(all, 0);
	if (error != 0)
		return error;
	all->n_started = 1;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);  /* a terminal that closes, or a habit */
	signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error, not the end */
	for (size_t i = 0; error == 0 && i < sizeof signums / sizeof *signums; i++)
		error = loop_on_signal(all->worker[0].loop, signums[i], on_signal, all);
	if (error == 0 && all->ops->reload != NULL)
		error = loop_on_signal(all->worker[0].loop, SIGHUP, on_signal, all);
	if (error == 0)
		error = start_worker(&all->worker[0]);
	for (unsigned i = 1; error == 0 && i < all->n_workers; i++)
		error = start_thread(all, i);
	return error;
}

int workers_run(unsigned n_workers, uint64_t drain_ms, const struct workers_ops *ops, void *owner)
{
	assert(n_workers > 0 && n_workers <= WORKERS_MAX);
	struct workers *all = calloc(1, sizeof *all + n_workers * sizeof all->worker[0]);
	if (all == NULL)
		return ERR_NOMEM;
	all->ops = ops;
	all->owner = owner;
	all->drain_ms = drain_ms;
	all->n_workers = n_workers;
	pthread_mutex_init(&all->mutex, NULL);
	pthread_cond_init(&all->started, NULL);

	struct worker *first = &all->worker[0];
	int error = start_all(all);
	if (error != 0)
		order_all(all, ORDER_STOP);
	if (first->object != NULL)
		loop_run(first->loop);
	first->is_drained = true;
	while (atomic_load(&all->n_running) > 0)
		loop_run(first->loop);
	for (unsigned i = 1; i < all->n_started; i++)
		pthread_join(all->worker[i].thread, NULL);
	for (unsigned i = 1; i < all->n_started; i++)
		finish_worker(&all->worker[i]); /* only now: a closed socket moves the flows of its
						   group */
	finish_worker(first);
	if (all->n_started > 0)
		loop_timer_stop(first->loop, &all->drain_timer);
	for (unsigned i = 0; i < all->n_started; i++)
		loop_free(all->worker[i].loop);
	pthread_cond_destroy(&all->started);
	pthread_mutex_destroy(&all->mutex);
	free(all);
	return error;
}
