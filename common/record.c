#include "common/record.h"

#include "common/record_cipher.h"
#include "common/seal.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define N_CIPHERS     4
#define IV            12
#define OUTER_TYPE    0x17 /* every record looks like application data of TLS 1.2 */
#define OUTER_VERSION 0x0303
#define TAG           SEAL_TAG
#define BODY_MIN      (1 + TAG) /* no content: its type and the tag */
#define BODY_MAX      (RECORD_CONTENT_MAX + BODY_MIN)

/* docs/protocol.md 2.8, Record. */
static_assert(RECORD_HEADER + BODY_MIN == RECORD_OVERHEAD, "what a record adds");
static_assert(RECORD_HEADER + BODY_MAX == RECORD_MAX, "the longest record");
static_assert(BODY_MIN == 17 && BODY_MAX == 16401, "range of len");

static const struct {
	const char *name, *fetch;
} ciphers[N_CIPHERS] = {
	[RECORD_NONE] = { "none", NULL },
	[RECORD_AES_128_GCM] = { "aes-128-gcm", "AES-128-GCM" },
	[RECORD_AES_256_GCM] = { "aes-256-gcm", "AES-256-GCM" },
	[RECORD_CHACHA20_POLY1305] = { "chacha20-poly1305", "ChaCha20-Poly1305" },
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

const char *record_library(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}

bool record_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	return (getauxval(AT_HWCAP) & (HWCAP_AES | HWCAP_PMULL)) == (HWCAP_AES | HWCAP_PMULL);
#else
	return false; /* ChaCha20 needs none */
#endif
}

const char *record_cipher_name(enum record_cipher cipher)
{
	return (unsigned)cipher < N_CIPHERS ? ciphers[cipher].name : "?";
}

const EVP_CIPHER *record_cipher_fetched(enum record_cipher cipher)
{
	return (unsigned)cipher < N_CIPHERS ? fetched[cipher] : NULL;
}

static int set_key(struct record_key *k, const uint8_t *key)
{
	if (EVP_CipherInit_ex2(k->context, fetched[k->cipher], key, k->iv, k->is_sealing, NULL) !=
		1)
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

int record_key_new(enum record_cipher cipher, const uint8_t secret[32], const char ctx[8],
	bool is_sealing, struct record_key **ret)
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

int record_key_new_raw(enum record_cipher cipher, const uint8_t *key, const uint8_t iv[12],
	bool is_sealing, struct record_key **ret)
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

/* One pass over the record's body: header as AAD, content, the type behind it, tag. */
static bool seal(struct record_key *k, const uint8_t *header, struct bytes content, uint8_t type,
	uint8_t *to)
{
	EVP_CIPHER_CTX *c = k->context;
	int n = 0;
	if (!set_nonce(k) || EVP_EncryptUpdate(c, NULL, &n, header, RECORD_HEADER) != 1)
		return false;
	if (content.len > 0 && EVP_EncryptUpdate(c, to, &n, content.ptr, (int)content.len) != 1)
		return false;
	to += content.len;
	return EVP_EncryptUpdate(c, to, &n, &type, 1) == 1 &&
	       EVP_EncryptFinal_ex(c, to + 1, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, to + 1) == 1;
}

int record_seal(struct record_key *key, enum record_type type, struct bytes content, uint8_t *to)
{
	struct wire_writer w;
	assert(key->is_sealing && content.len <= RECORD_CONTENT_MAX);
	wire_writer_init(&w, to, RECORD_HEADER);
	wire_put_u8(&w, OUTER_TYPE);
	wire_put_u16(&w, OUTER_VERSION);
	wire_put_u16(&w, (uint16_t)(content.len + BODY_MIN));
	if (!seal(key, to, content, (uint8_t)type, to + RECORD_HEADER))
		return ERR_CRYPTO;
	key->seq++;
	return (int)(content.len + RECORD_OVERHEAD);
}

int record_length(const uint8_t header[RECORD_HEADER])
{
	struct wire_reader r;
	wire_reader_init(&r, bytes_of(header, RECORD_HEADER));
	uint8_t type = wire_u8(&r);
	uint16_t version = wire_u16(&r), body = wire_u16(&r);
	if (type != OUTER_TYPE || version != OUTER_VERSION || body < BODY_MIN || body > BODY_MAX)
		return ERR_BAD_RECORD;
	return RECORD_HEADER + body;
}

/* The reverse of seal(). Return: 0, ERR_BAD_RECORD if the tag does not verify, ERR_CRYPTO. */
static int unseal(struct record_key *k, const uint8_t *header, struct bytes sealed, uint8_t *to)
{
	EVP_CIPHER_CTX *c = k->context;
	uint8_t tag[TAG];
	int n = 0;
	memcpy(tag, sealed.ptr + sealed.len, sizeof tag);
	if (!set_nonce(k) || EVP_DecryptUpdate(c, NULL, &n, header, RECORD_HEADER) != 1 ||
		EVP_DecryptUpdate(c, to, &n, sealed.ptr, (int)sealed.len) != 1 ||
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1)
		return ERR_CRYPTO;
	return EVP_DecryptFinal_ex(c, to + sealed.len, &n) == 1 ? 0 : ERR_BAD_RECORD;
}

int record_open(struct record_key *key, struct bytes record, uint8_t *to, uint8_t *ret_type)
{
	assert(!key->is_sealing);
	if (record.len < RECORD_OVERHEAD || record_length(record.ptr) != (int)record.len)
		return ERR_BAD_RECORD;
	size_t len = record.len - RECORD_HEADER - TAG;
	int error = unseal(key, record.ptr, bytes_of(record.ptr + RECORD_HEADER, len), to);
	if (error != 0) {
		seal_wipe(to, len); /* what did not authenticate is not shown */
		return error;
	}
	key->seq++;
	while (len > 0 && to[len - 1] == 0)
		len--;
	if (len == 0)
		return ERR_BAD_RECORD;
	*ret_type = to[len - 1];
	return (int)(len - 1);
}

int record_update(struct record_key *key)
{
	uint8_t secret[SEAL_KEY];
	if (!key->has_next)
		return ERR_CRYPTO;
	memcpy(secret, key->next, sizeof secret);
	int error = derive(key, secret);
	seal_wipe(secret, sizeof secret);
	return error;
}
