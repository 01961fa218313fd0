#ifndef CHAIN_WIRE_FRAME_H
#define CHAIN_WIRE_FRAME_H
/*
 * Does: datagrams in a stream: len u16 ‖ datagram (docs/protocol.md 2.3, command UDP on tcp).
 * Knows: the layout. Never knows: streams, records.
 */
#include "common/err.h"
#include "common/wire.h"

#define WIRE_FRAME_HEADER 2
#define WIRE_FRAME_MAX    65507 /* a longer datagram is a bad record */

/* Collects what arrives in pieces; zeroed = empty. */
struct wire_frames {
	uint8_t *buffer; /* of @len, while a frame is incomplete; else NULL */
	size_t n_in, len;
	uint8_t header[WIRE_FRAME_HEADER];
	uint8_t n_header;
};
/** wire_frames_next() - takes bytes from the front of *@in. Return: 1 with *ret (a whole datagram,
 * also an empty one; valid until the next call or until what *@in pointed to goes), 0 when *@in is
 * used up, ERR_BAD_RECORD (too long), ERR_NOMEM. */
NODISCARD int wire_frames_next(struct wire_frames *frames, struct bytes *in, struct bytes *ret);
/** wire_frames_is_partial() - whether the stream may not end here. */
bool wire_frames_is_partial(const struct wire_frames *frames);
void wire_frames_deinit(struct wire_frames *frames);
void wire_frame_header(size_t len, uint8_t to[WIRE_FRAME_HEADER]);

#endif
