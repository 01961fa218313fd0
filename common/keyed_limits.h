#ifndef COMMON_KEYED_LIMITS_H
#define COMMON_KEYED_LIMITS_H
/*
 * Does: the same limits for each of many: connections, new ones a second, bytes per second, by user
 * or by source address. Knows: keys as bytes. Never knows: what they mean. Shared by workers
 * (locked).
 *
 * One who has nothing open is remembered, so that his rates go on where they were: the last
 * KEYED_IDLE_MAX of them.
 */
#include "common/quota.h"
#include "common/shaper.h"
#include "common/wire.h"

#define KEYED_IDLE_MAX 4096
#define KEYED_KEY_MAX  255

struct keyed_caps {
	uint32_t connections; /* 0 = none; the same for the others */
	uint32_t per_second;
	uint64_t rate;
};

struct keyed_limits;
NODISCARD int keyed_limits_new(const struct keyed_caps *caps, struct keyed_limits **ret);
void keyed_limits_free(struct keyed_limits *limits); /* nothing is taken any more. NULL ok */
/** keyed_limits_set() - for everybody, at once. What was taken while there were no limits is not
 * counted. */
void keyed_limits_set(struct keyed_limits *limits, const struct keyed_caps *caps);
size_t keyed_limits_count(struct keyed_limits *limits); /* whom it remembers */

enum keyed_verdict {
	KEYED_TAKEN,
	KEYED_CONNECTIONS, /* as many as there may be */
	KEYED_PER_SECOND,
	KEYED_NO_MEMORY,
};
struct keyed_entry;
/* Embedded in what consumes; zeroed = nothing taken. */
struct keyed_charge {
	struct keyed_limits *limits;
	struct keyed_entry *entry;
};
/** keyed_charge_take() - one connection of @key, at most KEYED_KEY_MAX bytes. */
NODISCARD enum keyed_verdict keyed_charge_take(struct keyed_charge *charge,
	struct keyed_limits *limits, struct bytes key, uint64_t now_ms);
void keyed_charge_return(struct keyed_charge *charge); /* idempotent */
/** keyed_charge_shaper() - of its key, borrowed; NULL without a rate. */
struct shaper *keyed_charge_shaper(const struct keyed_charge *charge);

#endif
