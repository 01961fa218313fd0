/* Threads share rates and limits by key: never more than the rate and one burst, nothing is left.
 */
#include "common/keyed_limits.h"
#include "common/seal.h"

#include <pthread.h>
#include <stdio.h>

#define N_THREADS 4
#define N_TURNS   20000
#define TURN_US   100
#define RATE      (8u << 20)

static struct shaper *shared;
static struct keyed_limits *limits;
static _Atomic uint64_t n_bytes;
static _Atomic int n_open, n_over;

static void *use(void *arg)
{
	struct shaper_set set = { .n = 0 };
	struct shaper_wait wait = { .at = NULL };
	shaper_set_add(&set, shared);
	for (uint64_t i = 0; i < N_TURNS; i++) {
		struct keyed_charge charge = { .entry = NULL };
		uint64_t now_us = 5000000 + i * TURN_US;
		atomic_fetch_add(&n_bytes, shaper_set_ask(&set, SHAPER_UP, &wait, now_us));
		if (shaper_set_take(&set, SHAPER_UP, 1200, now_us))
			atomic_fetch_add(&n_bytes, 1200);
		if (keyed_charge_take(&charge, limits, bytes_of("key", 1 + i % 3), now_us / 1000) ==
			KEYED_TAKEN) {
			struct shaper *own = keyed_charge_shaper(&charge);
			if (i % 3 == 0 && atomic_fetch_add(&n_open, 1) >= 2)
				atomic_fetch_add(&n_over, 1);
			if (own != NULL)
				shaper_release(shaper_hold(own));
			if (i % 3 == 0)
				atomic_fetch_sub(&n_open, 1);
		}
		if (arg != NULL && i % 1000 == 0)
			keyed_limits_set(limits, &(struct keyed_caps){ 2, 0, 1000 + i });
		keyed_charge_return(&charge);
	}
	shaper_wait_end(&wait, SHAPER_UP);
	shaper_set_release(&set);
	return NULL;
}

int main(void)
{
	pthread_t threads[N_THREADS];
	static int first;
	if (seal_start() != 0 || shaper_new(RATE, &shared) != 0 ||
		keyed_limits_new(&(struct keyed_caps){ 2, 0, 1000 }, &limits) != 0)
		return 1;
	for (int i = 0; i < N_THREADS; i++)
		if (pthread_create(&threads[i], NULL, use, i == 0 ? &first : NULL) != 0)
			return 1;
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	shaper_release(shared);
	keyed_limits_free(limits);
	uint64_t most = (uint64_t)RATE * N_TURNS * TURN_US / 1000000 + RATE / 20;
	/* What two threads read of one bucket at the same time may be taken by both. */
	most += (uint64_t)N_THREADS * RATE / 80;
	printf("bytes %llu of %llu, over %d\n", (unsigned long long)n_bytes,
		(unsigned long long)most, n_over);
	return n_bytes > most || n_over != 0;
}
