#include "chain/wire_secret.h"

#include <stdlib.h>

#define AGREED_MAX 64 /* results kept with a pair; a power of two */

struct agreed {
	uint8_t peer[SEAL_CURVE], ss[SEAL_CURVE];
	bool is_set;
};

struct wire_pair {
	unsigned n_users;
	uint64_t made_at_ms;
	uint8_t secret[SEAL_CURVE], public[SEAL_CURVE];
	struct agreed agreed[AGREED_MAX];
};

struct wire_ephemeral {
	uint32_t window_ms;
	struct wire_pair *current;
};

void wire_secrets_derive(const struct wire_key *key, const uint8_t ss[32], struct bytes r, struct bytes s,
	struct wire_secrets *ret)
{
	uint8_t th[32], prk[64];
	struct bytes transcript[] = { bytes_of("hc1-th", 6), r, s };
	struct bytes input[] = { bytes_of("hc1-e2e", 7), bytes_of(ss, SEAL_CURVE), bytes_of(th, sizeof th) };
	seal_hash(bytes_of(NULL, 0), transcript, 3, th, sizeof th);
	seal_hash(bytes_of(key->e2e, SEAL_KEY), input, 3, prk, sizeof prk);
	seal_kdf(prk, "hc1-dir_", 1, ret->up, sizeof ret->up);
	seal_kdf(prk, "hc1-dir_", 2, ret->down, sizeof ret->down);
	memcpy(ret->rms, prk + 32, sizeof ret->rms);
	seal_wipe(prk, sizeof prk);
}

int wire_ephemeral_new(uint32_t window_ms, struct wire_ephemeral **ret)
{
	struct wire_ephemeral *e = calloc(1, sizeof *e);
	if (e == NULL)
		return ERR_NOMEM;
	e->window_ms = window_ms;
	*ret = e;
	return 0;
}

void wire_ephemeral_free(struct wire_ephemeral *e)
{
	if (e == NULL)
		return;
	wire_pair_release(e->current);
	free(e);
}

struct wire_pair *wire_pair_acquire(struct wire_ephemeral *e, uint64_t now_ms)
{
	if (e->current == NULL || now_ms - e->current->made_at_ms >= e->window_ms) {
		struct wire_pair *pair = calloc(1, sizeof *pair);
		if (pair == NULL)
			return NULL;
		pair->n_users = 1; /* ours */
		pair->made_at_ms = now_ms;
		seal_curve_keygen(pair->secret, pair->public);
		wire_pair_release(e->current);
		e->current = pair;
	}
	e->current->n_users++;
	return e->current;
}

const uint8_t *wire_pair_public(const struct wire_pair *pair)
{
	return pair->public;
}

bool wire_pair_agree(struct wire_pair *pair, const uint8_t peer[SEAL_CURVE], uint8_t ss[SEAL_CURVE])
{
	/* The peer chooses its key: at worst it chooses which slot of its own use is replaced. */
	struct agreed *slot = &pair->agreed[peer[0] % AGREED_MAX];
	if (slot->is_set && seal_is_equal(slot->peer, peer, SEAL_CURVE)) {
		memcpy(ss, slot->ss, SEAL_CURVE);
		return true;
	}
	if (!seal_curve(pair->secret, peer, ss))
		return false;
	memcpy(slot->peer, peer, SEAL_CURVE);
	memcpy(slot->ss, ss, SEAL_CURVE);
	slot->is_set = true;
	return true;
}

void wire_pair_release(struct wire_pair *pair)
{
	if (pair == NULL || --pair->n_users > 0)
		return;
	seal_wipe(pair, sizeof *pair);
	free(pair);
}
