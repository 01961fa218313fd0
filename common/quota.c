#include "common/quota.h"

#include "common/seal.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define N_STRIPES   16
#define MIN_BUCKETS 64 /* per stripe; a power of two */

void quota_init(struct quota *quota, uint32_t limit)
{
	atomic_init(&quota->n, 0);
	atomic_init(&quota->limit, limit);
}

void quota_set_limit(struct quota *quota, uint32_t limit)
{
	atomic_store_explicit(&quota->limit, limit, memory_order_relaxed);
}

bool charge_take(struct charge *charge, struct quota *quota)
{
	assert(charge->quota == NULL);
	uint32_t n = atomic_load_explicit(&quota->n, memory_order_relaxed);
	uint32_t limit = atomic_load_explicit(&quota->limit, memory_order_relaxed);
	do {
		if ((limit != 0 && n >= limit) || n == UINT32_MAX)
			return false;
	} while (!atomic_compare_exchange_weak(&quota->n, &n, n + 1));
	charge->quota = quota;
	return true;
}

void charge_return(struct charge *charge)
{
	if (charge->quota == NULL)
		return;
	uint32_t old = atomic_fetch_sub(&charge->quota->n, 1);
	assert(old > 0);
	(void)old;
	charge->quota = NULL;
}

void rate_init(struct rate *rate, uint32_t per_second)
{
	atomic_init(&rate->state, 0);
	atomic_init(&rate->per_second, per_second);
}

void rate_set(struct rate *rate, uint32_t per_second)
{
	atomic_store_explicit(&rate->per_second, per_second, memory_order_relaxed);
}

/* A token bucket in one word: the state is the time up to which what was taken uses the rate up.
 * One more fits while that is at most a second ahead of now: the burst. */
#define UNITS_PER_SECOND ((uint64_t)1 << 32)

bool rate_take(struct rate *rate, uint64_t now_ms)
{
	uint32_t per_second = atomic_load_explicit(&rate->per_second, memory_order_relaxed);
	if (per_second == 0)
		return true;
	uint64_t now =
		(now_ms / 1000) * UNITS_PER_SECOND + (now_ms % 1000) * UNITS_PER_SECOND / 1000;
	uint64_t cost = UNITS_PER_SECOND / per_second;
	uint64_t old = atomic_load_explicit(&rate->state, memory_order_relaxed), used;
	do {
		used = (old > now ? old : now) + cost;
		if (used - now > UNITS_PER_SECOND)
			return false;
	} while (!atomic_compare_exchange_weak(&rate->state, &old, used));
	return true;
}

/* ---- Counters per source: chained hash tables, striped; an entry lives while something is taken.
 */

struct source {
	struct source *next;
	uint8_t key[8];
	uint32_t n;
};

struct stripe {
	pthread_mutex_t mutex;
	struct source **buckets; /* NULL until the first source */
	size_t n_buckets, n_sources;
};

struct source_quota {
	uint8_t hash_key[16]; /* who picks addresses must not pick buckets */
	_Atomic uint32_t limit;
	struct stripe stripes[N_STRIPES];
};

int source_quota_new(uint32_t limit, struct source_quota **ret)
{
	struct source_quota *sources = calloc(1, sizeof *sources);
	if (sources == NULL)
		return ERR_NOMEM;
	seal_random(sources->hash_key, sizeof sources->hash_key);
	atomic_init(&sources->limit, limit);
	for (size_t i = 0; i < N_STRIPES; i++)
		pthread_mutex_init(&sources->stripes[i].mutex, NULL);
	*ret = sources;
	return 0;
}

void source_quota_set_limit(struct source_quota *sources, uint32_t limit)
{
	atomic_store_explicit(&sources->limit, limit, memory_order_relaxed);
}

void source_quota_free(struct source_quota *sources)
{
	if (sources == NULL)
		return;
	for (size_t i = 0; i < N_STRIPES; i++) {
		struct stripe *stripe = &sources->stripes[i];
		assert(stripe->n_sources == 0);
		free(stripe->buckets);
		pthread_mutex_destroy(&stripe->mutex);
	}
	free(sources);
}

/* An IP4 address and an IP6 /64 are told apart by the first two bytes: no IP6 network that is in
 * use begins with 0xffff. */
