#include "access/access.h"

#include "access/control.h"
#include "access/session.h"
#include "chain/pool.h"
#include "common/workers.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "access"
#include "common/log.h"

struct access {
	const struct access_hooks *hooks;
	void *owner;
	unsigned n_workers;
	struct access_generation *current; /* worker 0's, once it runs */
	struct reload *reload;
	struct quota connections;
	struct source_quota *sources;
	struct access_caps *caps;
	struct chain_health *health; /* of all hops and chains */
	struct server *first;        /* worker 0 */
	_Atomic unsigned n_ready;
	_Atomic unsigned n_left; /* doors without a listener, of all workers */
	_Atomic int i_failed;
	bool has_failed; /* the one connection of stdio */
};

/* One worker. */
struct server {
	struct access_worker worker; /* first: sessions lead back here */
	struct access *access;
	struct chain_pools *pools;
	struct access_plans *plans;
	struct access_plan *plan; /* in use */
	struct access_plan *next; /* prepared */
	struct access_doors *doors;
	struct access_control *control; /* of worker 0 */
	bool is_draining;
};

static void end_if_drained(struct server *server)
{
	if ((server->is_draining || server->worker.is_done) && server->worker.sessions == NULL &&
		drain_is_empty(server->worker.drain) && access_doors_count(server->doors) == 0)
		workers_drained(server->worker.loop);
}

static void on_drain_empty(void *owner)
{
	end_if_drained(owner);
}

static void on_session_end(struct access_worker *worker)
{
	end_if_drained((struct server *)worker);
}

/* ---- Each worker: one configuration after the other ---- */

static int prepare_plan(struct server *server, struct access_generation *generation, size_t *ret_i)
{
	*ret_i = ACCESS_NONE;
	int error = access_plan_new(server->plans, generation, server->plan, &server->next);
	if (error == 0)
		error = access_doors_prepare(server->doors, server->next, ret_i);
	return error;
}

static void commit_plan(void *worker)
{
	struct server *server = worker;
	struct access_plan *old = server->plan;
	server->plan = server->next;
	server->next = NULL;
	server->worker.options = &access_plan_generation(server->plan)->options;
	access_doors_commit(server->doors);
	if (old != NULL)
		access_plan_retire(old);
	if (server->is_draining) /* it began in between */
		access_doors_drain(server->doors);
}

static void cancel_plan(void *worker)
{
	struct server *server = worker;
	access_doors_cancel(server->doors);
	if (server->next != NULL)
		access_plan_retire(server->next); /* who came in by a new door already, stays */
	server->next = NULL;
}

/* ---- Reload ---- */

static void fail_listener(struct reload_report *report, const struct access_generation *generation,
	size_t i, int error)
{
	char text[ADDR_TEXT_MAX];
	const struct access_listener *l = i != ACCESS_NONE ? &generation->options.listen[i] : NULL;
	if (l == NULL)
		reload_report_fail(report, "%s", err_text(error));
	else
		reload_report_fail(report, "cannot listen on %s%s%s%s: %s",
			addr_print(&l->addr, text), l->name != NULL ? " (listener \"" : "",
			l->name != NULL ? l->name : "", l->name != NULL ? "\")" : "",
			err_text(error));
}

static int prepare(void *worker, void *next, struct reload_report *report)
{
	struct server *server = worker;
	struct access_generation *generation = next;
	size_t i = ACCESS_NONE;
	int error = server->is_draining ? -ECANCELED : 0; /* its doors are shut for good */
	if (error == 0 && server->worker.i_worker == 0)
		error = access_generation_open(generation, server->access->current,
			atomic_load(&server->access->n_left) > 0, &i);
	if (error == 0)
		error = prepare_plan(server, generation, &i);
	if (error != 0)
		fail_listener(report, generation, i, error);
	return error;
}

