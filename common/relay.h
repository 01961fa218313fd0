#ifndef COMMON_RELAY_H
#define COMMON_RELAY_H
/*
 * Does: copies both ways between two streams until both directions ended. Knows: streams; splices
 * when both are plain TCP and traffic is bulk (relay_splice.h); obeys limits of bytes per second
 * (relay_shape.h). Never knows: headers.
 */
#include "common/shaper.h"
#include "common/stream.h"

struct relay;
struct relay_group; /* what the relays of one worker share: a kit, the once-a-second sweep */
struct relay_kit;   /* relay_way.h */

enum relay_end {
	RELAY_END_A,       /* both directions ended in order, a's first */
	RELAY_END_B,       /* the same, b's first */
	RELAY_FAILED_A,    /* a failed: b was aborted */
	RELAY_FAILED_B,    /* b failed: a was aborted */
	RELAY_IDLE,        /* no byte for idle_timeout_ms: both closed by abort */
	RELAY_HALF_CLOSED, /* one direction ended and the other moved nothing for
			      half_close_timeout_ms */
	RELAY_STALLED_A,   /* a's host acknowledges nothing: both aborted */
	RELAY_STALLED_B,
	RELAY_STOPPED, /* relay_stop() */
};

struct relay_options {
	uint32_t idle_timeout_ms;       /* 0 = off */
	uint32_t half_close_timeout_ms; /* 0 = off */
	/* What limits it: a → b is SHAPER_UP. The relay holds them itself. A pause that they make
	 * is no idle time. */
	struct shaper_set shapers;
};
#define RELAY_OPTIONS_DEFAULT                                                                      \
	{                                                                                          \
		.idle_timeout_ms = 0, .half_close_timeout_ms = 0                                   \
	}

struct relay_result {
	enum relay_end end;
	int error; /* FAILED_*: why */
	uint64_t n_bytes_ab, n_bytes_ba;
};
/** relay_done_fn - the relay and both streams are gone when it runs. */
typedef void relay_done_fn(const struct relay_result *result, void *owner);

NODISCARD int relay_group_new(struct loop *loop, struct relay_group **ret);
/** relay_group_free() - asserts that no relay of it lives. NULL ok. */
void relay_group_free(struct relay_group *group);
/** relay_group_kit() - for ways that are no relay. Borrowed. */
struct relay_kit *relay_group_kit(struct relay_group *group);
/** relay_group_stop() - aborts every relay; their on_done run in the next turn with RELAY_STOPPED.
 */
void relay_group_stop(struct relay_group *group);

/**
 * relay_new() - copy both ways between @a and @b until both directions ended
 * Takes both streams and closes them; copies @options. a and b must not have failed.
 * @on_done runs exactly once, never from inside relay_new().
 * EOF on one side becomes shutdown on the other, the other direction lives on (RFC 9293 3.6); a
 * failure on one side becomes abort on the other, never an orderly end. Return: 0, or ERR_NOMEM;
 * then the streams are still the caller's.
 */
NODISCARD int relay_new(struct relay_group *group, struct stream *a, struct stream *b,
	const struct relay_options *options, relay_done_fn *on_done, void *owner,
	struct relay **ret);
void relay_stop(struct relay *relay);
const char *relay_end_name(enum relay_end end);

#endif
