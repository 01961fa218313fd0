#ifndef COMMON_REPLAY_H
#define COMMON_REPLAY_H
/*
 * Does: remembers which salts were used, so that a header is accepted once (docs/protocol.md 2.12).
 * Knows: salts, owners (8-byte ids), clocks. Never knows: keys, headers.
 * Shared by all workers, kept in a file that survives the process.
 */
#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_SALT          16
#define REPLAY_PAST_MS       30000 /* oldest acceptable stamp */
#define REPLAY_FUTURE_MS     10000
#define REPLAY_GENERATION_MS 65000 /* of CLOCK_MONOTONIC */

struct replay_options {
	const char *path; /* NULL = memory only. Created 0600. */
	uint32_t quota;   /* entries per owner and generation; 0 = default 524288 */
	bool is_strict;   /* floor = start + 10 s unless the file is intact */
};

enum replay_verdict {
	REPLAY_FRESH, /* inserted */
	REPLAY_SEEN,  /* already there */
	REPLAY_FULL,  /* the owner's quota is full, or no space (logged; replay_error()) */
	REPLAY_OLD,   /* time below the window or the floor */
	REPLAY_EARLY, /* time above the window */
};
enum replay_state { /* of the file at start */
	REPLAY_INTACT,
	REPLAY_MISSING,
	REPLAY_DAMAGED,
	REPLAY_MEMORY,
};

struct replay;
/** replay_open() - @wall_ms unix ms, @mono_ms CLOCK_MONOTONIC (the boot's, so that it continues
 * over a restart of the process). A damaged file is replaced, not an error. Return: 0, or -errno
 * (cannot create, locked by another process: EWOULDBLOCK). */
NODISCARD int replay_open(const struct replay_options *options, uint64_t wall_ms, uint64_t mono_ms,
	struct replay **ret);
/** replay_close() - the file stays. NULL ok. */
void replay_close(struct replay *replay);
enum replay_state replay_state(const struct replay *replay);
/** replay_accept_after_ms() - unix ms before which no connection should be accepted, so that no
 * client whose clock is right meets silence: the floor and the random offset of sealing (2.12); the
 * start where the floor is below it. */
uint64_t replay_accept_after_ms(const struct replay *replay);

/** replay_check_time() - line 4 of the checks: FRESH, OLD or EARLY. */
enum replay_verdict replay_check_time(struct replay *replay, uint64_t time_ms, uint64_t wall_ms);
/** replay_find() - line 2: whether (owner, salt) is known. */
bool replay_find(struct replay *replay, uint64_t owner, const uint8_t salt[REPLAY_SALT]);
/** replay_insert() - lines 4 and 6: time window, floor, quota and atomic insert-if-absent in one
 * step; turns the generations when due. */
enum replay_verdict replay_insert(struct replay *replay, uint64_t owner,
	const uint8_t salt[REPLAY_SALT], uint64_t time_ms, uint64_t wall_ms, uint64_t mono_ms);
/** replay_error() - why the store could not take an entry last time it failed to grow (then insert
 * said FULL although the quota was not full), as -errno; 0 = never. */
int replay_error(struct replay *replay);
const char *replay_verdict_name(enum replay_verdict verdict);

#endif
