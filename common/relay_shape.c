#include "common/relay_shape.h"

#include <assert.h>
#include <utlist.h>

#define FIRST_READ 4096 /* on credit */

static void on_time(struct timer *timer);

void shape_line_init(struct shape_line *line, struct loop *loop, shape_wake_fn *on_wake)
{
	*line = (struct shape_line){ .loop = loop, .on_wake = on_wake };
}

void shape_line_deinit(struct shape_line *line)
{
	assert(line->first == NULL);
	loop_timer_stop(line->loop, &line->timer);
}

void shape_way_init(struct shape_way *way, struct shape_line *line, const struct shaper_set *set,
	enum shaper_lane lane, void *owner)
{
	*way = (struct shape_way){
		.line = line, .set = set, .lane = lane, .owner = owner, .left = FIRST_READ
	};
}

/* Return: whether it was given something. */
static bool ask(struct shape_way *way, uint64_t now_us)
{
	way->left = way->paid = shaper_set_ask(way->set, way->lane, &way->wait, now_us);
	return way->left > 0;
}

static void wake_at(struct shape_line *line, uint32_t wait_ms)
{
	uint64_t at_ms = loop_now_ms(line->loop) + wait_ms;
	if (!timer_is_running(&line->timer) || line->timer.at_ms > at_ms)
		loop_timer_start(line->loop, &line->timer, wait_ms, on_time);
}

bool shape_way_may_read(struct shape_way *way)
{
	if (way->left > 0)
		return true;
	if (way->is_in_line)
		return false;
	if (ask(way, loop_clock_us()))
		return true;
	way->is_in_line = true;
	DL_APPEND(way->line->first, way);
	wake_at(way->line, way->wait.ms);
	return false;
}

void shape_way_has_read(struct shape_way *way, size_t n)
{
	uint64_t n_paid = n < way->paid ? n : way->paid;
	way->paid -= n_paid;
	way->left -= n < way->left ? n : way->left;
	if (n > n_paid)
		shaper_set_charge(way->set, way->lane, n - (size_t)n_paid, loop_clock_us());
}

static void leave(struct shape_way *way)
{
	way->is_in_line = false;
	DL_DELETE(way->line->first, way);
	shaper_wait_end(&way->wait, way->lane);
}

void shape_way_end(struct shape_way *way)
{
	if (way->is_in_line)
		leave(way);
	if (way->paid > 0)
		shaper_set_refund(way->set, way->lane, (size_t)way->paid);
	way->left = way->paid = 0;
}

/* Who waits the longest asks first; who was given something goes to the end when it asks again. */
static void on_time(struct timer *timer)
{
	struct shape_line *line =
		(struct shape_line *)((char *)timer - offsetof(struct shape_line, timer));
	struct shape_way *way, *next;
	uint64_t now_us = loop_clock_us();
	uint32_t wait_ms = UINT32_MAX;
	DL_FOREACH_SAFE (line->first, way, next) {
		if (ask(way, now_us)) {
			leave(way);
			line->on_wake(way);
		} else if (way->wait.ms < wait_ms) {
			wait_ms = way->wait.ms;
		}
	}
	if (line->first != NULL)
		wake_at(line, wait_ms);
}
