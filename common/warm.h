#ifndef COMMON_WARM_H
#define COMMON_WARM_H
/*
 * Does: lists those who hold something costly that they can make again (cipher contexts): who is
 * not used for a while lets go of it, and so does the one unused for longest when too many hold it.
 * Knows: a loop's clock. Never knows: what is held.
 */
#include "common/timer.h"

struct loop;

/* Embedded in who holds; zeroed = cold. */
struct warm {
	struct warm *prev, *next;
	uint64_t used_ms;
	bool is_warm;
};
/* @warm is to let go; it is out of the list already. May not use the list. */
typedef void warm_cool_fn(struct warm *warm);

struct warm_list {
	struct loop *loop;
	warm_cool_fn *cool;
	struct warm *first; /* unused for longest */
	struct timer timer;
	uint32_t rest_ms;
	unsigned n, max;
};

/** warm_list_init() - at most @max ≥ 1 hold at a time; each lets go @rest_ms after its last use. */
void warm_list_init(struct warm_list *list, struct loop *loop, unsigned max, uint32_t rest_ms,
	warm_cool_fn *cool);
/** warm_list_deinit() - asserts emptiness. Idempotent; legal on zeroed memory. */
void warm_list_deinit(struct warm_list *list);
/** warm_use() - @warm is used now, and listed if it was not: another one may cool. O(1), cheap
 * enough for every datagram. */
void warm_use(struct warm_list *list, struct warm *warm);
/** warm_remove() - it holds nothing any more; cools nobody. Idempotent. */
void warm_remove(struct warm_list *list, struct warm *warm);

#endif
