#include "chain/health.h"

#include "common/seal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_RECENT 64 /* tries that the loss is counted over */
#define SPREAD   5  /* a part of the time aside: one in so many, both ways */

struct chain_health_entry {
	struct chain_health_entry *next;
	struct chain_health *health;
	unsigned n_held;
	uint64_t unused_ms; /* since when nobody holds it */
	uint64_t recent;    /* one bit per try, the newest lowest: 1 = failed */
	uint32_t n_recent;
	uint32_t n_aside; /* times in a row that it was put aside, or stayed there */
	struct chain_health_state state;
	size_t len;
	uint8_t identity[];
};

struct chain_health {
	pthread_mutex_t lock;
	struct chain_health_entry *entries;
	size_t n_unused;
};

int chain_health_new(struct chain_health **ret)
{
	struct chain_health *health = calloc(1, sizeof *health);
	if (health == NULL)
		return ERR_NOMEM;
	if (pthread_mutex_init(&health->lock, NULL) != 0) {
		free(health);
		return ERR_NOMEM;
	}
	*ret = health;
	return 0;
}

void chain_health_free(struct chain_health *health)
{
	if (health == NULL)
		return;
	struct chain_health_entry *entry = health->entries;
	while (entry != NULL) {
		struct chain_health_entry *next = entry->next;
		free(entry);
		entry = next;
	}
	pthread_mutex_destroy(&health->lock);
	free(health);
}

static void forget(struct chain_health *health, struct chain_health_entry **at)
{
	struct chain_health_entry *entry = *at;
	*at = entry->next;
	health->n_unused--;
	free(entry);
}

/* What nobody has held for long goes. */
static void drop_old(struct chain_health *health, uint64_t now_ms)
{
	struct chain_health_entry **at = &health->entries;
	while (*at != NULL) {
		if ((*at)->n_held == 0 && now_ms >= (*at)->unused_ms + CHAIN_HEALTH_KEEP_MS)
			forget(health, at);
		else
			at = &(*at)->next;
	}
}

/* Of too many the one goes that nobody has held for longest. */
static void drop_oldest(struct chain_health *health)
{
	struct chain_health_entry **at, **oldest = NULL;
	for (at = &health->entries; *at != NULL; at = &(*at)->next) {
		if ((*at)->n_held == 0 &&
			(oldest == NULL || (*at)->unused_ms < (*oldest)->unused_ms))
			oldest = at;
	}
	if (oldest != NULL)
		forget(health, oldest);
}

/* Asked for when a configuration is taken up, not by connections: a list will do. */
static struct chain_health_entry *find(
	struct chain_health *health, const void *identity, size_t len)
{
	struct chain_health_entry *entry;
	for (entry = health->entries; entry != NULL; entry = entry->next) {
		if (entry->len == len && memcmp(entry->identity, identity, len) == 0)
			return entry;
	}
	return NULL;
}

static struct chain_health_entry *add(struct chain_health *health, const void *identity, size_t len)
{
	struct chain_health_entry *entry = calloc(1, sizeof *entry + len);
	if (entry == NULL)
		return NULL;
	entry->health = health;
	entry->len = len;
	memcpy(entry->identity, identity, len);
	entry->next = health->entries;
	health->entries = entry;
	return entry;
}

struct chain_health_entry *chain_health_get(
	struct chain_health *health, const void *identity, size_t len, uint64_t now_ms)
{
	pthread_mutex_lock(&health->lock);
	drop_old(health, now_ms);
	if (health->n_unused > CHAIN_HEALTH_UNUSED_MAX)
		drop_oldest(health);
	struct chain_health_entry *entry = find(health, identity, len);
	if (entry != NULL && entry->n_held == 0)
		health->n_unused--;
	if (entry == NULL)
		entry = add(health, identity, len);
	if (entry != NULL)
		entry->n_held++;
	pthread_mutex_unlock(&health->lock);
	return entry;
}

