/* Threads share a table: no report gets lost, one at a time asks who is aside, nothing is left. */
#include "chain/health.h"
#include "common/seal.h"

#include <pthread.h>
#include <stdio.h>

#define N_THREADS 4
#define N_ROUNDS  5000

static struct chain_health *health;
static _Atomic unsigned n_claimed;

static void *use(void *arg)
{
	struct chain_health_state state;
	struct chain_health_entry *all = chain_health_get(health, "all", 3, 0);
	struct chain_health_entry *aside = chain_health_get(health, "aside", 5, 0);
	(void)arg;
	for (uint32_t i = 0; i < N_ROUNDS; i++) {
		uint32_t identity = i % 10;
		struct chain_health_entry *e =
			chain_health_get(health, &identity, sizeof identity, i);
		(void)chain_health_ok(e, i, i);
		(void)chain_health_failed(e, "refused", 2, 10, i);
		chain_health_read(e, &state);
		chain_health_put(e, i);
		(void)chain_health_ok(all, 1, i);
		if (chain_health_claim(aside, 1000 + i / N_ROUNDS))
			n_claimed++;
	}
	chain_health_put(all, 0);
	chain_health_put(aside, 0);
	return NULL;
}

int main(void)
{
	pthread_t threads[N_THREADS];
	struct chain_health_state state;
	if (seal_start() != 0 || chain_health_new(&health) != 0)
		return 1;
	struct chain_health_entry *all = chain_health_get(health, "all", 3, 0);
	struct chain_health_entry *aside = chain_health_get(health, "aside", 5, 0);
	(void)chain_health_failed(aside, "refused", 1, 10, 0);
	for (int i = 0; i < N_THREADS; i++)
		if (pthread_create(&threads[i], NULL, use, NULL) != 0)
			return 1;
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	chain_health_read(all, &state);
	chain_health_put(all, 0);
	chain_health_put(aside, 0);
	chain_health_free(health);
	printf("ok %lu, claimed %u\n", (unsigned long)state.n_ok, n_claimed);
	return state.n_ok != N_THREADS * N_ROUNDS || n_claimed != 1;
}
