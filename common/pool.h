#ifndef COMMON_POOL_H
#define COMMON_POOL_H
/*
 * Does: objects of one size, densely packed, whose memory goes back to the system when they have
 * gone: for what there are many of and what ends in about the order it began. Knows: sizes. Never
 * knows: what the objects are.
 *
 * Between objects of other life spans the heap keeps the pages of what was freed; a chunk here is
 * given back whole. Under AddressSanitizer each object is the heap's own, so that it sees misuse.
 */
#include <stddef.h>

struct pool;
/** pool_new() - of objects of @size bytes (≥ 1, ≤ 16 KiB), aligned for anything. NULL without
 * memory.
 */
struct pool *pool_new(size_t size);
void pool_free(struct pool *pool); /* asserts that every object was given back. NULL ok */
/** pool_take() - a zeroed object; NULL without memory. */
void *pool_take(struct pool *pool);
/** pool_give() - @object of this pool. NULL ok. Not wiped. */
void pool_give(struct pool *pool, void *object);

#endif
