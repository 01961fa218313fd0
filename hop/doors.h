#ifndef HOP_DOORS_H
#define HOP_DOORS_H
/*
 * Does: the listeners of one worker over its configurations: opens what a new one has and the old
 * one had not, closes what is gone. Knows: sockets, generations. Never knows: what clients say.
 */
#include "hop/datagram.h"
#include "hop/generation.h"

struct hop_doors;
/** hop_doors_new() - borrows both. */
NODISCARD int hop_doors_new(
	struct hop_worker *worker, struct hop_datagrams *datagrams, struct hop_doors **ret);
void hop_doors_free(struct hop_doors *doors); /* closes all. NULL ok */

/** hop_doors_prepare() - opens what @generation has beyond what is open. Return: 0; -errno with
 * *ret_i, its listener: then call cancel. */
NODISCARD int hop_doors_prepare(
	struct hop_doors *doors, const struct hop_generation *generation, size_t *ret_i);
/** hop_doors_commit() - what the generation has not is closed; flows that came by it go on. */
void hop_doors_commit(struct hop_doors *doors);
void hop_doors_cancel(struct hop_doors *doors); /* closes what was opened for it */
void hop_doors_close(struct hop_doors *doors);
/** hop_doors_port() - where @site is open here; 0 if it is no port. */
uint16_t hop_doors_port(const struct hop_doors *doors, const struct hop_site *site);

#endif
