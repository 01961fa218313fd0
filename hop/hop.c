#include "hop/hop.h"

#include "common/place.h"
#include "common/workers.h"
#include "hop/control.h"
#include "hop/replay_file.h"
#include "hop/session.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "hop"
#include "common/log.h"

#define NONE SIZE_MAX /* no listener */

/* What all workers share. */
struct hop {
	const struct hop_hooks *hooks;
	void *owner;
	unsigned n_workers;
	struct hop_generation *current; /* worker 0's, once it runs */
	struct reload *reload;
	struct replay *replay;
	struct local_addresses *local;
	struct quota connections;
	struct source_quota *sources;
	struct shaper *shaper; /* of all users */
	struct rate handshakes;
	struct server *first; /* worker 0 */
	_Atomic unsigned n_ready;
	_Atomic unsigned n_left; /* sockets that have flows, but no listener */
	_Atomic int i_failed;    /* listener that could not be opened, or -1 */
};

/* One worker: what its sessions share, and its listeners. */
struct server {
	struct hop_worker worker; /* first: sessions lead back here */
	struct hop *hop;
	struct hop_generation *next; /* prepared; held */
	struct hop_doors *doors;
	struct hop_datagrams *datagrams;
	struct hop_control *control; /* of worker 0 */
	bool is_watching;
};

static void end_if_drained(struct server *server)
{
	struct hop_worker *w = &server->worker;
	if (w->is_draining && w->sessions == NULL && drain_is_empty(w->drain) &&
		hop_datagrams_count(server->datagrams) == 0)
		workers_drained(w->loop);
}

static void on_session_end(struct hop_worker *worker)
{
	end_if_drained((struct server *)worker);
}

static void on_drain_empty(void *owner)
{
	end_if_drained(owner);
}

/* ---- Each worker: one configuration after the other ---- */

static void use(struct hop_worker *w, struct hop_generation *generation)
{
	w->generation = generation;
	w->options = &generation->options;
	w->users = generation->users;
}

static int prepare_doors(struct server *server, struct hop_generation *generation, size_t *ret_i)
{
	server->next = hop_generation_hold(generation);
	return hop_doors_prepare(server->doors, generation, ret_i);
}

static void commit(void *worker)
{
	struct server *server = worker;
	struct hop_generation *old = server->worker.generation;
	use(&server->worker, server->next);
	server->next = NULL;
	if (server->worker.is_draining) /* it began in between */
		hop_doors_close(server->doors);
	else
		hop_doors_commit(server->doors);
	hop_datagrams_reload(server->datagrams);
	hop_generation_release(old);
}

static void cancel(void *worker)
{
	struct server *server = worker;
	hop_doors_cancel(server->doors);
	hop_generation_release(server->next);
	server->next = NULL;
}

/* ---- Reload ---- */

static int prepare(void *worker, void *next, struct reload_report *report)
{
	struct server *server = worker;
	struct hop_generation *generation = next;
	char text[ADDR_TEXT_MAX];
	size_t i = NONE;
	int error = server->worker.is_draining ? -ECANCELED : 0; /* its doors are shut for good */
	if (error == 0 && server->worker.i_worker == 0)
		error = hop_generation_open(generation, server->hop->current,
			atomic_load(&server->hop->n_left) > 0, &i);
	if (error == 0)
		error = prepare_doors(server, generation, &i);
	if (error != 0 && i != NONE)
		reload_report_fail(report, "cannot listen on %s: %s",
			addr_print(&generation->options.listen[i].addr, text), err_text(error));
	else if (error != 0)
		reload_report_fail(report, "%s", err_text(error));
	return error;
}

static void *load(void *owner, struct reload_report *report)
{
	struct hop *hop = owner;
	struct hop_options options = { 0 };
	struct hop_generation *next;
	if (!hop->hooks->load(hop->owner, &options, report))
		return NULL;
	hop_options_keep(&hop->current->options, &options, report);
	int error = hop_generation_new(&options, hop->current, &next);
	if (error == 0)
		return next;
	hop_options_deinit(&options);
	reload_report_fail(report, "%s", err_text(error));
	return NULL;
}

