#ifndef COMMON_RECORD_PACKET_H
#define COMMON_RECORD_PACKET_H
/*
 * Does: seals and opens single datagrams: AEAD with nonce = iv XOR packet number (docs/protocol.md
 * 2.10). Knows: OpenSSL. Never knows: blocks, flows.
 *
 * One direction of one key phase. Small while unused: the library's context (about 1 KiB) is made
 * at the first datagram and let go with record_packet_rest().
 */
#include "common/record.h"

#define RECORD_PACKET_AAD 16
#define RECORD_PACKET_TAG 16

struct record_packet { /* embedded; zeroed = no key */
	void *context;
	uint8_t key[32], iv[12];
	uint8_t cipher; /* enum record_cipher */
	bool is_sealing;
};
/** record_packet_init() - key and iv are ids 1 and 2 of kdf context @ctx ("hc1-udp_") of @secret.
 */
void record_packet_init(struct record_packet *packet, enum record_cipher cipher,
	const uint8_t secret[32], const char ctx[8], bool is_sealing);
/** record_packet_deinit() - wipes; idempotent. */
void record_packet_deinit(struct record_packet *packet);
/** record_packet_rest() - frees the context; the key stays. */
void record_packet_rest(struct record_packet *packet);
/** record_packet_seal() - plain.len + RECORD_PACKET_TAG bytes to @to; no overlap. @number < 2^48.
 * Return: bytes written, ERR_CRYPTO, ERR_NOMEM. */
NODISCARD int record_packet_seal(struct record_packet *packet, uint64_t number,
	const uint8_t aad[RECORD_PACKET_AAD], struct bytes plain, uint8_t *to);
/** record_packet_open() - sealed.len - RECORD_PACKET_TAG bytes to @to (no overlap), zeroed on
 * error. Return: bytes written, ERR_BAD_RECORD, ERR_CRYPTO, ERR_NOMEM. */
NODISCARD int record_packet_open(struct record_packet *packet, uint64_t number,
	const uint8_t aad[RECORD_PACKET_AAD], struct bytes sealed, uint8_t *to);

#endif