static void *load(void *owner, struct reload_report *report)
{
	struct access *access = owner;
	struct access_options options = { 0 };
	struct access_generation *next;
	if (!access->hooks->load(access->owner, &options, report))
		return NULL;
	access_options_keep(&access->current->options, &options, report);
	int error = access_generation_new(&options, access->current, &next);
	if (error == 0)
		return next;
	access_options_deinit(&options);
	reload_report_fail(report, "%s", err_text(error));
	return NULL;
}

static void summarize(const struct access_generation *g, struct reload_report *report)
{
	if (asprintf(&report->summary, "listeners=+%zu,-%zu,=%zu chains=+%zu,-%zu,=%zu rules=%zu",
		    g->listeners.n_new, g->listeners.n_gone, g->listeners.n_same, g->chains.n_new,
		    g->chains.n_gone, g->chains.n_same, g->options.n_rules) < 0)
		report->summary = NULL;
}

static void get_ports(const struct access *access, uint16_t *ports)
{
	const struct access_generation *g = access->current;
	for (size_t i = 0; i < g->options.n_listen; i++)
		ports[i] = access_doors_port(access->first->doors, g->sites[i]);
}

static void tell_reloaded(struct access *access)
{
	const struct access_generation *g = access->current;
	uint16_t *ports = calloc(g->options.n_listen, sizeof *ports);
	if (ports == NULL)
		return;
	get_ports(access, ports);
	access->hooks->on_reloaded(&g->options, ports, g->is_new, access->owner);
	free(ports);
}

static void end(void *owner, void *next, struct reload_report *report)
{
	struct access *access = owner;
	struct access_generation *before = access->current;
	if (!report->is_done) {
		access_generation_release(next);
		reload_report_log(report);
		return;
	}
	access->current = next;
	access_generation_apply(access->current);
	quota_set_limit(&access->connections, access->current->options.max_connections);
	source_quota_set_limit(
		access->sources, access->current->options.max_connections_per_source);
	access_caps_set(access->caps, &access->current->options.caps);
	summarize(access->current, report);
	reload_report_log(report);
	tell_reloaded(access);
	access_generation_release(before);
}

static void reload(void *worker)
{
	struct server *server = worker;
	if (reload_start(server->access->reload, NULL, NULL) != 0)
		LOG_ERROR("cannot reload error=%s", err_name(ERR_NOMEM));
}

static void heed(void *worker)
{
	struct server *server = worker;
	reload_heed(server->access->reload, server->worker.i_worker);
}

/* ---- Start and end ---- */

static int make_worker(struct server *server, struct loop *loop, unsigned i_worker)
{
	static const struct drain_limits no_silence = { 0 }; /* answers alone linger here */
	struct access *access = server->access;
	server->worker = (struct access_worker){
		.loop = loop,
		.options = &access->current->options,
		.connections = &access->connections,
		.sources = access->sources,
		.caps = access->caps,
		.i_worker = i_worker,
		.on_session_end = on_session_end,
	};
	struct chain_upstream_options upstream = {
		.loop = loop, .health = access->health, .probes = i_worker == 0
	};
	int error = relay_group_new(loop, &server->worker.relays);
	if (error == 0)
		error = drain_new(loop, no_silence, on_drain_empty, server, &server->worker.drain);
	if (error == 0)
		error = udp_io_new(loop, &server->worker.io);
	if (error == 0)
		error = chain_pools_new(loop, &server->pools);
	upstream.pools = server->pools;
	if (error == 0)
		error = access_plans_new(&server->worker, &upstream, &server->plans);
	if (error == 0)
		error = access_doors_new(&server->worker, &access->n_left, &server->doors);
	return error;
}

static void finish(void *worker)
{
	struct server *server = worker;
	access_control_free(server->control);
	if (server->worker.is_done && server->worker.has_failed)
		server->access->has_failed = true;
	access_doors_free(server->doors);
	access_plans_free(server->plans);
	chain_pools_free(server->pools);
	relay_group_free(server->worker.relays);
	drain_free(server->worker.drain);
	udp_io_free(server->worker.io);
	free(server);
}

