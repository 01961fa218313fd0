#include "chain/blame.h"
#include "chain/pool.h"
#include "chain/upstream_state.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LOG_MODULE "chain"
#include "common/log.h"

#define BUSY_MS 1000 /* who has enough to do is left alone for so long */

static uint64_t now_of(const struct chain_upstream *upstream)
{
	return loop_now_ms(upstream->loop);
}

static struct chain_way *find(const struct chain_upstream *upstream,
	const struct chain_upstream_member *member, struct chain_peer *const *peers)
{
	struct chain_way *way;
	size_t size = member->chain->n_hops * sizeof(struct chain_peer *);
	DL_FOREACH (upstream->ways, way) {
		if (way->member == member && memcmp(way->peers, peers, size) == 0)
			return way;
	}
	return NULL;
}

static void destroy(struct chain_way *way)
{
	uint64_t now_ms = now_of(way->upstream);
	DL_DELETE(way->upstream->ways, way);
	chain_client_free(way->client);
	for (size_t i = 0; i < way->spec->n_hops; i++)
		chain_peer_release(way->peers[i], now_ms);
	chain_spec_free(way->spec);
	free(way);
}

/* The chain without groups and without names of records. */
static struct chain_spec *new_spec(
	const struct chain_upstream_member *member, struct chain_peer *const *peers)
{
	uint8_t choice[CHAIN_HOPS_MAX] = { 0 };
	for (size_t i = 0; i < member->chain->n_hops; i++)
		choice[i] = (uint8_t)peers[i]->i_source;
	struct chain_spec *spec = chain_spec_way(member->chain, choice);
	for (size_t i = 0; spec != NULL && i < spec->n_hops; i++)
		spec->hops[i] = peers[i]->hop;
	return spec;
}

static struct chain_way *add(struct chain_upstream *upstream, struct chain_upstream_member *member,
	struct chain_peer *const *peers)
{
	struct chain_way *way = calloc(1, sizeof *way);
	if (way == NULL)
		return NULL;
	way->upstream = upstream;
	way->member = member;
	way->spec = new_spec(member, peers);
	if (way->spec == NULL || chain_client_new(upstream->loop, upstream->resolver, way->spec,
					 &way->client) != 0) {
		chain_spec_free(way->spec);
		free(way);
		return NULL;
	}
	for (size_t i = 0; i < way->spec->n_hops; i++) {
		way->peers[i] = peers[i];
		chain_peer_hold(peers[i]);
	}
	DL_APPEND(upstream->ways, way);
	if (upstream->pools != NULL && chain_pools_add(upstream->pools, way->client) != 0)
		LOG_LIMITED(LOG_LEVEL_WARNING, "no warm connections error=%s", err_name(ERR_NOMEM));
	return way;
}

struct chain_way *chain_way_get(struct chain_upstream *upstream,
	struct chain_upstream_member *member, struct chain_peer *const *peers)
{
	struct chain_way *way = find(upstream, member, peers);
	if (way == NULL)
		way = add(upstream, member, peers);
	else if (way->n_held == 0)
		upstream->n_idle--;
	if (way != NULL)
		way->n_held++;
	return way;
}

static bool is_gone(const struct chain_way *way)
{
	for (size_t i = 0; i < way->spec->n_hops; i++) {
		if (!chain_position_has(&way->member->positions[i], way->peers[i]))
			return true;
	}
	return false;
}

void chain_ways_drop(struct chain_upstream *upstream, bool only_gone)
{
	struct chain_way *way, *next;
	DL_FOREACH_SAFE (upstream->ways, way, next) {
		if (way->n_held > 0 || (only_gone && !is_gone(way)))
			continue;
		upstream->n_idle--;
		destroy(way);
	}
}

static void drop_oldest(struct chain_upstream *upstream)
{
	struct chain_way *way;
	DL_FOREACH (upstream->ways, way) {
		if (way->n_held > 0)
			continue;
		upstream->n_idle--;
		destroy(way);
		return;
	}
}

void chain_way_release(struct chain_way *way)
{
	if (way == NULL || --way->n_held > 0)
		return;
	struct chain_upstream *upstream = way->upstream;
	if (is_gone(way)) {
		destroy(way);
		return;
	}
	DL_DELETE(upstream->ways, way);
	DL_APPEND(upstream->ways, way);
	if (++upstream->n_idle > CHAIN_WAYS_IDLE_MAX)
		drop_oldest(upstream);
}

struct chain_client *chain_way_client(const struct chain_way *way)
{
	return way->client;
}

struct chain_upstream *chain_way_upstream(const struct chain_way *way)
{
	return way->upstream;
}

