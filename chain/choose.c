#include "chain/upstream_state.h"

#include <string.h>

#define LATE_MS                                                                                    \
	2000 /* who has probes asks those aside; only after that clients do it themselves          \
	      */

static bool has_failed_for(const struct chain_who *who, const struct chain_peer *peer)
{
	for (size_t i = 0; i < who->n_tried; i++) {
		const struct chain_tried *t = &who->tried[i];
		for (size_t k = 0; k < t->way->spec->n_hops; k++) {
			if ((t->hop == 0 || t->hop == k + 1) &&
				t->way->peers[k]->health == peer->health)
				return true;
		}
	}
	return false;
}

void chain_position_fill(const struct chain_upstream *upstream,
	const struct chain_position *position, const struct chain_who *who,
	struct chain_select_candidate *to)
{
	uint64_t now_ms = loop_now_ms(upstream->loop);
	for (size_t i = 0; i < position->n; i++) {
		struct chain_health_state state;
		chain_health_read(position->peers[i]->health, &state);
		to[i] = position->select[i];
		to[i].rtt_us = state.rtt_us;
		to[i].back_ms = state.back_ms;
		to[i].is_aside = state.is_aside &&
				 (now_ms < state.back_ms + LATE_MS || now_ms < state.asked_ms);
		to[i].is_tried = has_failed_for(who, position->peers[i]);
	}
}

/* When the position has somebody again; 0: now. */
static uint64_t back_of(const struct chain_upstream *upstream,
	const struct chain_position *position, const struct chain_who *who)
{
	struct chain_select_candidate list[CHAIN_PEERS_MAX];
	uint64_t back_ms = UINT64_MAX;
	chain_position_fill(upstream, position, who, list);
	for (size_t i = 0; i < position->n; i++) {
		if (list[i].is_tried)
			continue;
		if (!list[i].is_aside)
			return 0;
		back_ms = list[i].back_ms < back_ms ? list[i].back_ms : back_ms;
	}
	return back_ms;
}

void chain_members_fill(const struct chain_upstream *upstream, const struct chain_who *who,
	struct chain_select_candidate *to)
{
	for (size_t i = 0; i < upstream->spec->n_members; i++) {
		const struct chain_upstream_member *member = &upstream->members[i];
		struct chain_health_state state;
		uint64_t back_ms = 0;
		chain_health_read(member->health, &state);
		for (size_t k = 0; k < member->chain->n_hops; k++) {
			uint64_t ms = back_of(upstream, &member->positions[k], who);
			back_ms = ms > back_ms ? ms : back_ms;
		}
		to[i] = upstream->select[i];
		to[i].rtt_us = state.rtt_us;
		to[i].is_aside = back_ms > 0;
		to[i].back_ms = back_ms;
		to[i].is_tried = false;
	}
}

