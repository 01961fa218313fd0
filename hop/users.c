#include "hop/users.h"

#include <stdlib.h>
#include <string.h>

#define MASKS_MAX 2 /* docs/protocol.md 2.1 */

struct named {
	const struct hop_user *user;
	struct hop_user_limits *limits; /* held */
};

struct hop_users {
	const struct wire_mask *masks[MASKS_MAX];
	size_t n_masks;
	struct named *named; /* sorted by name */
	size_t n_named;
	struct hop_entry *entries; /* sorted by kid */
	size_t n_entries;
};

static int by_kid(const void *a, const void *b)
{
	uint64_t x = ((const struct hop_entry *)a)->kid, y = ((const struct hop_entry *)b)->kid;
	return x < y ? -1 : x > y;
}

static void add_mask(struct hop_users *users, const struct wire_mask *mask)
{
	for (size_t i = 0; i < users->n_masks; i++) {
		if (memcmp(users->masks[i]->id, mask->id, sizeof mask->id) == 0)
			return;
	}
	if (users->n_masks < MASKS_MAX)
		users->masks[users->n_masks++] = mask;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->user->name, ((const struct named *)b)->user->name);
}

static struct named *find_named(const struct hop_users *users, const struct hop_user *user)
{
	struct named wanted = { .user = user };
	if (users == NULL)
		return NULL;
	return bsearch(&wanted, users->named, users->n_named, sizeof *users->named, by_name);
}

static void release_limits(struct hop_user_limits *limits)
{
	if (limits == NULL || atomic_fetch_sub(&limits->n_refs, 1) > 1)
		return;
	shaper_release(limits->shaper);
	free(limits);
}

static struct hop_user_limits *new_limits(const struct hop_user *user)
{
	struct hop_user_limits *limits = calloc(1, sizeof *limits);
	if (limits == NULL)
		return NULL;
	limits->n_refs = 1;
	quota_init(&limits->connections, user->max_connections);
	quota_init(&limits->flows, user->max_flows);
	quota_init(&limits->lookups, HOP_USER_LOOKUPS_MAX);
	rate_init(&limits->connects, user->max_connects_per_second);
	if (shaper_new(user->rate, &limits->shaper) == 0)
		return limits;
	free(limits);
	return NULL;
}

static int add_user(
	struct hop_users *users, const struct hop_user *user, const struct hop_users *before)
{
	const struct named *old = find_named(before, user);
	struct hop_user_limits *limits = old != NULL ? old->limits : new_limits(user);
	if (limits == NULL)
		return ERR_NOMEM;
	if (old != NULL)
		atomic_fetch_add(&limits->n_refs, 1);
	users->named[users->n_named++] = (struct named){ user, limits };
	for (size_t i = 0; i < user->n_keys; i++) {
		struct hop_entry *e = &users->entries[users->n_entries++];
		*e = (struct hop_entry){ .key = &user->keys[i], .user = user, .limits = limits };
		memcpy(&e->kid, user->keys[i].key->kid, sizeof e->kid);
		add_mask(users, user->keys[i].key->mask);
	}
	return 0;
}

int hop_users_new_after(
	const struct hop_options *options, const struct hop_users *before, struct hop_users **ret)
{
	size_t n_keys = 0;
	struct hop_users *users = calloc(1, sizeof *users);
	if (users == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < options->n_users; i++)
		n_keys += options->users[i].n_keys;
	users->entries = calloc(n_keys, sizeof *users->entries);
	users->named = calloc(options->n_users, sizeof *users->named);
	int error = users->entries == NULL || users->named == NULL ? ERR_NOMEM : 0;
	for (size_t i = 0; error == 0 && i < options->n_users; i++)
		error = add_user(users, &options->users[i], before);
	if (error != 0) {
		hop_users_free(users);
		return error;
	}
	qsort(users->named, users->n_named, sizeof *users->named, by_name);
	qsort(users->entries, users->n_entries, sizeof *users->entries, by_kid);
	*ret = users;
	return 0;
}

