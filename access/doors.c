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
	_Atomic unsigned *n_left;
	struct door *list;
	struct timer sweep;
};

int access_doors_new(
	struct access_worker *worker, _Atomic unsigned *n_left, struct access_doors **ret)
{
	struct access_doors *doors = calloc(1, sizeof *doors);
	if (doors == NULL)
		return ERR_NOMEM;
	doors->worker = worker;
	doors->n_left = n_left;
	*ret = doors;
	return 0;
}

static void close_door(struct access_doors *doors, struct door *door)
{
	DL_DELETE(doors->list, door);
	if (door->is_left)
		atomic_fetch_sub(doors->n_left, 1);
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

/* Whether one of ours has the port; all that have it are told to share it, or not to. */
static bool share_port(struct access_doors *doors, uint16_t port, bool shares_port)
{
	struct door *door;
	bool is_ours = false;
	DL_FOREACH (doors->list, door) {
		if (port == 0 || access_gate_port(door->gate) != port)
			continue;
		access_gate_share(door->gate, shares_port);
		is_ours = true;
	}
	return is_ours;
}

/* Beside a door of ours that is about to go, if need be: "*:80" becomes "127.0.0.1:80". */
static int open_gate(struct access_doors *doors, const struct access_site *site,
	struct access_ingress *ingress, struct access_gate **ret)
{
	uint16_t port = site->entry.at.port;
	bool shares_port = ingress->all->n_workers > 1;
	int error = access_gate_open(ingress, &site->entry, shares_port, ret);
	if (error != -EADDRINUSE || shares_port || !share_port(doors, port, true))
		return error;
	error = access_gate_open(ingress, &site->entry, true, ret);
	share_port(doors, port, false);
	if (error == 0)
		access_gate_share(*ret, false);
	return error;
}

static int open_door(
	struct access_doors *doors, struct access_site *site, struct access_ingress *ingress)
{
	struct door *door = calloc(1, sizeof *door);
	if (door == NULL)
		return ERR_NOMEM;
	int error = open_gate(doors, site, ingress, &door->gate);
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

/* Flows of a door that was left would take datagrams away from the one that has its port now. */
static void close_overtaken(struct access_doors *doors)
{
	struct door *door, *next, *other;
	DL_FOREACH_SAFE (doors->list, door, next) {
		uint16_t port = access_gate_port(door->gate);
		bool is_overtaken = false;
		DL_FOREACH (doors->list, other)
			is_overtaken = is_overtaken ||
				       (!other->is_left && access_gate_port(other->gate) == port);
		if (door->is_left && port != 0 && is_overtaken)
			close_door(doors, door);
	}
}

void access_doors_commit(struct access_doors *doors)
{
	struct door *door;
	DL_FOREACH (doors->list, door) {
		if (door->later != NULL) {
			use(door);
		} else if (!door->is_left) {
			door->is_left = true;
			atomic_fetch_add(doors->n_left, 1);
			access_gate_drain(door->gate);
		}
	}
	close_overtaken(doors);
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