void chain_health_put(struct chain_health_entry *entry, uint64_t now_ms)
{
	if (entry == NULL)
		return;
	struct chain_health *health = entry->health;
	pthread_mutex_lock(&health->lock);
	if (--entry->n_held == 0) {
		entry->unused_ms = now_ms;
		health->n_unused++;
	}
	pthread_mutex_unlock(&health->lock);
}

static void note_try(struct chain_health_entry *entry, bool is_failed)
{
	entry->recent = entry->recent << 1 | (is_failed ? 1 : 0);
	if (entry->n_recent < N_RECENT)
		entry->n_recent++;
	entry->state.loss_per_mille =
		(uint32_t)__builtin_popcountll(entry->recent) * 1000 / entry->n_recent;
}

/* As TCP smooths (RFC 6298): an eighth of what is new. */
static uint32_t smooth(uint32_t old_us, uint32_t new_us)
{
	uint32_t us = old_us == 0 ? new_us : old_us - old_us / 8 + new_us / 8;
	return us > 0 ? us : 1;
}

bool chain_health_ok(struct chain_health_entry *entry, uint32_t rtt_us, uint64_t now_ms)
{
	struct chain_health_state *state = &entry->state;
	pthread_mutex_lock(&entry->health->lock);
	bool was_aside = state->is_aside;
	note_try(entry, false);
	state->n_ok++;
	state->n_failed_in_row = 0;
	state->is_aside = false;
	state->back_ms = 0;
	state->last_ok_ms = now_ms;
	state->asked_ms = 0;
	entry->n_aside = 0;
	if (rtt_us > 0) {
		/* What it was before it died says nothing of how far it is now. */
		state->rtt_us = smooth(was_aside ? 0 : state->rtt_us, rtt_us);
		state->rtt_ms = now_ms;
	}
	pthread_mutex_unlock(&entry->health->lock);
	return was_aside;
}

/* @ms and up to a fifth more or less. */
static uint64_t spread(uint64_t ms)
{
	uint32_t random;
	uint64_t part = ms / SPREAD;
	seal_random(&random, sizeof random);
	return ms - part + random % (2 * part + 1);
}

static uint64_t aside_ms(const struct chain_health_entry *entry, uint32_t retry_after_ms)
{
	uint64_t times = entry->n_aside < 5 ? 1ull << entry->n_aside : CHAIN_HEALTH_ASIDE_MAX;
	return spread(retry_after_ms * times);
}

bool chain_health_failed(struct chain_health_entry *entry, const char *slug, uint32_t max_fails,
	uint32_t retry_after_ms, uint64_t now_ms)
{
	struct chain_health_state *state = &entry->state;
	pthread_mutex_lock(&entry->health->lock);
	bool was_aside = state->is_aside;
	note_try(entry, true);
	state->n_failed++;
	state->n_failed_in_row++;
	snprintf(state->last_error, sizeof state->last_error, "%s", slug);
	state->last_error_ms = now_ms;
	/* Who is tried although aside, because nothing else lives, is not aside for longer by it.
	 */
	if (state->n_failed_in_row >= max_fails && (!was_aside || now_ms >= state->back_ms)) {
		state->is_aside = true;
		state->back_ms = now_ms + aside_ms(entry, retry_after_ms);
		entry->n_aside++;
		state->asked_ms = 0;
	}
	bool is_new = state->is_aside && !was_aside;
	pthread_mutex_unlock(&entry->health->lock);
	return is_new;
}

bool chain_health_claim(struct chain_health_entry *entry, uint64_t now_ms)
{
	struct chain_health_state *state = &entry->state;
	pthread_mutex_lock(&entry->health->lock);
	bool is_claimed = state->is_aside && now_ms >= state->back_ms && now_ms >= state->asked_ms;
	if (is_claimed)
		state->asked_ms = now_ms + CHAIN_HEALTH_ASK_MS;
	pthread_mutex_unlock(&entry->health->lock);
	return is_claimed;
}

void chain_health_read(const struct chain_health_entry *entry, struct chain_health_state *ret)
{
	pthread_mutex_lock(&entry->health->lock);
	*ret = entry->state;
	pthread_mutex_unlock(&entry->health->lock);
}