static void apply(struct hop *hop)
{
	const struct hop_options *o = &hop->current->options;
	quota_set_limit(&hop->connections, o->max_connections);
	source_quota_set_limit(hop->sources, o->max_connections_per_source);
	rate_set(&hop->handshakes, o->max_handshakes_per_second);
	if (shaper_rate(hop->shaper) != o->rate)
		shaper_set_rate(hop->shaper, o->rate);
	hop_users_apply(hop->current->users);
	for (size_t i = 0; i < o->n_listen; i++)
		place_set_mode(hop->current->sites[i]->place, o->listen[i].mode);
}

static void get_ports(const struct hop *hop, uint16_t *ports)
{
	for (size_t i = 0; i < hop->current->options.n_listen; i++)
		ports[i] = hop_doors_port(hop->first->doors, hop->current->sites[i]);
}

static void tell_reloaded(struct hop *hop)
{
	const struct hop_generation *g = hop->current;
	uint16_t *ports = calloc(g->options.n_listen, sizeof *ports);
	if (ports == NULL)
		return;
	get_ports(hop, ports);
	hop->hooks->on_reloaded(&g->options, ports, g->is_new, hop->owner);
	free(ports);
}

static void end(void *owner, void *next, struct reload_report *report)
{
	struct hop *hop = owner;
	struct hop_generation *before = hop->current, *now = next;
	if (!report->is_done) {
		hop_generation_release(now);
		reload_report_log(report);
		return;
	}
	struct hop_users_changes users = hop_users_changes(now->users, before->users);
	hop->current = now;
	apply(hop);
	if (asprintf(&report->summary, "listeners=+%zu,-%zu,=%zu users=+%zu,-%zu,=%zu rekeyed=%zu",
		    now->n_listen_new, now->n_listen_gone, now->n_listen_same, users.n_new,
		    users.n_gone, users.n_same, users.n_rekeyed) < 0)
		report->summary = NULL;
	reload_report_log(report);
	tell_reloaded(hop);
	hop_generation_release(before);
}

static void reload(void *worker)
{
	struct server *server = worker;
	if (reload_start(server->hop->reload, NULL, NULL) != 0)
		LOG_ERROR("cannot reload error=%s", err_name(ERR_NOMEM));
}

static void heed(void *worker)
{
	struct server *server = worker;
	reload_heed(server->hop->reload, server->worker.i_worker);
}

/* ---- Start and end ---- */

static void tell_ready(struct hop *hop)
{
	const struct hop_options *o = &hop->current->options;
	uint16_t *ports = calloc(o->n_listen, sizeof *ports);
	if (ports == NULL)
		return;
	get_ports(hop, ports);
	hop->hooks->on_ready(o, ports, hop->owner);
	free(ports);
}

static int make_worker(struct server *server, struct loop *loop, unsigned i_worker)
{
	struct hop *hop = server->hop;
	struct hop_worker *w = &server->worker;
	uint8_t secret[16];
	*w = (struct hop_worker){
		.loop = loop,
		.replay = hop->replay,
		.local = hop->local,
		.connections = &hop->connections,
		.sources = hop->sources,
		.shaper = hop->shaper,
		.handshakes = &hop->handshakes,
		.n_left = &hop->n_left,
		.i_worker = i_worker,
		.on_session_end = on_session_end,
	};
	use(w, hop_generation_hold(hop->current));
	hop_users_secret(w->users, secret);
	int error = resolver_new(loop, w->options->dns_servers, &w->resolver);
	if (error == 0)
		error = relay_group_new(loop, &w->relays);
	if (error == 0)
		error = drain_new(
			loop, drain_limits_derive(secret), on_drain_empty, server, &w->drain);
	if (error == 0)
		error = wire_ephemeral_new(w->options->ephemeral_window_ms, &w->ephemeral);
	if (error == 0)
		error = udp_io_new(loop, &w->udp);
	if (error == 0)
		error = hop_datagrams_new(w, &server->datagrams);
	if (error == 0)
		error = hop_doors_new(w, server->datagrams, &server->doors);
	if (error == 0 && i_worker == 0)
		error = local_addresses_watch(hop->local, loop);
	server->is_watching = error == 0 && i_worker == 0;
	return error;
}

