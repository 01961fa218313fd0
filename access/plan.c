#include "access/plan.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

/* Shared by the plans that have the same; what they borrow is of @generation. */
struct kept_resolver {
	unsigned n_refs;
	struct resolver *resolver;
};
struct kept_upstream {
	unsigned n_refs;
	struct access_generation *generation;
	struct kept_resolver *resolver;
	struct chain_upstream *upstream;
};
struct kept_logins {
	unsigned n_refs;
	struct access_generation *generation;
	struct logins *logins;
};

struct seat {
	struct access_ingress ingress; /* first: its callback leads back here */
	struct access_plan *plan;
	struct kept_logins *logins; /* or NULL */
};

struct access_plan {
	struct access_plan *prev, *next;
	struct access_plans *plans;
	struct access_generation *generation;
	struct kept_resolver *resolver;
	struct kept_upstream **kept;
	struct chain_upstream **upstreams; /* of @kept */
	struct seat *seats;                /* one per listener */
	bool is_retired;
	struct timer end; /* soon */
};

struct access_plans {
	struct access_worker *worker;
	struct chain_upstream_options upstream;
	struct access_plan *list;
};

int access_plans_new(struct access_worker *worker, const struct chain_upstream_options *upstream,
	struct access_plans **ret)
{
	struct access_plans *plans = calloc(1, sizeof *plans);
	if (plans == NULL)
		return ERR_NOMEM;
	plans->worker = worker;
	plans->upstream = *upstream;
	*ret = plans;
	return 0;
}

/* ---- What plans share ---- */

static int make_resolver(struct access_plan *plan)
{
	struct kept_resolver *kept = calloc(1, sizeof *kept);
	if (kept == NULL)
		return ERR_NOMEM;
	int error = resolver_new(
		plan->plans->worker->loop, plan->generation->options.dns_servers, &kept->resolver);
	if (error != 0) {
		free(kept);
		return error;
	}
	kept->n_refs = 1;
	plan->resolver = kept;
	return 0;
}

static void release_resolver(struct kept_resolver *kept)
{
	if (kept == NULL || --kept->n_refs > 0)
		return;
	resolver_free(kept->resolver);
	free(kept);
}

static void release_upstream(struct kept_upstream *kept)
{
	if (kept == NULL || --kept->n_refs > 0)
		return;
	chain_upstream_free(kept->upstream);
	release_resolver(kept->resolver);
	access_generation_release(kept->generation);
	free(kept);
}

static int make_upstream(struct access_plan *plan, size_t i)
{
	struct chain_upstream_options options = plan->plans->upstream;
	struct kept_upstream *kept = calloc(1, sizeof *kept);
	if (kept == NULL)
		return ERR_NOMEM;
	options.resolver = plan->resolver->resolver;
	int error = chain_upstream_new(
		&options, plan->generation->options.upstreams[i], &kept->upstream);
	if (error != 0) {
		free(kept);
		return error;
	}
	kept->n_refs = 1;
	kept->generation = plan->generation;
	access_generation_hold(kept->generation);
	kept->resolver = plan->resolver;
	kept->resolver->n_refs++;
	plan->kept[i] = kept;
	return 0;
}

static void release_logins(struct kept_logins *kept)
{
	if (kept == NULL || --kept->n_refs > 0)
		return;
	logins_free(kept->logins);
	access_generation_release(kept->generation);
	free(kept);
}

static int make_logins(struct access_plan *plan, size_t i)
{
	const struct access_listener *o = &plan->generation->options.listen[i];
	struct kept_logins *kept = calloc(1, sizeof *kept);
	if (kept == NULL)
		return ERR_NOMEM;
	int error = logins_new(plan->plans->worker->loop, o->users, o->n_users, &kept->logins);
	if (error != 0) {
		free(kept);
		return error;
	}
	kept->n_refs = 1;
	kept->generation = plan->generation;
	access_generation_hold(kept->generation);
	plan->seats[i].logins = kept;
	return 0;
}

/* ---- Plans ---- */

static void free_plan(struct access_plan *plan)
{
	const struct access_options *o = &plan->generation->options;
	loop_timer_stop(plan->plans->worker->loop, &plan->end);
	for (size_t i = 0; plan->kept != NULL && i < o->n_upstreams; i++)
		release_upstream(plan->kept[i]);
	for (size_t i = 0; plan->seats != NULL && i < o->n_listen; i++)
		release_logins(plan->seats[i].logins);
	release_resolver(plan->resolver);
	DL_DELETE(plan->plans->list, plan);
	access_generation_release(plan->generation);
	free(plan->kept);
	free(plan->upstreams);
	free(plan->seats);
	free(plan);
}

