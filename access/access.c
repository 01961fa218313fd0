#include "access/access.h"

#include "access/gate.h"
#include "access/logins.h"
#include "access/session.h"
#include "common/workers.h"

#include <stdlib.h>

#define LOG_MODULE "access"
#include "common/log.h"

/* The limits of one listener, shared by all workers. */
struct shared_listener {
	struct access_entry entry;
	struct quota connections;
	struct source_quota *sources;
};

struct access {
	const struct access_options *options;
	struct shared_listener *listeners;
	struct quota connections;
	struct source_quota *sources;
	struct chain_health *health; /* of all hops and chains */
	uint16_t *ports;
	_Atomic unsigned n_ready;
	_Atomic int i_failed;
	access_ready_fn *on_ready;
	void *owner;
};

/* One worker. */
struct server {
	struct access_worker worker; /* first: sessions lead back here */
	struct access *access;
	struct resolver *resolver;
	struct chain_upstream **upstreams; /* of options->upstreams */
	struct access_ingress *ingresses;  /* one per listener */
	struct access_gate **gates;
	bool is_draining;
};

static bool has_flows(const struct server *server)
{
	for (size_t i = 0; i < server->access->options->n_listen; i++) {
		if (access_gate_count(server->gates[i]) > 0)
			return true;
	}
	return false;
}

