/* A loop that is a guest on the caller's libuv loop: timers, deferred calls, sockets, names, and
 * the end. */
#include "common/loop.h"
#include "common/resolve.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

struct world {
	uv_loop_t uv;
	struct loop *loop;
	struct timer timer;
	struct task task;
	struct poll poll;
	uint64_t started_us;
	int n_left, n_tasks, n_timers, n_polls, n_uv;
	bool is_again, has_others; /* the caller has handles of his own */
	void (*then)(struct world *w);
};

#define OF(pointer, member) ((struct world *)((char *)(pointer)-offsetof(struct world, member)))

static void set_up(struct world *w)
{
	*w = (struct world){ .n_left = 0 };
	cr_assert_eq(uv_loop_init(&w->uv), 0);
	cr_assert_eq(loop_new_on(&w->uv, &w->loop), 0);
}

static void count_handle(uv_handle_t *handle, void *n)
{
	(void)handle;
	++*(int *)n;
}

/* By now nothing of the guest is on the caller's loop; the tests leave when all of theirs is gone.
 */
static void on_left(void *owner)
{
	struct world *w = owner;
	int n = 0;
	w->n_left++;
	if (!w->has_others)
		uv_walk(&w->uv, count_handle, &n);
	cr_expect_eq(n, 0, "%d handles are open", n);
}

/* Everything of the guest is closed: the caller's loop can be closed. */
static void tear_down(struct world *w)
{
	loop_leave(w->loop, on_left, w);
	cr_expect_eq(w->n_left, 0, "not from inside");
	cr_expect_eq(uv_run(&w->uv, UV_RUN_DEFAULT), 0);
	cr_expect_eq(w->n_left, 1);
	cr_expect_eq(uv_loop_close(&w->uv), 0);
}

static void on_timer(struct timer *timer)
{
	struct world *w = OF(timer, timer);
	w->n_timers++;
	loop_hold(w->loop, -1);
	if (w->then != NULL)
		w->then(w);
}

static void start_timer(struct world *w, uint64_t ms)
{
	w->started_us = loop_clock_us();
	loop_hold(w->loop, 1);
	loop_timer_start(w->loop, &w->timer, ms, on_timer);
}

Test(loop_guest, an_idle_guest_does_not_hold_the_loop, .timeout = 10)
{
	struct world w;
	set_up(&w);
	cr_expect_eq(loop_uv(w.loop), &w.uv);
	cr_expect_eq(uv_run(&w.uv, UV_RUN_DEFAULT), 0);
	loop_hold(w.loop, 1);
	cr_expect_neq(uv_run(&w.uv, UV_RUN_NOWAIT), 0, "held");
	loop_hold(w.loop, 1);
	loop_hold(w.loop, -1);
	cr_expect_neq(uv_run(&w.uv, UV_RUN_NOWAIT), 0, "still held");
	loop_hold(w.loop, -1);
	cr_expect_eq(uv_run(&w.uv, UV_RUN_DEFAULT), 0);
	tear_down(&w);
}

Test(loop_guest, a_timer_runs_and_is_not_early, .timeout = 10)
{
	struct world w;
	set_up(&w);
	start_timer(&w, 50);
	cr_expect_eq(uv_run(&w.uv, UV_RUN_DEFAULT), 0);
	cr_expect_eq(w.n_timers, 1);
	cr_expect_geq(loop_clock_us() - w.started_us, 49000);
	cr_expect_leq(loop_clock_us() - w.started_us, 1000000);
	tear_down(&w);
}

static void nap(unsigned ms)
{
	usleep(ms * 1000);
}

/* The guest's last turn is long ago when the caller's own callback starts a timer. */
Test(loop_guest, time_is_fresh_outside_of_turns, .timeout = 10)
{
	struct world w;
	set_up(&w);
	uv_run(&w.uv, UV_RUN_NOWAIT);
	uint64_t before_ms = loop_now_ms(w.loop);
	nap(80);
	cr_expect_geq(loop_now_ms(w.loop) - before_ms, 79);
	start_timer(&w, 60);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	cr_expect_geq(loop_clock_us() - w.started_us, 59000);
	tear_down(&w);
}

static void on_slow_timer(uv_timer_t *handle)
{
	nap(80);
	start_timer(handle->data, 60);
	uv_close((uv_handle_t *)handle, NULL);
}