static bool is_held(const struct access_plan *plan)
{
	for (size_t i = 0; i < plan->generation->options.n_listen; i++) {
		if (plan->seats[i].ingress.n_held > 0)
			return true;
	}
	return false;
}

static void on_end(struct timer *timer)
{
	struct access_plan *plan =
		(struct access_plan *)((char *)timer - offsetof(struct access_plan, end));
	if (!is_held(plan))
		free_plan(plan);
}

/* Not at once: who let go may be called by what the plan has. */
static void end_if_unheld(struct access_plan *plan)
{
	if (plan->is_retired && !is_held(plan))
		loop_timer_start(plan->plans->worker->loop, &plan->end, 0, on_end);
}

static void on_unheld(struct access_ingress *ingress)
{
	end_if_unheld(((struct seat *)ingress)->plan);
}

void access_plan_retire(struct access_plan *plan)
{
	plan->is_retired = true;
	for (size_t i = 0; i < plan->generation->options.n_listen; i++)
		plan->seats[i].ingress.is_retired = true;
	end_if_unheld(plan);
}

static int make_upstreams(struct access_plan *plan, const struct access_plan *before)
{
	const struct access_generation *g = plan->generation;
	for (size_t i = 0; i < g->options.n_upstreams; i++) {
		int error = 0;
		if (before != NULL && g->same_upstream[i] != ACCESS_NONE) {
			plan->kept[i] = before->kept[g->same_upstream[i]];
			plan->kept[i]->n_refs++;
		} else {
			error = make_upstream(plan, i);
		}
		if (error != 0)
			return error;
		plan->upstreams[i] = plan->kept[i]->upstream;
	}
	return 0;
}

static int make_seat(struct access_plan *plan, size_t i, const struct access_plan *before)
{
	const struct access_generation *g = plan->generation;
	const struct access_options *o = &g->options;
	struct seat *seat = &plan->seats[i];
	int error = 0;
	if (before != NULL && g->same_users[i] != ACCESS_NONE) {
		seat->logins = before->seats[g->same_users[i]].logins;
		seat->logins->n_refs++;
	} else if (o->listen[i].needs_user) {
		error = make_logins(plan, i);
	}
	seat->plan = plan;
	seat->ingress = (struct access_ingress){
		.worker = plan->plans->worker,
		.options = &o->listen[i],
		.all = o,
		.upstreams = plan->upstreams,
		.logins = seat->logins != NULL ? seat->logins->logins : NULL,
		.connections = &g->limits[i]->connections,
		.sources = g->limits[i]->sources,
		.caps = g->limits[i]->caps,
		.on_unheld = on_unheld,
	};
	return error;
}

static int fill(struct access_plan *plan, const struct access_plan *before)
{
	const struct access_options *o = &plan->generation->options;
	int error = 0;
	plan->kept = calloc(o->n_upstreams, sizeof(struct kept_upstream *));
	plan->upstreams = calloc(o->n_upstreams, sizeof(struct chain_upstream *));
	plan->seats = calloc(o->n_listen, sizeof *plan->seats);
	if (plan->kept == NULL || plan->upstreams == NULL || plan->seats == NULL)
		return ERR_NOMEM;
	if (before != NULL && plan->generation->is_resolver_same) {
		plan->resolver = before->resolver;
		plan->resolver->n_refs++;
	} else {
		error = make_resolver(plan);
	}
	if (error == 0)
		error = make_upstreams(plan, before);
	for (size_t i = 0; error == 0 && i < o->n_listen; i++)
		error = make_seat(plan, i, before);
	return error;
}

int access_plan_new(struct access_plans *plans, struct access_generation *generation,
	const struct access_plan *before, struct access_plan **ret)
{
	struct access_plan *plan = calloc(1, sizeof *plan);
	if (plan == NULL)
		return ERR_NOMEM;
	plan->plans = plans;
	plan->generation = generation;
	access_generation_hold(generation);
	DL_APPEND(plans->list, plan);
	int error = fill(plan, before);
	if (error != 0) {
		free_plan(plan);
		return error;
	}
	*ret = plan;
	return 0;
}

const struct access_generation *access_plan_generation(const struct access_plan *plan)
{
	return plan->generation;
}

struct access_ingress *access_plan_ingress(const struct access_plan *plan, size_t i)
{
	return &plan->seats[i].ingress;
}

struct chain_upstream *access_plan_upstream(const struct access_plan *plan, size_t i)
{
	return plan->upstreams[i];
}

void access_plans_free(struct access_plans *plans)
{
	struct access_plan *plan, *next;
	if (plans == NULL)
		return;
	DL_FOREACH_SAFE (plans->list, plan, next) {
		assert(!is_held(plan));
		free_plan(plan);
	}
	free(plans);
}
