#ifndef COMMON_SEAL_H
#define COMMON_SEAL_H
/*
 * Does: the cryptographic primitives of headers: AEAD, key derivation, X25519, keyed hash, random,
 * compare, wipe. Knows: libsodium (and AES through record.h's library where libsodium has none).
 * Never knows: message layout.
 */
#include "common/err.h"
#include "common/wire.h"

#define SEAL_KEY   32
#define SEAL_NONCE 24
#define SEAL_TAG   16
#define SEAL_CURVE 32

/** seal_library() - the version of libsodium that runs. Static. */
const char *seal_library(void);
/** seal_start() - once per process, before anything else here. Return: 0, ERR_CRYPTO. */
NODISCARD int seal_start(void);

/** seal_random() - @len bytes from a per-thread generator seeded by the operating system. */
void seal_random(void *to, size_t len);
/** seal_kdf() - kdf(K, ctx, id, L) of protocol.md 2.0; @len 16..64. */
void seal_kdf(const uint8_t key[SEAL_KEY], const char ctx[8], uint64_t id, uint8_t *to, size_t len);

/** seal_aead() - XC of protocol.md 2.0: writes plain.len + SEAL_TAG bytes to @to (may be
 * plain.ptr). */
void seal_aead(const uint8_t key[SEAL_KEY], const uint8_t nonce[SEAL_NONCE], struct bytes aad,
	struct bytes plain, uint8_t *to);
/** seal_aead_open() - reverse; writes sealed.len - SEAL_TAG bytes to @to. Return: false if it does
 * not open (then @to is zeroed). */
NODISCARD bool seal_aead_open(const uint8_t key[SEAL_KEY], const uint8_t nonce[SEAL_NONCE],
	struct bytes aad, struct bytes sealed, uint8_t *to);

/* One raw AES-256 block, key schedule prepared once. */
struct seal_block;
NODISCARD int seal_block_new(const uint8_t key[SEAL_KEY], struct seal_block **ret);
void seal_block_free(struct seal_block *block);
void seal_block_encrypt(struct seal_block *block, const uint8_t in[16], uint8_t out[16]);
void seal_block_decrypt(struct seal_block *block, const uint8_t in[16], uint8_t out[16]);

/* BLAKE2b over parts; @key may be {NULL, 0}; @len 16..64. */
void seal_hash(
	struct bytes key, const struct bytes *parts, size_t n_parts, uint8_t *to, size_t len);

void seal_curve_keygen(uint8_t secret[SEAL_CURVE], uint8_t public[SEAL_CURVE]);
/** seal_curve() - X25519. Return: false if the result is all zero. */
NODISCARD bool seal_curve(
	const uint8_t secret[SEAL_CURVE], const uint8_t peer[SEAL_CURVE], uint8_t to[SEAL_CURVE]);

/** seal_siphash() - keyed 64-bit hash for tables whose keys strangers choose. */
uint64_t seal_siphash(const uint8_t key[16], struct bytes data);
/** seal_is_equal() - constant time. */
bool seal_is_equal(const void *a, const void *b, size_t len);
bool seal_is_zero(const void *a, size_t len);
void seal_wipe(void *at, size_t len);
/** seal_base64() / seal_from_base64() - standard alphabet with padding. The latter returns the
 * decoded length or -1 (wrong alphabet, length, padding, white space, non-zero unused bits). */
void seal_base64(struct bytes data, char *to, size_t size);
NODISCARD int seal_from_base64(const char *text, size_t len, uint8_t *to, size_t size);

#endif
