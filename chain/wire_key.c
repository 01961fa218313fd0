#include "chain/wire_key.h"

#include <stdlib.h>

#define PREFIX        "hc1:"
#define PREFIX_LENGTH 4
#define BASE64_LENGTH 88

static void derive(struct wire_key *k, const uint8_t uk[SEAL_KEY])
{
	uint8_t kid[16];
	seal_kdf(uk, "hc1-kid_", 0, kid, sizeof kid);
	memcpy(k->kid, kid, sizeof k->kid);
	seal_kdf(uk, "hc1-user", 1, k->rq, SEAL_KEY);
	seal_kdf(uk, "hc1-user", 2, k->rx, SEAL_KEY);
	seal_kdf(uk, "hc1-user", 3, k->rs, SEAL_KEY);
	seal_kdf(uk, "hc1-user", 4, k->rt, SEAL_KEY);
	seal_kdf(uk, "hc1-user", 5, k->e2e, SEAL_KEY);
	seal_kdf(uk, "hc1-user", 6, k->u0, SEAL_KEY);
	seal_kdf(uk, "hc1-user", 7, k->dn, SEAL_KEY);
}

static void free_mask(struct wire_mask *m)
{
	if (m == NULL)
		return;
	seal_block_free(m->kid_block);
	seal_block_free(m->up_block);
	seal_wipe(m, sizeof *m);
	free(m);
}

static struct wire_mask *new_mask(const uint8_t mk[SEAL_KEY])
{
	struct wire_mask *m = calloc(1, sizeof *m);
	if (m == NULL)
		return NULL;
	seal_kdf(mk, "hc1-mask", 1, m->kid_key, SEAL_KEY);
	seal_kdf(mk, "hc1-mask", 2, m->up_key, SEAL_KEY);
	seal_kdf(mk, "hop-mkid", 0, m->id, sizeof m->id); /* ours alone: never on the wire */
	if (seal_block_new(m->kid_key, &m->kid_block) != 0 ||
		seal_block_new(m->up_key, &m->up_block) != 0) {
		free_mask(m);
		return NULL;
	}
	return m;
}

enum wire_key_error wire_key_new(const uint8_t credential[WIRE_CREDENTIAL], struct wire_key **ret)
{
	const uint8_t *mk = credential, *uk = credential + SEAL_KEY;
	if (seal_is_zero(mk, SEAL_KEY) || seal_is_zero(uk, SEAL_KEY))
		return WIRE_KEY_ZERO;
	if (seal_is_equal(mk, uk, SEAL_KEY))
		return WIRE_KEY_SAME;
	struct wire_key *k = calloc(1, sizeof *k);
	if (k == NULL)
		return WIRE_KEY_NOMEM;
	derive(k, uk);
	k->mask = new_mask(mk);
	if (k->mask == NULL || seal_block_new(k->dn, &k->dn_block) != 0) {
		wire_key_free(k);
		return WIRE_KEY_NOMEM;
	}
	*ret = k;
	return WIRE_KEY_OK;
}

enum wire_key_error wire_key_parse(struct bytes text, struct wire_key **ret)
{
	uint8_t credential[WIRE_CREDENTIAL];
	if (text.len < PREFIX_LENGTH || memcmp(text.ptr, PREFIX, PREFIX_LENGTH) != 0)
		return WIRE_KEY_NO_PREFIX;
	if (text.ptr[text.len - 1] == '\n')
		text.len--;
	if (text.len < WIRE_CREDENTIAL_TEXT)
		return WIRE_KEY_SHORT;
	if (text.len > WIRE_CREDENTIAL_TEXT)
		return WIRE_KEY_LONG;
	int n = seal_from_base64((const char *)text.ptr + PREFIX_LENGTH, BASE64_LENGTH, credential,
		sizeof credential);
	if (n != WIRE_CREDENTIAL) {
		seal_wipe(credential, sizeof credential);
		return WIRE_KEY_BAD_BASE64;
	}
	enum wire_key_error error = wire_key_new(credential, ret);
	seal_wipe(credential, sizeof credential);
	return error;
}

void wire_key_free(struct wire_key *key)
{
	if (key == NULL)
		return;
	seal_block_free(key->dn_block);
	free_mask(key->mask);
	seal_wipe(key, sizeof *key);
	free(key);
}

void wire_key_generate(const uint8_t *mask, char to[WIRE_CREDENTIAL_TEXT + 1])
{
	uint8_t credential[WIRE_CREDENTIAL];
	seal_random(credential, sizeof credential);
	if (mask != NULL)
		memcpy(credential, mask, SEAL_KEY);
	/* base64 follows: NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
	memcpy(to, PREFIX, PREFIX_LENGTH);
	seal_base64(bytes_of(credential, sizeof credential), to + PREFIX_LENGTH, BASE64_LENGTH + 1);
	seal_wipe(credential, sizeof credential);
}

void wire_mask_kid(const struct wire_mask *mask, const uint8_t salt[16], const uint8_t in[WIRE_KID],
	uint8_t out[WIRE_KID])
{
	uint8_t block[16];
	seal_block_encrypt(mask->kid_block, salt, block);
	for (int i = 0; i < WIRE_KID; i++)
		out[i] = in[i] ^ block[i];
}
