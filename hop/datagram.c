#include "hop/datagram.h"

#include "common/pool.h"
#include "common/udp.h"
#include "hop/flow.h"
#include "hop/target.h"
#include "hop/udp_target.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#define LOG_MODULE "hop"
#include "common/log.h"

#define VIAS_MAX 4096 /* own addresses that datagrams come to, over all sockets */
#define TICK_MS  1000 /* the rules' clocks are of seconds */

/* A socket to clients with one of our addresses on it (hop_path.via). */
struct via {
	struct udp *socket;    /* NULL: it was closed; who came by it hears nothing any more */
	union addr_sock local; /* AF_UNSPEC: the kernel chooses */
};

/* To clients. */
struct client_socket {
	struct client_socket *prev, *next;
	struct udp *udp;
	uint32_t n_flows; /* that came by it */
	bool is_left;     /* by its listener */
};

struct hop_datagrams {
	struct hop_worker *worker;
	struct hop_flows *flows;
	struct client_socket *sockets;
	struct client_socket *receiving; /* while a datagram of it is being looked at */
	struct via *vias;
	uint32_t n_vias;
	struct pool *upstreams;
	struct timer tick;
	uint32_t n_flows; /* numbered for the log */
	bool is_draining;
};

/* The upstream end of one flow. */
struct upstream {
	struct hop_datagrams *datagrams;
	struct hop_flow *flow;
	struct udp *udp;
	struct udp_target *target; /* while it is being opened */
	struct client_socket *socket;
	struct charge charge;
	struct shaper_set shapers;
	uint64_t n_over_rate; /* datagrams, dropped */
	uint64_t start_ms;
	uint32_t id;
};

static uint64_t now_ms(const struct hop_datagrams *d)
{
	return loop_now_ms(d->worker->loop);
}

/* ---- The clock of the rules ---- */

static void on_tick(struct timer *timer);

static void keep_ticking(struct hop_datagrams *d)
{
	hop_worker_watch_ephemeral(d->worker);
	if (timer_is_running(&d->tick))
		return;
	int due_ms = hop_flows_due_ms(d->flows, now_ms(d));
	if (due_ms >= 0)
		loop_timer_start(d->worker->loop, &d->tick,
			due_ms < TICK_MS ? (uint64_t)due_ms : TICK_MS, on_tick);
}

static void on_tick(struct timer *timer)
{
	struct hop_datagrams *d =
		(struct hop_datagrams *)((char *)timer - offsetof(struct hop_datagrams, tick));
	hop_flows_run(d->flows, now_ms(d));
	keep_ticking(d);
	if (d->is_draining && hop_flows_count_open(d->flows) == 0)
		d->worker->on_session_end(d->worker); /* may be the worker's last act */
}

/* ---- Upstream ---- */

/* Whether the rates let a datagram pass; if not, it is dropped. */
static bool carries(struct upstream *u, enum shaper_lane lane, size_t len)
{
	if (u->shapers.n == 0 || shaper_set_take(&u->shapers, lane, len, loop_clock_us()))
		return true;
	u->n_over_rate++;
	return false;
}

static void on_upstream(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct upstream *u = owner;
	(void)udp;
	if (!carries(u, SHAPER_DOWN, packet->len))
		return;
	hop_flow_receive(u->flow, packet->data, packet->len, now_ms(u->datagrams), loop_wall_ms());
}

static void on_upstream_error(struct udp *udp, int error, size_t mtu, void *owner)
{
	struct upstream *u = owner;
	uint8_t status = wire_status_of_datagram(error);
	(void)udp;
	LOG_LIMITED(LOG_LEVEL_DEBUG, "udp error flow=%u.%" PRIu32 " error=%s",
		u->datagrams->worker->i_worker, u->id, err_name(error));
	if (status == STATUS_MSGSIZE && mtu == 0)
		mtu = UDP_PAYLOAD_MAX;
	hop_flow_trouble(u->flow, status, mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX,
		now_ms(u->datagrams), loop_wall_ms());
}

static const struct udp_ops upstream_ops = {
	.on_packet = on_upstream,
	.on_error = on_upstream_error,
};

