/* Loops on four threads give work to the one pool, cancel some of it, and end with the rest under
 * way. A plain main for the thread sanitizer. */
#include "common/loop.h"
#include "common/work.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define N_THREADS 4
#define N_ROUNDS  50
#define N_JOBS    50

struct job {
	struct thread *thread;
	struct work *work;
	unsigned n_runs; /* not atomic: the hand-over has to order it */
	uint8_t *memory; /* owned; freed by the loop, written by the pool */
};

struct thread {
	pthread_t thread;
	struct loop *loop;
	struct job jobs[N_JOBS];
	unsigned n_done, n_run, n_cancelled, n_wrong;
	bool is_half;
};

static void run(void *owner)
{
	struct job *job = owner;
	for (unsigned i = 0; i < 64; i++)
		job->memory[i]++;
	job->n_runs++;
}

static void on_done(bool has_run, void *owner)
{
	struct job *job = owner;
	struct thread *t = job->thread;
	t->n_wrong += job->n_runs != (unsigned)has_run || job->memory[63] != (uint8_t)has_run;
	free(job->memory);
	job->memory = NULL;
	t->n_run += has_run;
	t->n_cancelled += !has_run;
	if (++t->n_done >= N_JOBS / 2)
		t->is_half = true;
}

static void start_round(struct thread *t)
{
	t->n_done = 0;
	t->is_half = false;
	for (int i = 0; i < N_JOBS; i++) {
		struct job *job = &t->jobs[i];
		*job = (struct job){ .thread = t, .memory = calloc(1, 64) };
		if (job->memory == NULL || work_start(t->loop, run, on_done, job, &job->work) != 0)
			abort();
	}
	for (int i = 0; i < N_JOBS; i += 3)
		work_cancel(t->jobs[i].work);
	if (!loop_run_until(t->loop, &t->is_half, 10000))
		t->n_wrong++;
}

static void *run_thread(void *owner)
{
	struct thread *t = owner;
	for (int i = 0; i < N_ROUNDS; i++) {
		start_round(t);
		while (i < N_ROUNDS - 1 && t->n_done < N_JOBS)
			loop_run_until(t->loop, &(bool){ false }, 1);
	}
	loop_free(t->loop); /* with half of the last round under way */
	t->n_wrong += t->n_done != N_JOBS;
	return NULL;
}

int main(void)
{
	static struct thread threads[N_THREADS];
	unsigned n_wrong = 0;
	for (int i = 0; i < N_THREADS; i++) {
		if (loop_new(&threads[i].loop) != 0)
			abort();
	}
	for (int i = 0; i < N_THREADS; i++) {
		if (pthread_create(&threads[i].thread, NULL, run_thread, &threads[i]) != 0)
			abort();
	}
	for (int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
		printf("%u run, %u cancelled, %u wrong\n", threads[i].n_run, threads[i].n_cancelled,
			threads[i].n_wrong);
		n_wrong += threads[i].n_wrong;
	}
	return n_wrong != 0;
}
