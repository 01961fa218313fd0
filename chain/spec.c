#include "chain/spec.h"

#include "common/seal.h"

#include <stdio.h>
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

/* --- what stands at a position --- */

struct chain_candidates chain_spec_candidates(const struct chain_spec *spec, size_t i)
{
	const struct chain_group *group = group_of(spec, i);
	if (group != NULL)
		return (struct chain_candidates){ group->hops, group->n_hops };
	return (struct chain_candidates){ &spec->hops[i], 1 };
}

static size_t n_foreign(struct chain_candidates of)
{
	size_t n = 0;
	for (size_t i = 0; i < of.n; i++)
		n += of.hops[i].step != CHAIN_STEP_HOP;
	return n;
}

bool chain_spec_has_foreign(const struct chain_spec *spec)
{
	for (size_t i = 0; i < spec->n_hops; i++) {
		if (n_foreign(chain_spec_candidates(spec, i)) > 0)
			return true;
	}
	return false;
}

bool chain_spec_can_seal(const struct chain_spec *spec)
{
	for (size_t i = 0; i < spec->n_hops; i++) {
		if (n_foreign(chain_spec_candidates(spec, i)) == 0)
			return true;
	}
	return false;
}

const char *chain_step_name(enum chain_step step)
{
	static const char *const names[] = { "hop", "socks5", "http" };
	return names[step];
}

const char *chain_hop_print(const struct chain_hop *hop, char to[ADDR_TEXT_MAX])
{
	if (!hop->is_srv)
		return addr_print(&hop->addr, to);
	snprintf(to, ADDR_TEXT_MAX, "srv:%s", hop->addr.name);
	return to;
}

/* --- is it equal --- */

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_same_secret(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	size_t len = strlen(a);
	return len == strlen(b) && seal_is_equal(a, b, len);
}

/* A credential is a mask key and a user key: all that is derived is equal if one of each is. */
static bool is_same_key(const struct wire_key *a, const struct wire_key *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return seal_is_equal(a->u0, b->u0, sizeof a->u0) &&
	       seal_is_equal(a->mask->id, b->mask->id, sizeof a->mask->id);
}

static uint32_t weight_of(const struct chain_hop *hop)
{
	return hop->weight != 0 ? hop->weight : 1;
}

static bool is_same_hop(const struct chain_hop *a, const struct chain_hop *b)
{
	return is_same_text(a->name, b->name) && addr_is_equal(&a->addr, &b->addr) &&
	       a->is_srv == b->is_srv && a->step == b->step && is_same_key(a->key, b->key) &&
	       a->cipher == b->cipher && is_same_text(a->user, b->user) &&
	       is_same_secret(a->password, b->password) && weight_of(a) == weight_of(b) &&
	       a->n_warm == b->n_warm;
}

static bool is_same_group(const struct chain_group *a, const struct chain_group *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->strategy == b->strategy && a->max_fails == b->max_fails &&
	       a->retry_after_ms == b->retry_after_ms;
}

static bool is_same_position(const struct chain_spec *a, const struct chain_spec *b, size_t i)
{
	struct chain_candidates x = chain_spec_candidates(a, i), y = chain_spec_candidates(b, i);
	if (!is_same_group(group_of(a, i), group_of(b, i)) || x.n != y.n)
		return false;
	for (size_t k = 0; k < x.n; k++) {
		if (!is_same_hop(&x.hops[k], &y.hops[k]))
			return false;
	}
	return true;
}

static bool has_same_settings(const struct chain_spec *a, const struct chain_spec *b)
{
	return is_same_text(a->name, b->name) && a->is_header_only == b->is_header_only &&
	       a->connect_timeout_ms == b->connect_timeout_ms &&
	       a->handshake_timeout_ms == b->handshake_timeout_ms &&
	       a->idle_timeout_ms == b->idle_timeout_ms &&
	       a->ephemeral_window_ms == b->ephemeral_window_ms &&
	       a->resolves_locally == b->resolves_locally && a->udp == b->udp &&
	       a->has_target == b->has_target &&
	       (!a->has_target || addr_is_equal(&a->target, &b->target));
}

bool chain_spec_is_equal(const struct chain_spec *a, const struct chain_spec *b)
{
	if (a->n_hops != b->n_hops || !has_same_settings(a, b))
		return false;
	for (size_t i = 0; i < a->n_hops; i++) {
		if (!is_same_position(a, b, i))
			return false;
	}
	return true;
}

/* --- is it right --- */

static bool is_key_of(const struct chain_candidates of, size_t n, const struct wire_key *key)
{
	for (size_t i = 0; i < n; i++) {
		if (of.hops[i].key != NULL && memcmp(of.hops[i].key->kid, key->kid, WIRE_KID) == 0)
			return true;
	}
	return false;
}

/* Whether a candidate before candidate @k of position @i has @key. */
static bool has_key_of(
	const struct chain_spec *spec, size_t i, size_t k, const struct wire_key *key)
{
	for (size_t before = 0; before < i; before++) {
		struct chain_candidates of = chain_spec_candidates(spec, before);
		if (is_key_of(of, of.n, key))
			return true;
	}
	return is_key_of(chain_spec_candidates(spec, i), k, key);
}

static const char *check_hop(const struct chain_spec *spec, size_t i, size_t k)
{
	struct chain_candidates of = chain_spec_candidates(spec, i);
	const struct chain_hop *hop = &of.hops[k];
	if (hop->addr.kind == ADDR_NONE || (hop->addr.port == 0 && !hop->is_srv))
		return "the hop has no address";
	if (hop->step != CHAIN_STEP_HOP)
		return NULL;
	if (hop->key == NULL)
		return "the hop has no key";
	if (has_key_of(spec, i, k, hop->key))
		return "the hop has the key of another one; every hop needs its own (chain keygen)";
	return NULL;
}

static const char *check_position(const struct chain_spec *spec, size_t i)
{
	const char *reason = NULL;
	size_t n = chain_spec_candidates(spec, i).n;
	if (n < 1 || n > CHAIN_CANDIDATES_MAX)
		return "a group has 1 to 64 candidates";
	for (size_t k = 0; k < n && reason == NULL; k++)
		reason = check_hop(spec, i, k);
	return reason;
}

static const char *check_whole(const struct chain_spec *spec)
{
	if (!spec->is_header_only && !chain_spec_can_seal(spec))
		return CHAIN_SPEC_SEALS_NOTHING;
	if (spec->udp == CHAIN_UDP_DATAGRAM && chain_spec_has_foreign(spec))
		return CHAIN_SPEC_NO_DATAGRAMS;
	return NULL;
}

size_t chain_spec_check(const struct chain_spec *spec, const char **ret_reason)
{
	if (spec->n_hops < 1 || spec->n_hops > CHAIN_HOPS_MAX) {
		*ret_reason = "a chain has 1 to 16 hops";
		return 1;
	}
	for (size_t i = 0; i < spec->n_hops; i++) {
		const char *reason = check_position(spec, i);
		if (reason != NULL) {
			*ret_reason = reason;
			return i + 1;
		}
	}
	const char *reason = check_whole(spec);
	if (reason == NULL)
		return 0;
	*ret_reason = reason;
	return 1;
}
