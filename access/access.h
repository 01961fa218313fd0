#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H
/*
 * Does: runs an access server: listeners, sessions, reload, shutdown. Knows: options. Never knows:
 * JSON, header layouts.
 */
#include "common/reload.h"

struct access_options;
/* What its owner is asked and told. */
struct access_hooks {
	/* Every worker listens; @ports in the order of the options' listeners. Once, on the thread
	 * of one of the workers. */
	void (*on_ready)(const struct access_options *options, const uint16_t *ports, void *owner);
	/* SIGHUP, on a thread: reads everything again, as at the start. Return: false: it is wrong,
	 * @report says how, and @ret holds nothing. NULL: there is nothing to reload. */
	bool (*load)(void *owner, struct access_options *ret, struct reload_report *report);
	/* What load() read is in use; @is_new[i]: listener i has just been opened, at @ports[i]. */
	void (*on_reloaded)(const struct access_options *options, const uint16_t *ports,
		const bool *is_new, void *owner);
};
/** access_run() - serves until SIGTERM. @options are taken while it runs; after it they are those
 * that were in use last. Return: 0; 1: the one connection of stdio got no chain; a negative error;
 * *ret_listen (may be NULL) is the index of the listener that could not be opened, or -1. */
NODISCARD int access_run(struct access_options *options, const struct access_hooks *hooks,
	void *owner, int *ret_listen);

#endif
