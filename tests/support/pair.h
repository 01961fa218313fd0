#ifndef TESTS_SUPPORT_PAIR_H
#define TESTS_SUPPORT_PAIR_H
/*
 * Does: two streams in memory, each the other's peer, with a bounded channel each way, for tests.
 * Knows: stream.h, the loop's deferred calls. Never knows: sockets.
 */
#include "common/stream.h"

/** pair_new() - @size: bytes a direction holds before its writer must wait. */
NODISCARD int pair_new(
	struct loop *loop, size_t size, struct stream **ret_a, struct stream **ret_b);
/** pair_set_chunk() - deliver at most @n bytes per DATA of @s (default: all that is there). */
void pair_set_chunk(struct stream *s, size_t n);
/** pair_flip() - flips one bit of the @at-th byte that @s will still read. */
void pair_flip(struct stream *s, uint64_t at);

#endif
