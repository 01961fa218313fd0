#include "common/loop.h"

#include "common/loop_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define N_EVENTS        64 /* taken from the kernel at once */
#define MAX_TASK_ROUNDS 16 /* of deferred calls that defer calls, before sockets get a turn */

static uint64_t clock_ms(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t loop_clock_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t loop_wall_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t loop_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME_COARSE);
}

uint64_t loop_now_ms(const struct loop *loop)
{
	/* A guest's callbacks end in the caller's code, which may have taken its time. */
	return loop->is_guest ? clock_ms(CLOCK_MONOTONIC) : loop->now_ms;
}

static void on_wake(uv_async_t *handle)
{
	struct loop *loop = handle->data;
	if (loop->wake_fn != NULL)
		loop->wake_fn(loop->wake_owner);
}

int loop_init_wake(struct loop *loop)
{
	int error = uv_async_init(loop->uv, &loop->wake, on_wake);
	if (error == 0)
		loop->wake.data = loop;
	return error;
}

/* libuv's descriptor is a member of our set: its events are what NULL data stands for. */
static int join_uv(struct loop *loop)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	int error = loop_init_wake(loop);
	if (error != 0)
		return error;
	loop->uv_needs_turn = true;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, uv_backend_fd(loop->uv), &event) != 0)
		return -errno;
	return 0;
}

static void close_uv(struct loop *loop)
{
	for (struct loop_signal *s = loop->signals; s != NULL; s = s->next)
		uv_close((uv_handle_t *)&s->handle, NULL);
	if (loop->wake.data != NULL)
		uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_run(loop->uv, UV_RUN_DEFAULT);
	int error = uv_loop_close(loop->uv);
	assert(error == 0); /* a handle was left open */
	(void)error;
	while (loop->signals != NULL) {
		struct loop_signal *s = loop->signals;
		loop->signals = s->next;
		free(s);
	}
}

/* Untouched pages cost nothing: a loop that never seals never pays for SEAL. */
static int alloc_scratch(struct loop *loop)
{
	for (int i = 0; i < LOOP_N_SCRATCH; i++) {
		loop->scratch[i] = malloc(LOOP_BUFFER);
		if (loop->scratch[i] == NULL)
			return ERR_NOMEM;
	}
	return 0;
}

static void free_scratch(struct loop *loop)
{
	for (int i = 0; i < LOOP_N_SCRATCH; i++)
		free(loop->scratch[i]);
}

const char *loop_library(void)
{
	return uv_version_string();
}

int loop_init(struct loop *loop)
{
	loop->epoll_fd = -1;
	loop->last_task = &loop->first_task;
	loop->now_ms = clock_ms(CLOCK_MONOTONIC);
	int error = alloc_scratch(loop);
	if (error == 0)
		error = timer_wheel_new(loop->now_ms, &loop->wheel);
	if (error != 0)
		return error;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_deinit(struct loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	timer_wheel_free(loop->wheel);
	free_scratch(loop);
}

int loop_new(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof *loop);
	if (loop == NULL)
		return ERR_NOMEM;
	int error = loop_init(loop);
	if (error != 0)
		goto deinit;
	error = uv_loop_init(&loop->own_uv);
	if (error != 0)
		goto deinit;
	loop->uv = &loop->own_uv;
	error = join_uv(loop);
	if (error != 0)
		goto close_uv;
	*ret = loop;
	return 0;

close_uv:
	close_uv(loop);
deinit:
	loop_deinit(loop);
	free(loop);
	return error;
}

void loop_run_tasks(struct loop *loop)
{
	for (int i = 0; i < MAX_TASK_ROUNDS && loop->first_task != NULL; i++) {
		struct task *task = loop->first_task;
		loop->first_task = NULL;
		loop->last_task = &loop->first_task;
		while (task != NULL) {
			struct task *next = task->next;
			task->is_queued = false;
			task->fn(task); /* may free the task */
			task = next;
		}
	}
}

void loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	while (loop->first_task != NULL)
		loop_run_tasks(loop);
	assert(loop->again == NULL);
	close_uv(loop);
	loop_deinit(loop);
	free(loop);
}

void loop_defer(struct loop *loop, struct task *task, task_fn *fn)
{
	if (task->is_queued)
		return;
	task->fn = fn;
	task->next = NULL;
	task->is_queued = true;
	*loop->last_task = task;
	loop->last_task = &task->next;
	if (loop->is_between)
		loop_guest_poke(loop);
}

void loop_set_mark(struct loop *loop, uint32_t mark)
{
	loop->mark = mark;
}

int loop_mark_socket(const struct loop *loop, int fd)
{
	if (loop->mark == 0 ||
		setsockopt(fd, SOL_SOCKET, SO_MARK, &loop->mark, sizeof loop->mark) == 0)
		return 0;
	return -errno;
}

int poll_add(struct loop *loop, struct poll *poll, int fd, poll_fn *fn)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = poll,
	};
	*poll = (struct poll){ .fn = fn, .fd = fd, .is_watched = true };
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		*poll = (struct poll){ .fd = -1 };
		return -errno;
	}
	return 0;
}

static void unlink_again(struct poll **list, struct poll *poll)
{
	while (*list != NULL && *list != poll)
		list = &(*list)->next_again;
	if (*list != NULL)
		*list = poll->next_again;
}