static void on_opened(const struct udp_target_result *result, void *owner)
{
	struct upstream *u = owner;
	struct hop_datagrams *d = u->datagrams;
	u->target = NULL;
	u->udp = result->udp;
	hop_flow_opened(u->flow, &result->outcome, now_ms(d), loop_wall_ms()); /* may free @u */
	keep_ticking(d);
}

static enum wire_status admit(struct hop_flow *flow, const struct hop_entry *entry, void *owner)
{
	struct hop_datagrams *d = owner;
	struct upstream *u;
	if (d->is_draining || d->receiving->is_left)
		return STATUS_LIMIT;
	if (!rate_take(&entry->limits->connects, now_ms(d)))
		return STATUS_RATE;
	u = pool_take(d->upstreams);
	if (u == NULL)
		return STATUS_LIMIT;
	if (!charge_take(&u->charge, &entry->limits->flows)) {
		pool_give(d->upstreams, u);
		return STATUS_LIMIT;
	}
	hop_user_shapers(entry->limits, d->worker->shaper, &u->shapers);
	u->datagrams = d;
	u->flow = flow;
	u->id = ++d->n_flows;
	u->start_ms = now_ms(d);
	u->socket = d->receiving;
	u->socket->n_flows++;
	hop_flow_set_data(flow, u);
	return STATUS_OK;
}

static void open_upstream(struct hop_flow *flow, const struct wire_request *request, void *owner)
{
	struct hop_datagrams *d = owner;
	struct upstream *u = hop_flow_data(flow);
	struct hop_flow_outcome outcome = { .status = STATUS_LOCAL, .detail = DETAIL_LOCAL_MEMORY };
	if (udp_target_open(d->worker, hop_flow_entry(flow), &request->to,
		    target_timeout_ms(d->worker->options, request->timeout), &upstream_ops, u,
		    on_opened, u, &u->target) != 0)
		hop_flow_opened(flow, &outcome, now_ms(d), loop_wall_ms());
}

static void log_end(const struct upstream *u, const char *why)
{
	const struct hop_worker *w = u->datagrams->worker;
	const union addr_sock *peer = hop_flow_peer(u->flow);
	char from[ADDR_TEXT_MAX], target[ADDR_TEXT_MAX] = "-";
	union addr_sock to;
	uint64_t up, down;
	if (!w->options->logs_connections)
		return;
	hop_flow_bytes(u->flow, &up, &down);
	if (u->udp != NULL && udp_peer(u->udp, &to) == 0)
		addr_sock_print(&to, target);
	LOG_INFO("closed flow=%u.%" PRIu32 " transport=udp user=%s from=%s target=%s up=%" PRIu64
		 " down=%" PRIu64 " age_ms=%" PRIu64 " end=%s",
		w->i_worker, u->id, hop_flow_entry(u->flow)->user->name,
		peer != NULL ? addr_sock_print(peer, from) : "-", target, up, down,
		loop_now_ms(w->loop) - u->start_ms, why);
}

static void close_socket(struct hop_datagrams *d, struct client_socket *socket)
{
	for (uint32_t i = 0; i < d->n_vias; i++) {
		if (socket->udp != NULL && d->vias[i].socket == socket->udp)
			d->vias[i].socket = NULL;
	}
	if (socket->is_left && d->worker->n_left != NULL)
		atomic_fetch_sub(d->worker->n_left, 1);
	DL_DELETE(d->sockets, socket);
	udp_close(socket->udp);
	free(socket);
}

static void close_if_unused(struct hop_datagrams *d, struct client_socket *socket)
{
	if (socket->is_left && socket->n_flows == 0 && socket != d->receiving)
		close_socket(d, socket);
}

static void close_upstream(struct hop_flow *flow, const char *why, void *owner)
{
	struct upstream *u = hop_flow_data(flow);
	(void)owner;
	log_end(u, why);
	if (u->target != NULL)
		udp_target_cancel(u->target);
	udp_close(u->udp);
	charge_return(&u->charge);
	shaper_set_release(&u->shapers);
	if (u->n_over_rate > 0)
		LOG_DEBUG("dropped over the rate flow=%u.%" PRIu32 " datagrams=%" PRIu64,
			u->datagrams->worker->i_worker, u->id, u->n_over_rate);
	u->socket->n_flows--;
	close_if_unused(u->datagrams, u->socket);
	pool_give(u->datagrams->upstreams, u);
	hop_flow_set_data(flow, NULL);
}

