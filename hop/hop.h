#ifndef HOP_HOP_H
#define HOP_HOP_H
/*
 * Does: runs a hop: listeners, users, sessions, shutdown. Knows: options. Never knows: JSON, the
 * rest of the chain.
 */
#include "common/err.h"

#include <stdint.h>

struct hop_options;
/** hop_ready_fn - every worker listens; @ports in the order of options->listen. Runs once. */
typedef void hop_ready_fn(const uint16_t *ports, unsigned n_ports, void *owner);
/** hop_run() - serves until SIGTERM. Return: 0, or a negative error; *ret_listen (may be NULL) is
 * the index of the listener that could not be opened, or -1. */
NODISCARD int hop_run(
	const struct hop_options *options, hop_ready_fn *on_ready, void *owner, int *ret_listen);

#endif