static void finish(void *worker)
{
	struct server *server = worker;
	struct hop_worker *w = &server->worker;
	hop_control_free(server->control);
	hop_doors_free(server->doors);
	if (server->is_watching)
		local_addresses_unwatch(server->hop->local);
	hop_datagrams_free(server->datagrams);
	hop_worker_forget(w);
	udp_io_free(w->udp);
	drain_free(w->drain);
	relay_group_free(w->relays);
	resolver_free(w->resolver);
	hop_generation_release(server->next);
	hop_generation_release(w->generation);
	free(server);
}

static int listen_first(struct server *server)
{
	size_t i = NONE;
	int error = hop_doors_prepare(server->doors, server->hop->current, &i);
	if (error == 0)
		hop_doors_commit(server->doors);
	else if (i != NONE)
		server->hop->i_failed = (int)i;
	return error;
}

static int start(struct loop *loop, unsigned i_worker, void *owner, void **ret_worker)
{
	struct hop *hop = owner;
	struct server *server = calloc(1, sizeof *server);
	if (server == NULL)
		return ERR_NOMEM;
	server->hop = hop;
	int error = make_worker(server, loop, i_worker);
	if (error == 0)
		error = listen_first(server);
	if (error == 0 && i_worker == 0 && hop->hooks->load != NULL)
		error = hop_control_new(
			&server->worker, server->doors, hop->reload, &server->control);
	if (error != 0) {
		finish(server);
		return error;
	}
	if (i_worker == 0)
		hop->first = server;
	reload_join(hop->reload, i_worker, loop, server);
	*ret_worker = server;
	if (++hop->n_ready == hop->n_workers)
		tell_ready(hop);
	return 0;
}

static void drain(void *worker)
{
	struct server *server = worker;
	server->worker.is_draining = true;
	if (server->worker.i_worker == 0)
		reload_stop(server->hop->reload);
	hop_doors_close(server->doors);
	drain_stop_silent(server->worker.drain);
	hop_sessions_drain(&server->worker);
	hop_datagrams_drain(server->datagrams);
	end_if_drained(server);
}

static void stop(void *worker)
{
	struct server *server = worker;
	server->worker.is_draining = true;
	if (server->worker.i_worker == 0)
		reload_stop(server->hop->reload);
	hop_doors_close(server->doors);
	drain_stop(server->worker.drain);
	hop_sessions_stop(&server->worker);
	hop_datagrams_stop(server->datagrams);
	end_if_drained(server);
}

static int make_shared(struct hop *hop, struct hop_options *o)
{
	static const struct reload_ops ops = {
		.load = load, .prepare = prepare, .commit = commit, .cancel = cancel, .end = end
	};
	size_t i = NONE;
	hop->n_workers = o->n_workers;
	quota_init(&hop->connections, o->max_connections);
	rate_init(&hop->handshakes, o->max_handshakes_per_second);
	int error = source_quota_new(o->max_connections_per_source, &hop->sources);
	if (error == 0)
		error = shaper_new(o->rate, &hop->shaper);
	if (error == 0)
		error = reload_new(hop->n_workers, &ops, hop, &hop->reload);
	if (error == 0)
		error = hop_generation_new(o, NULL, &hop->current);
	if (error == 0)
		error = hop_generation_open(hop->current, NULL, false, &i);
	if (i != NONE)
		hop->i_failed = (int)i;
	if (error == 0)
		error = local_addresses_new(&hop->local);
	if (error == 0)
		error = hop_replay_open(&hop->current->options, &hop->replay);
	return error;
}

int hop_run(
	struct hop_options *options, const struct hop_hooks *hooks, void *owner, int *ret_listen)
{
	const struct workers_ops ops = {
		.start = start,
		.drain = drain,
		.stop = stop,
		.finish = finish,
		.reload = hooks->load != NULL ? reload : NULL,
		.heed = heed,
	};
	struct hop hop = { .hooks = hooks, .owner = owner, .i_failed = -1 };
	uint32_t drain_ms = options->drain_ms;
	int error = make_shared(&hop, options);
	if (error == 0)
		error = workers_run(hop.n_workers, drain_ms, &ops, &hop);
	if (ret_listen != NULL)
		*ret_listen = hop.i_failed;
	replay_close(hop.replay);
	local_addresses_free(hop.local);
	if (hop.current != NULL)
		hop_generation_return(hop.current, options);
	reload_free(hop.reload);
	hop_generation_release(hop.current);
	source_quota_free(hop.sources);
	shaper_release(hop.shaper);
	return error;
}
