#ifndef COMMON_QUOTA_H
#define COMMON_QUOTA_H
/*
 * Does: limits as objects: a counter with a ceiling, a rate, and a table of counters per source
 * address. Knows: numbers. Never knows: what is charged. Shared by workers (atomic, or behind its
 * own lock).
 */
#include "common/addr.h"
#include "common/err.h"

#include <stdatomic.h>
#include <stdbool.h>

struct quota {
	_Atomic uint32_t n;
	_Atomic uint32_t limit; /* 0 = none */
};
void quota_init(struct quota *quota, uint32_t limit);
/** quota_set_limit() - what is above a lower limit stays; nothing is added until it fits. */
void quota_set_limit(struct quota *quota, uint32_t limit);

/* Embedded in what consumes; zeroed = nothing taken. */
struct charge {
	struct quota *quota;
};
/** charge_take() - takes one. Return: false if the quota is full (nothing taken). */
NODISCARD bool charge_take(struct charge *charge, struct quota *quota);
/** charge_return() - gives it back; idempotent. */
void charge_return(struct charge *charge);

/* At most @per_second a second, token bucket with a burst of one second. */
struct rate {
	_Atomic uint64_t state;
	_Atomic uint32_t per_second; /* 0 = none */
};
void rate_init(struct rate *rate, uint32_t per_second);
void rate_set(struct rate *rate, uint32_t per_second);
NODISCARD bool rate_take(struct rate *rate, uint64_t now_ms);

/* Connections per source: IP4 address, IP6 /64. */
struct source_quota;
NODISCARD int source_quota_new(uint32_t limit, struct source_quota **ret); /* limit 0 = none */
void source_quota_free(struct source_quota *sources);
/** source_quota_set_limit() - the same for each source; what was taken while there was no limit is
 * not counted. */
void source_quota_set_limit(struct source_quota *sources, uint32_t limit);
/** source_key() - what a source is counted by. Return: false if it is no IP address. */
bool source_key(const union addr_sock *source, uint8_t key[8]);
struct source_charge {
	struct source_quota *sources;
	uint8_t key[8];
	bool is_taken;
};
NODISCARD bool source_charge_take(
	struct source_charge *charge, struct source_quota *sources, const union addr_sock *source);
void source_charge_return(struct source_charge *charge);

#endif
