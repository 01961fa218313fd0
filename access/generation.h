#ifndef ACCESS_GENERATION_H
#define ACCESS_GENERATION_H
/*
 * Does: one configuration of an access server, with what outlives it: where listeners are and what
 * was taken of their limits. Knows: options, and what is equal in the configuration before. Never
 * knows: files, loops. Shared by all workers; immutable once it is in use.
 */
#include "access/gate.h"

#include <stdatomic.h>

/* Where a listener is; of all generations that listen there. */
struct access_site {
	_Atomic unsigned n_refs;
	struct access_entry entry;
	bool is_open;
};
/* The limits of a listener, shared by all workers; of all generations that have it. */
struct access_limits {
	_Atomic unsigned n_refs;
	struct quota connections;
	struct source_quota *sources;
	struct access_caps *caps;
};

#define ACCESS_NONE SIZE_MAX
/* How many are new, gone and the same as before. */
struct access_change {
	size_t n_new, n_gone, n_same;
};

struct access_generation {
	_Atomic unsigned n_refs;
	struct access_options options; /* owned */
	struct access_site **sites;    /* of each listener; held */
	bool *is_new;                  /* the same: nothing listened there before; owned */
	struct access_limits **limits; /* the same */
	size_t *same_upstream; /* of each upstream: which of the generation before is equal, or
				  ACCESS_NONE */
	size_t *same_users;    /* of each listener: which has the same users */
	bool is_resolver_same;
	struct access_change listeners, chains;
};

/** access_generation_new() - takes what is in @options, which is empty then; on failure it stays.
 * @before (or NULL): the configuration in use. On any thread. Return: 0, ERR_NOMEM. */
NODISCARD int access_generation_new(struct access_options *options,
	const struct access_generation *before, struct access_generation **ret);
/** access_generation_open() - claims the places of listeners that are new. @before: what is open,
 * or NULL; @has_left: more than that may be ours. Return: 0, or -errno with *ret_i, the listener.
 */
NODISCARD int access_generation_open(struct access_generation *generation,
	const struct access_generation *before, bool has_left, size_t *ret_i);
/** access_generation_apply() - its limits hold from now on. */
void access_generation_apply(const struct access_generation *generation);
/** access_generation_return() - gives the options back; only the last one who holds it. */
void access_generation_return(struct access_generation *generation, struct access_options *options);

/* Of all of them: from any thread. Releasing NULL is ok. */
void access_generation_hold(struct access_generation *generation);
void access_generation_release(struct access_generation *generation);
void access_site_hold(struct access_site *site);
void access_site_release(struct access_site *site);

#endif
