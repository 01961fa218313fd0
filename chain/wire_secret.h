#ifndef CHAIN_WIRE_SECRET_H
#define CHAIN_WIRE_SECRET_H
/*
 * Does: the end-to-end key schedule (docs/protocol.md 2.8), and the ephemeral key pairs kept for
 * the forward secrecy window. Knows: R, S as bytes. Never knows: records, streams.
 */
#include "chain/wire_key.h"

#define WIRE_RECORD_CONTEXT "hc1-rec_"

struct wire_secrets {
	uint8_t up[32], down[32]; /* secret_1 client → exit, secret_2 exit → client */
	uint8_t rms[32];
};
/** wire_secrets_derive() - @ss: 32 bytes, zeros without FS. @r, @s: as on the wire with their
 * extensions. */
void wire_secrets_derive(const struct wire_key *key, const uint8_t ss[32], struct bytes r,
	struct bytes s, struct wire_secrets *ret);

/* Ephemeral key pairs of one worker. A pair is handed out for at most the window, so that its
 * secret is gone after at most window + the longest header phase; results of exchanges are kept
 * with the pair, so that two ends that meet again within the window agree without the curve. */
struct wire_ephemeral;
struct wire_pair; /* one pair; counted, so that a connection in flight keeps it */
NODISCARD int wire_ephemeral_new(uint32_t window_ms, struct wire_ephemeral **ret);
void wire_ephemeral_free(struct wire_ephemeral *e); /* after every pair was released. NULL ok */
/**
 * wire_ephemeral_expire() - forgets a pair whose window is over; acquire does it too, but only when
 * it is called. The owner calls this from a timer, so that the secret of a quiet worker does not
 * outlive its window.
 * @now_ms: the clock that acquire is given. Return: ms until it is due again, UINT64_MAX = after
 * the next acquire.
 */
uint64_t wire_ephemeral_expire(struct wire_ephemeral *e, uint64_t now_ms);
/** wire_pair_acquire() - the pair to use now (a new one each time with window 0); NULL without
 * memory. */
struct wire_pair *wire_pair_acquire(struct wire_ephemeral *e, uint64_t now_ms);
const uint8_t *wire_pair_public(const struct wire_pair *pair); /* SEAL_CURVE bytes */
/** wire_pair_agree() - X25519 with @peer. Return: false if the result is all zero. */
NODISCARD bool wire_pair_agree(
	struct wire_pair *pair, const uint8_t peer[SEAL_CURVE], uint8_t ss[SEAL_CURVE]);
void wire_pair_release(struct wire_pair *pair); /* the last one wipes. NULL ok */

#endif