bool source_key(const union addr_sock *source, uint8_t key[8])
{
	union addr_sock plain = *source;
	addr_sock_unmap(&plain);
	memset(key, 0, 8);
	if (plain.any.sa_family == AF_INET) {
		memset(key, 0xff, 4);
		memcpy(key + 4, &plain.ip4.sin_addr, 4);
		return true;
	}
	if (plain.any.sa_family != AF_INET6)
		return false;
	memcpy(key, &plain.ip6.sin6_addr, 8);
	return true;
}

static uint64_t source_hash(const struct source_quota *sources, const uint8_t key[8])
{
	return seal_siphash(sources->hash_key, bytes_of(key, 8));
}

static struct source **bucket_of(const struct stripe *stripe, uint64_t hash)
{
	return &stripe->buckets[(hash / N_STRIPES) & (stripe->n_buckets - 1)];
}

/* The link that holds @key, or the end of its chain. */
static struct source **find_link(const struct stripe *stripe, uint64_t hash, const uint8_t key[8])
{
	struct source **link = bucket_of(stripe, hash);
	while (*link != NULL && memcmp((*link)->key, key, 8) != 0)
		link = &(*link)->next;
	return link;
}

/* Doubles the table once chains are one long. Without memory it stays as it is: chains get longer.
 */
static bool grow(const struct source_quota *sources, struct stripe *stripe)
{
	if (stripe->n_sources < stripe->n_buckets)
		return true;
	struct stripe old = *stripe;
	size_t n = old.n_buckets > 0 ? old.n_buckets * 2 : MIN_BUCKETS;
	struct source **buckets = calloc(n, sizeof(struct source *));
	if (buckets == NULL)
		return old.n_buckets > 0;
	stripe->buckets = buckets;
	stripe->n_buckets = n;
	for (size_t i = 0; i < old.n_buckets; i++) {
		for (struct source *s = old.buckets[i], *next; s != NULL; s = next) {
			struct source **link = bucket_of(stripe, source_hash(sources, s->key));
			next = s->next;
			s->next = *link;
			*link = s;
		}
	}
	free(old.buckets);
	return true;
}

/* Under the stripe's lock. */
static bool take_one(const struct source_quota *sources, struct stripe *stripe, uint64_t hash,
	const uint8_t key[8], uint32_t limit)
{
	if (!grow(sources, stripe))
		return false;
	struct source **link = find_link(stripe, hash, key);
	if (*link != NULL) {
		if ((*link)->n >= limit)
			return false;
		(*link)->n++;
		return true;
	}
	struct source *s = calloc(1, sizeof *s);
	if (s == NULL)
		return false;
	memcpy(s->key, key, 8);
	s->n = 1;
	*link = s;
	stripe->n_sources++;
	return true;
}

bool source_charge_take(
	struct source_charge *charge, struct source_quota *sources, const union addr_sock *source)
{
	assert(!charge->is_taken);
	uint32_t limit = atomic_load_explicit(&sources->limit, memory_order_relaxed);
	if (limit == 0 || !source_key(source, charge->key))
		return true;
	uint64_t hash = source_hash(sources, charge->key);
	struct stripe *stripe = &sources->stripes[hash % N_STRIPES];
	pthread_mutex_lock(&stripe->mutex);
	bool is_taken = take_one(sources, stripe, hash, charge->key, limit);
	pthread_mutex_unlock(&stripe->mutex);
	charge->sources = sources;
	charge->is_taken = is_taken;
	return is_taken;
}

void source_charge_return(struct source_charge *charge)
{
	if (!charge->is_taken)
		return;
	charge->is_taken = false;
	uint64_t hash = source_hash(charge->sources, charge->key);
	struct stripe *stripe = &charge->sources->stripes[hash % N_STRIPES];
	pthread_mutex_lock(&stripe->mutex);
	struct source **link = find_link(stripe, hash, charge->key);
	struct source *s = *link;
	assert(s != NULL && s->n > 0);
	if (--s->n == 0) {
		*link = s->next;
		stripe->n_sources--;
		free(s);
	}
	pthread_mutex_unlock(&stripe->mutex);
}
