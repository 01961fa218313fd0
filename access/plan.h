#ifndef ACCESS_PLAN_H
#define ACCESS_PLAN_H
/*
 * Does: what one worker makes of one configuration: its upstreams, its logins, an ingress for each
 * listener. What is equal to the plan before is carried over as it is. Knows: generations. Never
 * knows: sockets, files.
 *
 * A plan that was replaced lives on until nothing holds one of its ingresses; an upstream, until no
 * plan has it.
 */
#include "access/generation.h"

struct access_plan;
struct access_plans; /* all of one worker */

/** access_plans_new() - borrows @worker; @upstream is what upstreams are made with, but for the
 * resolver. */
NODISCARD int access_plans_new(struct access_worker *worker,
	const struct chain_upstream_options *upstream, struct access_plans **ret);
/** access_plans_free() - after all sessions and flows. NULL ok. */
void access_plans_free(struct access_plans *plans);

/** access_plan_new() - @before is the plan in use, of the generation @generation was compared with,
 * or NULL. */
NODISCARD int access_plan_new(struct access_plans *plans, struct access_generation *generation,
	const struct access_plan *before, struct access_plan **ret);
/** access_plan_retire() - no longer, or never, in use: it goes once nothing holds its ingresses. */
void access_plan_retire(struct access_plan *plan);

const struct access_generation *access_plan_generation(const struct access_plan *plan);
struct access_ingress *access_plan_ingress(const struct access_plan *plan, size_t i);
struct chain_upstream *access_plan_upstream(const struct access_plan *plan, size_t i);

#endif