/* The time libuv knows is that of before the nap: what it does with it comes too early. */
Test(loop_guest, a_slow_callback_of_the_callers, .timeout = 10)
{
	struct world w;
	uv_timer_t timer;
	set_up(&w);
	uv_timer_init(&w.uv, &timer);
	timer.data = &w;
	uv_timer_start(&timer, on_slow_timer, 1, 0);
	cr_expect_eq(uv_run(&w.uv, UV_RUN_DEFAULT), 0);
	cr_expect_eq(w.n_timers, 1);
	cr_expect_geq(loop_clock_us() - w.started_us, 59000);
	cr_expect_leq(loop_clock_us() - w.started_us, 1000000);
	tear_down(&w);
}

static void restart(struct world *w)
{
	if (w->n_timers < 3)
		start_timer(w, 20);
}

Test(loop_guest, a_timer_may_start_itself_again, .timeout = 10)
{
	struct world w;
	set_up(&w);
	w.then = restart;
	start_timer(&w, 20);
	uint64_t start_us = w.started_us;
	uv_run(&w.uv, UV_RUN_DEFAULT);
	cr_expect_eq(w.n_timers, 3);
	cr_expect_geq(loop_clock_us() - start_us, 58000);
	tear_down(&w);
}

static void on_task(struct task *task)
{
	struct world *w = OF(task, task);
	w->n_tasks++;
	if (w->is_again && w->n_tasks < 50)
		loop_defer(w->loop, task, on_task);
	else
		loop_hold(w->loop, -1);
}

Test(loop_guest, what_is_deferred_outside_runs_before_the_loop_blocks, .timeout = 10)
{
	struct world w;
	set_up(&w);
	uv_run(&w.uv, UV_RUN_NOWAIT);
	loop_hold(w.loop, 1);
	uv_run(&w.uv, UV_RUN_NOWAIT);
	cr_expect_eq(uv_backend_timeout(&w.uv), -1);
	loop_defer(w.loop, &w.task, on_task);
	cr_expect_eq(w.n_tasks, 0, "not from inside");
	cr_expect_eq(uv_backend_timeout(&w.uv), 0, "also where the caller waits by itself");
	uv_run(&w.uv, UV_RUN_DEFAULT); /* would block for ever */
	cr_expect_eq(w.n_tasks, 1);
	tear_down(&w);
}

Test(loop_guest, calls_that_defer_themselves_end, .timeout = 10)
{
	struct world w;
	set_up(&w);
	w.is_again = true;
	loop_hold(w.loop, 1);
	loop_defer(w.loop, &w.task, on_task);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	cr_expect_eq(w.n_tasks, 50);
	tear_down(&w);
}

static void on_uv_timer(uv_timer_t *handle)
{
	struct world *w = handle->data;
	w->n_uv++;
	if (w->n_uv == 3) {
		loop_hold(w->loop, 1);
		loop_defer(w->loop, &w->task, on_task);
	}
	if (w->n_uv == 6)
		uv_close((uv_handle_t *)handle, NULL);
}

/* Beside timers of the caller's, one of which makes a call of ours from its callback. */
Test(loop_guest, the_callers_timers_go_on, .timeout = 10)
{
	struct world w;
	uv_timer_t timer;
	set_up(&w);
	uv_timer_init(&w.uv, &timer);
	timer.data = &w;
	uv_timer_start(&timer, on_uv_timer, 5, 5);
	start_timer(&w, 40);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	cr_expect_eq(w.n_uv, 6);
	cr_expect_eq(w.n_timers, 1);
	cr_expect_eq(w.n_tasks, 1);
	tear_down(&w);
}

static void on_ready(struct poll *poll, unsigned events)
{
	struct world *w = OF(poll, poll);
	char byte;
	if ((events & READY_IN) == 0)
		return;
	w->n_polls++;
	if (read(poll->fd, &byte, 1) == 1) {
		poll_again(w->loop, poll, READY_IN);
		return;
	}
	int fd = poll->fd;
	poll_remove(w->loop, poll);
	close(fd);
	loop_hold(w->loop, -1);
}

static void on_write_timer(uv_timer_t *handle)
{
	int *fd = handle->data;
	cr_assert_eq(write(*fd, "xyz", 3), 3);
	close(*fd);
	uv_close((uv_handle_t *)handle, NULL);
}

Test(loop_guest, sockets_are_watched_and_repeated, .timeout = 10)
{
	struct world w;
	uv_timer_t timer;
	int fds[2];
	set_up(&w);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	cr_assert_eq(poll_add(w.loop, &w.poll, fds[0], on_ready), 0);
	loop_hold(w.loop, 1);
	uv_timer_init(&w.uv, &timer);
	timer.data = &fds[1];
	uv_timer_start(&timer, on_write_timer, 20, 0);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	cr_expect_eq(w.n_polls, 4, "three bytes and the end");
	tear_down(&w);
}

