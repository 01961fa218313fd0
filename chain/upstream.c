#include "chain/upstream.h"

#include "chain/upstream_state.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

void chain_upstream_spec_free(struct chain_upstream_spec *spec)
{
	if (spec == NULL)
		return;
	free(spec->name);
	free(spec->members);
	free(spec);
}

static const char *name_of(const struct chain_spec *chain)
{
	return chain->name != NULL ? chain->name : "";
}

static uint64_t hash_sources(const struct chain_position *at)
{
	uint64_t hash = 0;
	char address[ADDR_TEXT_MAX];
	for (size_t i = 0; i < at->n_sources; i++) {
		addr_print(&at->sources[i].addr, address);
		hash = hash * 31 + chain_select_hash(address, strlen(address));
	}
	return hash;
}

/* A chain is known by its name and by who stands in it. */
static struct chain_health_entry *member_health(
	struct chain_upstream *upstream, const struct chain_upstream_member *member)
{
	uint64_t parts[CHAIN_HOPS_MAX + 2] = { chain_select_hash("chain", 5),
		chain_select_hash(name_of(member->chain), strlen(name_of(member->chain))) };
	for (size_t i = 0; i < member->chain->n_hops; i++)
		parts[i + 2] = hash_sources(&member->positions[i]);
	return chain_health_get(upstream->health, parts,
		(member->chain->n_hops + 2) * sizeof *parts, loop_now_ms(upstream->loop));
}

static int make_member(struct chain_upstream *upstream, size_t i)
{
	struct chain_upstream_member *member = &upstream->members[i];
	const struct chain_member *from = &upstream->spec->members[i];
	uint64_t now_ms = loop_now_ms(upstream->loop);
	member->chain = from->chain;
	for (size_t k = 0; k < from->chain->n_hops; k++) {
		int error = chain_position_init(&member->positions[k], from->chain, k,
			upstream->health, upstream->max_fails, upstream->retry_after_ms, now_ms);
		if (error != 0)
			return error;
	}
	member->health = member_health(upstream, member);
	if (member->health == NULL)
		return ERR_NOMEM;
	const char *name = name_of(from->chain);
	upstream->select[i] = (struct chain_select_candidate){
		.identity = chain_select_hash(name, strlen(name)) + (name[0] == '\0' ? i : 0),
		.weight = from->weight > 0 ? from->weight : 1,
	};
	return 0;
}

/* Warm connections are kept ahead of use: by the way that would be taken now. */
static void warm_up(struct chain_upstream *upstream)
{
	static const struct chain_who nobody = { 0 };
	chain_way_release(chain_upstream_choose(upstream, &nobody));
}

static int make(struct chain_upstream *upstream, const struct chain_upstream_options *options)
{
	const struct chain_upstream_spec *spec = upstream->spec;
	int error = 0;
	upstream->members = calloc(spec->n_members, sizeof *upstream->members);
	upstream->select = calloc(spec->n_members, sizeof *upstream->select);
	if (upstream->members == NULL || upstream->select == NULL)
		return ERR_NOMEM;
	if (upstream->health == NULL) {
		error = chain_health_new(&upstream->own_health);
		upstream->health = upstream->own_health;
	}
	for (size_t i = 0; error == 0 && i < spec->n_members; i++)
		error = make_member(upstream, i);
	if (error == 0)
		error = chain_records_new(upstream, &upstream->records);
	if (error == 0 && options->probes)
		error = chain_checks_new(upstream, &upstream->checks);
	if (error == 0 && upstream->pools != NULL)
		warm_up(upstream);
	return error;
}

int chain_upstream_new(const struct chain_upstream_options *options,
	const struct chain_upstream_spec *spec, struct chain_upstream **ret)
{
	struct chain_upstream *upstream = calloc(1, sizeof *upstream);
	if (upstream == NULL)
		return ERR_NOMEM;
	upstream->spec = spec;
	upstream->loop = options->loop;
	upstream->resolver = options->resolver;
	upstream->health = options->health;
	upstream->pools = options->pools;
	upstream->max_fails = spec->max_fails > 0 ? spec->max_fails : CHAIN_MAX_FAILS;
	upstream->retry_after_ms =
		spec->retry_after_ms > 0 ? spec->retry_after_ms : CHAIN_RETRY_AFTER_MS;
	seal_random(&upstream->random, sizeof upstream->random);
	int error = make(upstream, options);
	if (error != 0) {
		chain_upstream_free(upstream);
		return error;
	}
	*ret = upstream;
	return 0;
}

void chain_upstream_free(struct chain_upstream *upstream)
{
	if (upstream == NULL)
		return;
	uint64_t now_ms = loop_now_ms(upstream->loop);
	chain_checks_free(upstream->checks);
	chain_records_free(upstream->records);
	chain_ways_drop(upstream, false);
	for (size_t i = 0; upstream->members != NULL && i < upstream->spec->n_members; i++) {
		struct chain_upstream_member *member = &upstream->members[i];
		for (size_t k = 0; member->chain != NULL && k < member->chain->n_hops; k++)
			chain_position_deinit(&member->positions[k], now_ms);
		chain_health_put(member->health, now_ms);
	}
	chain_health_free(upstream->own_health);
	free(upstream->members);
	free(upstream->select);
	free(upstream);
}

const struct chain_upstream_spec *chain_upstream_spec_of(const struct chain_upstream *upstream)
{
	return upstream->spec;
}

struct loop *chain_upstream_loop(const struct chain_upstream *upstream)
{
	return upstream->loop;
}

bool chain_upstream_has_choice(const struct chain_upstream *upstream)
{
	if (upstream->spec->n_members > 1)
		return true;
	for (size_t i = 0; i < upstream->members[0].chain->n_hops; i++) {
		if (upstream->members[0].positions[i].n > 1)
			return true;
	}
	return false;
}

bool chain_upstream_wait(struct chain_upstream *upstream, struct chain_upstream_wait *wait)
{
	if (!chain_records_pending(upstream->records))
		return false;
	DL_APPEND(upstream->waits, wait);
	return true;
}

void chain_upstream_unwait(struct chain_upstream *upstream, struct chain_upstream_wait *wait)
{
	DL_DELETE(upstream->waits, wait);
}

void chain_upstream_heard(struct chain_upstream *upstream)
{
	/* Who has to wait on is behind the last of those who wait now. */
	struct chain_upstream_wait *last = upstream->waits != NULL ? upstream->waits->prev : NULL;
	while (upstream->waits != NULL && last != NULL) {
		struct chain_upstream_wait *wait = upstream->waits;
		if (wait == last)
			last = NULL;
		DL_DELETE(upstream->waits, wait);
		wait->fn(wait);
	}
	if (upstream->pools != NULL)
		warm_up(upstream);
}

struct chain_error chain_upstream_no_way(const struct chain_upstream *upstream)
{
	struct chain_error error;
	if (!chain_records_failed(upstream->records, &error))
		error = (struct chain_error){
			.hop = 1, .n_hops = 1, .stage = CHAIN_SETUP, .code = ERR_NOMEM
		};
	return error;
}
