#include "hop/users.h"

#include <stdlib.h>

#define MASKS_MAX 2 /* docs/protocol.md 2.1 */

struct hop_users {
	const struct wire_mask *masks[MASKS_MAX];
	size_t n_masks;
	struct hop_user_limits *limits; /* one per user */
	size_t n_limits;
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

static int add_user(
	struct hop_users *users, const struct hop_user *user, struct hop_user_limits *limits)
{
	quota_init(&limits->connections, user->max_connections);
	quota_init(&limits->flows, user->max_flows);
	quota_init(&limits->lookups, HOP_USER_LOOKUPS_MAX);
	rate_init(&limits->connects, user->max_connects_per_second);
	for (size_t i = 0; i < user->n_keys; i++) {
		struct hop_entry *e = &users->entries[users->n_entries++];
		*e = (struct hop_entry){ .key = &user->keys[i], .user = user, .limits = limits };
		memcpy(&e->kid, user->keys[i].key->kid, sizeof e->kid);
		add_mask(users, user->keys[i].key->mask);
	}
	return shaper_new(user->rate, &limits->shaper);
}

int hop_users_new(const struct hop_options *options, struct hop_users **ret)
{
	size_t n_keys = 0;
	struct hop_users *users = calloc(1, sizeof *users);
	if (users == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < options->n_users; i++)
		n_keys += options->users[i].n_keys;
	users->entries = calloc(n_keys, sizeof *users->entries);
	users->limits = calloc(options->n_users, sizeof *users->limits);
	if (users->entries == NULL || users->limits == NULL) {
		hop_users_free(users);
		return ERR_NOMEM;
	}
	users->n_limits = options->n_users;
	for (size_t i = 0; i < options->n_users; i++) {
		if (add_user(users, &options->users[i], &users->limits[i]) != 0) {
			hop_users_free(users);
			return ERR_NOMEM;
		}
	}
	qsort(users->entries, users->n_entries, sizeof *users->entries, by_kid);
	*ret = users;
	return 0;
}

void hop_users_free(struct hop_users *users)
{
	if (users == NULL)
		return;
	for (size_t i = 0; i < users->n_limits; i++)
		shaper_release(users->limits[i].shaper);
	free(users->entries);
	free(users->limits);
	free(users);
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