uint32_t chain_way_patience_ms(const struct chain_way *way)
{
	uint64_t ms = 4ull * way->setup_us / 1000 + 500;
	if (way->setup_us == 0 || ms < CHAIN_PATIENCE_MIN_MS)
		return CHAIN_PATIENCE_MIN_MS;
	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* What the hop before says of its connect, or our own of the first; 0 = not known. */
static uint32_t rtt_of(const struct chain_answers *answers, size_t i)
{
	if (answers == NULL)
		return 0;
	if (i == 0)
		return answers->connect_us;
	return answers->n_answers >= i ? answers->hops[i - 1].connect_us : 0;
}

/* How long all hops took, without what the target did. */
static uint32_t rtt_of_all(const struct chain_way *way, const struct chain_answers *answers)
{
	size_t n = way->spec->n_hops;
	if (answers == NULL || n == 0 || answers->n_answers < n || answers->connect_us == 0)
		return 0; /* over a warm connection: it says nothing of a new one */
	const struct chain_answer *exit = &answers->hops[n - 1];
	uint64_t target_us = (uint64_t)exit->connect_us + exit->resolve_us;
	uint64_t us = exit->at_us > target_us ? exit->at_us - target_us : 0;
	return us < UINT32_MAX ? (uint32_t)us : 0;
}

static void log_back(const struct chain_way *way, size_t i)
{
	char address[ADDR_TEXT_MAX];
	LOG_LIMITED(LOG_LEVEL_WARNING, "back again hop=%zu addr=%s", i + 1,
		addr_print(&way->peers[i]->hop.addr, address));
}

void chain_way_note_alive(
	const struct chain_way *way, size_t n_alive, const struct chain_answers *answers)
{
	for (size_t i = 0; i < n_alive && i < way->spec->n_hops; i++) {
		if (chain_health_ok(
			    way->peers[i]->health, rtt_of(answers, i), now_of(way->upstream)))
			log_back(way, i);
	}
}

static void note_fault(
	const struct chain_way *way, size_t i, enum chain_fault fault, const char *slug)
{
	char address[ADDR_TEXT_MAX];
	struct chain_health_state state;
	const struct chain_position *at = &way->member->positions[i];
	struct chain_health_entry *entry = way->peers[i]->health;
	bool is_busy = fault == CHAIN_FAULT_BUSY;
	uint64_t now_ms = now_of(way->upstream);
	if (!chain_health_failed(entry, slug, is_busy ? 1 : at->max_fails,
		    is_busy ? BUSY_MS : at->retry_after_ms, now_ms) ||
		!chain_upstream_has_choice(way->upstream))
		return;
	chain_health_read(entry, &state);
	LOG_LIMITED(LOG_LEVEL_WARNING, "put aside hop=%zu addr=%s status=%s failed=%u for_ms=%llu",
		i + 1, addr_print(&way->peers[i]->hop.addr, address), slug, state.n_failed_in_row,
		(unsigned long long)(state.back_ms - now_ms));
}

/* Where none can stand for the hop that was not reached, but some for the one that did not reach
 * it, that one counts as failed too: it may be the one whose network is broken. */
static bool may_be_the_one_before(const struct chain_way *way, const struct chain_blame *blame)
{
	return blame->is_link && blame->fault == CHAIN_FAULT_DEAD &&
	       way->member->positions[blame->hop - 1].n == 1 &&
	       way->member->positions[blame->hop - 2].n > 1;
}

static void note_failure(struct chain_way *way, const struct chain_blame *blame,
	const struct chain_error *error, const struct chain_answers *answers)
{
	const char *slug = chain_error_slug(error);
	uint64_t now_ms = now_of(way->upstream);
	bool is_before = may_be_the_one_before(way, blame);
	chain_way_note_alive(way, is_before ? blame->hop - 2u : blame->n_alive, answers);
	if (blame->hop == 0 || blame->fault == CHAIN_FAULT_NONE)
		return;
	note_fault(way, blame->hop - 1u, blame->fault, slug);
	if (is_before)
		note_fault(way, blame->hop - 2u, blame->fault, slug);
	if (blame->fault == CHAIN_FAULT_DEAD && way->member->positions[blame->hop - 1].n == 1)
		(void)chain_health_failed(way->member->health, slug, way->upstream->max_fails,
			way->upstream->retry_after_ms, now_ms);
}

struct chain_verdict chain_way_report(struct chain_way *way, const struct chain_error *error,
	const struct chain_answers *answers, uint64_t total_us)
{
	if (error != NULL) {
		struct chain_blame blame = chain_blame_of(error);
		if (blame.hop > way->spec->n_hops)
			return (struct chain_verdict){ 0 };
		note_failure(way, &blame, error, answers);
		return (struct chain_verdict){ .hop = blame.hop, .may_retry = !blame.is_final };
	}
	chain_way_note_alive(way, way->spec->n_hops, answers);
	(void)chain_health_ok(way->member->health, rtt_of_all(way, answers), now_of(way->upstream));
	if (total_us > UINT32_MAX)
		total_us = UINT32_MAX;
	if (total_us > 0)
		way->setup_us = way->setup_us == 0 ? (uint32_t)total_us
						   : way->setup_us - way->setup_us / 8 +
							     (uint32_t)total_us / 8;
	return (struct chain_verdict){ 0 };
}
