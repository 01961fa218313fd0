#ifndef TESTS_SUPPORT_FAILING_H
#define TESTS_SUPPORT_FAILING_H
/*
 * Does: an allocator that fails the n-th call. Link the test with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc.
 */
#include <stdbool.h>

/** failing_start() - the @nth allocation from now on (1 = the next) fails, and only that one. */
void failing_start(unsigned long nth);
/** failing_stop() - Return: whether one has failed. */
bool failing_stop(void);

#endif
