#include "chain/spec.h"

#include <stdlib.h>

void chain_spec_free(struct chain_spec *spec)
{
	if (spec == NULL)
		return;
	for (size_t i = 0; i < spec->n_hops; i++) {
		free(spec->hops[i].name);
		wire_key_free(spec->hops[i].key);
	}
	free(spec->hops);
	free(spec->name);
	free(spec);
}

static bool has_key_of(const struct chain_spec *spec, size_t n, const struct wire_key *key)
{
	for (size_t i = 0; i < n; i++) {
		if (memcmp(spec->hops[i].key->kid, key->kid, WIRE_KID) == 0)
			return true;
	}
	return false;
}

static const char *check_hop(const struct chain_spec *spec, size_t i)
{
	const struct chain_hop *hop = &spec->hops[i];
	if (hop->addr.kind == ADDR_NONE || hop->addr.port == 0)
		return "the hop has no address";
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
