#include "access/doors.h"

#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#define SWEEP_MS                                                                                   \
	1000 /* how soon a port is free after the last flow of a listener that was removed */

struct door {
	struct door *prev, *next;
	struct access_gate *gate;
	struct access_site *site;       /* held */
	struct access_ingress *ingress; /* held */
	struct access_ingress *later; /* of the plan that is prepared; NULL: it has no such door */
	bool is_new;                  /* opened for that plan */
	bool is_left;                 /* of no plan: flows are ending */
};

struct access_doors {
	struct access_worker *worker;
	struct door *list;
	struct timer sweep;
};

int access_doors_new(struct access_worker *worker, struct access_doors **ret)
{
	struct access_doors *doors = calloc(1, sizeof *doors);
	if (doors == NULL)
		return ERR_NOMEM;
	doors->worker = worker;
	*ret = doors;
	return 0;
}

static void close_door(struct access_doors *doors, struct door *door)
{
	DL_DELETE(doors->list, door);
	access_gate_close(door->gate);
	access_ingress_release(door->ingress);
	access_site_release(door->site);
	free(door);
}

static struct door *find_door(const struct access_doors *doors, const struct access_site *site)
{
	struct door *door;
	DL_FOREACH (doors->list, door) {
		if (door->site == site && !door->is_left)
			return door;
	}
	return NULL;
}

/* Doors that were left keep their ports while flows end: they go at once if one is wanted again. */
static bool close_left(struct access_doors *doors)
{
	struct door *door, *next;
	bool has_closed = false;
	DL_FOREACH_SAFE (doors->list, door, next) {
		if (door->is_left) {
			close_door(doors, door);
			has_closed = true;
		}
	}
	return has_closed;
}

static int open_door(
	struct access_doors *doors, struct access_site *site, struct access_ingress *ingress)
{
	struct door *door = calloc(1, sizeof *door);
	if (door == NULL)
		return ERR_NOMEM;
	bool shares_port = ingress->all->n_workers > 1;
	int error = access_gate_open(ingress, &site->entry, shares_port, &door->gate);
	if (error == -EADDRINUSE && close_left(doors))
		error = access_gate_open(ingress, &site->entry, shares_port, &door->gate);
	if (error != 0) {
		free(door);
		return error;
	}
	door->site = site;
	access_site_hold(site);
	door->ingress = ingress;
	access_ingress_hold(ingress);
	door->later = ingress;
	door->is_new = true;
	DL_APPEND(doors->list, door);
	return 0;
}

int access_doors_prepare(struct access_doors *doors, const struct access_plan *plan, size_t *ret_i)
{
	const struct access_generation *g = access_plan_generation(plan);
	for (size_t i = 0; i < g->options.n_listen; i++) {
		struct access_ingress *ingress = access_plan_ingress(plan, i);
		struct door *door = find_door(doors, g->sites[i]);
		int error = 0;
		if (door != NULL)
			door->later = ingress;
		else
			error = open_door(doors, g->sites[i], ingress);
		if (error != 0) {
			*ret_i = i;
			return error;
		}
	}
	return 0;
}

static void on_sweep(struct timer *timer)
{
	struct access_doors *doors =
		(struct access_doors *)((char *)timer - offsetof(struct access_doors, sweep));
	struct door *door, *next;
	bool has_left = false;
	DL_FOREACH_SAFE (doors->list, door, next) {
		if (!door->is_left)
			continue;
		if (access_gate_count(door->gate) == 0)
			close_door(doors, door);
		else
			has_left = true;
	}
	if (has_left)
		loop_timer_start(doors->worker->loop, &doors->sweep, SWEEP_MS, on_sweep);
}

static void use(struct door *door)
{
	struct access_ingress *old = door->ingress;
	door->ingress = door->later;
	door->later = NULL;
	door->is_new = false;
	access_ingress_hold(door->ingress);
	access_gate_use(door->gate, door->ingress);
	access_ingress_release(old);
}

void access_doors_commit(struct access_doors *doors)
{
	struct door *door;
	DL_FOREACH (doors->list, door) {
		if (door->later != NULL) {
			use(door);
		} else if (!door->is_left) {
			door->is_left = true;
			access_gate_drain(door->gate);
		}
	}
	on_sweep(&doors->sweep);
}

void access_doors_cancel(struct access_doors *doors)
{
	struct door *door, *next;
	DL_FOREACH_SAFE (doors->list, door, next) {
		door->later = NULL;
		if (door->is_new)
			close_door(doors, door);
	}
}

void access_doors_drain(struct access_doors *doors)
{
	struct door *door;
	DL_FOREACH (doors->list, door)
		access_gate_drain(door->gate);
}

void access_doors_close(struct access_doors *doors)
{
	struct door *door, *next;
	DL_FOREACH_SAFE (doors->list, door, next)
		close_door(doors, door);
}

void access_doors_free(struct access_doors *doors)
{
	if (doors == NULL)
		return;
	access_doors_close(doors);
	loop_timer_stop(doors->worker->loop, &doors->sweep);
	free(doors);
}

uint32_t access_doors_count(const struct access_doors *doors)
{
	const struct door *door;
	uint32_t n = 0;
	DL_FOREACH (doors->list, door)
		n += access_gate_count(door->gate);
	return n;
}

uint16_t access_doors_port(const struct access_doors *doors, const struct access_site *site)
{
	const struct door *door = find_door(doors, site);
	return door != NULL ? access_gate_port(door->gate) : 0;
}
