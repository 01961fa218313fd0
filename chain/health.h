#ifndef CHAIN_HEALTH_H
#define CHAIN_HEALTH_H
/*
 * Does: what is known of hops and chains that can stand for each other: do they live, how far are
 * they. Knows: numbers and a lock. Never knows: specs, loops. Shared by all workers; times are
 * loop_now_ms() of any of them.
 */
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_HEALTH_KEEP_MS    600000 /* what nobody holds is remembered for so long */
#define CHAIN_HEALTH_UNUSED_MAX 1024   /* … of so many; then the oldest go */
#define CHAIN_HEALTH_ASIDE_MAX  16     /* times retry_after_ms: the longest that one is aside */

struct chain_health;       /* the table */
struct chain_health_entry; /* one candidate */

NODISCARD int chain_health_new(struct chain_health **ret);
void chain_health_free(struct chain_health *health); /* after its entries were put back. NULL ok */
/** chain_health_get() - the entry of @identity (any bytes), made if it is new; held until put, and
 * the same for all who ask meanwhile, and for CHAIN_HEALTH_KEEP_MS after. Return: NULL without
 * memory. */
struct chain_health_entry *chain_health_get(
	struct chain_health *health, const void *identity, size_t len, uint64_t now_ms);
void chain_health_put(struct chain_health_entry *entry, uint64_t now_ms); /* NULL ok */

struct chain_health_state {
	uint32_t rtt_us;         /* smoothed; 0 = unknown */
	uint64_t rtt_ms;         /* when it was measured last; 0 = never */
	uint32_t loss_per_mille; /* of the last 64 tries */
	uint64_t n_ok, n_failed; /* all tries */
	uint32_t n_failed_in_row;
	bool is_aside;       /* put aside, after max_fails in a row, until it is seen to live */
	uint64_t back_ms;    /* when it may be tried again; 0 = not aside */
	uint64_t asked_ms;   /* until then somebody is asking it whether it lives again */
	char last_error[32]; /* a slug; "" = none yet */
	uint64_t last_error_ms;
	uint64_t last_ok_ms;
};
/** chain_health_ok() - @rtt_us 0: not measured. Return: whether it was aside and is back. */
bool chain_health_ok(struct chain_health_entry *entry, uint32_t rtt_us, uint64_t now_ms);
/** chain_health_failed() - after @max_fails in a row it is aside for @retry_after_ms; each time it
 * is tried again in vain twice as long, at most CHAIN_HEALTH_ASIDE_MAX times as long (with a spread
 * of a fifth, so that workers and machines do not come back as one). Return: whether it was put
 * aside just now. */
bool chain_health_failed(struct chain_health_entry *entry, const char *slug, uint32_t max_fails,
	uint32_t retry_after_ms, uint64_t now_ms);
/** chain_health_claim() - one of all workers and chains may ask a candidate that is aside, when its
 * time is over, whether it lives again: that is who gets true. The next one may
 * CHAIN_HEALTH_ASK_MS later, unless it was heard of meanwhile. */
#define CHAIN_HEALTH_ASK_MS 10000
bool chain_health_claim(struct chain_health_entry *entry, uint64_t now_ms);
/** chain_health_read() - a copy. */
void chain_health_read(const struct chain_health_entry *entry, struct chain_health_state *ret);

#endif
