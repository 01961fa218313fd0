#include "access/gate.h"

#include "access/session.h"
#include "access/transparent.h"
#include "access/udp_forward.h"
#include "common/fd_stream.h"
#include "common/listener.h"
#include "common/place.h"
#include "common/proxy_reader.h"
#include "common/tcp.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define LOG_MODULE "access"
#include "common/log.h"

#define PORT_TRIES  16 /* for a port that is free for both transports */
#define SOCKETS_MAX 16 /* of one name that systemd passed, of each type */

struct access_gate {
	struct access_ingress *ingress;
	const struct access_entry *entry;
	struct listener *listeners[SOCKETS_MAX];
	struct access_udp *udps[SOCKETS_MAX];
	size_t n_listeners, n_udps;
	struct proxy_reader *proxies;
	uint16_t port;
	struct task stdio; /* starts its session */
	bool is_closed;    /* before that ran */
};

/* One port for all workers, free for every transport of the listener. */
static int claim(unsigned transports, struct addr *at)
{
	uint16_t wanted = at->port;
	int error = -EADDRINUSE;
	for (int n = 0; n < PORT_TRIES && error == -EADDRINUSE; n++) {
		at->port = wanted;
		error = transports & ACCESS_TCP ? listener_claim(at) : 0;
		if (error == 0 && (transports & ACCESS_UDP))
			error = udp_claim(at);
		if (wanted != 0)
			break;
	}
	return error;
}

int access_entry_open(struct access_entry *entry, const struct access_listener *listener,
	const struct access_options *all)
{
	entry->at = listener->addr;
	if (entry->at.kind == ADDR_STDIO)
		return all->n_listen == 1 && all->n_workers == 1 ? 0 : ERR_INVAL;
	if (!addr_is_port(&entry->at))
		return place_open(&entry->at, listener->mode != 0 ? listener->mode : PLACE_MODE,
			all->passed, &entry->place);
	return all->n_workers > 1 ? claim(listener->transports, &entry->at) : 0;
}

void access_entry_close(struct access_entry *entry)
{
	place_free(entry->place);
	entry->place = NULL;
}

static void serve(struct stream *stream, const union addr_sock *peer, void *owner)
{
	struct access_gate *gate = owner;
	enum access_capture capture = gate->ingress->options->capture;
	struct addr target;
	if (capture == ACCESS_NO_CAPTURE)
		access_session_start(gate->ingress, stream, peer);
	else if (transparent_target(stream, capture, gate->port, &target))
		access_session_start_to(gate->ingress, stream, peer, &target);
	else
		stream_drop(stream);
}

static void on_accept(struct stream *stream, const union addr_sock *peer, void *owner)
{
	struct access_gate *gate = owner;
	if (netset_find_sock(&gate->ingress->options->proxies, peer) != NULL)
		proxy_reader_take(gate->proxies, stream, peer);
	else
		serve(stream, peer, gate);
}

static struct loop *loop_of(const struct access_gate *gate)
{
	return gate->ingress->worker->loop;
}

