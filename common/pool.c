#include "common/pool.h"

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <utlist.h>

struct pool {
	size_t size; /* of an object */
	size_t n_used;
	struct chunk *open; /* chunks with room */
};

#if defined(__SANITIZE_ADDRESS__)

static void *take(struct pool *pool)
{
	return calloc(1, pool->size);
}

static void give(struct pool *pool, void *object)
{
	(void)pool;
	free(object);
}

static void close_spare(struct pool *pool)
{
	(void)pool;
}

#else

#define CHUNK ((size_t)64 * 1024) /* and its alignment: an object leads to its chunk */

struct chunk {
	struct chunk *prev, *next; /* in pool->open */
	struct slot *given_back;
	size_t n_used, n_fresh; /* fresh: never taken, behind all others */
};
struct slot {
	struct slot *next;
};

#define HEADER                                                                                     \
	((sizeof(struct chunk) + alignof(max_align_t) - 1) / alignof(max_align_t) *                \
		alignof(max_align_t))

static size_t capacity(const struct pool *pool)
{
	return (CHUNK - HEADER) / pool->size;
}

/* Twice the size is mapped and what lies around the aligned half goes back. */
static struct chunk *open_chunk(struct pool *pool)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	/* cppcheck-suppress invalidFunctionArg ; memory without a file has descriptor -1 */
	uint8_t *at = mmap(NULL, 2 * CHUNK, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	size_t n_before = (CHUNK - (uintptr_t)at % CHUNK) % CHUNK;
	if (n_before > 0)
		munmap(at, n_before);
	munmap(at + n_before + CHUNK, CHUNK - n_before);
	struct chunk *chunk = (struct chunk *)(at + n_before);
	DL_PREPEND(pool->open, chunk);
	return chunk;
}

static void *take(struct pool *pool)
{
	struct chunk *chunk = pool->open != NULL ? pool->open : open_chunk(pool);
	if (chunk == NULL)
		return NULL;
	struct slot *slot = chunk->given_back;
	if (slot != NULL) {
		chunk->given_back = slot->next;
		memset(slot, 0, pool->size);
	} else {
		slot = (struct slot *)((uint8_t *)chunk + HEADER + chunk->n_fresh++ * pool->size);
	}
	if (++chunk->n_used == capacity(pool))
		DL_DELETE(pool->open, chunk);
	return slot;
}

static void give(struct pool *pool, void *object)
{
	struct chunk *chunk = (struct chunk *)((uintptr_t)object / CHUNK * CHUNK);
	struct slot *slot = object;
	slot->next = chunk->given_back;
	chunk->given_back = slot;
	if (chunk->n_used-- == capacity(pool))
		DL_APPEND(pool->open, chunk);
	bool is_last = pool->open == chunk && chunk->next == NULL;
	if (chunk->n_used > 0 || is_last)
		return; /* one stays */
	DL_DELETE(pool->open, chunk);
	munmap(chunk, CHUNK);
}

static void close_spare(struct pool *pool)
{
	if (pool->open != NULL)
		munmap(pool->open, CHUNK);
}

#endif

struct pool *pool_new(size_t size)
{
	struct pool *pool = calloc(1, sizeof *pool);
	if (pool == NULL)
		return NULL;
	assert(size >= 1 && size <= 16384);
	pool->size =
		(size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	return pool;
}

void pool_free(struct pool *pool)
{
	if (pool == NULL)
		return;
	assert(pool->n_used == 0);
	close_spare(pool);
	free(pool);
}

void *pool_take(struct pool *pool)
{
	void *object = take(pool);
	if (object != NULL)
		pool->n_used++;
	return object;
}

void pool_give(struct pool *pool, void *object)
{
	if (object == NULL)
		return;
	assert(pool->n_used > 0);
	pool->n_used--;
	give(pool, object);
}
