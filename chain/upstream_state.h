#ifndef CHAIN_UPSTREAM_STATE_H
#define CHAIN_UPSTREAM_STATE_H
/*
 * Does: what the files of an upstream share: members, positions, ways. Knows: its parts. Never
 * knows: who asks. Nobody else includes it.
 */
#include "chain/position.h"
#include "chain/upstream.h"
#include "common/loop.h"

#include <stdbool.h>

#define CHAIN_WAYS_IDLE_MAX                                                                        \
	64 /* ways that nothing goes over and that are kept, of one upstream                       \
	    */

struct chain_checks;
struct chain_records;

struct chain_upstream_member {
	const struct chain_spec *chain;
	struct chain_health_entry *health;               /* of the whole chain */
	struct chain_position positions[CHAIN_HOPS_MAX]; /* of chain->n_hops */
	uint64_t next_check_ms;
};

struct chain_upstream {
	const struct chain_upstream_spec *spec;
	struct loop *loop;
	struct resolver *resolver;
	struct chain_pools *pools;
	struct chain_health *health, *own_health;
	uint32_t max_fails, retry_after_ms;
	uint64_t random;
	struct chain_upstream_member *members;
	struct chain_select_candidate *select; /* of the members */
	struct chain_way *ways;                /* least recently released first */
	size_t n_idle;
	struct chain_upstream_wait *waits;
	struct chain_records *records; /* NULL: no name is asked for */
	struct chain_checks *checks;   /* NULL: no probes */
};

struct chain_way {
	struct chain_way *prev, *next;
	struct chain_upstream *upstream;
	struct chain_upstream_member *member;
	struct chain_spec *spec;
	struct chain_client *client;
	unsigned n_held;
	uint32_t setup_us;                        /* smoothed; 0 = never stood */
	struct chain_peer *peers[CHAIN_HOPS_MAX]; /* of spec->n_hops */
};

/** chain_way_get() - the way of @member over @peers, made if it is new; held. Return: NULL without
 * memory. */
struct chain_way *chain_way_get(struct chain_upstream *upstream,
	struct chain_upstream_member *member, struct chain_peer *const *peers);
/** chain_ways_drop() - those that are idle: all, or (@only_gone) those whose candidates are none
 * any more. */
void chain_ways_drop(struct chain_upstream *upstream, bool only_gone);

/** chain_way_note_alive() - hops 1 to @n_alive have answered; as far as @answers (or NULL) say. */
void chain_way_note_alive(
	const struct chain_way *way, size_t n_alive, const struct chain_answers *answers);

/** chain_position_fill() - what is known of the candidates of @position, for @who, to @to (of
 * position->n). */
void chain_position_fill(const struct chain_upstream *upstream,
	const struct chain_position *position, const struct chain_who *who,
	struct chain_select_candidate *to);
/** chain_position_choose() - fills @list, chooses from it and changes nothing else. Return: an
 * index; position->n is above 0. */
size_t chain_position_choose(struct chain_upstream *upstream, struct chain_position *position,
	const struct chain_who *who, uint64_t *random, struct chain_select_candidate *list);
/** chain_members_fill() - of the members, to @to. */
void chain_members_fill(const struct chain_upstream *upstream, const struct chain_who *who,
	struct chain_select_candidate *to);
/** chain_upstream_query() - for one choice by @strategy. */
struct chain_select_query chain_upstream_query(
	enum chain_strategy strategy, const struct chain_who *who, uint64_t *random);

/** chain_records_new() - asks for the SRV records of @upstream's hops, again and again. Return: 0
 * (*ret NULL: it has none), ERR_NOMEM. */
NODISCARD int chain_records_new(struct chain_upstream *upstream, struct chain_records **ret);
void chain_records_free(struct chain_records *records); /* NULL ok */
/** chain_records_pending() - whether a first answer is awaited. */
bool chain_records_pending(const struct chain_records *records);
/** chain_records_failed() - whether a name has no records: then *ret says which, and why. */
bool chain_records_failed(const struct chain_records *records, struct chain_error *ret);
/** chain_upstream_heard() - a first answer came: who waits may go on. */
void chain_upstream_heard(struct chain_upstream *upstream);

/** chain_checks_new() - Return: 0 (*ret NULL: there is nothing to choose from), ERR_NOMEM. */
NODISCARD int chain_checks_new(struct chain_upstream *upstream, struct chain_checks **ret);
void chain_checks_free(struct chain_checks *checks); /* NULL ok */

#endif
