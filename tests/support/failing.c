#include "tests/support/failing.h"

#include <stddef.h>

static unsigned long n_left; /* 0 = off */
static bool has_failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t size);

void failing_start(unsigned long nth)
{
	n_left = nth;
	has_failed = false;
}

bool failing_stop(void)
{
	n_left = 0;
	return has_failed;
}

static bool fails_now(void)
{
	if (n_left == 0 || --n_left > 0)
		return false;
	has_failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *at, size_t size)
{
	return fails_now() ? NULL : __real_realloc(at, size);
}
