#include "hop/hop.h"

#include "common/listener.h"
#include "common/place.h"
#include "common/workers.h"
#include "hop/datagram.h"
#include "hop/options.h"
#include "hop/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define LOG_MODULE "hop"
#include "common/log.h"

#define PORT_TRIES 16 /* for a port that is free for streams and datagrams */

/* What all workers share. */
struct hop {
	const struct hop_options *options;
	struct hop_users *users;
	struct replay *replay;
	struct local_addresses *local;
	struct quota connections;
	struct source_quota *sources;
	struct shaper *shaper; /* of all users */
	struct rate handshakes;
	struct addr *listen;   /* options->listen with the ports the kernel chose */
	struct place **places; /* of listeners that are no ports; else NULL */
	uint16_t *ports;
	_Atomic unsigned n_ready;
	_Atomic int i_failed; /* listener that could not be opened, or -1 */
	hop_ready_fn *on_ready;
	void *owner;
};

/* One worker: what its sessions share, and its listeners. */
struct server {
	struct hop_worker worker; /* first: sessions lead back here */
	struct hop *hop;
	struct listener **listeners;
	struct hop_datagrams *datagrams;
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

static void on_accept(struct stream *stream, const union addr_sock *peer, void *owner)
{
	struct server *server = owner;
	hop_session_start(&server->worker, stream, peer);
}

static void close_listeners(struct server *server)
{
	for (size_t i = 0; server->listeners != NULL && i < server->hop->options->n_listen; i++) {
		listener_close(server->listeners[i]);
		server->listeners[i] = NULL;
		place_leave(server->hop->places[i]);
	}
}

/* The first socket that listens of those that were passed under one name. */
static int open_place(struct server *server, size_t i)
{
	int fd = place_fd(server->hop->places[i], SOCK_STREAM, 0);
	return fd < 0 ? -ENOENT
		      : listener_open_fd(
				server->worker.loop, fd, on_accept, server, &server->listeners[i]);
}

/* Datagrams are taken at the port of the streams. A port that the kernel chose may be another
 * program's for datagrams: then both try the next one. */
static int open_listener(struct server *server, size_t i)
{
	struct hop *hop = server->hop;
	bool shares_port = hop->options->n_workers > 1;
	bool is_chosen = hop->listen[i].port == 0;
	int error = 0;
	if (hop->places[i] != NULL)
		return open_place(server, i);
	for (int n_tries = 0; n_tries < PORT_TRIES; n_tries++) {
		struct addr at = hop->listen[i];
		error = listener_open(server->worker.loop, &at, shares_port, on_accept, server,
			&server->listeners[i]);
		if (error != 0 || !hop->options->listen[i].takes_udp)
			return error;
		at.port = listener_port(server->listeners[i]);
		error = hop_datagrams_listen(server->datagrams, &at, shares_port);
		if (error != -EADDRINUSE || !is_chosen)
			return error;
		listener_close(server->listeners[i]);
		server->listeners[i] = NULL;
	}
	return error;
}

static int open_listeners(struct server *server)
{
	struct hop *hop = server->hop;
	for (size_t i = 0; i < hop->options->n_listen; i++) {
		int error = open_listener(server, i);
		if (error != 0) {
			hop->i_failed = (int)i;
			return error;
		}
		if (server->worker.i_worker == 0)
			hop->ports[i] = listener_port(server->listeners[i]);
	}
	return 0;
}

/* The last worker to listen tells the owner; worker 0's ports are set by then. */
static void tell_ready(struct hop *hop)
{
	if (++hop->n_ready == hop->options->n_workers)
		hop->on_ready(hop->ports, (unsigned)hop->options->n_listen, hop->owner);
}

static int make_worker(struct server *server, struct loop *loop, unsigned i_worker)
{
	struct hop *hop = server->hop;
	struct hop_worker *w = &server->worker;
	uint8_t secret[16];
	*w = (struct hop_worker){
		.loop = loop,
		.options = hop->options,
		.users = hop->users,
		.replay = hop->replay,
		.local = hop->local,
		.connections = &hop->connections,
		.sources = hop->sources,
		.shaper = hop->shaper,
		.handshakes = &hop->handshakes,
		.i_worker = i_worker,
		.on_session_end = on_session_end,
	};
	hop_users_secret(hop->users, secret);
	int error = resolver_new(loop, hop->options->dns_servers, &w->resolver);
	if (error == 0)
		error = relay_group_new(loop, &w->relays);
	if (error == 0)
		error = drain_new(
			loop, drain_limits_derive(secret), on_drain_empty, server, &w->drain);
	if (error == 0)
		error = wire_ephemeral_new(hop->options->ephemeral_window_ms, &w->ephemeral);
	if (error == 0)
		error = udp_io_new(loop, &w->udp);
	if (error == 0)
		error = hop_datagrams_new(w, &server->datagrams);
	if (error == 0 && i_worker == 0)
		error = local_addresses_watch(hop->local, loop);
	server->is_watching = error == 0 && i_worker == 0;
	return error;
}

static void finish(void *worker)
{
	struct server *server = worker;
	struct hop_worker *w = &server->worker;
	close_listeners(server);
	if (server->is_watching)
		local_addresses_unwatch(server->hop->local);
	hop_datagrams_free(server->datagrams);
	hop_worker_forget(w);
	udp_io_free(w->udp);
	drain_free(w->drain);
	relay_group_free(w->relays);
	resolver_free(w->resolver);
	free(server->listeners);
	free(server);
}

static int start(struct loop *loop, unsigned i_worker, void *owner, void **ret_worker)
{
	struct hop *hop = owner;
	struct server *server = calloc(1, sizeof *server);
	if (server == NULL)
		return ERR_NOMEM;
	server->hop = hop;
	server->listeners = calloc(hop->options->n_listen, sizeof(struct listener *));
	int error = server->listeners == NULL ? ERR_NOMEM : make_worker(server, loop, i_worker);
	if (error == 0)
		error = open_listeners(server);
	if (error != 0 && server->worker.loop == NULL) {
		free(server); /* nothing was made */
		return error;
	}
	if (error != 0) {
		finish(server);
		return error;
	}
	*ret_worker = server;
	tell_ready(hop);
	return 0;
}

static void drain(void *worker)
{
	struct server *server = worker;
	server->worker.is_draining = true;
	close_listeners(server);
	drain_stop_silent(server->worker.drain);
	hop_sessions_drain(&server->worker);
	hop_datagrams_drain(server->datagrams);
	end_if_drained(server);
}

static void stop(void *worker)
{
	struct server *server = worker;
	server->worker.is_draining = true;
	close_listeners(server);
	drain_stop(server->worker.drain);
	hop_sessions_stop(&server->worker);
	hop_datagrams_stop(server->datagrams);
	end_if_drained(server);
}

static const char *state_text(enum replay_state state)
{
	switch (state) {
	case REPLAY_INTACT:
		return "intact";
	case REPLAY_MISSING:
		return "new";
	case REPLAY_DAMAGED:
		return "damaged-and-replaced";
	case REPLAY_MEMORY:
		return "memory";
	}
	return "?";
}

/* docs/protocol.md 2.12: without the old table, headers sealed before the start are refused;
 * accepting begins late enough that no client whose clock is right meets silence. */
static int open_replay(struct hop *hop)
{
	const struct hop_options *o = hop->options;
	struct replay_options options = {
		.path = o->replay_file,
		.quota = o->replay_quota,
		.is_strict = o->is_replay_strict,
	};
	uint64_t wall_ms = loop_wall_ms();
	int error = replay_open(&options, wall_ms, loop_clock_us() / 1000, &hop->replay);
	if (error != 0) {
		LOG_ERROR("cannot open the replay store file=%s error=%s why=\"%s\"",
			o->replay_file, err_name(error),
			error == -EWOULDBLOCK
				? "another process uses it: each hop needs a file of its own"
				: err_text(error));
		return error;
	}
	LOG_NOTICE("replay store state=%s file=%s", state_text(replay_state(hop->replay)),
		o->replay_file != NULL ? o->replay_file : "-");
	uint64_t accept_ms = replay_accept_after_ms(hop->replay);
	if (accept_ms > wall_ms) {
		struct timespec pause = { .tv_sec = (time_t)((accept_ms - wall_ms) / 1000),
			.tv_nsec = (long)((accept_ms - wall_ms) % 1000) * 1000000 };
		nanosleep(&pause, NULL); /* before any loop runs: nobody waits for us yet */
	}
	return 0;
}

static int claim(struct hop *hop, size_t i)
{
	const struct hop_listener *l = &hop->options->listen[i];
	if (!addr_is_port(&l->addr))
		return place_open(&l->addr, l->mode != 0 ? l->mode : PLACE_MODE,
			hop->options->passed, &hop->places[i]);
	if (hop->options->n_workers <= 1)
		return 0;
	int error = listener_claim(&hop->listen[i]);
	if (error == 0 && l->takes_udp)
		error = udp_claim(&hop->listen[i]);
	return error;
}

static int claim_ports(struct hop *hop)
{
	for (size_t i = 0; i < hop->options->n_listen; i++) {
		int error = claim(hop, i);
		if (error != 0) {
			hop->i_failed = (int)i;
			return error;
		}
	}
	return 0;
}

static int make_shared(struct hop *hop)
{
	const struct hop_options *o = hop->options;
	hop->listen = calloc(o->n_listen, sizeof *hop->listen);
	hop->ports = calloc(o->n_listen, sizeof *hop->ports);
	hop->places = calloc(o->n_listen, sizeof(struct place *));
	if (hop->listen == NULL || hop->ports == NULL || hop->places == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < o->n_listen; i++)
		hop->listen[i] = o->listen[i].addr;
	quota_init(&hop->connections, o->max_connections);
	rate_init(&hop->handshakes, o->max_handshakes_per_second);
	int error = claim_ports(hop);
	if (error == 0)
		error = hop_users_new(o, &hop->users);
	if (error == 0)
		error = source_quota_new(o->max_connections_per_source, &hop->sources);
	if (error == 0)
		error = shaper_new(o->rate, &hop->shaper);
	if (error == 0)
		error = local_addresses_new(&hop->local);
	if (error == 0)
		error = open_replay(hop);
	return error;
}

int hop_run(const struct hop_options *options, hop_ready_fn *on_ready, void *owner, int *ret_listen)
{
	static const struct workers_ops ops = {
		.start = start, .drain = drain, .stop = stop, .finish = finish
	};
	struct hop hop = {
		.options = options, .i_failed = -1, .on_ready = on_ready, .owner = owner
	};
	int error = make_shared(&hop);
	if (error == 0)
		error = workers_run(options->n_workers, options->drain_ms, &ops, &hop);
	if (ret_listen != NULL)
		*ret_listen = hop.i_failed;
	replay_close(hop.replay);
	local_addresses_free(hop.local);
	source_quota_free(hop.sources);
	shaper_release(hop.shaper);
	hop_users_free(hop.users);
	for (size_t i = 0; hop.places != NULL && i < options->n_listen; i++)
		place_free(hop.places[i]);
	free(hop.places);
	free(hop.listen);
	free(hop.ports);
	return error;
}
