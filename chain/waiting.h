#ifndef CHAIN_WAITING_H
#define CHAIN_WAITING_H
/*
 * Does: holds a few datagrams until they can be sent. Knows: their number and bytes. Never knows:
 * what they wait for.
 */
#include "common/wire.h"

#define WAITING_MAX   4
#define WAITING_BYTES 8192

/* Zeroed = empty. */
struct waiting {
	uint8_t *bytes; /* of WAITING_BYTES, while something waits; else NULL */
	size_t n_bytes;
	uint16_t len[WAITING_MAX];
	uint8_t n;
};
/** waiting_add() - copies @data. Return: false if there is no room for it. */
bool waiting_add(struct waiting *waiting, struct bytes data);
typedef void waiting_fn(struct bytes data, void *owner);
/** waiting_flush() - hands each to @fn, the oldest first; @fn may add new ones: they stay. */
void waiting_flush(struct waiting *waiting, waiting_fn *fn, void *owner);
void waiting_deinit(struct waiting *waiting);

#endif
