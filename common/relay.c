#include "common/relay.h"

#include "common/loop.h"
#include "common/relay_way.h"
#include "common/tcp.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#define SWEEP_MS 1000
#define QUIET_MS 60000

/* Of a relay that is limited. */
struct shaping {
	struct shaper_set set;
	struct shape_way ways[2];
};

struct relay {
	struct relay *prev, *next;
	struct relay_group *group;
	struct relay_way ways[2]; /* a → b, b → a */
	uint64_t active_at_ms;    /* last byte or end seen */
	uint32_t idle_timeout_ms, half_close_timeout_ms;
	struct shaping *shaping; /* or NULL */
	uint8_t n_streams;       /* not yet CLOSED */
	bool is_ending;
	struct relay_result result;
	relay_done_fn *on_done;
	void *owner;
};

struct relay_group {
	struct loop *loop;
	struct relay_kit kit;
	struct relay *relays;
	struct timer sweep;
};

static void sweep(struct timer *timer);

int relay_group_new(struct loop *loop, struct relay_group **ret)
{
	struct relay_group *group = calloc(1, sizeof *group);
	if (group == NULL)
		return ERR_NOMEM;
	group->loop = loop;
	int error = relay_kit_init(&group->kit, loop);
	if (error != 0) {
		free(group);
		return error;
	}
	*ret = group;
	return 0;
}

void relay_group_free(struct relay_group *group)
{
	if (group == NULL)
		return;
	assert(group->relays == NULL);
	loop_timer_stop(group->loop, &group->sweep);
	relay_kit_deinit(&group->kit);
	free(group);
}

struct relay_kit *relay_group_kit(struct relay_group *group)
{
	return &group->kit;
}

/* The one place that ends a relay. In order: both streams are closed; broken: both are aborted, so
 * that no end sees a clean end of a stream that was cut. */
static void end(struct relay *r, enum relay_end how, int error)
{
	if (r->is_ending)
		return;
	r->is_ending = true;
	r->result.end = how;
	r->result.error = error;
	for (int i = 0; i < 2; i++) {
		struct relay_way *w = &r->ways[i];
		relay_way_stop(w, &r->group->kit);
		if (how == RELAY_END_A || how == RELAY_END_B)
			stream_close(w->from);
		else
			stream_abort(w->from);
	}
}

static void on_closed(struct relay *r)
{
	if (--r->n_streams > 0)
		return;
	relay_done_fn *on_done = r->on_done;
	void *owner = r->owner;
	struct relay_result result = r->result;
	result.n_bytes_ab = r->ways[0].n_bytes;
	result.n_bytes_ba = r->ways[1].n_bytes;
	DL_DELETE(r->group->relays, r);
	if (r->shaping != NULL)
		shaper_set_release(&r->shaping->set);
	free(r->shaping);
	free(r);
	on_done(&result, owner);
}

static void fail(struct relay *r, const struct stream *s, int error)
{
	end(r, s == r->ways[0].from ? RELAY_FAILED_A : RELAY_FAILED_B, error);
}

/* A direction has ended and its last byte has gone out. */
static void way_done(struct relay *r, struct relay_way *w)
{
	const struct relay_way *other = w == &r->ways[0] ? &r->ways[1] : &r->ways[0];
	w->is_done = true;
	if (other->is_done)
		end(r, other == &r->ways[0] ? RELAY_END_A : RELAY_END_B, 0);
}

/* The second end of two needs no shutdown of its own: everything has been read, so close() sends
 * the FIN. */
static void pass_end(struct relay *r, struct relay_way *w)
{
	const struct relay_way *other = w == &r->ways[0] ? &r->ways[1] : &r->ways[0];
	w->has_ended = true;
	if (w->shape != NULL)
		shape_way_end(w->shape);
	if (other->is_done && tcp_is(w->to) && tcp_is_drained(w->to))
		way_done(r, w);
	else if (!stream_shutdown(w->to))
		way_done(r, w);
}

static void take_step(struct relay *r, struct relay_way *w, enum relay_way_step step, int error)
{
	switch (step) {
	case RELAY_WAY_ON:
		return;
	case RELAY_WAY_ENDED:
		pass_end(r, w);
		return;
	case RELAY_WAY_FAILED_FROM:
		fail(r, w->from, error);
		return;
	case RELAY_WAY_FAILED_TO:
		fail(r, w->to, error);
		return;
	}
}

static void on_data(struct relay *r, struct relay_way *w, struct bytes data)
{
	int error = 0;
	enum relay_way_step step = relay_way_data(w, &r->group->kit, data, &error);
	take_step(r, w, step, error);
}

static void on_drained(struct relay *r, struct relay_way *w)
{
	int error = 0;
	if (w->has_ended) {
		way_done(r, w);
		return;
	}
	enum relay_way_step step = relay_way_drained(w, &r->group->kit, &error);
	take_step(r, w, step, error);
}

