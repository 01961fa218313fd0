#ifndef CHAIN_WIRE_KEY_H
#define CHAIN_WIRE_KEY_H
/*
 * Does: credential text ("hc1:" + 88 base64) to keys derived once, and back (docs/protocol.md 2.1).
 * Knows: the key schedule of headers. Never knows: files, users.
 */
#include "common/seal.h"

#define WIRE_CREDENTIAL      64 /* MK ‖ UK */
#define WIRE_CREDENTIAL_TEXT 92 /* "hc1:" and 88 characters, without NUL */
#define WIRE_KID             8

enum wire_key_error {
	WIRE_KEY_OK,
	WIRE_KEY_NO_PREFIX, /* does not begin with "hc1:" */
	WIRE_KEY_SHORT,
	WIRE_KEY_LONG,
	WIRE_KEY_BAD_BASE64,
	WIRE_KEY_ZERO, /* mask key or user key all zero */
	WIRE_KEY_SAME, /* user key = mask key */
	WIRE_KEY_NOMEM,
};

/* Keys of one user at one hop. Heap; wiped on free. */
struct wire_key {
	uint8_t kid[WIRE_KID];
	uint8_t rq[SEAL_KEY], rx[SEAL_KEY]; /* request block, extension */
	uint8_t rs[SEAL_KEY], rt[SEAL_KEY]; /* response block, extension */
	uint8_t e2e[SEAL_KEY];
	uint8_t u0[SEAL_KEY];
	uint8_t dn[SEAL_KEY];
	struct seal_block *dn_block; /* of dn */
	struct wire_mask *mask;      /* owned */
};

/* What all users of a hop share: hides key ids. Reference-free: one per credential; compare with
 * _is_equal. */
struct wire_mask {
	uint8_t kid_key[SEAL_KEY], up_key[SEAL_KEY];
	struct seal_block *kid_block, *up_block;
	uint8_t id[16]; /* kdf of MK: equal for equal MK */
};

/** wire_key_parse() - exactly one credential; one line feed at the end is accepted. */
enum wire_key_error wire_key_parse(struct bytes text, struct wire_key **ret);
enum wire_key_error wire_key_new(const uint8_t credential[WIRE_CREDENTIAL], struct wire_key **ret);
void wire_key_free(struct wire_key *key);
/** wire_key_generate() - a new credential's text, NUL-terminated. @mask: 32 bytes to share a mask
 * key, or NULL. */
void wire_key_generate(const uint8_t *mask, char to[WIRE_CREDENTIAL_TEXT + 1]);
/** wire_mask_kid() - kid XOR AES256(M_kid, salt)[0:8]: masks and unmasks. */
void wire_mask_kid(const struct wire_mask *mask, const uint8_t salt[16], const uint8_t in[WIRE_KID],
	uint8_t out[WIRE_KID]);

#endif