Test(loop_guest, poll_again_outside_of_a_turn, .timeout = 10)
{
	struct world w;
	int fds[2];
	set_up(&w);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	cr_assert_eq(poll_add(w.loop, &w.poll, fds[0], on_ready), 0);
	close(fds[1]);
	uv_run(&w.uv, UV_RUN_NOWAIT); /* nothing is held: nothing runs */
	cr_expect_eq(w.n_polls, 0);
	loop_hold(w.loop, 1);
	poll_again(w.loop, &w.poll, READY_IN);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	cr_expect_eq(w.n_polls, 1);
	tear_down(&w);
}

/* Many sockets ready at once do not keep the caller's handles from running. */
struct endless {
	struct poll poll;
	struct world *w;
	int n;
};

static void on_endless(struct poll *poll, unsigned events)
{
	struct endless *e = (struct endless *)poll;
	e->n++;
	(void)events;
	poll_again(e->w->loop, poll, READY_IN);
}

Test(loop_guest, a_busy_guest_leaves_room, .timeout = 10)
{
	struct world w;
	struct endless e = { .w = &w };
	uv_timer_t timer;
	int fds[2];
	set_up(&w);
	cr_assert_eq(pipe2(fds, O_NONBLOCK), 0);
	cr_assert_eq(poll_add(w.loop, &e.poll, fds[0], on_endless), 0);
	loop_hold(w.loop, 1);
	poll_again(w.loop, &e.poll, READY_IN);
	uv_timer_init(&w.uv, &timer);
	timer.data = &w;
	uv_timer_start(&timer, on_uv_timer, 1, 1);
	while (w.n_uv < 6)
		uv_run(&w.uv, UV_RUN_ONCE);
	cr_expect_gt(e.n, 6);
	poll_remove(w.loop, &e.poll);
	close(fds[0]);
	close(fds[1]);
	loop_hold(w.loop, -1);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	tear_down(&w);
}

Test(loop_guest, two_guests_on_one_loop, .timeout = 10)
{
	struct world a, b;
	set_up(&a);
	b = (struct world){ .has_others = true };
	cr_assert_eq(loop_new_on(&a.uv, &b.loop), 0);
	start_timer(&a, 30);
	start_timer(&b, 60);
	uv_run(&a.uv, UV_RUN_DEFAULT);
	cr_expect_eq(a.n_timers, 1);
	cr_expect_eq(b.n_timers, 1);
	loop_leave(b.loop, on_left, &b);
	start_timer(&a, 20);
	uv_run(&a.uv, UV_RUN_DEFAULT);
	cr_expect_eq(b.n_left, 1);
	cr_expect_eq(a.n_timers, 2, "the other goes on");
	tear_down(&a);
}

static void leave(struct world *w)
{
	loop_hold(w->loop, 1);
	loop_defer(w->loop, &w->task, on_task);
	loop_leave(w->loop, on_left, w);
}

Test(loop_guest, leaves_from_inside_a_callback, .timeout = 10)
{
	struct world w;
	set_up(&w);
	w.then = leave;
	start_timer(&w, 20);
	cr_expect_eq(uv_run(&w.uv, UV_RUN_DEFAULT), 0);
	cr_expect_eq(w.n_left, 1);
	cr_expect_eq(w.n_tasks, 1, "what was deferred ran");
	cr_expect_eq(uv_loop_close(&w.uv), 0);
}

Test(loop_guest, leaves_with_calls_deferred, .timeout = 10)
{
	struct world w;
	set_up(&w);
	w.is_again = true;
	loop_hold(w.loop, 1);
	loop_defer(w.loop, &w.task, on_task);
	tear_down(&w);
	cr_expect_eq(w.n_tasks, 50);
}

Test(loop_guest, leaves_without_a_word, .timeout = 10)
{
	struct world w;
	set_up(&w);
	loop_leave(w.loop, NULL, NULL);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&w.uv), 0);
}

static void on_wake(void *owner)
{
	struct world *w = owner;
	w->n_uv++;
	loop_hold(w->loop, -1);
}

static void *wake_it(void *loop)
{
	loop_wake(loop);
	return NULL;
}

Test(loop_guest, wakes_from_another_thread, .timeout = 10)
{
	struct world w;
	pthread_t thread;
	set_up(&w);
	loop_on_wake(w.loop, on_wake, &w);
	loop_hold(w.loop, 1);
	pthread_create(&thread, NULL, wake_it, w.loop);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	cr_expect_eq(w.n_uv, 1);
	tear_down(&w);
}

static void on_signal(int signum, void *owner)
{
	(void)signum;
	on_wake(owner);
}

