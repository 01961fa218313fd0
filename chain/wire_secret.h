#ifndef CHAIN_WIRE_SECRET_H
#define CHAIN_WIRE_SECRET_H
/*
 * Does: the end-to-end key schedule (docs/protocol.md 2.8), and the ephemeral key pairs kept for the forward
 * secrecy window. Knows: R, S as bytes. Never knows: records, streams.
 */
#include "chain/wire_key.h"

#define WIRE_RECORD_CONTEXT "hc1-rec_"

struct wire_secrets {
	uint8_t up[32], down[32]; /* secret_1 client → exit, secret_2 exit → client */
	uint8_t rms[32];
};
/** wire_secrets_derive() - @ss: 32 bytes, zeros without FS. @r, @s: as on the wire with their extensions. */
void wire_secrets_derive(const struct wire_key *key, const uint8_t ss[32], struct bytes r, struct bytes s,
	struct wire_secrets *ret);

/* Ephemeral pairs of one worker: a pair is used for at most @window_ms, then wiped; the results of
 * recent exchanges are cached with it. */
struct wire_ephemeral;
NODISCARD int wire_ephemeral_new(uint32_t window_ms, struct wire_ephemeral **ret);
void wire_ephemeral_free(struct wire_ephemeral *e); /* wipes. NULL ok */
/** wire_ephemeral_public() - the public key to use now; with window 0 a new pair each time. */
void wire_ephemeral_public(struct wire_ephemeral *e, uint64_t now_ms, uint8_t public[32]);
/** wire_ephemeral_agree() - X25519 of the pair with @public (which must be one still held: current, or the one
 * before for connections in flight) and @peer. Return: false if all zero or not held. */
NODISCARD bool wire_ephemeral_agree(struct wire_ephemeral *e, const uint8_t public[32], const uint8_t peer[32],
	uint64_t now_ms, uint8_t ss[32]);

#endif
