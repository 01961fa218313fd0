#ifndef HOP_REPLAY_FILE_H
#define HOP_REPLAY_FILE_H
/*
 * Does: opens the table of headers that were seen, and says what it found. Knows: options, the wall
 * clock. Never knows: sessions.
 */
#include "common/replay.h"
#include "hop/options.h"

/** hop_replay_open() - waits, before any loop runs, until a header that may be taken is a new one.
 * Return: 0, or an error, logged. */
NODISCARD int hop_replay_open(const struct hop_options *options, struct replay **ret);

#endif
