/* Threads share a counter, a rate and a table of sources: limits hold, nothing is left. */
#include "common/quota.h"
#include "common/seal.h"

#include <pthread.h>
#include <stdio.h>

#define N_THREADS 4
#define N_ROUNDS  20000
#define LIMIT     3
#define RATE      1000

static struct quota quota;
static struct rate rate;
static struct source_quota *sources;
static _Atomic int n_inside, n_over, n_rate;

static void *use(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < N_ROUNDS; i++) {
		struct charge c = { NULL };
		struct source_charge s = { .sources = NULL };
		union addr_sock source = { .ip4 = { .sin_family = AF_INET } };
		source.ip4.sin_addr.s_addr = i % 100;
		bool has_source = source_charge_take(&s, sources, &source);
		if (charge_take(&c, &quota)) {
			if (atomic_fetch_add(&n_inside, 1) >= LIMIT)
				atomic_fetch_add(&n_over, 1);
			atomic_fetch_sub(&n_inside, 1);
		}
		charge_return(&c);
		if (rate_take(&rate, 5000))
			atomic_fetch_add(&n_rate, 1);
		if (has_source)
			source_charge_return(&s);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[N_THREADS];
	if (seal_start() != 0 || source_quota_new(2, &sources) != 0)
		return 1;
	quota_init(&quota, LIMIT);
	rate_init(&rate, RATE);
	for (int i = 0; i < N_THREADS; i++)
		if (pthread_create(&threads[i], NULL, use, NULL) != 0)
			return 1;
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	source_quota_free(sources);
	printf("over %d, left %u, rate %d\n", n_over, quota.n, n_rate);
	return n_over != 0 || quota.n != 0 || n_rate != RATE;
}
