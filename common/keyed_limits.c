#include "common/keyed_limits.h"

#include "common/seal.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define MIN_BUCKETS 64 /* a power of two */

struct keyed_entry {
	struct keyed_entry *in_bucket;   /* the next there */
	struct keyed_entry *prev, *next; /* among the idle ones */
	struct shaper *shaper;           /* NULL until there was a rate */
	struct rate connects;
	uint32_t n;
	uint8_t n_key;
	uint8_t key[];
};

struct keyed_limits {
	pthread_mutex_t mutex;
	uint8_t hash_key[16]; /* who picks keys must not pick buckets */
	struct keyed_caps caps;
	struct keyed_entry **buckets; /* NULL until the first */
	size_t n_buckets, n_entries;
	struct keyed_entry *idle; /* the one that is idle the longest is first */
	size_t n_idle;
};

int keyed_limits_new(const struct keyed_caps *caps, struct keyed_limits **ret)
{
	struct keyed_limits *limits = calloc(1, sizeof *limits);
	if (limits == NULL)
		return ERR_NOMEM;
	seal_random(limits->hash_key, sizeof limits->hash_key);
	pthread_mutex_init(&limits->mutex, NULL);
	limits->caps = *caps;
	*ret = limits;
	return 0;
}

static struct keyed_entry **bucket_of(const struct keyed_limits *limits, struct bytes key)
{
	uint64_t hash = seal_siphash(limits->hash_key, key);
	return &limits->buckets[hash & (limits->n_buckets - 1)];
}

/* The link that holds @key, or the end of its chain. */
static struct keyed_entry **find_link(const struct keyed_limits *limits, struct bytes key)
{
	struct keyed_entry **link = bucket_of(limits, key);
	while (*link != NULL &&
		((*link)->n_key != key.len || memcmp((*link)->key, key.ptr, key.len) != 0))
		link = &(*link)->in_bucket;
	return link;
}

static void stop_idling(struct keyed_limits *limits, struct keyed_entry *e)
{
	DL_DELETE(limits->idle, e);
	limits->n_idle--;
}

static void forget(struct keyed_limits *limits, struct keyed_entry *e)
{
	stop_idling(limits, e);
	*find_link(limits, bytes_of(e->key, e->n_key)) = e->in_bucket;
	limits->n_entries--;
	shaper_release(e->shaper);
	free(e);
}

void keyed_limits_free(struct keyed_limits *limits)
{
	if (limits == NULL)
		return;
	while (limits->idle != NULL)
		forget(limits, limits->idle);
	assert(limits->n_entries == 0);
	free(limits->buckets);
	pthread_mutex_destroy(&limits->mutex);
	free(limits);
}

/* Without memory for a shaper it has no rate. */
static void apply(const struct keyed_caps *caps, struct keyed_entry *e)
{
	rate_set(&e->connects, caps->per_second);
	if (e->shaper == NULL && caps->rate > 0) {
		if (shaper_new(caps->rate, &e->shaper) != 0)
			e->shaper = NULL;
	} else if (e->shaper != NULL && shaper_rate(e->shaper) != caps->rate) {
		shaper_set_rate(e->shaper, caps->rate);
	}
}

void keyed_limits_set(struct keyed_limits *limits, const struct keyed_caps *caps)
{
	pthread_mutex_lock(&limits->mutex);
	limits->caps = *caps;
	for (size_t i = 0; i < limits->n_buckets; i++) {
		for (struct keyed_entry *e = limits->buckets[i]; e != NULL; e = e->in_bucket)
			apply(caps, e);
	}
	pthread_mutex_unlock(&limits->mutex);
}

size_t keyed_limits_count(struct keyed_limits *limits)
{
	pthread_mutex_lock(&limits->mutex);
	size_t n = limits->n_entries;
	pthread_mutex_unlock(&limits->mutex);
	return n;
}

/* Doubles the table once chains are one long. Without memory it stays as it is: chains get longer.
 */
