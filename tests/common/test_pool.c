#include "common/pool.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define N 2000

/* Every object is filled with its own number: one that overlaps another one shows. */
static void fill(uint8_t *object, size_t size, unsigned number)
{
	cr_assert(object[0] == 0 && memcmp(object, object + 1, size - 1) == 0, "it comes zeroed");
	memset(object, (int)(number % 255 + 1), size);
}

static void check(const uint8_t *object, size_t size, unsigned number)
{
	cr_assert(object[0] == number % 255 + 1 && memcmp(object, object + 1, size - 1) == 0);
}

static void use(size_t size)
{
	static uint8_t *objects[N];
	struct pool *pool = pool_new(size);
	unsigned seed = 7;
	cr_assert_not_null(pool);
	for (int step = 0; step < 15000; step++) {
		unsigned i = (unsigned)rand_r(&seed) % N;
		if (objects[i] == NULL) {
			objects[i] = pool_take(pool);
			cr_assert_not_null(objects[i]);
			cr_assert_eq((uintptr_t)objects[i] % _Alignof(max_align_t), 0);
			fill(objects[i], size, i);
		} else {
			check(objects[i], size, i);
			pool_give(pool, objects[i]);
			objects[i] = NULL;
		}
	}
	for (unsigned i = 0; i < N; i++) {
		if (objects[i] != NULL)
			check(objects[i], size, i);
		pool_give(pool, objects[i]);
		objects[i] = NULL;
	}
	pool_free(pool);
}

Test(pool, objects_of_any_size_do_not_overlap)
{
	const size_t sizes[] = { 1, 16, 17, 168, 776, 4000, 16384 };
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		use(sizes[i]);
}

Test(pool, nothing_is_something)
{
	struct pool *pool = pool_new(8);
	pool_give(pool, NULL);
	pool_free(pool);
	pool_free(NULL);
}
