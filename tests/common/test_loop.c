/* The loop: timers, deferred calls, readiness, wake-ups. */
#include "common/loop.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static const bool never = false;

struct counted {
	struct task task;
	struct timer timer;
	struct poll poll;
	struct loop *loop;
	int n;
	unsigned events;
	bool is_done, again;
};

static void on_task(struct task *task)
{
	struct counted *c = (struct counted *)((char *)task - offsetof(struct counted, task));
	c->n++;
	c->is_done = true;
	if (c->again && c->n < 5)
		loop_defer(c->loop, &c->task, on_task);
}

Test(loop, a_deferred_call_runs_once_and_later, .timeout = 10)
{
	struct loop *loop;
	struct counted c = { 0 };
	cr_assert_eq(loop_new(&loop), 0);
	loop_defer(loop, &c.task, on_task);
	loop_defer(loop, &c.task, on_task);
	cr_expect_eq(c.n, 0);
	loop_run_until(loop, &c.is_done, 1000);
	cr_expect_eq(c.n, 1);
	loop_free(loop);
}

Test(loop, a_deferred_call_may_defer_itself, .timeout = 10)
{
	struct loop *loop;
	cr_assert_eq(loop_new(&loop), 0);
	struct counted c = { .loop = loop, .again = true };
	loop_defer(loop, &c.task, on_task);
	loop_run_until(loop, &never, 20);
	cr_expect_eq(c.n, 5);
	loop_free(loop);
}

static void on_timer(struct timer *timer)
{
	struct counted *c = (struct counted *)((char *)timer - offsetof(struct counted, timer));
	c->n++;
	c->is_done = true;
}

Test(loop, a_timer_is_not_early, .timeout = 10)
{
	struct loop *loop;
	struct counted c = { 0 };
	cr_assert_eq(loop_new(&loop), 0);
	uint64_t start = loop_clock_us();
	loop_timer_start(loop, &c.timer, 50, on_timer);
	cr_assert(loop_run_until(loop, &c.is_done, 2000));
	cr_expect_geq(loop_clock_us() - start, 49000);
	cr_expect_leq(loop_clock_us() - start, 1000000);
	loop_free(loop);
}

static void on_ready(struct poll *poll, unsigned events)
{
	struct counted *c = (struct counted *)((char *)poll - offsetof(struct counted, poll));
	c->n++;
	c->events |= events;
	c->is_done = (c->events & READY_IN) != 0;
}

Test(loop, readiness_is_told_and_removed, .timeout = 10)
{
	int fds[2];
	struct loop *loop;
	struct counted c = { 0 };
	cr_assert_eq(pipe2(fds, O_NONBLOCK), 0);
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(poll_add(loop, &c.poll, fds[0], on_ready), 0);
	cr_assert_eq(write(fds[1], "x", 1), 1);
	cr_assert(loop_run_until(loop, &c.is_done, 1000));
	int n = c.n;
	poll_again(loop, &c.poll, READY_IN);
	loop_run_until(loop, &never, 5);
	cr_expect_eq(c.n, n + 1, "poll_again repeats");
	poll_again(loop, &c.poll, READY_IN);
	poll_remove(loop, &c.poll);
	cr_assert_eq(write(fds[1], "x", 1), 1);
	loop_run_until(loop, &never, 5);
	cr_expect_eq(c.n, n + 1, "nothing after poll_remove");
	close(fds[0]);
	close(fds[1]);
	loop_free(loop);
}

static void on_wake(void *owner)
{
	*(bool *)owner = true;
}

static void *wake_it(void *loop)
{
	loop_wake(loop);
	return NULL;
}

Test(loop, wakes_from_another_thread, .timeout = 10)
{
	struct loop *loop;
	bool is_awake = false;
	pthread_t thread;
	cr_assert_eq(loop_new(&loop), 0);
	loop_on_wake(loop, on_wake, &is_awake);
	pthread_create(&thread, NULL, wake_it, loop);
	cr_expect(loop_run_until(loop, &is_awake, 2000));
	pthread_join(thread, NULL);
	loop_free(loop);
}

static void on_signal(int signum, void *owner)
{
	*(int *)owner = signum;
}

Test(loop, signals_arrive, .timeout = 10)
{
	struct loop *loop;
	int got = 0;
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(loop_on_signal(loop, SIGUSR1, on_signal, &got), 0);
	loop_run_until(loop, &never, 5);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < 100 && got == 0; i++)
		loop_run_until(loop, &never, 5);
	cr_expect_eq(got, SIGUSR1);
	loop_free(loop);
}
