#include "chain/upstream_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

/* Where in an upstream, and what is said of it. */
struct place {
	struct chain_upstream *upstream;
	const struct chain_upstream_member *member;
	const struct chain_select_query *query;
	const struct chain_select_candidate *list;
	size_t chosen;
	bool is_on_way; /* the chain is the one that is chosen */
};

static const char *text_of(const char *text)
{
	return text != NULL ? text : "";
}

static void say_aside(const struct chain_upstream *upstream, struct chain_candidate *c)
{
	uint64_t now_ms = loop_now_ms(upstream->loop);
	const struct chain_health_state *state = &c->state;
	if (state->back_ms > now_ms)
		snprintf(c->why, sizeof c->why, "aside for %" PRIu64 " s more after %" PRIu32 " %s",
			(state->back_ms - now_ms + 999) / 1000, state->n_failed_in_row,
			state->last_error);
	else
		snprintf(c->why, sizeof c->why, "aside until it answers, after %" PRIu32 " %s",
			state->n_failed_in_row, state->last_error);
}

static void say(const struct place *at, size_t i, struct chain_candidate *c)
{
	const struct chain_select_candidate *s = &at->list[i];
	c->is_chosen = at->is_on_way && i == at->chosen;
	chain_select_why(at->query, at->list, at->chosen, i, c->why, sizeof c->why);
	if (s->is_aside && !s->is_tried && i != at->chosen && c->state.is_aside)
		say_aside(at->upstream, c);
	else if (i == at->chosen && !at->is_on_way)
		snprintf(c->why, sizeof c->why, "would be chosen, but its chain is not");
}

static void explain_position(const struct place *way, size_t i, const struct chain_who *who,
	chain_candidate_fn *fn, void *owner)
{
	struct chain_select_candidate list[CHAIN_PEERS_MAX];
	struct place at = *way;
	struct chain_position *position =
		&at.upstream->members[at.member - at.upstream->members].positions[i];
	uint64_t random = at.upstream->random;
	struct chain_select_query query = chain_upstream_query(position->strategy, who, &random);
	at.query = &query;
	at.list = list;
	at.chosen = position->n > 0
			    ? chain_position_choose(at.upstream, position, who, &random, list)
			    : CHAIN_SELECT_NONE;
	for (size_t k = 0; k < position->n; k++) {
		const struct chain_peer *peer = position->peers[k];
		struct chain_candidate c = {
			.member = text_of(at.member->chain->name),
			.position = (unsigned)i + 1,
			.name = text_of(peer->hop.name),
			.weight = peer->hop.weight > 0 ? peer->hop.weight : 1,
		};
		addr_print(&peer->hop.addr, c.address);
		chain_health_read(peer->health, &c.state);
		say(&at, k, &c);
		if (position->n == 1 && c.is_chosen)
			snprintf(c.why, sizeof c.why, "the only one");
		fn(&c, owner);
	}
}

static void explain_member(const struct place *at, size_t i, chain_candidate_fn *fn, void *owner)
{
	struct chain_candidate c = {
		.member = text_of(at->member->chain->name),
		.name = text_of(at->member->chain->name),
		.weight = at->list[i].weight,
	};
	chain_health_read(at->member->health, &c.state);
	say(at, i, &c);
	fn(&c, owner);
}

void chain_upstream_explain(struct chain_upstream *upstream, const struct chain_who *who,
	chain_candidate_fn *fn, void *owner)
{
	struct chain_select_candidate list[CHAIN_CANDIDATES_MAX] = { 0 };
	uint64_t random = upstream->random;
	struct chain_select_query query =
		chain_upstream_query(upstream->spec->strategy, who, &random);
	size_t n = upstream->spec->n_members;
	chain_members_fill(upstream, who, list);
	size_t chosen = chain_select(&query, list, n);
	for (size_t i = 0; i < n; i++) {
		struct place at = {
			.upstream = upstream,
			.member = &upstream->members[i],
			.query = &query,
			.list = list,
			.chosen = chosen,
			.is_on_way = true,
		};
		if (n > 1)
			explain_member(&at, i, fn, owner);
		at.is_on_way = i == chosen;
		for (size_t k = 0; k < at.member->chain->n_hops; k++)
			explain_position(&at, k, who, fn, owner);
	}
}

void chain_upstream_pools(
	const struct chain_upstream *upstream, chain_upstream_pool_fn *fn, void *owner)
{
	const struct chain_way *way;
	DL_FOREACH (upstream->ways, way) {
		const struct chain_spec *spec = way->spec;
		for (size_t k = 0; k < spec->n_hops; k++) {
			struct chain_upstream_pool pool = {
				.member = text_of(way->member->chain->name),
				.n_hops = k + 1,
			};
			if (spec->hops[k].n_warm == 0 || spec->hops[k].step != CHAIN_STEP_HOP)
				continue;
			addr_print(&spec->hops[k].addr, pool.address);
			pool.counters = chain_pools_counters(way->client, k + 1);
			fn(&pool, owner);
		}
	}
}