static void send_up(struct hop_flow *flow, struct bytes datagram, void *owner)
{
	struct upstream *u = hop_flow_data(flow);
	(void)owner;
	if (!carries(u, SHAPER_UP, datagram.len))
		return;
	udp_send(u->udp, NULL, NULL, bytes_of(NULL, 0), datagram);
}

/* ---- Clients ---- */

static void send_down(const struct hop_path *to, struct bytes head, struct bytes body, void *owner)
{
	const struct via *via = &((struct hop_datagrams *)owner)->vias[to->via];
	if (via->socket == NULL)
		return;
	udp_send(via->socket, &to->peer, via->local.any.sa_family != AF_UNSPEC ? &via->local : NULL,
		head, body);
}

/* As many as this host has addresses that were written to: few, and strangers cannot make more.
 * Return: false at the limit. */
static bool find_via(
	struct hop_datagrams *d, struct udp *socket, const union addr_sock *local, uint32_t *ret)
{
	for (*ret = 0; *ret < d->n_vias; ++*ret) {
		const struct via *via = &d->vias[*ret];
		if (via->socket == socket && (via->local.any.sa_family == local->any.sa_family) &&
			(local->any.sa_family == AF_UNSPEC ||
				addr_sock_is_equal(&via->local, local)))
			return true;
	}
	for (*ret = 0; *ret < d->n_vias; ++*ret) {
		if (d->vias[*ret].socket == NULL) {
			d->vias[*ret] = (struct via){ .socket = socket, .local = *local };
			return true;
		}
	}
	struct via *vias =
		d->n_vias < VIAS_MAX ? reallocarray(d->vias, d->n_vias + 1, sizeof *vias) : NULL;
	if (vias == NULL)
		return false;
	d->vias = vias;
	d->vias[d->n_vias++] = (struct via){ .socket = socket, .local = *local };
	return true;
}

static void on_client(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct hop_datagrams *d = owner;
	struct hop_path from = { .peer = *packet->from };
	struct client_socket *socket;
	if (!find_via(d, udp, packet->local, &from.via))
		return;
	DL_SEARCH_SCALAR(d->sockets, socket, udp, udp);
	d->receiving = socket;
	hop_flows_receive(d->flows, &from, packet->data, packet->len, now_ms(d), loop_wall_ms());
	d->receiving = NULL;
	close_if_unused(d, socket);
	keep_ticking(d);
}

static const struct udp_ops client_ops = { .on_packet = on_client };

static const struct hop_flows_ops flow_ops = {
	.send_down = send_down,
	.send_up = send_up,
	.open = open_upstream,
	.close = close_upstream,
	.admit = admit,
};

int hop_datagrams_new(struct hop_worker *worker, struct hop_datagrams **ret)
{
	struct hop_datagrams *d = calloc(1, sizeof *d);
	if (d == NULL)
		return ERR_NOMEM;
	struct hop_flows_options options = {
		.users = worker->users,
		.generation = worker->generation,
		.replay = worker->replay,
		.ephemeral = worker->ephemeral,
		.max_flows = worker->options->max_flows,
		.ops = &flow_ops,
		.owner = d,
	};
	d->worker = worker;
	d->upstreams = pool_new(sizeof(struct upstream));
	int error = d->upstreams == NULL
			    ? ERR_NOMEM
			    : hop_flows_new(&options, loop_now_ms(worker->loop), &d->flows);
	if (error != 0) {
		pool_free(d->upstreams);
		free(d);
		return error;
	}
	*ret = d;
	return 0;
}

/* The flows of a socket that was left go on by the one that has its port now: both would get their
 * datagrams. */
static void hand_over(struct hop_datagrams *d, struct client_socket *left)
{
	struct client_socket *heir;
	DL_FOREACH (d->sockets, heir) {
		if (!heir->is_left && udp_port(heir->udp) == udp_port(left->udp))
			break;
	}
	if (heir == NULL)
		return;
	for (uint32_t i = 0; i < d->n_vias; i++) {
		if (d->vias[i].socket == left->udp)
			d->vias[i].socket = heir->udp;
	}
	udp_close(left->udp);
	left->udp = NULL;
}

