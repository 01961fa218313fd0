#ifndef ACCESS_DOORS_H
#define ACCESS_DOORS_H
/*
 * Does: the gates of one worker over its configurations: opens what a new plan has and the old one
 * had not, hands the others over, lets go of the rest. Knows: plans, gates. Never knows: what
 * clients say.
 */
#include "access/plan.h"

struct access_doors;
/** access_doors_new() - *n_left: of all workers, how many doors have no listener any more, but
 * flows.
 */
NODISCARD int access_doors_new(
	struct access_worker *worker, _Atomic unsigned *n_left, struct access_doors **ret);
void access_doors_free(struct access_doors *doors); /* closes all. NULL ok */

/** access_doors_prepare() - opens what @plan has beyond what is open. Return: 0; -errno with
 * *ret_i, its listener: then call cancel. */
NODISCARD int access_doors_prepare(
	struct access_doors *doors, const struct access_plan *plan, size_t *ret_i);
/** access_doors_commit() - the plan that was prepared is served from now on; listeners that it has
 * not are closed, their flows live on until they are idle. */
void access_doors_commit(struct access_doors *doors);
void access_doors_cancel(struct access_doors *doors); /* closes what was opened for it */

void access_doors_drain(struct access_doors *doors);
void access_doors_close(struct access_doors *doors);
uint32_t access_doors_count(const struct access_doors *doors); /* flows */
/** access_doors_port() - where @site is open here; 0 if it is no port. */
uint16_t access_doors_port(const struct access_doors *doors, const struct access_site *site);

#endif