Test(loop_guest, signals_arrive, .timeout = 10)
{
	struct world w;
	set_up(&w);
	cr_assert_eq(loop_on_signal(w.loop, SIGUSR1, on_signal, &w), 0);
	cr_expect_eq(uv_run(&w.uv, UV_RUN_DEFAULT), 0, "a signal does not hold the loop");
	loop_hold(w.loop, 1);
	kill(getpid(), SIGUSR1);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	cr_expect_eq(w.n_uv, 1);
	tear_down(&w);
}

static void on_resolved(int error, const union addr_sock *addresses, size_t n, void *owner)
{
	struct world *w = owner;
	(void)error, (void)addresses, (void)n;
	w->n_polls++;
	loop_hold(w->loop, -1);
}

/* A name server that never answers: its socket is on the caller's loop when the guest leaves. */
Test(loop_guest, leaves_while_a_name_is_looked_up, .timeout = 20)
{
	struct world w;
	struct resolver *resolver;
	struct resolve_query *query;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	socklen_t len = sizeof at;
	char server[32];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(server, sizeof server, "127.0.0.1:%u", ntohs(at.sin_port));
	for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
		set_up(&w);
		cr_assert_eq(resolver_new(w.loop, server, &resolver), 0);
		loop_hold(w.loop, 1);
		cr_assert_eq(resolve_start(resolver, "a.test", 5000, on_resolved, &w, &query), 0);
		for (int i = 0; i < 3; i++)
			uv_run(&w.uv, UV_RUN_NOWAIT);
		if (is_cancelled) {
			resolve_cancel(query);
			loop_hold(w.loop, -1);
			cr_expect_eq(uv_loop_alive(&w.uv), 0,
				"a lookup that nobody waits for holds nothing");
		}
		resolver_free(resolver);
		tear_down(&w);
		cr_expect_eq(w.n_polls, 0);
	}
	close(fd);
}

Test(loop_guest, a_name_is_looked_up, .timeout = 20)
{
	struct world w;
	struct resolver *resolver;
	struct resolve_query *query;
	set_up(&w);
	cr_assert_eq(resolver_new(w.loop, NULL, &resolver), 0);
	loop_hold(w.loop, 1);
	cr_assert_eq(resolve_start(resolver, "localhost", 5000, on_resolved, &w, &query), 0);
	cr_expect_eq(w.n_polls, 0, "not from inside");
	uv_run(&w.uv, UV_RUN_DEFAULT);
	cr_expect_eq(w.n_polls, 1);
	resolver_free(resolver);
	tear_down(&w);
}

struct blocked {
	struct timer deadline;
	int ends[2];
	char order[4]; /* what came: 'a' an answer, 'd' the deadline */
};

static void on_block(uv_timer_t *timer)
{
	struct blocked *b = timer->data;
	cr_assert_eq(write(b->ends[1], "x", 1), 1);
	usleep(150 * 1000);
}

static void on_answer_ready(uv_poll_t *poll, int status, int events)
{
	struct blocked *b = poll->data;
	(void)status, (void)events;
	uv_poll_stop(poll);
	strcat(b->order, "a");
}

static void on_blocked_deadline(struct timer *timer)
{
	strcat(((struct blocked *)timer)->order, "d");
}

/* Names are looked up by the caller's loop: an answer that is there is heard before the deadline
 * that passed while the caller was busy. */
Test(loop_guest, what_came_while_the_caller_blocked_comes_before_deadlines, .timeout = 20)
{
	struct world w;
	struct blocked b = { .order = "" };
	uv_timer_t blocks;
	uv_poll_t answer;
	set_up(&w);
	cr_assert_eq(pipe(b.ends), 0);
	uv_timer_init(&w.uv, &blocks);
	uv_poll_init(&w.uv, &answer, b.ends[0]);
	blocks.data = answer.data = &b;
	uv_poll_start(&answer, UV_READABLE, on_answer_ready);
	uv_timer_start(&blocks, on_block, 1, 0);
	loop_timer_start(w.loop, &b.deadline, 60, on_blocked_deadline);
	loop_hold(w.loop, 1);
	for (int i = 0; i < 200 && strlen(b.order) < 2; i++) {
		uv_run(&w.uv, UV_RUN_NOWAIT);
		usleep(1000);
	}
	cr_expect_str_eq(b.order, "ad");
	loop_hold(w.loop, -1);
	loop_leave(w.loop, NULL, NULL);
	uv_close((uv_handle_t *)&blocks, NULL);
	uv_close((uv_handle_t *)&answer, NULL);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	close(b.ends[0]);
	close(b.ends[1]);
	cr_expect_eq(uv_loop_close(&w.uv), 0);
}
