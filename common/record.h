#ifndef COMMON_RECORD_H
#define COMMON_RECORD_H
/*
 * Does: TLS-1.3-format records (RFC 8446 5.2; docs/protocol.md 2.8): seal and open, no I/O.
 * Knows: OpenSSL. Never knows: who holds the keys, streams.
 */
#include "common/err.h"
#include "common/wire.h"

#define RECORD_HEADER         5
#define RECORD_CONTENT_MAX    16384
#define RECORD_OVERHEAD       (RECORD_HEADER + 1 + 16) /* header, type, tag */
#define RECORD_MAX            (RECORD_CONTENT_MAX + RECORD_OVERHEAD)
#define RECORD_KEY_UPDATE_SEQ (UINT64_C(1) << 24) /* a sender updates at the latest here */
#define RECORD_MAX_EMPTY      32                  /* empty-data and KeyUpdate records in a row */

enum record_cipher {
	RECORD_NONE,
	RECORD_AES_128_GCM,
	RECORD_AES_256_GCM,
	RECORD_CHACHA20_POLY1305,
};
enum record_type {
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	RECORD_DATA = 23,
	RECORD_ACK = 26,
};

/** record_start() - once per process: fetches the ciphers. */
NODISCARD int record_start(void);
/** record_library() - the version of OpenSSL that runs. Static. */
const char *record_library(void);
/** record_has_aes() - whether this CPU has AES instructions. */
bool record_has_aes(void);
const char *record_cipher_name(enum record_cipher cipher);

/* One direction. Key, IV and next secret are derived from a 32-byte secret with ids 1, 2, 3 of kdf
 * context
 * @ctx ("hc1-rec_"). */
struct record_key;
NODISCARD int record_key_new(enum record_cipher cipher, const uint8_t secret[32], const char ctx[8],
	bool is_sealing, struct record_key **ret);
/** record_key_new_raw() - from key and IV, without a next secret; for vectors (RFC 8448). */
NODISCARD int record_key_new_raw(enum record_cipher cipher, const uint8_t *key,
	const uint8_t iv[12], bool is_sealing, struct record_key **ret);
/** record_key_free() - wipes. NULL ok. */
void record_key_free(struct record_key *key);
uint64_t record_seq(const struct record_key *key);

/** record_seal() - one record of @content (≤ RECORD_CONTENT_MAX) at @to: content.len +
 * RECORD_OVERHEAD bytes.
 * @content and @to must not overlap. Return: bytes written, or ERR_CRYPTO. */
NODISCARD int record_seal(
	struct record_key *key, enum record_type type, struct bytes content, uint8_t *to);

/** record_length() - total length of the record whose first 5 bytes are @header. Return: 22..16406,
 * or ERR_BAD_RECORD for wrong header bytes or length. */
NODISCARD int record_length(const uint8_t header[RECORD_HEADER]);

/** record_open() - opens one whole record to @to (record length - RECORD_OVERHEAD + 1 bytes may be
 * touched; no overlap); they are zeroed on error. Strips zero padding. Return: content length, with
 * *ret_type, or ERR_BAD_RECORD, ERR_CRYPTO. */
NODISCARD int record_open(
	struct record_key *key, struct bytes record, uint8_t *to, uint8_t *ret_type);

/** record_update() - the next record uses the next secret, seq 0 (KeyUpdate). Return: 0,
 * ERR_CRYPTO. */
NODISCARD int record_update(struct record_key *key);

#endif