static bool grow(struct keyed_limits *limits)
{
	if (limits->n_entries < limits->n_buckets)
		return true;
	struct keyed_limits old = *limits;
	size_t n = old.n_buckets > 0 ? old.n_buckets * 2 : MIN_BUCKETS;
	struct keyed_entry **buckets = calloc(n, sizeof(struct keyed_entry *));
	if (buckets == NULL)
		return old.n_buckets > 0;
	limits->buckets = buckets;
	limits->n_buckets = n;
	for (size_t i = 0; i < old.n_buckets; i++) {
		for (struct keyed_entry *e = old.buckets[i], *next; e != NULL; e = next) {
			struct keyed_entry **link = bucket_of(limits, bytes_of(e->key, e->n_key));
			next = e->in_bucket;
			e->in_bucket = *link;
			*link = e;
		}
	}
	free(old.buckets);
	return true;
}

/* An entry that is new is idle. */
static struct keyed_entry *find_or_add(struct keyed_limits *limits, struct bytes key)
{
	if (!grow(limits))
		return NULL;
	struct keyed_entry **link = find_link(limits, key);
	if (*link != NULL)
		return *link;
	if (limits->n_idle >= KEYED_IDLE_MAX) {
		forget(limits, limits->idle);
		link = find_link(limits, key);
	}
	struct keyed_entry *e = calloc(1, sizeof *e + key.len);
	if (e == NULL)
		return NULL;
	e->n_key = (uint8_t)key.len;
	memcpy(e->key, key.ptr, key.len);
	rate_init(&e->connects, 0);
	apply(&limits->caps, e);
	*link = e;
	limits->n_entries++;
	DL_APPEND(limits->idle, e);
	limits->n_idle++;
	return e;
}

static enum keyed_verdict take(
	struct keyed_limits *limits, struct bytes key, uint64_t now_ms, struct keyed_entry **ret)
{
	const struct keyed_caps *caps = &limits->caps;
	if (caps->connections == 0 && caps->per_second == 0 && caps->rate == 0)
		return KEYED_TAKEN;
	struct keyed_entry *e = find_or_add(limits, key);
	if (e == NULL)
		return KEYED_NO_MEMORY;
	if (caps->connections > 0 && e->n >= caps->connections)
		return KEYED_CONNECTIONS;
	if (!rate_take(&e->connects, now_ms))
		return KEYED_PER_SECOND;
	if (e->n++ == 0)
		stop_idling(limits, e);
	*ret = e;
	return KEYED_TAKEN;
}

enum keyed_verdict keyed_charge_take(
	struct keyed_charge *charge, struct keyed_limits *limits, struct bytes key, uint64_t now_ms)
{
	assert(charge->entry == NULL && key.len <= KEYED_KEY_MAX);
	pthread_mutex_lock(&limits->mutex);
	enum keyed_verdict verdict = take(limits, key, now_ms, &charge->entry);
	pthread_mutex_unlock(&limits->mutex);
	charge->limits = limits;
	return verdict;
}

void keyed_charge_return(struct keyed_charge *charge)
{
	struct keyed_limits *limits = charge->limits;
	struct keyed_entry *e = charge->entry;
	if (e == NULL)
		return;
	charge->entry = NULL;
	pthread_mutex_lock(&limits->mutex);
	if (--e->n == 0) {
		DL_APPEND(limits->idle, e);
		if (++limits->n_idle > KEYED_IDLE_MAX)
			forget(limits, limits->idle);
	}
	pthread_mutex_unlock(&limits->mutex);
}

struct shaper *keyed_charge_shaper(const struct keyed_charge *charge)
{
	if (charge->entry == NULL)
		return NULL;
	pthread_mutex_lock(&charge->limits->mutex);
	struct shaper *shaper = charge->entry->shaper;
	pthread_mutex_unlock(&charge->limits->mutex);
	return shaper != NULL && shaper_rate(shaper) > 0 ? shaper : NULL;
}
