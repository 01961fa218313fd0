#ifndef COMMON_RELAY_SHAPE_H
#define COMMON_RELAY_SHAPE_H
/*
 * Does: how much each direction of the shaped relays of one worker may read; those that may not now
 * wait in one line with one timer. Knows: shapers, the loop. Never knows: streams.
 */
#include "common/loop.h"
#include "common/shaper.h"

struct shape_way;
/** shape_wake_fn - @way may read again: way->left bytes. It must not ask from inside of it. */
typedef void shape_wake_fn(struct shape_way *way);

/* By value in the group; zeroed and initialised. */
struct shape_line {
	struct loop *loop;
	struct shape_way *first; /* who waits the longest */
	struct timer timer;
	shape_wake_fn *on_wake;
};
void shape_line_init(struct shape_line *line, struct loop *loop, shape_wake_fn *on_wake);
void shape_line_deinit(struct shape_line *line); /* nobody waits any more */

/* One direction. */
struct shape_way {
	struct shape_way *prev, *next; /* in line */
	struct shape_line *line;
	const struct shaper_set *set;
	void *owner;
	struct shaper_wait wait;
	uint64_t left; /* bytes it may read */
	uint64_t paid; /* so many of them were taken from the buckets */
	enum shaper_lane lane;
	bool is_in_line;
};
/** shape_way_init() - it may read a little at once, on credit: an idle one holds nothing back. */
void shape_way_init(struct shape_way *way, struct shape_line *line, const struct shaper_set *set,
	enum shaper_lane lane, void *owner);
/** shape_way_may_read() - whether way->left > 0, now or after asking; if not, it is in line. */
bool shape_way_may_read(struct shape_way *way);
/** shape_way_has_read() - counts @n bytes off. */
void shape_way_has_read(struct shape_way *way, size_t n);
/** shape_way_end() - leaves the line and gives back what it did not use. Idempotent. */
void shape_way_end(struct shape_way *way);

#endif
