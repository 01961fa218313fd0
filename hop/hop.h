#ifndef HOP_HOP_H
#define HOP_HOP_H
/*
 * Does: runs a hop: listeners, users, sessions, reload, shutdown. Knows: options. Never knows:
 * JSON, the rest of the chain.
 */
#include "common/reload.h"

struct hop_options;
/* What its owner is asked and told. */
struct hop_hooks {
	/* Every worker listens; @ports in the order of the options' listeners. Once, on the thread
	 * of one of the workers. */
	void (*on_ready)(const struct hop_options *options, const uint16_t *ports, void *owner);
	/* SIGHUP, on a thread: reads everything again, as at the start. Return: false: it is wrong,
	 * @report says how, and @ret holds nothing. NULL: there is nothing to reload. */
	bool (*load)(void *owner, struct hop_options *ret, struct reload_report *report);
	/* What load() read is in use; @is_new[i]: listener i has just been opened, at @ports[i]. */
	void (*on_reloaded)(const struct hop_options *options, const uint16_t *ports,
		const bool *is_new, void *owner);
};
/** hop_run() - serves until SIGTERM. @options are taken while it runs; after it they are those that
 * were in use last. Return: 0, or a negative error; *ret_listen (may be NULL) is the index of the
 * listener that could not be opened, or -1. */
NODISCARD int hop_run(
	struct hop_options *options, const struct hop_hooks *hooks, void *owner, int *ret_listen);

#endif