static void on_event(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	struct relay *r = owner;
	struct relay_way *out =
		s == r->ways[0].from ? &r->ways[0] : &r->ways[1]; /* what @s reads */
	struct relay_way *in =
		s == r->ways[0].from ? &r->ways[1] : &r->ways[0]; /* what is written to @s */
	if (event == STREAM_CLOSED) {
		on_closed(r);
		return;
	}
	r->active_at_ms = loop_now_ms(r->group->loop);
	switch (event) {
	case STREAM_DATA:
		on_data(r, out, data);
		return;
	case STREAM_DRAINED:
		on_drained(r, in);
		return;
	case STREAM_EOF:
		pass_end(r, out);
		return;
	case STREAM_FAILED:
		fail(r, s, s->error);
		return;
	case STREAM_CONNECTED:
	case STREAM_CLOSED:
		return;
	}
}

static bool begin_shaping(struct relay *r, const struct shaper_set *set)
{
	if (set->n == 0)
		return true;
	r->shaping = calloc(1, sizeof *r->shaping);
	if (r->shaping == NULL)
		return false;
	shaper_set_copy(&r->shaping->set, set);
	for (int i = 0; i < 2; i++) {
		r->ways[i].shape = &r->shaping->ways[i];
		shape_way_init(r->ways[i].shape, &r->group->kit.line, &r->shaping->set,
			i == 0 ? SHAPER_UP : SHAPER_DOWN, &r->ways[i]);
	}
	return true;
}

int relay_new(struct relay_group *group, struct stream *a, struct stream *b,
	const struct relay_options *options, relay_done_fn *on_done, void *owner,
	struct relay **ret)
{
	struct relay *r = calloc(1, sizeof *r);
	if (r == NULL)
		return ERR_NOMEM;
	r->group = group;
	if (!begin_shaping(r, &options->shapers)) {
		free(r);
		return ERR_NOMEM;
	}
	r->ways[0].n_left = r->ways[1].n_left = STREAM_NO_LIMIT;
	r->ways[0].from = r->ways[1].to = a;
	r->ways[1].from = r->ways[0].to = b;
	r->active_at_ms = loop_now_ms(group->loop);
	r->idle_timeout_ms = options->idle_timeout_ms;
	r->half_close_timeout_ms = options->half_close_timeout_ms;
	r->n_streams = 2;
	r->on_done = on_done;
	r->owner = owner;
	stream_own(a, on_event, r);
	stream_own(b, on_event, r);
	if (tcp_is(a))
		tcp_cut_on_death(a);
	if (tcp_is(b))
		tcp_cut_on_death(b);
	if (group->relays == NULL)
		loop_timer_start(group->loop, &group->sweep, SWEEP_MS, sweep);
	DL_APPEND(group->relays, r);
	relay_way_read(&r->ways[0]);
	relay_way_read(&r->ways[1]);
	*ret = r;
	return 0;
}

void relay_stop(struct relay *relay)
{
	end(relay, RELAY_STOPPED, ERR_CANCEL);
}

void relay_group_stop(struct relay_group *group)
{
	struct relay *r;
	DL_FOREACH (group->relays, r)
		relay_stop(r);
}

/* Whether the limits hold it up: then nobody knows whether a peer is idle. */
static bool is_held_up(const struct relay *r)
{
	return r->shaping != NULL &&
	       (r->shaping->ways[0].is_in_line || r->shaping->ways[1].is_in_line);
}

static void check_time(struct relay *r, uint64_t now_ms)
{
	if (is_held_up(r))
		r->active_at_ms = now_ms;
	uint64_t quiet_ms = now_ms - r->active_at_ms;
	bool is_quiet = quiet_ms >= QUIET_MS;
	bool is_half_closed = r->ways[0].has_ended || r->ways[1].has_ended;
	if (r->is_ending)
		return;
	if (stream_is_stalled(r->ways[0].from, now_ms, is_quiet))
		end(r, RELAY_STALLED_A, ERR_STALLED);
	else if (stream_is_stalled(r->ways[1].from, now_ms, is_quiet))
		end(r, RELAY_STALLED_B, ERR_STALLED);
	else if (r->idle_timeout_ms > 0 && quiet_ms >= r->idle_timeout_ms)
		end(r, RELAY_IDLE, ERR_IDLE);
	else if (is_half_closed && r->half_close_timeout_ms > 0 &&
		 quiet_ms >= r->half_close_timeout_ms)
		end(r, RELAY_HALF_CLOSED, ERR_IDLE);
}

static void sweep(struct timer *timer)
{
	struct relay_group *group =
		(struct relay_group *)((char *)timer - offsetof(struct relay_group, sweep));
	uint64_t now_ms = loop_now_ms(group->loop);
	struct relay *r;
	DL_FOREACH (group->relays, r)
		check_time(r, now_ms);
	if (group->relays != NULL)
		loop_timer_start(group->loop, &group->sweep, SWEEP_MS, sweep);
}

const char *relay_end_name(enum relay_end end)
{
	switch (end) {
	case RELAY_END_A:
		return "client-fin";
	case RELAY_END_B:
		return "target-fin";
	case RELAY_FAILED_A:
		return "client-failed";
	case RELAY_FAILED_B:
		return "target-failed";
	case RELAY_IDLE:
		return "idle-timeout";
	case RELAY_HALF_CLOSED:
		return "half-close-timeout";
	case RELAY_STALLED_A:
		return "client-stalled";
	case RELAY_STALLED_B:
		return "target-stalled";
	case RELAY_STOPPED:
		return "stopped";
	}
	return "?";
}