/* Of the host alone: what runs on several ports of one shall see one and the same. */
static uint64_t hash_host(const struct addr *addr)
{
	char name[ADDR_NAME_MAX + 1] = { 0 };
	size_t len = strlen(addr->name);
	if (addr->kind != ADDR_NAME)
		return chain_select_hash(addr->ip, sizeof addr->ip);
	for (size_t i = 0; i < len; i++) {
		char c = addr->name[i];
		name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	return chain_select_hash(name, len);
}

struct chain_select_query chain_upstream_query(
	enum chain_strategy strategy, const struct chain_who *who, uint64_t *random)
{
	struct chain_select_query query = { .strategy = strategy, .random = random };
	struct addr source;
	if (strategy == CHAIN_HASH_TARGET && who->target != NULL)
		query.key = hash_host(who->target);
	if (strategy == CHAIN_HASH_SOURCE && who->source != NULL) {
		addr_from_sock(who->source, &source);
		query.key = hash_host(&source);
	}
	return query;
}

/* ---- one way ---- */

/* Whether it would fail as one that was tried did, or is that one. */
static bool is_useless(const struct chain_upstream_member *member, const struct chain_who *who,
	struct chain_peer *const *peers)
{
	for (size_t i = 0; i < who->n_tried; i++) {
		const struct chain_tried *t = &who->tried[i];
		size_t n = t->hop > 0 ? t->hop : member->chain->n_hops, n_same = 0;
		if (t->hop == 0 && t->way->member != member)
			continue;
		while (n_same < n && n_same < member->chain->n_hops &&
			t->way->peers[n_same]->health == peers[n_same]->health)
			n_same++;
		if (n_same == n)
			return true;
	}
	return false;
}

static void keep(struct chain_position *position, const struct chain_select_candidate *from)
{
	for (size_t i = 0; i < position->n; i++) {
		position->select[i].credit = from[i].credit;
		position->select[i].is_current = from[i].is_current;
		position->select[i].is_offered = from[i].is_offered;
	}
}

size_t chain_position_choose(struct chain_upstream *upstream, struct chain_position *position,
	const struct chain_who *who, uint64_t *random, struct chain_select_candidate *list)
{
	struct chain_select_query query = chain_upstream_query(position->strategy, who, random);
	chain_position_fill(upstream, position, who, list);
	size_t chosen = chain_select(&query, list, position->n);
	for (size_t i = 0; chosen == CHAIN_SELECT_NONE && i < position->n; i++)
		list[i].is_tried = false; /* none is left that has not failed: then the best */
	return chosen != CHAIN_SELECT_NONE ? chosen : chain_select(&query, list, position->n);
}

/* Someone goes through who was aside until now: he asks for all. */
static void claim(const struct chain_upstream *upstream, struct chain_peer *peer)
{
	(void)chain_health_claim(peer->health, loop_now_ms(upstream->loop));
}

/* Another one at one position, so that the way is one that was not tried. */
static bool substitute(struct chain_upstream *upstream, struct chain_upstream_member *member,
	const struct chain_who *who, struct chain_peer **peers, bool takes_aside)
{
	struct chain_select_candidate list[CHAIN_PEERS_MAX];
	for (size_t i = 0; i < member->chain->n_hops; i++) {
		struct chain_position *at = &member->positions[i];
		struct chain_peer *chosen = peers[i];
		chain_position_fill(upstream, at, who, list);
		for (size_t k = 0; k < at->n; k++) {
			peers[i] = at->peers[k];
			if ((takes_aside || !list[k].is_aside) && !is_useless(member, who, peers))
				return true;
		}
		peers[i] = chosen;
	}
	return false;
}

/* A candidate for each position. Return: false if the member has no way that might do better. */
static bool plan(struct chain_upstream *upstream, struct chain_upstream_member *member,
	const struct chain_who *who, struct chain_peer **peers)
{
	struct chain_select_candidate list[CHAIN_PEERS_MAX];
	for (size_t i = 0; i < member->chain->n_hops; i++) {
		struct chain_position *at = &member->positions[i];
		size_t chosen = 0;
		if (at->n == 0)
			return false;
		if (at->n > 1) {
			chosen = chain_position_choose(upstream, at, who, &upstream->random, list);
			keep(at, list);
		}
		peers[i] = at->peers[chosen];
		claim(upstream, peers[i]);
	}
	return !is_useless(member, who, peers) || substitute(upstream, member, who, peers, false) ||
	       substitute(upstream, member, who, peers, true);
}

/* There is one way only: what goes over most chains. */
static bool find_only(struct chain_upstream *upstream, struct chain_peer **peers)
{
	const struct chain_upstream_member *member = &upstream->members[0];
	if (upstream->spec->n_members > 1)
		return false;
	for (size_t i = 0; i < member->chain->n_hops; i++) {
		if (member->positions[i].n != 1)
			return false;
		peers[i] = member->positions[i].peers[0];
	}
	return true;
}

/* Of members and positions that have several, or of what was not tried yet. */
static struct chain_way *choose(struct chain_upstream *upstream, const struct chain_who *who)
{
	struct chain_select_candidate list[CHAIN_CANDIDATES_MAX] = { 0 };
	struct chain_peer *peers[CHAIN_HOPS_MAX];
	size_t n = upstream->spec->n_members;
	struct chain_select_query query =
		chain_upstream_query(upstream->spec->strategy, who, &upstream->random);
	if (n > 1)
		chain_members_fill(upstream, who, list);
	for (;;) {
		size_t i = chain_select(&query, list, n);
		if (i == CHAIN_SELECT_NONE)
			return NULL;
		if (plan(upstream, &upstream->members[i], who, peers)) {
			for (size_t k = 0; k < n; k++) {
				upstream->select[k].credit = list[k].credit;
				upstream->select[k].is_current = list[k].is_current;
				upstream->select[k].is_offered = list[k].is_offered;
			}
			return chain_way_get(upstream, &upstream->members[i], peers);
		}
		list[i].is_tried = true;
	}
}

struct chain_way *chain_upstream_choose(
	struct chain_upstream *upstream, const struct chain_who *who)
{
	struct chain_peer *peers[CHAIN_HOPS_MAX];
	if (who->n_tried == 0 && find_only(upstream, peers))
		return chain_way_get(upstream, &upstream->members[0], peers);
	return choose(upstream, who);
}
