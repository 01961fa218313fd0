#include "chain/wire_secret.h"

#include <assert.h>
#include <stdlib.h>

#define N_AGREED 64 /* results kept with a pair that is used again */

struct agreed {
	bool is_set;
	uint8_t peer[SEAL_CURVE], ss[SEAL_CURVE];
};

struct wire_pair {
	unsigned n_users;
	uint64_t made_at_ms;
	uint8_t secret[SEAL_CURVE], public[SEAL_CURVE];
	size_t n_agreed; /* 0 for a pair of one connection: it meets one peer */
	struct agreed agreed[];
};

struct wire_ephemeral {
	uint32_t window_ms;
	struct wire_pair
		*current; /* counts as a user of it; NULL before the first and after the window */
};

static_assert(SEAL_CURVE == SEAL_KEY, "ss has the size of a key");

/* docs/protocol.md 2.8: th, prk, secret_1, secret_2, rms. */
void wire_secrets_derive(const struct wire_key *key, const uint8_t ss[32], struct bytes r,
	struct bytes s, struct wire_secrets *ret)
{
	uint8_t th[32], prk[64];
	struct bytes transcript[] = { bytes_of("hc1-th", 6), r, s };
	struct bytes input[] = { bytes_of("hc1-e2e", 7), bytes_of(ss, SEAL_CURVE),
		bytes_of(th, sizeof th) };
	static_assert(sizeof prk == SEAL_KEY + sizeof ret->rms, "prk is traffic key and rms");
	seal_hash(bytes_of(NULL, 0), transcript, 3, th, sizeof th);
	seal_hash(bytes_of(key->e2e, SEAL_KEY), input, 3, prk, sizeof prk);
	seal_kdf(prk, "hc1-dir_", 1, ret->up, sizeof ret->up);
	seal_kdf(prk, "hc1-dir_", 2, ret->down, sizeof ret->down);
	memcpy(ret->rms, prk + SEAL_KEY, sizeof ret->rms);
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

static size_t pair_size(size_t n_agreed)
{
	return sizeof(struct wire_pair) + n_agreed * sizeof(struct agreed);
}

static struct wire_pair *new_pair(size_t n_agreed, uint64_t now_ms)
{
	struct wire_pair *pair = calloc(1, pair_size(n_agreed));
	if (pair == NULL)
		return NULL;
	pair->n_users = 1;
	pair->made_at_ms = now_ms;
	pair->n_agreed = n_agreed;
	seal_curve_keygen(pair->secret, pair->public);
	return pair;
}

uint64_t wire_ephemeral_expire(struct wire_ephemeral *e, uint64_t now_ms)
{
	uint64_t age;
	if (e->current == NULL)
		return UINT64_MAX;
	age = now_ms -
	      e->current->made_at_ms; /* a clock that went back makes it old: then a new pair */
	if (age < e->window_ms)
		return e->window_ms - age;
	wire_pair_release(e->current);
	e->current = NULL;
	return UINT64_MAX;
}

struct wire_pair *wire_pair_acquire(struct wire_ephemeral *e, uint64_t now_ms)
{
	if (e->window_ms == 0)
		return new_pair(0, now_ms);
	if (wire_ephemeral_expire(e, now_ms) == UINT64_MAX) {
		e->current = new_pair(N_AGREED, now_ms);
		if (e->current == NULL)
			return NULL;
	}
	e->current->n_users++;
	return e->current;
}

const uint8_t *wire_pair_public(const struct wire_pair *pair)
{
	return pair->public;
}

/* Where the result for @peer is kept; NULL if the pair keeps none. A peer that chooses its key to
 * push another's result out costs that one a computation, nothing more. */
static struct agreed *slot_of(struct wire_pair *pair, const uint8_t peer[SEAL_CURVE])
{
	return pair->n_agreed == 0 ? NULL : &pair->agreed[peer[0] % pair->n_agreed];
}

bool wire_pair_agree(struct wire_pair *pair, const uint8_t peer[SEAL_CURVE], uint8_t ss[SEAL_CURVE])
{
	struct agreed *slot = slot_of(pair, peer);
	if (slot != NULL && slot->is_set && seal_is_equal(slot->peer, peer, SEAL_CURVE)) {
		memcpy(ss, slot->ss, SEAL_CURVE);
		return true;
	}
	if (!seal_curve(pair->secret, peer, ss))
		return false;
	if (slot != NULL) {
		memcpy(slot->peer, peer, SEAL_CURVE);
		memcpy(slot->ss, ss, SEAL_CURVE);
		slot->is_set = true;
	}
	return true;
}

void wire_pair_release(struct wire_pair *pair)
{
	if (pair == NULL)
		return;
	assert(pair->n_users > 0);
	if (--pair->n_users > 0)
		return;
	seal_wipe(pair, pair_size(pair->n_agreed));
	free(pair);
}