int hop_datagrams_listen(
	struct hop_datagrams *datagrams, const struct addr *at, bool shares_port, struct udp **ret)
{
	struct udp_options options = { .bind = at, .shares_port = shares_port, .is_shared = true };
	struct client_socket *socket = calloc(1, sizeof *socket);
	if (socket == NULL)
		return ERR_NOMEM;
	int error =
		udp_open(datagrams->worker->udp, &options, &client_ops, datagrams, &socket->udp);
	if (error != 0) {
		free(socket);
		return error;
	}
	DL_APPEND(datagrams->sockets, socket);
	if (ret != NULL)
		*ret = socket->udp;
	return 0;
}

void hop_datagrams_leave(struct hop_datagrams *datagrams, struct udp *udp)
{
	struct client_socket *socket = NULL;
	if (udp != NULL)
		DL_SEARCH_SCALAR(datagrams->sockets, socket, udp, udp);
	if (socket == NULL || socket->is_left)
		return;
	socket->is_left = true;
	if (datagrams->worker->n_left != NULL)
		atomic_fetch_add(datagrams->worker->n_left, 1);
	close_if_unused(datagrams, socket);
}

bool hop_datagrams_share(struct hop_datagrams *datagrams, uint16_t port, bool shares_port)
{
	struct client_socket *socket;
	bool is_any = false;
	DL_FOREACH (datagrams->sockets, socket) {
		if (!socket->is_left || socket->udp == NULL || udp_port(socket->udp) != port)
			continue;
		udp_share(socket->udp, shares_port);
		is_any = true;
	}
	return is_any;
}

void hop_datagrams_reload(struct hop_datagrams *datagrams)
{
	struct client_socket *socket;
	hop_flows_use(datagrams->flows, datagrams->worker->users, datagrams->worker->generation);
	DL_FOREACH (datagrams->sockets, socket) {
		if (socket->is_left && socket->udp != NULL)
			hand_over(datagrams, socket);
	}
}

void hop_datagrams_drain(struct hop_datagrams *datagrams)
{
	datagrams->is_draining = true;
	hop_flows_shorten(datagrams->flows, HOP_DATAGRAMS_QUIET_MS, now_ms(datagrams));
	loop_timer_stop(datagrams->worker->loop, &datagrams->tick);
	keep_ticking(datagrams);
}

void hop_datagrams_stop(struct hop_datagrams *datagrams)
{
	datagrams->is_draining = true;
	hop_flows_end(datagrams->flows);
}

uint32_t hop_datagrams_count(const struct hop_datagrams *datagrams)
{
	return hop_flows_count_open(datagrams->flows);
}

static void log_counters(const struct hop_datagrams *d)
{
	const struct hop_flow_counters *n = hop_flows_counters(d->flows);
	const struct udp_counters *u = udp_io_counters(d->worker->udp);
	if (n->n_up == 0 && n->n_junk == 0)
		return;
	LOG_NOTICE("udp worker=%u up=%" PRIu64 " down=%" PRIu64 " junk=%" PRIu64
		   " unauthentic=%" PRIu64 " clock=%" PRIu64 " replayed=%" PRIu64 " quota=%" PRIu64
		   " wrong_source=%" PRIu64 " forged=%" PRIu64 " window=%" PRIu64
		   " pending=%" PRIu64 " unproved=%" PRIu64 " full=%" PRIu64 " too_long=%" PRIu64
		   " unreachable=%" PRIu64 " failed=%" PRIu64,
		d->worker->i_worker, n->n_up, n->n_down, n->n_junk, n->n_unauthentic, n->n_clock,
		n->n_replayed, n->n_quota, n->n_wrong_source, n->n_forged, n->n_window,
		n->n_pending, n->n_amplification, u->n_full, u->n_too_long, u->n_unreachable,
		u->n_failed);
}

void hop_datagrams_free(struct hop_datagrams *datagrams)
{
	if (datagrams == NULL)
		return;
	loop_timer_stop(datagrams->worker->loop, &datagrams->tick);
	log_counters(datagrams);
	hop_flows_free(datagrams->flows);
	while (datagrams->sockets != NULL)
		close_socket(datagrams, datagrams->sockets);
	pool_free(datagrams->upstreams);
	free(datagrams->vias);
	free(datagrams);
}