static int serve_first(struct server *server)
{
	size_t i = ACCESS_NONE;
	int error = prepare_plan(server, server->access->current, &i);
	if (error == 0)
		commit_plan(server);
	else if (i != ACCESS_NONE)
		server->access->i_failed = (int)i;
	return error;
}

static void tell_ready(struct access *access)
{
	const struct access_options *o = &access->current->options;
	uint16_t *ports = calloc(o->n_listen, sizeof *ports);
	if (ports == NULL)
		return;
	get_ports(access, ports);
	access->hooks->on_ready(o, ports, access->owner);
	free(ports);
}

static int start(struct loop *loop, unsigned i_worker, void *owner, void **ret_worker)
{
	struct access *access = owner;
	struct server *server = calloc(1, sizeof *server);
	if (server == NULL)
		return ERR_NOMEM;
	server->access = access;
	int error = make_worker(server, loop, i_worker);
	if (error == 0)
		error = serve_first(server);
	if (error == 0 && i_worker == 0 && access->hooks->load != NULL)
		error = access_control_new(&server->worker, &server->plan, server->doors,
			access->reload, &server->control);
	if (error != 0) {
		finish(server);
		return error;
	}
	if (i_worker == 0)
		access->first = server;
	reload_join(access->reload, i_worker, loop, server);
	*ret_worker = server;
	if (++access->n_ready == access->n_workers)
		tell_ready(access);
	return 0;
}

static void drain(void *worker)
{
	struct server *server = worker;
	server->is_draining = true;
	if (server->worker.i_worker == 0)
		reload_stop(server->access->reload);
	access_doors_drain(server->doors);
	access_sessions_drain(&server->worker);
	end_if_drained(server);
}

static void stop(void *worker)
{
	struct server *server = worker;
	server->is_draining = true;
	if (server->worker.i_worker == 0)
		reload_stop(server->access->reload);
	access_sessions_stop(&server->worker);
	drain_stop(server->worker.drain);
	access_doors_close(server->doors);
	end_if_drained(server);
}

static int make_shared(struct access *access, struct access_options *options)
{
	static const struct reload_ops ops = { .load = load,
		.prepare = prepare,
		.commit = commit_plan,
		.cancel = cancel_plan,
		.end = end };
	size_t i = ACCESS_NONE;
	access->n_workers = options->n_workers;
	quota_init(&access->connections, options->max_connections);
	int error = source_quota_new(options->max_connections_per_source, &access->sources);
	if (error == 0)
		error = chain_health_new(&access->health);
	if (error == 0)
		error = access_caps_new(&options->caps, &access->caps);
	if (error == 0)
		error = reload_new(access->n_workers, &ops, access, &access->reload);
	if (error == 0)
		error = access_generation_new(options, NULL, &access->current);
	if (error == 0)
		error = access_generation_open(access->current, NULL, false, &i);
	if (i != ACCESS_NONE)
		access->i_failed = (int)i;
	return error;
}

int access_run(struct access_options *options, const struct access_hooks *hooks, void *owner,
	int *ret_listen)
{
	const struct workers_ops ops = {
		.start = start,
		.drain = drain,
		.stop = stop,
		.finish = finish,
		.reload = hooks->load != NULL ? reload : NULL,
		.heed = heed,
	};
	struct access access = { .hooks = hooks, .owner = owner, .i_failed = -1 };
	uint32_t drain_ms = options->drain_ms;
	int error = make_shared(&access, options);
	if (error == 0)
		error = workers_run(access.n_workers, drain_ms, &ops, &access);
	if (ret_listen != NULL)
		*ret_listen = access.i_failed;
	if (access.current != NULL)
		access_generation_return(access.current, options);
	reload_free(access.reload);
	access_generation_release(access.current);
	source_quota_free(access.sources);
	access_caps_free(access.caps);
	chain_health_free(access.health);
	return error == 0 && access.has_failed ? 1 : error;
}
