#ifndef HOP_GENERATION_H
#define HOP_GENERATION_H
/*
 * Does: one configuration of a hop: options, users made of them, and where it listens. Knows: what
 * is equal in the configuration before. Never knows: files, loops. Shared by all workers and held
 * by every session and flow that was let in under it; immutable once it is in use.
 */
#include "common/addr.h"
#include "hop/users.h"

struct place;

/* Where a listener is; of all generations that listen there. */
struct hop_site {
	_Atomic unsigned n_refs;
	struct addr at;      /* with the port that was claimed for several workers */
	struct place *place; /* of what is no port: shared by all workers; else NULL */
	bool is_open;
};

struct hop_generation {
	_Atomic unsigned n_refs;
	struct hop_options options; /* owned */
	struct hop_users *users;    /* owned */
	struct hop_site **sites;    /* of each listener; held */
	bool *is_new;               /* the same: nothing listened there before; owned */
	size_t n_listen_new, n_listen_gone, n_listen_same;
};

/** hop_generation_new() - takes what is in @options, which is empty then; on failure it stays.
 * @before (or NULL): the configuration in use. On any thread. Return: 0, ERR_NOMEM. */
NODISCARD int hop_generation_new(struct hop_options *options, const struct hop_generation *before,
	struct hop_generation **ret);
/** hop_generation_open() - claims the places of listeners that are new. @before: what is open, or
 * NULL; @has_left: more than that may be ours. Return: 0, or -errno with *ret_i, the listener. */
NODISCARD int hop_generation_open(struct hop_generation *generation,
	const struct hop_generation *before, bool has_left, size_t *ret_i);
/** hop_generation_return() - gives the options back; only the last one who holds it. */
void hop_generation_return(struct hop_generation *generation, struct hop_options *options);

/* From any thread; NULL ok. */
struct hop_generation *hop_generation_hold(struct hop_generation *generation);
void hop_generation_release(struct hop_generation *generation);
void hop_site_hold(struct hop_site *site);
void hop_site_release(struct hop_site *site);

#endif
