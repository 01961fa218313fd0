#include "chain/pool.h"

#include "chain/pool_lot.h"

#include <stdlib.h>

/* A lot, and how many clients share it. */
struct shared_lot {
	struct shared_lot *next;
	struct pool_lot *lot;
	size_t n_users;
};

struct chain_pool_user {
	struct chain_pool_user *prev, *next;
	struct chain_pools *pools;
	struct chain_client *client;
	struct shared_lot *lots[CHAIN_HOPS_MAX]; /* [k - 1]: of hops 1..k, or NULL */
};

struct chain_pools {
	struct loop *loop;
	struct shared_lot *lots;
	struct chain_pool_user *users;
};

/* ---- who shares ---- */

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_same_key(const struct wire_key *a, const struct wire_key *b)
{
	return a == b || (a != NULL && b != NULL && memcmp(a->rq, b->rq, sizeof a->rq) == 0 &&
				 memcmp(a->mask->id, b->mask->id, sizeof a->mask->id) == 0);
}

/* Whether a connection steered to @a stands at @b as well. */
static bool is_same_hop(const struct chain_hop *a, const struct chain_hop *b)
{
	return a->step == b->step && a->is_srv == b->is_srv && addr_is_equal(&a->addr, &b->addr) &&
	       is_same_text(a->user, b->user) && is_same_text(a->password, b->password) &&
	       is_same_key(a->key, b->key);
}

static bool is_same_prefix(
	const struct chain_client *a, const struct chain_client *b, size_t n_hops)
{
	const struct chain_spec *x = chain_client_spec(a), *y = chain_client_spec(b);
	if (x->n_hops < n_hops || y->n_hops < n_hops)
		return false;
	for (size_t i = 0; i < n_hops; i++) {
		if (!is_same_hop(&x->hops[i], &y->hops[i]))
			return false;
	}
	return true;
}

static struct shared_lot *find_lot(
	const struct chain_pools *pools, const struct chain_client *client, size_t n_hops)
{
	struct shared_lot *shared = pools->lots;
	while (shared != NULL &&
		(pool_lot_n_hops(shared->lot) != n_hops ||
			!is_same_prefix(pool_lot_client(shared->lot), client, n_hops)))
		shared = shared->next;
	return shared;
}

/* As many as the one wants that wants most, by way of any of them. */
static void settle(struct chain_pools *pools, struct shared_lot *shared)
{
	size_t i = pool_lot_n_hops(shared->lot) - 1;
	struct chain_client *client = NULL;
	uint32_t n_warm = 0;
	for (struct chain_pool_user *user = pools->users; user != NULL; user = user->next) {
		if (user->lots[i] != shared)
			continue;
		uint32_t n = chain_client_spec(user->client)->hops[i].n_warm;
		n_warm = n > n_warm ? n : n_warm;
		if (client == NULL || user->client == pool_lot_client(shared->lot))
			client = user->client;
	}
	pool_lot_set(shared->lot, client, n_warm < CHAIN_POOL_MAX ? n_warm : CHAIN_POOL_MAX);
}

static void leave_lot(struct chain_pools *pools, struct shared_lot *shared)
{
	if (--shared->n_users > 0) {
		settle(pools, shared);
		return;
	}
	struct shared_lot **at = &pools->lots;
	while (*at != shared)
		at = &(*at)->next;
	*at = shared->next;
	pool_lot_free(shared->lot);
	free(shared);
}

static int join_lot(struct chain_pool_user *user, size_t n_hops)
{
	struct chain_pools *pools = user->pools;
	struct shared_lot *shared = find_lot(pools, user->client, n_hops);
	if (shared == NULL) {
		shared = calloc(1, sizeof *shared);
		if (shared == NULL)
			return ERR_NOMEM;
		shared->lot = pool_lot_new(user->client, n_hops);
		if (shared->lot == NULL) {
			free(shared);
			return ERR_NOMEM;
		}
		shared->next = pools->lots;
		pools->lots = shared;
	}
	shared->n_users++;
	user->lots[n_hops - 1] = shared;
	settle(pools, shared);
	return 0;
}

/* ---- for everybody ---- */

int chain_pools_new(struct loop *loop, struct chain_pools **ret)
{
	struct chain_pools *pools = calloc(1, sizeof *pools);
	if (pools == NULL)
		return ERR_NOMEM;
	pools->loop = loop;
	*ret = pools;
	return 0;
}

void chain_pools_free(struct chain_pools *pools)
{
	if (pools == NULL)
		return;
	while (pools->users != NULL)
		chain_pools_remove(pools->users->client);
	free(pools);
}

int chain_pools_add(struct chain_pools *pools, struct chain_client *client)
{
	const struct chain_spec *spec = chain_client_spec(client);
	if (chain_client_pool_user(client) != NULL)
		return 0;
	struct chain_pool_user *user = calloc(1, sizeof *user);
	if (user == NULL)
		return ERR_NOMEM;
	user->pools = pools;
	user->client = client;
	user->next = pools->users;
	if (user->next != NULL)
		user->next->prev = user;
	pools->users = user;
	chain_client_set_pool_user(client, user);
	for (size_t i = 0; i < spec->n_hops; i++) {
		if (spec->hops[i].n_warm == 0 || spec->hops[i].step != CHAIN_STEP_HOP)
			continue;
		if (join_lot(user, i + 1) != 0) {
			chain_pools_remove(client);
			return ERR_NOMEM;
		}
	}
	return 0;
}

void chain_pools_remove(struct chain_client *client)
{
	struct chain_pool_user *user = chain_client_pool_user(client);
	if (user == NULL)
		return;
	struct chain_pools *pools = user->pools;
	chain_client_set_pool_user(client, NULL);
	if (user->prev != NULL)
		user->prev->next = user->next;
	else
		pools->users = user->next;
	if (user->next != NULL)
		user->next->prev = user->prev;
	for (size_t i = 0; i < CHAIN_HOPS_MAX; i++) {
		if (user->lots[i] != NULL)
			leave_lot(pools, user->lots[i]);
	}
	free(user);
}

bool chain_pools_take(struct chain_client *client, struct chain_warm *ret)
{
	struct chain_pool_user *user = chain_client_pool_user(client);
	if (user == NULL)
		return false;
	for (size_t i = CHAIN_HOPS_MAX; i-- > 0;) {
		if (user->lots[i] != NULL && pool_lot_take(user->lots[i]->lot, ret))
			return true;
	}
	return false;
}

void chain_pools_died(const struct chain_client *client, size_t n_hops)
{
	struct chain_pool_user *user = chain_client_pool_user(client);
	if (user != NULL && user->lots[n_hops - 1] != NULL)
		pool_lot_died(user->lots[n_hops - 1]->lot);
}

struct chain_pool_counters chain_pools_counters(const struct chain_client *client, size_t n_hops)
{
	struct chain_pool_user *user = chain_client_pool_user(client);
	if (user == NULL || user->lots[n_hops - 1] == NULL)
		return (struct chain_pool_counters){ 0 };
	return pool_lot_counters(user->lots[n_hops - 1]->lot);
}
