#include "common/loop.h"
#include "common/work.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

#define WAIT_MS 5000
#define N_POOL  4 /* threads of libuv */

/* Work that waits on its thread until the gate is open. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_open;
	unsigned n_begun, n_ended;
};
static struct gate gate = { .mutex = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER };

struct job {
	pthread_t thread;
	unsigned n_runs, n_done, n_cancelled;
	bool is_done;
};

static void pass(void *owner)
{
	struct job *job = owner;
	pthread_mutex_lock(&gate.mutex);
	gate.n_begun++;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.is_open)
		pthread_cond_wait(&gate.changed, &gate.mutex);
	gate.n_ended++;
	pthread_mutex_unlock(&gate.mutex);
	job->thread = pthread_self();
	job->n_runs++;
}

static void wait_begun(unsigned n)
{
	pthread_mutex_lock(&gate.mutex);
	while (gate.n_begun < n)
		pthread_cond_wait(&gate.changed, &gate.mutex);
	pthread_mutex_unlock(&gate.mutex);
}

static void *open_gate(void *unused)
{
	pthread_mutex_lock(&gate.mutex);
	gate.is_open = true;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.mutex);
	return unused;
}

static void on_done(bool has_run, void *owner)
{
	struct job *job = owner;
	job->n_done++;
	job->n_cancelled += !has_run;
	job->is_done = true;
}

static struct loop *new_loop(void)
{
	struct loop *loop;
	cr_assert_eq(loop_new(&loop), 0);
	return loop;
}

Test(work, runs_elsewhere_and_tells_the_loop)
{
	struct loop *loop = new_loop();
	struct job job = { 0 };
	struct work *work;
	cr_assert_eq(work_start(loop, pass, on_done, &job, &work), 0);
	wait_begun(1);
	loop_turn(loop);
	loop_turn(loop);
	cr_expect_eq(job.n_done, 0);
	open_gate(NULL);
	cr_assert(loop_run_until(loop, &job.is_done, WAIT_MS));
	cr_expect_eq(job.n_runs, 1);
	cr_expect_eq(job.n_done, 1);
	cr_expect_eq(job.n_cancelled, 0);
	cr_expect_not(pthread_equal(job.thread, pthread_self()));
	loop_free(loop);
}

Test(work, what_waits_is_cancelled_what_runs_is_not)
{
	struct loop *loop = new_loop();
	struct job running[N_POOL] = { 0 }, waiting = { 0 };
	struct work *works[N_POOL], *last;
	for (int i = 0; i < N_POOL; i++)
		cr_assert_eq(work_start(loop, pass, on_done, &running[i], &works[i]), 0);
	wait_begun(N_POOL);
	cr_assert_eq(work_start(loop, pass, on_done, &waiting, &last), 0);
	work_cancel(last);
	work_cancel(works[0]);
	cr_expect_eq(waiting.n_done, 0, "never from inside");
	cr_assert(
		loop_run_until(loop, &waiting.is_done, WAIT_MS), "it need not wait for the others");
	cr_expect_eq(waiting.n_cancelled, 1);
	cr_expect_eq(waiting.n_runs, 0);
	open_gate(NULL);
	for (int i = 0; i < N_POOL; i++) {
		cr_assert(loop_run_until(loop, &running[i].is_done, WAIT_MS));
		cr_expect_eq(running[i].n_runs, 1);
		cr_expect_eq(running[i].n_cancelled, 0);
	}
	loop_free(loop);
}

Test(work, the_end_of_the_loop_waits_for_it)
{
	struct loop *loop = new_loop();
	struct job jobs[N_POOL + 2] = { 0 };
	struct work *works[N_POOL + 2];
	pthread_t opener;
	for (int i = 0; i < N_POOL + 2; i++)
		cr_assert_eq(work_start(loop, pass, on_done, &jobs[i], &works[i]), 0);
	wait_begun(N_POOL);
	work_cancel(works[N_POOL]);
	cr_assert_eq(pthread_create(&opener, NULL, open_gate, NULL), 0);
	loop_free(loop);
	pthread_join(opener, NULL);
	for (int i = 0; i < N_POOL + 2; i++) {
		cr_expect_eq(jobs[i].n_done, 1, "%d", i);
		cr_expect_eq(jobs[i].n_runs, i != N_POOL, "%d", i);
	}
}

static void on_left(void *owner)
{
	*(bool *)owner = true;
}

Test(work, on_a_guest)
{
	uv_loop_t uv;
	struct loop *loop;
	struct job job = { 0 };
	struct work *work;
	bool has_left = false;
	open_gate(NULL);
	cr_assert_eq(uv_loop_init(&uv), 0);
	cr_assert_eq(loop_new_on(&uv, &loop), 0);
	cr_assert_eq(work_start(loop, pass, on_done, &job, &work), 0);
	uv_run(&uv, UV_RUN_DEFAULT); /* work under way keeps it going */
	cr_expect_eq(job.n_done, 1);
	loop_leave(loop, on_left, &has_left);
	uv_run(&uv, UV_RUN_DEFAULT);
	cr_expect(has_left);
	cr_expect_eq(uv_loop_close(&uv), 0);
}
