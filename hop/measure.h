#ifndef HOP_MEASURE_H
#define HOP_MEASURE_H
/*
 * Does: the measuring service of a last hop, as the stream that stands in a target's place
 * (docs/protocol.md 2.3, MEASURE). Knows: how many bytes were asked for and how many came. Never
 * knows: clients, headers, records.
 *
 * What is written to it: 8 bytes, big-endian: how many zeros it gives to its reader (UINT64_MAX:
 * without end); all further bytes are counted and forgotten. Once its writer has shut down and its
 * zeros are out, it gives the count, 8 bytes big-endian, and EOF. A writer that shuts down before
 * the 8 bytes are there has asked for 0.
 */
#include "common/stream.h"

/** measure_open() - Return: 0, ERR_NOMEM. It never fails later, and never holds its writer up. At
 * most LOOP_READ_SIZE bytes come in a turn of the loop, as from a socket. */
NODISCARD int measure_open(struct loop *loop, struct stream **ret);

#endif
