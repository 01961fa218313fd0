#include "common/record.h"

#include "common/seal.h"

#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#define N_CIPHERS 4
#define IV        12
#define TAG       16

static const struct {
	const char *name, *fetch;
	size_t key;
} ciphers[N_CIPHERS] = {
	[RECORD_NONE] = { "none", NULL, 0 },
	[RECORD_AES_128_GCM] = { "aes-128-gcm", "AES-128-GCM", 16 },
	[RECORD_AES_256_GCM] = { "aes-256-gcm", "AES-256-GCM", 32 },
	[RECORD_CHACHA20_POLY1305] = { "chacha20-poly1305", "ChaCha20-Poly1305", 32 },
};

/* Fetched once per process and never changed: handles of the library's implementations. */
static EVP_CIPHER *fetched[N_CIPHERS];
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

struct record_key {
	EVP_CIPHER_CTX *context;
	uint64_t seq;
	uint8_t iv[IV];
	uint8_t next[SEAL_KEY]; /* the secret after a KeyUpdate */
	char kdf_context[8];
	uint8_t cipher;
	bool is_sealing;
	bool has_next;
};

static void fetch(void)
{
	for (int i = 1; i < N_CIPHERS; i++)
		fetched[i] = EVP_CIPHER_fetch(NULL, ciphers[i].fetch, NULL);
}

int record_start(void)
{
	pthread_once(&fetch_once, fetch);
	for (int i = 1; i < N_CIPHERS; i++) {
		if (fetched[i] == NULL)
			return ERR_CRYPTO;
	}
	return 0;
}

bool record_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes");
#else
	return false; /* ChaCha20 is the safe choice where we cannot tell */
#endif
}

const char *record_cipher_name(enum record_cipher cipher)
{
	return (unsigned)cipher < N_CIPHERS ? ciphers[cipher].name : "?";
}

static int set_key(struct record_key *k, const uint8_t *key)
{
	if (EVP_CipherInit_ex2(k->context, fetched[k->cipher], key, k->iv, k->is_sealing, NULL) != 1)
		return ERR_CRYPTO;
	k->seq = 0;
	return 0;
}

/* docs/protocol.md 2.8: key, IV and next secret of one direction. */
static int derive(struct record_key *k, const uint8_t secret[SEAL_KEY])
{
	uint8_t key[SEAL_KEY], iv[16], next[SEAL_KEY];
	seal_kdf(secret, k->kdf_context, 1, key, sizeof key);
	seal_kdf(secret, k->kdf_context, 2, iv, sizeof iv);
	seal_kdf(secret, k->kdf_context, 3, next, sizeof next);
	memcpy(k->iv, iv, IV);
	memcpy(k->next, next, sizeof next);
	k->has_next = true;
	int error = set_key(k, key);
	seal_wipe(key, sizeof key);
	seal_wipe(iv, sizeof iv);
	seal_wipe(next, sizeof next);
	return error;
}

static struct record_key *new_key(enum record_cipher cipher, bool is_sealing)
{
	struct record_key *k = calloc(1, sizeof *k);
	if (k == NULL)
		return NULL;
	k->context = EVP_CIPHER_CTX_new();
	if (k->context == NULL) {
		free(k);
		return NULL;
	}
	k->cipher = (uint8_t)cipher;
	k->is_sealing = is_sealing;
	return k;
}

int record_key_new(enum record_cipher cipher, const uint8_t secret[32], const char ctx[8], bool is_sealing,
	struct record_key **ret)
{
	if (cipher == RECORD_NONE || (unsigned)cipher >= N_CIPHERS)
		return ERR_INVAL;
	struct record_key *k = new_key(cipher, is_sealing);
	if (k == NULL)
		return ERR_NOMEM;
	memcpy(k->kdf_context, ctx, sizeof k->kdf_context);
	int error = derive(k, secret);
	if (error != 0) {
		record_key_free(k);
		return error;
	}
	*ret = k;
	return 0;
}

int record_key_new_raw(enum record_cipher cipher, const uint8_t *key, const uint8_t iv[12], bool is_sealing,
	struct record_key **ret)
{
	if (cipher == RECORD_NONE || (unsigned)cipher >= N_CIPHERS)
		return ERR_INVAL;
	struct record_key *k = new_key(cipher, is_sealing);
	if (k == NULL)
		return ERR_NOMEM;
	memcpy(k->iv, iv, IV);
	int error = set_key(k, key);
	if (error != 0) {
		record_key_free(k);
		return error;
	}
	*ret = k;
	return 0;
}

