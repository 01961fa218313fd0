#include "common/seal.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

#define POOL_SIZE                                                                                  \
	1024 /* random bytes made at once; the first SEAL_KEY of them key the next pool            \
	      */

/* Fast key erasure: each refill replaces the key and what is handed out is wiped, so that neither
 * can be recomputed from what memory holds later. A call of the kernel for each nonce would cost
 * more than sealing it. */
struct pool {
	uint8_t key[SEAL_KEY];
	uint8_t data[POOL_SIZE];
	size_t n_left;
	unsigned n_forks; /* value of the process's count when it was seeded; 0 = not yet */
};
static _Thread_local struct pool pool;

/* A forked child must not repeat its parent's bytes. Counted from 1, so that a pool of zeros is
 * stale. */
static _Atomic unsigned n_forks = 1;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static int watch_error;

static void on_child(void)
{
	atomic_fetch_add_explicit(&n_forks, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
	watch_error = pthread_atfork(NULL, NULL, on_child);
}

const char *seal_library(void)
{
	return sodium_version_string();
}

int seal_start(void)
{
	pthread_once(&watch_once, watch_forks);
	if (watch_error != 0)
		return ERR_NOMEM;
	return sodium_init() < 0 ? ERR_CRYPTO : 0;
}

static bool is_fresh(const struct pool *p)
{
	return p->n_forks == atomic_load_explicit(&n_forks, memory_order_relaxed);
}

static void refill(struct pool *p)
{
	static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
	if (!is_fresh(p)) {
		randombytes_buf(p->key, sizeof p->key);
		p->n_forks = atomic_load_explicit(&n_forks, memory_order_relaxed);
	}
	crypto_stream_chacha20(p->data, sizeof p->data, nonce, p->key);
	memcpy(p->key, p->data, sizeof p->key);
	sodium_memzero(p->data, sizeof p->key);
	p->n_left = sizeof p->data - sizeof p->key;
}

void seal_random(void *to, size_t len)
{
	struct pool *p = &pool;
	if (len > POOL_SIZE / 4) {
		randombytes_buf(to, len);
		return;
	}
	if (p->n_left < len || !is_fresh(p))
		refill(p);
	uint8_t *from = p->data + sizeof p->data - p->n_left;
	memcpy(to, from, len);
	sodium_memzero(from, len);
	p->n_left -= len;
}

void seal_kdf(const uint8_t key[SEAL_KEY], const char ctx[8], uint64_t id, uint8_t *to, size_t len)
{
	crypto_kdf_derive_from_key(to, len, id, ctx, key);
}

static_assert(SEAL_KEY == crypto_aead_xchacha20poly1305_ietf_KEYBYTES &&
		      SEAL_NONCE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES &&
		      SEAL_TAG == crypto_aead_xchacha20poly1305_ietf_ABYTES,
	"XC of docs/protocol.md 2.0");
static_assert(SEAL_KEY == crypto_kdf_KEYBYTES && crypto_kdf_CONTEXTBYTES == 8, "kdf of 2.0");
static_assert(SEAL_CURVE == crypto_scalarmult_BYTES, "X25519");

void seal_aead(const uint8_t key[SEAL_KEY], const uint8_t nonce[SEAL_NONCE], struct bytes aad,
	struct bytes plain, uint8_t *to)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(
		to, NULL, plain.ptr, plain.len, aad.ptr, aad.len, NULL, nonce, key);
}

bool seal_aead_open(const uint8_t key[SEAL_KEY], const uint8_t nonce[SEAL_NONCE], struct bytes aad,
	struct bytes sealed, uint8_t *to)
{
	if (sealed.len < SEAL_TAG)
		return false;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
		    to, NULL, NULL, sealed.ptr, sealed.len, aad.ptr, aad.len, nonce, key) == 0)
		return true;
	sodium_memzero(to, sealed.len - SEAL_TAG);
	return false;
}

void seal_hash(struct bytes key, const struct bytes *parts, size_t n_parts, uint8_t *to, size_t len)
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, key.ptr, key.len, len);
	for (size_t i = 0; i < n_parts; i++)
		crypto_generichash_update(&state, parts[i].ptr, parts[i].len);
	crypto_generichash_final(&state, to, len);
	sodium_memzero(&state, sizeof state);
}

void seal_curve_keygen(uint8_t secret[SEAL_CURVE], uint8_t public[SEAL_CURVE])
{
	seal_random(secret, SEAL_CURVE);
	crypto_scalarmult_base(public, secret);
}

bool seal_curve(
	const uint8_t secret[SEAL_CURVE], const uint8_t peer[SEAL_CURVE], uint8_t to[SEAL_CURVE])
{
	if (crypto_scalarmult(to, secret, peer) == 0)
		return true;
	sodium_memzero(to, SEAL_CURVE);
	return false;
}

uint64_t seal_siphash(const uint8_t key[16], struct bytes data)
{
	uint64_t hash;
	static_assert(sizeof hash == crypto_shorthash_BYTES, "SipHash-2-4 gives 64 bits");
	crypto_shorthash((uint8_t *)&hash, data.ptr, data.len, key);
	return hash;
}

bool seal_is_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

bool seal_is_zero(const void *a, size_t len)
{
	return sodium_is_zero(a, len) == 1;
}

void seal_wipe(void *at, size_t len)
{
	sodium_memzero(at, len);
}

void seal_base64(struct bytes data, char *to, size_t size)
{
	sodium_bin2base64(to, size, data.ptr, data.len, sodium_base64_VARIANT_ORIGINAL);
}

/* libsodium 1.0.18 takes bytes above 0x7f for characters of the alphabet. */
static bool is_ascii(const char *text, size_t len)
{
	uint8_t all = 0;
	for (size_t i = 0; i < len; i++)
		all |= (uint8_t)text[i];
	return all < 0x80;
}

int seal_from_base64(const char *text, size_t len, uint8_t *to, size_t size)
{
	size_t n = 0;
	const char *end = NULL;
	if (!is_ascii(text, len) || sodium_base642bin(to, size, text, len, NULL, &n, &end,
					    sodium_base64_VARIANT_ORIGINAL) != 0)
		return -1;
	return end == text + len ? (int)n : -1;
}
