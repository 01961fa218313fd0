#include "common/relay_way.h"

#include "common/tcp.h"

/* performance.md, conclusion 3: splicing pays from 32 KiB a read on and stops paying below 16 KiB.
 */
#define BULK_READ    (32 * 1024)
#define BULK_STREAK  2
#define SMALL_CHUNK  (16 * 1024)
#define SMALL_STREAK 8
#define TURN_BUDGET  (1024 * 1024) /* bytes one direction splices before others get a turn */

static void on_wake(struct shape_way *shape)
{
	relay_way_read(shape->owner);
}

int relay_kit_init(struct relay_kit *kit, struct loop *loop)
{
	shape_line_init(&kit->line, loop, on_wake);
	return pipe_pool_new(&kit->pipes);
}

void relay_kit_deinit(struct relay_kit *kit)
{
	shape_line_deinit(&kit->line);
	pipe_pool_free(kit->pipes);
}

/* How much it may read now. */
static uint64_t allowance(const struct relay_way *w)
{
	return w->shape != NULL && w->shape->left < w->n_left ? w->shape->left : w->n_left;
}

void relay_way_read(struct relay_way *way)
{
	struct relay_way *w = way;
	if (w->n_left == 0 || (w->shape != NULL && !shape_way_may_read(w->shape)))
		stream_read_stop(w->from);
	else if (w->is_splicing)
		stream_read_start(w->from);
	else
		stream_read_limit(w->from, allowance(w));
}

void relay_way_pause(struct relay_way *way)
{
	if (way->is_splicing)
		tcp_pull_stop(way->from);
	way->is_splicing = false;
	way->streak = 0;
	stream_read_stop(way->from);
	if (way->shape != NULL)
		shape_way_end(way->shape);
}

static void count_off(struct relay_way *w, uint64_t n)
{
	if (w->n_left != STREAM_NO_LIMIT)
		w->n_left -= n;
}

/* While it is blocked the end is still told, and DRAINED goes on. */
static void begin_splicing(struct relay_way *w, bool is_blocked)
{
	w->is_splicing = true;
	w->streak = 0;
	tcp_pull_start(w->from);
	if (w->shape != NULL && !is_blocked)
		relay_way_read(w);
}

static void begin_copying(struct relay_way *w)
{
	w->is_splicing = false;
	w->streak = 0;
	tcp_pull_stop(w->from);
	relay_way_read(w);
}

/* There is nothing to read now. */
static void pause_splicing(struct relay_way *w, size_t last)
{
	if (tcp_has_urgent(w->from)) { /* splice() never passes an urgent byte: copy */
		begin_copying(w);
		tcp_pull_again(w->from);
		return;
	}
	w->streak = last >= SMALL_CHUNK ? 0 : (uint8_t)(w->streak + 1);
	if (w->streak >= SMALL_STREAK)
		begin_copying(w);
}

/* There may be more. */
static void yield(struct relay_way *w)
{
	w->streak = 0;
	if (w->n_left == 0)
		relay_way_pause(w);
	else if (w->shape == NULL || w->shape->left > 0)
		tcp_pull_again(w->from);
	else
		relay_way_read(w);
}

static enum splice_outcome run_pipe(
	struct relay_way *w, struct relay_kit *kit, size_t *ret_last, int *ret_error)
{
	size_t moved, budget = TURN_BUDGET, n_before = pipe_held(w->pipe);
	if (allowance(w) < budget)
		budget = (size_t)allowance(w);
	enum splice_outcome outcome =
		splice_run(w->from, w->to, w->pipe, budget, &moved, ret_last, ret_error);
	size_t n_read = moved + pipe_held(w->pipe) - n_before;
	w->n_bytes += moved;
	count_off(w, n_read);
	if (w->shape != NULL)
		shape_way_has_read(w->shape, n_read);
	if (outcome != SPLICE_BLOCKED) {
		pipe_return(kit->pipes, w->pipe);
		w->pipe = NULL;
	}
	return outcome;
}

static enum relay_way_step splice(struct relay_way *w, struct relay_kit *kit, int *ret_error)
{
	size_t last;
	if (w->pipe == NULL)
		w->pipe = pipe_borrow(kit->pipes);
	if (w->pipe == NULL) { /* none to be had */
		begin_copying(w);
		return RELAY_WAY_ON;
	}
	switch (run_pipe(w, kit, &last, ret_error)) {
	case SPLICE_AGAIN:
		pause_splicing(w, last);
		return RELAY_WAY_ON;
	case SPLICE_BLOCKED:
		return RELAY_WAY_ON;
	case SPLICE_MORE:
		yield(w);
		return RELAY_WAY_ON;
	case SPLICE_EOF:
		return RELAY_WAY_ENDED;
	case SPLICE_FAILED_IN:
		return RELAY_WAY_FAILED_FROM;
	case SPLICE_FAILED_OUT:
		return RELAY_WAY_FAILED_TO;
	}
	return RELAY_WAY_ON;
}

static bool is_bulk(const struct relay_way *w)
{
	return w->streak >= BULK_STREAK && !w->is_watched && w->n_left >= BULK_READ &&
	       tcp_is(w->from) && tcp_is(w->to) && !tcp_has_urgent(w->from);
}

void relay_way_copied(struct relay_way *way, size_t n_read, bool is_blocked)
{
	struct relay_way *w = way;
	w->streak = n_read >= BULK_READ ? (uint8_t)(w->streak + (w->streak < BULK_STREAK)) : 0;
	if (w->shape != NULL)
		shape_way_has_read(w->shape, n_read);
	if (w->n_left == 0)
		relay_way_pause(w);
	else if (is_bulk(w))
		begin_splicing(w, is_blocked);
	else if (is_blocked)
		stream_read_stop(w->from);
	else if (w->shape != NULL && w->shape->left == 0)
		relay_way_read(w);
}

static void copy(struct relay_way *w, struct bytes data)
{
	w->n_bytes += data.len;
	count_off(w, data.len);
	bool is_blocked = stream_write(w->to, data);
	relay_way_copied(w, data.len, is_blocked);
}

enum relay_way_step relay_way_data(
	struct relay_way *way, struct relay_kit *kit, struct bytes data, int *ret_error)
{
	if (!way->is_splicing)
		copy(way, data);
	else if (way->pipe == NULL && tcp_is_drained(way->to))
		return splice(way, kit, ret_error); /* else DRAINED of way->to goes on */
	return RELAY_WAY_ON;
}

enum relay_way_step relay_way_drained(struct relay_way *way, struct relay_kit *kit, int *ret_error)
{
	if (way->is_splicing)
		return splice(way, kit, ret_error);
	relay_way_read(way);
	return RELAY_WAY_ON;
}

void relay_way_stop(struct relay_way *way, struct relay_kit *kit)
{
	if (way->pipe != NULL)
		pipe_return(kit->pipes, way->pipe);
	way->pipe = NULL;
	if (way->shape != NULL)
		shape_way_end(way->shape);
}