int hop_users_new(const struct hop_options *options, struct hop_users **ret)
{
	return hop_users_new_after(options, NULL, ret);
}

void hop_users_free(struct hop_users *users)
{
	if (users == NULL)
		return;
	for (size_t i = 0; i < users->n_named; i++)
		release_limits(users->named[i].limits);
	free(users->entries);
	free(users->named);
	free(users);
}

void hop_users_apply(const struct hop_users *users)
{
	for (size_t i = 0; i < users->n_named; i++) {
		const struct hop_user *user = users->named[i].user;
		struct hop_user_limits *limits = users->named[i].limits;
		quota_set_limit(&limits->connections, user->max_connections);
		quota_set_limit(&limits->flows, user->max_flows);
		rate_set(&limits->connects, user->max_connects_per_second);
		if (shaper_rate(limits->shaper) != user->rate)
			shaper_set_rate(limits->shaper, user->rate);
	}
}

static bool has_key(const struct hop_user *user, const struct hop_user_key *key)
{
	for (size_t i = 0; i < user->n_keys; i++) {
		const struct hop_user_key *own = &user->keys[i];
		if (memcmp(own->key->kid, key->key->kid, sizeof own->key->kid) == 0 &&
			own->not_before_ms == key->not_before_ms &&
			own->not_after_ms == key->not_after_ms)
			return true;
	}
	return false;
}

static bool has_same_keys(const struct hop_user *a, const struct hop_user *b)
{
	bool is_same = a->n_keys == b->n_keys;
	for (size_t i = 0; is_same && i < a->n_keys; i++)
		is_same = has_key(b, &a->keys[i]);
	return is_same;
}

struct hop_users_changes hop_users_changes(
	const struct hop_users *users, const struct hop_users *before)
{
	struct hop_users_changes changes = { 0 };
	for (size_t i = 0; i < users->n_named; i++) {
		const struct named *old = find_named(before, users->named[i].user);
		if (old == NULL)
			changes.n_new++;
		else if (has_same_keys(users->named[i].user, old->user))
			changes.n_same++;
		else
			changes.n_rekeyed++;
	}
	changes.n_gone = before->n_named - changes.n_same - changes.n_rekeyed;
	return changes;
}

void hop_user_shapers(
	const struct hop_user_limits *limits, struct shaper *all, struct shaper_set *set)
{
	if (all != NULL && shaper_rate(all) > 0)
		shaper_set_add(set, all);
	if (shaper_rate(limits->shaper) > 0)
		shaper_set_add(set, limits->shaper);
}

static bool is_valid_at(const struct hop_user_key *key, uint64_t wall_ms)
{
	return wall_ms >= key->not_before_ms && wall_ms <= key->not_after_ms;
}

enum users_verdict hop_users_find(const struct hop_users *users, const uint8_t r[WIRE_REQUEST],
	uint64_t wall_ms, const struct hop_entry **ret)
{
	for (size_t i = 0; i < users->n_masks; i++) {
		uint8_t kid[WIRE_KID];
		struct hop_entry wanted = { 0 };
		wire_request_kid(r, users->masks[i], kid);
		memcpy(&wanted.kid, kid, sizeof wanted.kid);
		const struct hop_entry *e = bsearch(
			&wanted, users->entries, users->n_entries, sizeof *users->entries, by_kid);
		if (e == NULL)
			continue;
		*ret = e;
		return is_valid_at(e->key, wall_ms) ? USERS_FOUND : USERS_EXPIRED;
	}
	return USERS_UNKNOWN;
}

const struct wire_mask *hop_users_mask(const struct hop_users *users, size_t i)
{
	return i < users->n_masks ? users->masks[i] : NULL;
}

void hop_users_secret(const struct hop_users *users, uint8_t secret[16])
{
	struct bytes parts[MASKS_MAX];
	for (size_t i = 0; i < users->n_masks; i++)
		parts[i] = bytes_of(users->masks[i]->kid_key, sizeof users->masks[i]->kid_key);
	seal_hash(bytes_of(NULL, 0), parts, users->n_masks, secret, 16);
}
