#ifndef COMMON_DRAIN_H
#define COMMON_DRAIN_H
/*
 * Does: ends streams nobody wants to talk to any more without telling more than that: the silent
 * drain for strangers (docs/protocol.md 2.11) and the lingering close after an error answer
 * (2.7.3). Knows: streams, time. Never knows: why.
 */
#include "common/stream.h"

#define DRAIN_MAX_STREAMS                                                                          \
	1024 /* in silent drain at once, and as many ending; one more ends the oldest */
#define DRAIN_LINGER_BYTES (64 * 1024)
#define DRAIN_LINGER_MS    5000

struct drain; /* all of one worker */

struct drain_limits {
	uint32_t n_bytes; /* N: received in all before the end, 1..16 KiB */
	uint32_t n_ms;    /* T: since the start before the end, 20..60 s */
};
/** drain_limits_derive() - N and T of this installation from a local secret of 16 bytes. */
struct drain_limits drain_limits_derive(const uint8_t secret[16]);

/** drain_empty_fn - the last stream has gone. */
typedef void drain_empty_fn(void *owner);
NODISCARD int drain_new(struct loop *loop, struct drain_limits limits, drain_empty_fn *on_empty,
	void *owner, struct drain **ret);
/** drain_free() - asserts that drain_is_empty(). NULL ok. */
void drain_free(struct drain *drain);
bool drain_is_empty(const struct drain *drain);
/** drain_stop_silent() - ends the silent ones now; answers that linger go on to their end (at most
 * 5 s). */
void drain_stop_silent(struct drain *drain);
/** drain_stop() - closes everything now; each gone once its CLOSED has run. */
void drain_stop(struct drain *drain);

/**
 * drain_silent() - takes @stream: reads and discards, says nothing. Ends when the peer closes, when
 * N bytes in all or T ms since @start_ms have passed (then FIN, discard ≤ 1 s, close).
 * @n_received: bytes that count towards N already. Without memory the stream is closed at once.
 */
void drain_silent(
	struct drain *drain, struct stream *stream, uint64_t n_received, uint64_t start_ms);
/** drain_linger() - takes @stream, to which an answer was written: shutdown, discard until EOF, at
 * most 64 KiB or 5 s, close. */
void drain_linger(struct drain *drain, struct stream *stream);

#endif