void record_key_free(struct record_key *key)
{
	if (key == NULL)
		return;
	EVP_CIPHER_CTX_free(key->context); /* wipes its key */
	seal_wipe(key, sizeof *key);
	free(key);
}

uint64_t record_seq(const struct record_key *key)
{
	return key->seq;
}

/* nonce = iv XOR (four zero bytes ‖ seq). */
static bool set_nonce(struct record_key *k)
{
	uint8_t nonce[IV];
	memcpy(nonce, k->iv, IV);
	for (int i = 0; i < 8; i++)
		nonce[IV - 1 - i] ^= (uint8_t)(k->seq >> 8 * i);
	return EVP_CipherInit_ex2(k->context, NULL, NULL, nonce, k->is_sealing, NULL) == 1;
}

int record_seal(struct record_key *key, enum record_type type, struct bytes content, uint8_t *to)
{
	size_t body = content.len + 1 + TAG;
	uint8_t inner = (uint8_t)type, *at = to + RECORD_HEADER;
	int n = 0;
	assert(content.len <= RECORD_CONTENT_MAX);
	to[0] = 0x17;
	to[1] = to[2] = 3;
	to[3] = (uint8_t)(body >> 8);
	to[4] = (uint8_t)body;
	if (!set_nonce(key) || EVP_EncryptUpdate(key->context, NULL, &n, to, RECORD_HEADER) != 1)
		return ERR_CRYPTO;
	if (content.len > 0 && EVP_EncryptUpdate(key->context, at, &n, content.ptr, (int)content.len) != 1)
		return ERR_CRYPTO;
	at += content.len;
	if (EVP_EncryptUpdate(key->context, at, &n, &inner, 1) != 1
		|| EVP_EncryptFinal_ex(key->context, at + 1, &n) != 1
		|| EVP_CIPHER_CTX_ctrl(key->context, EVP_CTRL_AEAD_GET_TAG, TAG, at + 1) != 1)
		return ERR_CRYPTO;
	key->seq++;
	return (int)(RECORD_HEADER + body);
}

int record_length(const uint8_t header[RECORD_HEADER])
{
	unsigned body = (unsigned)header[3] << 8 | header[4];
	if (header[0] != 0x17 || header[1] != 3 || header[2] != 3 || body < 1 + TAG || body > RECORD_CONTENT_MAX + 1 + TAG)
		return ERR_BAD_RECORD;
	return (int)(RECORD_HEADER + body);
}

int record_open(struct record_key *key, struct bytes record, uint8_t *to, uint8_t *ret_type)
{
	uint8_t tag[TAG];
	int n = 0, length;
	if (record.len < RECORD_OVERHEAD)
		return ERR_BAD_RECORD;
	length = record_length(record.ptr);
	if (length < 0 || (size_t)length != record.len)
		return ERR_BAD_RECORD;
	size_t sealed = record.len - RECORD_HEADER - TAG;
	memcpy(tag, record.ptr + RECORD_HEADER + sealed, TAG);
	if (!set_nonce(key) || EVP_DecryptUpdate(key->context, NULL, &n, record.ptr, RECORD_HEADER) != 1
		|| EVP_DecryptUpdate(key->context, to, &n, record.ptr + RECORD_HEADER, (int)sealed) != 1
		|| EVP_CIPHER_CTX_ctrl(key->context, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1)
		return ERR_CRYPTO;
	if (EVP_DecryptFinal_ex(key->context, to + sealed, &n) != 1)
		return ERR_BAD_RECORD;
	key->seq++;
	while (sealed > 0 && to[sealed - 1] == 0)
		sealed--;
	if (sealed == 0)
		return ERR_BAD_RECORD;
	*ret_type = to[sealed - 1];
	return (int)(sealed - 1);
}

int record_update(struct record_key *key)
{
	uint8_t secret[SEAL_KEY];
	if (!key->has_next)
		return ERR_INVAL;
	memcpy(secret, key->next, sizeof secret);
	int error = derive(key, secret);
	seal_wipe(secret, sizeof secret);
	return error;
}