/* What inetd gives is a socket; ssh and shells give pipes, files, terminals. */
static int open_stdio(struct loop *loop, struct stream **ret, union addr_sock *ret_peer)
{
	int listens = 0;
	socklen_t len = sizeof *ret_peer, size = sizeof listens;
	*ret_peer = (union addr_sock){ .any.sa_family = AF_UNIX };
	bool is_socket = getsockopt(0, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0;
	if (is_socket && getpeername(0, &ret_peer->any, &len) != 0)
		return -errno;
	int in = fd_stream_take(0, O_RDONLY);
	int out = in < 0 ? in : fd_stream_take(1, O_WRONLY);
	if (out < 0) {
		if (in >= 0)
			close(in);
		return out;
	}
	if (!is_socket)
		return fd_stream_open(loop, in, out, ret);
	close(out);
	fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
	addr_sock_unmap(ret_peer);
	return ret_peer->any.sa_family == AF_UNIX ? tcp_open_unix_fd(loop, in, ret)
						  : tcp_open_fd(loop, in, ret);
}

static void start_stdio(struct task *task)
{
	struct access_gate *gate =
		(struct access_gate *)((char *)task - offsetof(struct access_gate, stdio));
	struct access_worker *worker = gate->ingress->worker;
	struct stream *stream = NULL;
	union addr_sock peer;
	if (gate->is_closed) {
		free(gate);
		return;
	}
	int error = open_stdio(loop_of(gate), &stream, &peer);
	if (error == 0)
		access_session_start(gate->ingress, stream, &peer);
	else
		LOG_ERROR("cannot use stdio error=%s why=\"%s\"", err_name(error), err_text(error));
	worker->has_failed |= error != 0;
	worker->is_done = true;
	if (worker->sessions == NULL)
		worker->on_session_end(worker);
}

static void close_listeners(struct access_gate *gate)
{
	while (gate->n_listeners > 0)
		listener_close(gate->listeners[--gate->n_listeners]);
	place_leave(gate->entry->place);
}

/* Datagrams of one client must all come to one worker: others leave the shared socket alone. */
static int open_place(struct access_gate *gate)
{
	const struct place *place = gate->entry->place;
	unsigned transports = gate->ingress->options->transports;
	int fd = -1, error = 0;
	bool takes_udp = (transports & ACCESS_UDP) && gate->ingress->worker->i_worker == 0;
	while (error == 0 && (transports & ACCESS_TCP) && gate->n_listeners < SOCKETS_MAX &&
		(fd = place_fd(place, SOCK_STREAM, gate->n_listeners)) >= 0) {
		error = listener_open_fd(
			loop_of(gate), fd, on_accept, gate, &gate->listeners[gate->n_listeners]);
		gate->n_listeners += error == 0;
	}
	while (error == 0 && takes_udp && gate->n_udps < SOCKETS_MAX &&
		(fd = place_fd(place, SOCK_DGRAM, gate->n_udps)) >= 0) {
		struct udp_options socket = { .adopted_fd = fd, .is_shared = true };
		error = access_udp_open(gate->ingress, gate->ingress->worker->io, &socket,
			&gate->udps[gate->n_udps]);
		gate->n_udps += error == 0;
	}
	return error;
}

/* Opens what the listener takes, at @at: the port of both. */
static int open_at(struct access_gate *gate, struct addr at, bool shares_port)
{
	unsigned transports = gate->ingress->options->transports;
	bool is_transparent = gate->ingress->options->capture == ACCESS_TPROXY;
	int error = 0;
	if (transports & ACCESS_TCP) {
		unsigned flags = (shares_port ? LISTENER_SHARES_PORT : 0) |
				 (is_transparent ? LISTENER_TRANSPARENT : 0);
		error = listener_open(
			loop_of(gate), &at, flags, on_accept, gate, &gate->listeners[0]);
		if (error != 0)
			return error;
		gate->n_listeners = 1;
		at.port = listener_port(gate->listeners[0]);
	}
	if (transports & ACCESS_UDP) {
		struct udp_options socket = { .bind = &at,
			.shares_port = shares_port,
			.is_transparent = is_transparent,
			.is_shared = true };
		error = access_udp_open(
			gate->ingress, gate->ingress->worker->io, &socket, &gate->udps[0]);
		if (error != 0) {
			close_listeners(gate);
			return error;
		}
		gate->n_udps = 1;
		at.port = access_udp_port(gate->udps[0]);
	}
	gate->port = at.port;
	return 0;
}

/* A port the kernel chose for TCP may be taken for UDP: then another one. */
static int open_port(struct access_gate *gate, bool shares_port)
{
	const struct addr *at = &gate->entry->at;
	int error = -EADDRINUSE;
	for (int n = 0; n < PORT_TRIES && error == -EADDRINUSE; n++) {
		error = open_at(gate, *at, shares_port);
		if (at->port != 0)
			break;
	}
	return error;
}

/* Before anything goes out: our own connections are not to be captured again. */
static void set_mark(struct access_gate *gate)
{
	const struct access_ingress *in = gate->ingress;
	uint32_t mark = in->all->mark;
	if (mark == 0 && in->options->capture != ACCESS_NO_CAPTURE)
		mark = ACCESS_MARK;
	if (mark == 0)
		return;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	loop_set_mark(loop_of(gate), mark);
	if (fd >= 0 && loop_mark_socket(loop_of(gate), fd) != 0) {
		loop_set_mark(loop_of(gate), 0);
		LOG_LIMITED(LOG_LEVEL_WARNING,
			"cannot mark what goes out: it needs CAP_NET_ADMIN, and rules must leave "
			"it alone in another way");
	}
	if (fd >= 0)
		close(fd);
}

int access_gate_open(struct access_ingress *ingress, const struct access_entry *entry,
	bool shares_port, struct access_gate **ret)
{
	struct access_gate *gate = calloc(1, sizeof *gate);
	if (gate == NULL)
		return ERR_NOMEM;
	gate->ingress = ingress;
	gate->entry = entry;
	set_mark(gate);
	if (entry->at.kind == ADDR_STDIO) {
		loop_defer(loop_of(gate), &gate->stdio, start_stdio);
		*ret = gate;
		return 0;
	}
	struct proxy_reader_options proxies = {
		.loop = loop_of(gate), .on_client = serve, .owner = gate
	};
	int error = proxy_reader_new(&proxies, &gate->proxies);
	if (error == 0)
		error = entry->place != NULL ? open_place(gate) : open_port(gate, shares_port);
	if (error != 0) {
		access_gate_close(gate);
		return error;
	}
	*ret = gate;
	return 0;
}

void access_gate_use(struct access_gate *gate, struct access_ingress *ingress)
{
	gate->ingress = ingress;
	for (size_t i = 0; i < gate->n_udps; i++)
		access_udp_use(gate->udps[i], ingress);
}

uint16_t access_gate_port(const struct access_gate *gate)
{
	return gate->port;
}

void access_gate_share(struct access_gate *gate, bool shares_port)
{
	for (size_t i = 0; i < gate->n_listeners; i++)
		listener_share(gate->listeners[i], shares_port);
	for (size_t i = 0; i < gate->n_udps; i++)
		access_udp_share(gate->udps[i], shares_port);
}

uint32_t access_gate_count(const struct access_gate *gate)
{
	uint32_t n = 0;
	for (size_t i = 0; gate != NULL && i < gate->n_udps; i++)
		n += access_udp_count(gate->udps[i]);
	return n;
}

static void close_proxies(struct access_gate *gate)
{
	proxy_reader_free(gate->proxies);
	gate->proxies = NULL;
}

void access_gate_drain(struct access_gate *gate)
{
	if (gate == NULL)
		return;
	close_listeners(gate);
	close_proxies(gate);
	for (size_t i = 0; i < gate->n_udps; i++)
		access_udp_drain(gate->udps[i]);
}

void access_gate_close(struct access_gate *gate)
{
	if (gate == NULL)
		return;
	close_listeners(gate);
	close_proxies(gate);
	while (gate->n_udps > 0)
		access_udp_close(gate->udps[--gate->n_udps]);
	gate->is_closed = true;
	if (!gate->stdio.is_queued)
		free(gate);
}
