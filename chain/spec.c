#include "chain/spec.h"

#include "common/seal.h"

#include <stdlib.h>
#include <string.h>

static void wipe_free(char *secret)
{
	if (secret != NULL)
		seal_wipe(secret, strlen(secret));
	free(secret);
}

static void deinit_hop(struct chain_hop *hop)
{
	free(hop->name);
	free(hop->user);
	wipe_free(hop->password);
	wire_key_free(hop->key);
}

static void free_group(struct chain_group *group)
{
	for (size_t i = 0; i < group->n_hops; i++)
		deinit_hop(&group->hops[i]);
	free(group->hops);
	free(group);
}

static struct chain_group *group_of(const struct chain_spec *spec, size_t i)
{
	return spec->groups != NULL ? spec->groups[i] : NULL;
}

void chain_spec_free(struct chain_spec *spec)
{
	if (spec == NULL)
		return;
	for (size_t i = 0; i < spec->n_hops && !spec->is_way; i++) {
		if (group_of(spec, i) != NULL)
			free_group(group_of(spec, i));
		else
			deinit_hop(&spec->hops[i]);
	}
	free(spec->hops);
	free(spec->groups);
	if (!spec->is_way)
		free(spec->name);
	free(spec);
}

struct chain_spec *chain_spec_way(const struct chain_spec *spec, const uint8_t *choice)
{
	struct chain_spec *way = malloc(sizeof *way);
	struct chain_hop *hops = calloc(spec->n_hops > 0 ? spec->n_hops : 1, sizeof *hops);
	if (way == NULL || hops == NULL) {
		free(way);
		free(hops);
		return NULL;
	}
	*way = *spec;
	way->hops = hops;
	way->groups = NULL;
	way->is_way = true;
	for (size_t i = 0; i < spec->n_hops; i++) {
		const struct chain_group *group = group_of(spec, i);
		hops[i] = group != NULL ? group->hops[choice[i]] : spec->hops[i];
	}
	return way;
}

bool chain_spec_has_groups(const struct chain_spec *spec)
{
	for (size_t i = 0; i < spec->n_hops; i++) {
		if (group_of(spec, i) != NULL)
			return true;
	}
	return false;
}

static bool has_key_of(const struct chain_spec *spec, size_t n, const struct wire_key *key)
{
	for (size_t i = 0; i < n; i++) {
		if (spec->hops[i].key != NULL &&
			memcmp(spec->hops[i].key->kid, key->kid, WIRE_KID) == 0)
			return true;
	}
	return false;
}

static const char *check_hop(const struct chain_spec *spec, size_t i)
{
	const struct chain_hop *hop = &spec->hops[i];
	if (hop->addr.kind == ADDR_NONE || hop->addr.port == 0)
		return "the hop has no address";
	if (hop->step != CHAIN_STEP_HOP)
		return NULL;
	if (hop->key == NULL)
		return "the hop has no key";
	if (has_key_of(spec, i, hop->key))
		return "the hop has the key of another one; every hop needs its own (chain keygen)";
	return NULL;
}

size_t chain_spec_check(const struct chain_spec *spec, const char **ret_reason)
{
	if (spec->n_hops < 1 || spec->n_hops > CHAIN_HOPS_MAX) {
		*ret_reason = "a chain has 1 to 16 hops";
		return 1;
	}
	for (size_t i = 0; i < spec->n_hops; i++) {
		const char *reason = check_hop(spec, i);
		if (reason != NULL) {
			*ret_reason = reason;
			return i + 1;
		}
	}
	return 0;
}
