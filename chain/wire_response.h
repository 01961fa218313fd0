#ifndef CHAIN_WIRE_RESPONSE_H
#define CHAIN_WIRE_RESPONSE_H
/*
 * Does: the response block S and its extension: encode and decode (docs/protocol.md 2.5).
 * Knows: the layout. Never knows: sockets.
 */
#include "chain/wire_request.h"

#define WIRE_RESPONSE     96
#define WIRE_RESPONSE_MAX (WIRE_RESPONSE + WIRE_EXT_MAX + SEAL_TAG)
#define WIRE_TEXT_MAX     120
#define WIRE_SOFTWARE_MAX 48
enum {
	WIRE_S_EXT = 0x01,
	WIRE_S_E2E = 0x02,
	WIRE_S_FS = 0x04,
	WIRE_S_KEEP = 0x08,
	WIRE_S_RESUMABLE = 0x20,
};

struct wire_response {
	uint8_t status, detail, flags; /* EXT is set by encode */
	uint8_t cipher; /* 0 none, 1 AES-128-GCM, 2 AES-256-GCM, 3 CHACHA20-POLY1305 */
	uint8_t tries;
	uint32_t resolve_us, connect_us;
	uint64_t val; /* TCP: the hop's clock, unix ms */
	uint8_t eph[SEAL_CURVE];
	char text[WIRE_TEXT_MAX +
		  1]; /* TLV 1 or ""; decode: what is not shown is replaced by '?' */
	bool has_address;
	union addr_sock address; /* TLV 6 */
	bool has_resume_grant;   /* TLV 3 in the answer to CONNECT */
	uint8_t resume_id[16];
	uint32_t resume_ring;
	uint16_t resume_detach_s;
	bool has_resume_state; /* TLV 3 in the answer to RESUME */
	uint64_t resume_rx;
	uint8_t resume_flags;
	uint16_t n_padding; /* PAD value bytes; with has_padding */
	bool has_padding;
	/* TLV 0x80 or "": printable ASCII; decode: what is not is replaced by '?' */
	char software[WIRE_SOFTWARE_MAX + 1];
};

/** wire_response_encode() - answers the request block @r (as on the wire). Return: bytes written,
 * ERR_INVAL. */
NODISCARD int wire_response_encode(const struct wire_response *response,
	const uint8_t r[WIRE_REQUEST], const struct wire_key *key, const uint8_t nonce[SEAL_NONCE],
	uint8_t to[WIRE_RESPONSE_MAX]);

enum wire_response_verdict {
	WIRE_RESPONSE_OK,
	WIRE_RESPONSE_FORGED, /* does not open */
	WIRE_RESPONSE_BROKEN, /* authentic, but breaks a rule of 2.5 */
};
/** wire_response_open() - opens S as the answer to @request, sent as @r. *ret_ext_len: plaintext
 * bytes of the extension that follows (0 = none). */
enum wire_response_verdict wire_response_open(const uint8_t s[WIRE_RESPONSE],
	const uint8_t r[WIRE_REQUEST], const struct wire_request *request,
	const struct wire_key *key, struct wire_response *ret, uint16_t *ret_ext_len);
/** wire_response_open_ext() - opens the extension (ext_len + SEAL_TAG bytes) and reads its TLVs.
 * Call it with {NULL, 0} where there is none: RESUMABLE needs its TLV. */
enum wire_response_verdict wire_response_open_ext(const uint8_t s[WIRE_RESPONSE],
	struct bytes sealed, const struct wire_request *request, const struct wire_key *key,
	struct wire_response *response);

#endif