/* close() alone takes a socket out of the set only while no forked child holds it, too. */
void poll_remove(struct loop *loop, struct poll *poll)
{
	if (poll->is_watched)
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, poll->fd, NULL);
	poll->is_watched = false;
	poll->fd = -1;
	if (!poll->is_queued)
		return;
	unlink_again(&loop->again, poll);
	unlink_again(&loop->again_running, poll);
	poll->is_queued = false;
}

void poll_again(struct loop *loop, struct poll *poll, unsigned events)
{
	if (poll->fd < 0)
		return;
	poll->again |= (uint8_t)events;
	if (poll->is_queued)
		return;
	poll->is_queued = true;
	poll->next_again = loop->again;
	loop->again = poll;
	if (loop->is_between)
		loop_guest_poke(loop);
}

static void run_again(struct loop *loop)
{
	loop->again_running = loop->again;
	loop->again = NULL;
	while (loop->again_running != NULL) {
		struct poll *poll = loop->again_running;
		unsigned events = poll->again;
		loop->again_running = poll->next_again;
		poll->is_queued = false;
		poll->again = 0;
		poll->fn(poll, events); /* may remove any poll, not free it */
	}
}

static unsigned from_epoll(uint32_t events)
{
	unsigned out = 0;
	if (events & EPOLLIN)
		out |= READY_IN;
	if (events & EPOLLOUT)
		out |= READY_OUT;
	if (events & (EPOLLRDHUP | EPOLLHUP))
		out |= READY_RDHUP;
	if (events & EPOLLERR)
		out |= READY_ERR;
	if (events & EPOLLPRI)
		out |= READY_URGENT;
	return out;
}

static int wait_ms(struct loop *loop, int limit_ms)
{
	if (loop->again != NULL || loop->first_task != NULL || loop->uv_needs_turn)
		return 0;
	int wait = timer_wheel_next_ms(loop->wheel, loop->now_ms);
	int uv = uv_backend_timeout(loop->uv);
	if (uv >= 0 && (wait < 0 || uv < wait))
		wait = uv;
	if (limit_ms >= 0 && (wait < 0 || limit_ms < wait))
		wait = limit_ms;
	return wait;
}

static void turn(struct loop *loop, int limit_ms)
{
	struct epoll_event events[N_EVENTS];
	int wait = loop->is_guest ? 0 : wait_ms(loop, limit_ms);
	int n = epoll_wait(loop->epoll_fd, events, N_EVENTS, wait);
	loop->now_ms = clock_ms(CLOCK_MONOTONIC);
	bool uv_turn =
		!loop->is_guest && (loop->uv_needs_turn || uv_backend_timeout(loop->uv) == 0);
	for (int i = 0; i < n; i++) {
		struct poll *poll = events[i].data.ptr;
		if (poll == NULL)
			uv_turn = true;
		else if (poll->fd >= 0)
			poll->fn(poll, from_epoll(events[i].events));
	}
	run_again(loop);
	if (uv_turn) {
		loop->uv_needs_turn = false;
		uv_run(loop->uv, UV_RUN_NOWAIT);
	}
	if (!loop->holds_timers)
		timer_wheel_run(loop->wheel, loop->now_ms);
	loop_run_tasks(loop);
}

void loop_run(struct loop *loop)
{
	loop->is_stopping = false;
	while (!loop->is_stopping)
		turn(loop, -1);
}

bool loop_run_until(struct loop *loop, const bool *done, uint64_t timeout_ms)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	while (!*done && loop->now_ms < end)
		turn(loop, (int)(end - loop->now_ms));
	return *done;
}

void loop_turn(struct loop *loop)
{
	turn(loop, 0);
}

void loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
}

void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn)
{
	timer_start(loop->wheel, timer, loop_now_ms(loop) + delay_ms, fn);
	if (loop->is_between)
		loop_guest_poke(loop);
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	timer_stop(loop->wheel, timer);
}

void loop_wake(struct loop *loop)
{
	uv_async_send(&loop->wake);
}

void loop_on_wake(struct loop *loop, loop_wake_fn *fn, void *owner)
{
	loop->wake_fn = fn;
	loop->wake_owner = owner;
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct loop_signal *s = handle->data;
	s->fn(signum, s->owner);
}

int loop_on_signal(struct loop *loop, int signum, loop_signal_fn *fn, void *owner)
{
	struct loop_signal *s = calloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	int error = uv_signal_init(loop->uv, &s->handle);
	if (error != 0) {
		free(s);
		return error;
	}
	if (loop->is_guest)
		uv_unref((uv_handle_t *)&s->handle);
	s->handle.data = s;
	s->fn = fn;
	s->owner = owner;
	s->next = loop->signals; /* linked before start: loop_free() closes it either way */
	loop->signals = s;
	loop->uv_needs_turn = true;
	return uv_signal_start(&s->handle, on_signal, signum);
}

uint8_t *loop_scratch(struct loop *loop, enum loop_scratch which)
{
	return loop->scratch[which];
}

uv_loop_t *loop_uv(struct loop *loop)
{
	loop->uv_needs_turn = true;
	return loop->uv;
}
