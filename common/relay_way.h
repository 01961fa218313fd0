#ifndef COMMON_RELAY_WAY_H
#define COMMON_RELAY_WAY_H
/*
 * Does: one direction of a relay: reads as far as its limits let it, copies, and splices while
 * traffic is bulk; takes exactly as many bytes as it is told. Knows: streams, pipes, shapers. Never
 * knows: the other direction, what becomes of the relay.
 */
#include "common/relay_shape.h"
#include "common/relay_splice.h"
#include "common/stream.h"

/* What the ways of one worker share. */
struct relay_kit {
	struct pipe_pool *pipes;
	struct shape_line line; /* the owner of each shape is its way */
};
NODISCARD int relay_kit_init(struct relay_kit *kit, struct loop *loop);
void relay_kit_deinit(struct relay_kit *kit); /* no way is left */

/* from → to. By value in a relay; zeroed but for its streams, its shape and n_left. */
struct relay_way {
	struct stream *from, *to;
	uint64_t n_bytes;        /* that it has written */
	uint64_t n_left;         /* it takes no more from @from. STREAM_NO_LIMIT: until that ends */
	struct pipe *pipe;       /* only while it holds bytes */
	struct shape_way *shape; /* NULL: nothing limits it */
	uint8_t streak;          /* reads in a row that speak for the other mode */
	bool is_watched;         /* somebody looks at what it reads: it does not begin to splice */
	bool is_splicing;
	bool has_ended; /* from said EOF, and the end was passed on */
	bool is_done;   /* … and everything has gone out */
};

enum relay_way_step {
	RELAY_WAY_ON,    /* nothing to do */
	RELAY_WAY_ENDED, /* from ended in order */
	RELAY_WAY_FAILED_FROM,
	RELAY_WAY_FAILED_TO,
};

/** relay_way_read() - goes on as far as the limits let it; where they do not, its shape wakes. */
void relay_way_read(struct relay_way *way);
/** relay_way_data() - DATA of @way->from. *ret_error: of FAILED_*. Once n_left is 0 and there is no
 * pipe, all is with @way->to, and it is paused. */
enum relay_way_step relay_way_data(
	struct relay_way *way, struct relay_kit *kit, struct bytes data, int *ret_error);
/** relay_way_copied() - instead of relay_way_data(), while it does not splice, by who has written
 * by himself what he wanted of @n_read bytes of DATA; n_left is what is left behind them.
 * @is_blocked: to say at DRAINED. */
void relay_way_copied(struct relay_way *way, size_t n_read, bool is_blocked);
/** relay_way_pause() - reads no more, and does not splice, until relay_way_read(). */
void relay_way_pause(struct relay_way *way);
/** relay_way_drained() - DRAINED of @way->to, while @way->from has not ended. */
enum relay_way_step relay_way_drained(struct relay_way *way, struct relay_kit *kit, int *ret_error);
/** relay_way_stop() - its relay ends: it holds nothing any more. */
void relay_way_stop(struct relay_way *way, struct relay_kit *kit);

#endif
