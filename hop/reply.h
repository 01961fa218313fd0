#ifndef HOP_REPLY_H
#define HOP_REPLY_H
/*
 * Does: builds the response header of a request, and the payload secrets of an exit. Knows: the
 * wire. Never knows: sockets, policy.
 */
#include "chain/wire_response.h"
#include "chain/wire_secret.h"
#include "common/dial.h"
#include "hop/header.h"

struct hop_reply {
	struct wire_response response; /* filled by the caller but for flags, cipher, eph and val */
	uint8_t bytes[WIRE_RESPONSE_MAX];
	size_t len;
};

/** hop_reply_name() - says which software this is, where R's @wanted flags have TRACE. Not with
 * VERSION: then nothing of R was looked at. */
void hop_reply_name(struct wire_response *response, uint16_t wanted);

/** hop_reply_status() - the status and detail for a failed dial (docs/protocol.md 2.6). */
void hop_reply_status(const struct dial_result *result, uint8_t *ret_status, uint8_t *ret_detail);

/**
 * hop_reply_seal() - seals reply->response as the answer to @header.
 * With status OK the flags follow the request: E2E, FS (with @public), KEEP. With any status it
 * names the software if R has TRACE.
 * Return: 0, ERR_INVAL.
 */
NODISCARD int hop_reply_seal(struct hop_reply *reply, const struct hop_header *header,
	const uint8_t *public, uint64_t wall_ms);

/** hop_reply_secrets() - after an OK for an E2E request. @ss: 32 bytes, zeros without FS. */
void hop_reply_secrets(const struct hop_reply *reply, const struct hop_header *header,
	const uint8_t ss[32], struct wire_secrets *ret);

#endif
