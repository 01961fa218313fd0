#ifndef HOP_HEADER_H
#define HOP_HEADER_H
/*
 * Does: takes one request header from bytes to a verdict: lines 1 to 13 of docs/protocol.md 2.2.
 * Knows: users, the replay store. Never knows: sockets, policy, dialling.
 */
#include "chain/wire_request.h"
#include "common/replay.h"
#include "hop/users.h"

enum hop_header_step {
	HOP_HEADER_MORE,    /* feed hop_header_wants() more bytes */
	HOP_HEADER_OK,      /* request, entry and cipher are valid */
	HOP_HEADER_REFUSED, /* authentic: answer with status and detail */
	HOP_HEADER_SILENT,  /* say nothing; reason is for the log */
};

enum hop_header_reason {
	HOP_REASON_UNKNOWN_KEY,
	HOP_REASON_EXPIRED_KEY,
	HOP_REASON_FORGED, /* known key id, but the block does not open */
	HOP_REASON_FORGED_EXTENSION,
	HOP_REASON_REPLAYED,
	HOP_REASON_QUOTA, /* the user's share of the replay store is full */
	HOP_REASON_CLOCK, /* outside the window: see skew_ms */
};

struct hop_header {
	uint8_t r[WIRE_REQUEST];
	size_t n_in;
	uint8_t *sealed; /* extension as it came; NULL until one is due */
	uint16_t ext_len;
	const struct hop_entry *entry; /* NULL until the key id is known */
	struct wire_request *request;  /* NULL until R has opened */
	uint8_t cipher;                /* OK and E2E: what the exit takes */
	enum hop_header_reason reason;
	int64_t skew_ms;        /* CLOCK: stamp - our clock */
	uint8_t status, detail; /* REFUSED */
};

/* What the checks ask. */
struct hop_header_context {
	const struct hop_users *users;
	struct replay *replay;
};

/** hop_header_init() / deinit() - idempotent; deinit frees what feeding made. */
void hop_header_init(struct hop_header *header);
void hop_header_deinit(struct hop_header *header);
/** hop_header_wants() - bytes until the next decision: read exactly so many. */
size_t hop_header_wants(const struct hop_header *header);
/** hop_header_feed() - at most hop_header_wants() bytes. @wall_ms unix ms, @mono_ms
 * CLOCK_MONOTONIC. Out of memory: REFUSED with LOCAL. */
enum hop_header_step hop_header_feed(struct hop_header *header,
	const struct hop_header_context *context, struct bytes in, uint64_t wall_ms,
	uint64_t mono_ms);
/** hop_header_cipher() - what an exit takes of the offers in R's @flags (docs/protocol.md 2.8,
 * Cipher); RECORD_NONE = nothing. */
uint8_t hop_header_cipher(uint16_t flags);
const char *hop_header_reason_name(enum hop_header_reason reason);

#endif
