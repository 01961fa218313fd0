#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H
/*
 * Does: runs an access server: listeners, sessions, shutdown. Knows: options. Never knows: JSON,
 * header layouts.
 */
#include "common/err.h"

#include <stdint.h>

struct access_options;
typedef void access_ready_fn(const uint16_t *ports, unsigned n_ports, void *owner);
/** access_run() - serves until SIGTERM. Return and *ret_listen as hop_run(). */
NODISCARD int access_run(const struct access_options *options, access_ready_fn *on_ready,
	void *owner, int *ret_listen);

#endif
