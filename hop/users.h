#ifndef HOP_USERS_H
#define HOP_USERS_H
/*
 * Does: finds the user a request header belongs to; holds every user's limits. Knows: key ids,
 * validity. Never knows: sockets. Shared by workers: immutable but for atomic counters.
 */
#include "chain/wire_request.h"
#include "common/quota.h"
#include "common/resolve.h"
#include "common/shaper.h"
#include "hop/options.h"

/* One key of one user. */
struct hop_entry {
	uint64_t kid; /* as the 8 bytes stand, native order: also the owner in the replay store */
	const struct hop_user_key *key;
	const struct hop_user *user;
	struct hop_user_limits *limits;
};
/* Names a user has looked up at a time: a quarter of what a resolver takes. A user may be a whole
 * access server with many clients: less would refuse an honest burst. */
#define HOP_USER_LOOKUPS_MAX (RESOLVE_MAX_PENDING / 4)

/* Of a user of that name, whatever his keys are: what was taken outlives a configuration. */
struct hop_user_limits {
	_Atomic unsigned n_refs;
	struct quota connections, flows, lookups;
	struct rate connects;
	struct shaper *shaper; /* owned; its rate may be 0 */
};

/** hop_user_shapers() - adds the rates that hold for him: his own, and @all, of all users (or
 * NULL).
 */
void hop_user_shapers(
	const struct hop_user_limits *limits, struct shaper *all, struct shaper_set *set);

enum users_verdict {
	USERS_FOUND,
	USERS_UNKNOWN, /* no such key id under any mask */
	USERS_EXPIRED, /* outside not_before..not_after */
};

struct hop_users;
/** hop_users_new() - borrows @options. They have passed hop_options_check(). */
NODISCARD int hop_users_new(const struct hop_options *options, struct hop_users **ret);
/** hop_users_new_after() - the same; who was among the users of @before (or NULL) keeps what he has
 * taken of his limits. On any thread. */
NODISCARD int hop_users_new_after(
	const struct hop_options *options, const struct hop_users *before, struct hop_users **ret);
/** hop_users_apply() - the limits of these users hold from now on. */
void hop_users_apply(const struct hop_users *users);
/** hop_users_changes() - how many are new, gone, the same (keys too), and with other keys. */
struct hop_users_changes {
	size_t n_new, n_gone, n_same, n_rekeyed;
};
struct hop_users_changes hop_users_changes(
	const struct hop_users *users, const struct hop_users *before);
void hop_users_free(struct hop_users *users); /* NULL ok */
/** hop_users_find() - line 1 of docs/protocol.md 2.2. *ret is set with FOUND and EXPIRED. */
enum users_verdict hop_users_find(const struct hop_users *users, const uint8_t r[WIRE_REQUEST],
	uint64_t wall_ms, const struct hop_entry **ret);
/** hop_users_mask() - the @i-th mask key (0, 1), in configured order; NULL where there is none. */
const struct wire_mask *hop_users_mask(const struct hop_users *users, size_t i);
/** hop_users_secret() - 16 bytes that depend on all keys: what the installation's constants derive
 * from. */
void hop_users_secret(const struct hop_users *users, uint8_t secret[16]);

#endif