static void end_if_drained(struct server *server)
{
	if (server->is_draining && server->worker.sessions == NULL &&
		drain_is_empty(server->worker.drain) && !has_flows(server))
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

static void close_gates(struct server *server)
{
	for (size_t i = 0; i < server->access->options->n_listen; i++) {
		struct access_gate *gate = server->gates[i];
		server->gates[i] = NULL;
		access_gate_close(gate);
	}
}

static int make_ingress(struct server *server, size_t i)
{
	const struct access_listener *o = &server->access->options->listen[i];
	server->ingresses[i] = (struct access_ingress){
		.worker = &server->worker,
		.options = o,
		.all = server->access->options,
		.upstreams = server->upstreams,
		.connections = &server->access->listeners[i].connections,
		.sources = server->access->listeners[i].sources,
	};
	if (!o->needs_user)
		return 0;
	return logins_new(server->worker.loop, o->users, o->n_users, &server->ingresses[i].logins);
}

static int open_listeners(struct server *server)
{
	struct access *access = server->access;
	for (size_t i = 0; i < access->options->n_listen; i++) {
		int error = make_ingress(server, i);
		if (error != 0)
			return error;
		error = access_gate_open(&server->ingresses[i], &access->listeners[i].entry,
			access->options->n_workers > 1, &server->gates[i]);
		if (error != 0) {
			access->i_failed = (int)i;
			return error;
		}
		if (server->worker.i_worker == 0)
			access->ports[i] = access_gate_port(server->gates[i]);
	}
	return 0;
}

static int make_worker(struct server *server, struct loop *loop, unsigned i_worker)
{
	static const struct drain_limits no_silence = { 0 }; /* answers alone linger here */
	struct access *access = server->access;
	const struct access_options *o = access->options;
	server->worker = (struct access_worker){
		.loop = loop,
		.options = o,
		.connections = &access->connections,
		.sources = access->sources,
		.i_worker = i_worker,
		.on_session_end = on_session_end,
	};
	server->upstreams = calloc(o->n_upstreams, sizeof(struct chain_upstream *));
	server->ingresses = calloc(o->n_listen, sizeof *server->ingresses);
	server->gates = calloc(o->n_listen, sizeof(struct access_gate *));
	if (server->upstreams == NULL || server->ingresses == NULL || server->gates == NULL)
		return ERR_NOMEM;
	int error = resolver_new(loop, o->dns_servers, &server->resolver);
	if (error == 0)
		error = relay_group_new(loop, &server->worker.relays);
	if (error == 0)
		error = drain_new(loop, no_silence, on_drain_empty, server, &server->worker.drain);
	if (error == 0)
		error = udp_io_new(loop, &server->worker.io);
	struct chain_upstream_options upstream = { .loop = loop,
		.resolver = server->resolver,
		.health = access->health,
		.probes = i_worker == 0 };
	for (size_t i = 0; error == 0 && i < o->n_upstreams; i++)
		error = chain_upstream_new(&upstream, o->upstreams[i], &server->upstreams[i]);
	return error;
}

static void finish(void *worker)
{
	struct server *server = worker;
	if (server->gates != NULL)
		close_gates(server);
	for (size_t i = 0; server->upstreams != NULL && i < server->access->options->n_upstreams;
		i++)
		chain_upstream_free(server->upstreams[i]);
	for (size_t i = 0; server->ingresses != NULL && i < server->access->options->n_listen; i++)
		logins_free(server->ingresses[i].logins);
	relay_group_free(server->worker.relays);
	drain_free(server->worker.drain);
	udp_io_free(server->worker.io);
	resolver_free(server->resolver);
	free(server->upstreams);
	free(server->ingresses);
	free(server->gates);
	free(server);
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
		error = open_listeners(server);
	if (error != 0) {
		finish(server);
		return error;
	}
	*ret_worker = server;
	if (++access->n_ready == access->options->n_workers)
		access->on_ready(access->ports, (unsigned)access->options->n_listen, access->owner);
	return 0;
}

static void drain(void *worker)
{
	struct server *server = worker;
	server->is_draining = true;
	for (size_t i = 0; i < server->access->options->n_listen; i++)
		access_gate_drain(server->gates[i]);
	access_sessions_drain(&server->worker);
	end_if_drained(server);
}

static void stop(void *worker)
{
	struct server *server = worker;
	server->is_draining = true;
	access_sessions_stop(&server->worker);
	drain_stop(server->worker.drain);
	close_gates(server);
	end_if_drained(server);
}

static int make_listener(struct access *access, size_t i)
{
	const struct access_listener *o = &access->options->listen[i];
	struct shared_listener *l = &access->listeners[i];
	quota_init(&l->connections, o->max_connections);
	int error = source_quota_new(o->max_connections_per_source, &l->sources);
	if (error == 0)
		error = access_entry_open(&l->entry, o, access->options);
	if (error != 0)
		access->i_failed = (int)i;
	return error;
}

static int make_shared(struct access *access)
{
	const struct access_options *o = access->options;
	access->listeners = calloc(o->n_listen, sizeof *access->listeners);
	access->ports = calloc(o->n_listen, sizeof *access->ports);
	if (access->listeners == NULL || access->ports == NULL)
		return ERR_NOMEM;
	quota_init(&access->connections, o->max_connections);
	int error = source_quota_new(o->max_connections_per_source, &access->sources);
	if (error == 0)
		error = chain_health_new(&access->health);
	for (size_t i = 0; error == 0 && i < o->n_listen; i++)
		error = make_listener(access, i);
	return error;
}

int access_run(const struct access_options *options, access_ready_fn *on_ready, void *owner,
	int *ret_listen)
{
	static const struct workers_ops ops = {
		.start = start, .drain = drain, .stop = stop, .finish = finish
	};
	struct access access = {
		.options = options, .i_failed = -1, .on_ready = on_ready, .owner = owner
	};
	int error = make_shared(&access);
	if (error == 0)
		error = workers_run(options->n_workers, options->drain_ms, &ops, &access);
	if (ret_listen != NULL)
		*ret_listen = access.i_failed;
	for (size_t i = 0; access.listeners != NULL && i < options->n_listen; i++) {
		access_entry_close(&access.listeners[i].entry);
		source_quota_free(access.listeners[i].sources);
	}
	source_quota_free(access.sources);
	chain_health_free(access.health);
	free(access.listeners);
	free(access.ports);
	return error;
}
