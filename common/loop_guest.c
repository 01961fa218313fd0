#include "common/loop_internal.h"

#include <assert.h>
#include <stdlib.h>

/*
 * A guest's epoll descriptor is one uv_poll_t of the caller's loop; its wheel is one uv_timer_t. A
 * uv_prepare_t looks at both, and at what was deferred since the last turn, before the caller's
 * loop blocks. What is due runs one turn of libuv later: whatever came while the caller was busy,
 * also for libuv itself, is heard before a deadline. A uv_idle_t runs while there is more to do at
 * once: it keeps libuv from blocking.
 */
struct guest {
	struct loop loop; /* first */
	uv_poll_t poll;
	uv_timer_t timer;
	uv_prepare_t prepare; /* is referenced while the guest holds the caller's loop */
	uv_idle_t idle;
	uint64_t timer_at_ms; /* what the timer is set to; UINT64_MAX = it is stopped */
	int n_held;
	unsigned n_open; /* handles that have not closed */
	bool is_due;     /* timers were, before libuv looked at its descriptors */
	bool is_leaving;
	loop_left_fn *on_left;
	void *owner;
};

static struct guest *guest_of(struct loop *loop)
{
	assert(loop->is_guest);
	return (struct guest *)loop;
}

static void take_turn(struct guest *g)
{
	g->loop.is_between = false;
	loop_turn(&g->loop);
	g->loop.is_between = true;
}

static bool has_more(const struct guest *g)
{
	return g->loop.again != NULL || g->loop.first_task != NULL;
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	(void)status, (void)events;
	take_turn(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
	struct guest *g = handle->data;
	g->timer_at_ms = UINT64_MAX; /* on_prepare() follows */
}

static void on_idle(uv_idle_t *handle)
{
	(void)handle;
}

void loop_guest_poke(struct loop *loop)
{
	uv_idle_start(&guest_of(loop)->idle, on_idle);
}

static void set_timer(struct guest *g, uint64_t now_ms, int wait_ms)
{
	uint64_t at_ms = wait_ms < 0 ? UINT64_MAX : now_ms + (uint64_t)wait_ms;
	if (at_ms == g->timer_at_ms)
		return;
	g->timer_at_ms = at_ms;
	if (wait_ms < 0)
		uv_timer_stop(&g->timer);
	else
		uv_timer_start(&g->timer, on_timer, (uint64_t)wait_ms, 0);
}

static void leave_now(struct guest *g);

static void on_prepare(uv_prepare_t *handle)
{
	struct guest *g = handle->data;
	if (has_more(g))
		take_turn(g);
	if (g->is_due) {
		g->loop.holds_timers = false;
		take_turn(g);
		g->loop.holds_timers = true;
	}
	uint64_t now_ms = loop_now_ms(&g->loop);
	int wait_ms = timer_wheel_next_ms(g->loop.wheel, now_ms);
	g->is_due = wait_ms == 0;
	if (g->is_leaving) {
		leave_now(g);
		return;
	}
	set_timer(g, now_ms, wait_ms);
	if (has_more(g) || wait_ms == 0)
		uv_idle_start(&g->idle, on_idle);
	else
		uv_idle_stop(&g->idle);
}

/* --- the end --- */

static void forget(struct guest *g)
{
	while (g->loop.signals != NULL) {
		struct loop_signal *s = g->loop.signals;
		g->loop.signals = s->next;
		free(s);
	}
	loop_deinit(&g->loop);
	free(g);
}

static void on_last_closed(uv_handle_t *handle)
{
	struct guest *g = handle->data;
	loop_left_fn *on_left = g->on_left;
	void *owner = g->owner;
	forget(g);
	if (on_left != NULL)
		on_left(owner);
}

/* What others closed on the caller's loop before (the resolver's sockets) may be called after us in
 * this turn of libuv: one more handle, closed now, is called after all of them. */
static void on_closed(uv_handle_t *handle)
{
	struct guest *g = handle->data;
	if (--g->n_open > 0)
		return;
	uv_idle_init(g->loop.uv, &g->idle);
	uv_close((uv_handle_t *)&g->idle, on_last_closed);
}

static void on_signal_closed(uv_handle_t *handle)
{
	struct loop_signal *s = handle->data;
	struct guest *g = s->owner;
	handle->data = g;
	on_closed(handle);
}

static void close_handle(struct guest *g, uv_handle_t *handle)
{
	g->n_open++;
	uv_close(handle, on_closed);
}

/* Between two turns: nothing of ours is running. */
static void leave_now(struct guest *g)
{
	g->loop.is_between = false;
	while (g->loop.first_task != NULL)
		loop_run_tasks(&g->loop);
	assert(g->loop.again == NULL);
	for (struct loop_signal *s = g->loop.signals; s != NULL; s = s->next) {
		s->owner = g; /* its callback will not run any more */
		g->n_open++;
		uv_close((uv_handle_t *)&s->handle, on_signal_closed);
	}
	close_handle(g, (uv_handle_t *)&g->poll);
	close_handle(g, (uv_handle_t *)&g->timer);
	close_handle(g, (uv_handle_t *)&g->prepare);
	close_handle(g, (uv_handle_t *)&g->idle);
	if (g->loop.wake.data != NULL)
		close_handle(g, (uv_handle_t *)&g->loop.wake);
}

void loop_leave(struct loop *loop, loop_left_fn *on_left, void *owner)
{
	struct guest *g = guest_of(loop);
	assert(!g->is_leaving);
	g->is_leaving = true;
	g->on_left = on_left;
	g->owner = owner;
	uv_ref((uv_handle_t *)&g->prepare);
	loop_guest_poke(loop);
}

/* --- the beginning --- */

static void start_handles(struct guest *g)
{
	uv_loop_t *uv = g->loop.uv;
	uv_timer_init(uv, &g->timer);
	uv_prepare_init(uv, &g->prepare);
	uv_idle_init(uv, &g->idle);
	g->poll.data = g->timer.data = g->prepare.data = g->idle.data = g;
	uv_unref((uv_handle_t *)&g->poll);
	uv_unref((uv_handle_t *)&g->timer);
	uv_unref((uv_handle_t *)&g->prepare);
	uv_unref((uv_handle_t *)&g->idle);
	uv_poll_start(&g->poll, UV_READABLE, on_readable);
	uv_prepare_start(&g->prepare, on_prepare);
}

int loop_new_on(struct uv_loop_s *uv, struct loop **ret)
{
	struct guest *g = calloc(1, sizeof *g);
	if (g == NULL)
		return ERR_NOMEM;
	g->loop.is_guest = g->loop.is_between = g->loop.holds_timers = true;
	g->loop.uv = uv;
	g->timer_at_ms = UINT64_MAX;
	int error = loop_init(&g->loop);
	if (error == 0)
		error = uv_poll_init(uv, &g->poll, g->loop.epoll_fd);
	if (error != 0) {
		forget(g);
		return error;
	}
	start_handles(g);
	error = loop_init_wake(&g->loop);
	if (error != 0) { /* what has begun can only end in the caller's next turn */
		loop_leave(&g->loop, NULL, NULL);
		return error;
	}
	uv_unref((uv_handle_t *)&g->loop.wake);
	*ret = &g->loop;
	return 0;
}

void loop_hold(struct loop *loop, int change)
{
	struct guest *g = guest_of(loop);
	g->n_held += change;
	assert(g->n_held >= 0);
	if (g->is_leaving)
		return;
	if (g->n_held > 0)
		uv_ref((uv_handle_t *)&g->prepare);
	else
		uv_unref((uv_handle_t *)&g->prepare);
}
