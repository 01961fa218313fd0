#ifndef COMMON_RELAY_WAY_H
#define COMMON_RELAY_WAY_H
/*
 * Does: one direction of a relay: reads as far as its limits let it, copies, and splices while
 * traffic is bulk. Knows: streams, pipes, shapers. Never knows: the other direction, what becomes
 * of the relay.
 */
#include "common/relay_shape.h"
#include "common/relay_splice.h"
#include "common/stream.h"

/* from → to. By value in a relay; zeroed but for its streams and its shape. */
struct relay_way {
	struct stream *from, *to;
	uint64_t n_bytes;
	struct pipe *pipe;       /* only while it holds bytes */
	struct shape_way *shape; /* NULL: nothing limits it */
	uint8_t streak;          /* reads in a row that speak for the other mode */
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
/** relay_way_data() - DATA of @way->from. *ret_error: of FAILED_*. */
enum relay_way_step relay_way_data(
	struct relay_way *way, struct pipe_pool *pipes, struct bytes data, int *ret_error);
/** relay_way_drained() - DRAINED of @way->to, while @way->from has not ended. */
enum relay_way_step relay_way_drained(
	struct relay_way *way, struct pipe_pool *pipes, int *ret_error);
/** relay_way_stop() - its relay ends: it holds nothing any more. */
void relay_way_stop(struct relay_way *way, struct pipe_pool *pipes);

#endif
