#include "common/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <time.h>

#define WINDOW_MS 10000

static uint64_t clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The window's start and its count change together: the start is in the upper 56 bits. */
bool log_limit_take(struct log_limit *limit)
{
	uint64_t now_ms = clock_ms() + WINDOW_MS; /* after the zero window */
	uint64_t old = atomic_load(&limit->window), new;
	do {
		bool is_over = now_ms - (old >> 8) >= WINDOW_MS && now_ms > old >> 8;
		if (!is_over && (old & 0xff) >= LOG_BURST) {
			atomic_fetch_add(&limit->n_skipped, 1);
			return false;
		}
		new = is_over ? now_ms << 8 | 1 : old + 1;
	} while (!atomic_compare_exchange_weak(&limit->window, &old, new));
	return true;
}

void log_limit_tell(struct log_limit *limit, enum log_level level, const char *module)
{
	uint32_t n = atomic_exchange(&limit->n_skipped, 0);
	if (n > 0)
		log_line(level, module, "more lines like the next were left out n=%" PRIu32, n);
}
