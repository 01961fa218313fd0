#include "access/udp_associate.h"

#include "access/flow_log.h"
#include "access/socks_datagram.h"
#include "access/udp_flow.h"
#include "access/udp_forward.h"
#include "chain/wire_status.h"
#include "common/loop.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#define LOG_MODULE "access"
#include "common/log.h"

#define HOT_MAX 16 /* flows that hold such things at a time: 2 KiB and more each */

struct udp_associate {
	struct access_ingress *ingress; /* its session holds it */
	struct udp_io *io;
	struct udp *udp;
	union addr_sock client; /* port 0 = not known yet */
	union addr_sock bound;
	struct associated *flows; /* idle for longest first */
	uint32_t n_flows;
	struct warm_list hot;
	udp_associate_empty_fn *on_empty; /* not NULL = draining */
	void *owner;
	struct timer empty;
	struct udp_associate_counters counters;
	char *user; /* or NULL */
};

/* A flow to one target. */
struct associated {
	struct associated *prev, *next;
	struct udp_associate *at;
	struct access_flow as; /* failed: its target stays quiet */
	struct timer timer;
	uint64_t used_ms;
	uint32_t idle_ms;
};

static struct access_worker *worker_of(const struct udp_associate *at)
{
	return at->ingress->worker;
}

static uint64_t now_of(const struct udp_associate *at)
{
	return loop_now_ms(worker_of(at)->loop);
}

static void tell_empty(struct timer *timer)
{
	struct udp_associate *at =
		(struct udp_associate *)((char *)timer - offsetof(struct udp_associate, empty));
	at->on_empty(at->owner); /* may free @at */
}

static void tell_if_empty(struct udp_associate *at)
{
	if (at->on_empty != NULL && at->flows == NULL)
		loop_timer_start(worker_of(at)->loop, &at->empty, 0, tell_empty);
}

/* The one place a flow ends. */
static void end_flow(struct associated *f, const char *end)
{
	struct udp_associate *at = f->at;
	access_flow_let_go(&f->as, end);
	loop_timer_stop(worker_of(at)->loop, &f->timer);
	DL_DELETE(at->flows, f);
	at->n_flows--;
	free(f);
	tell_if_empty(at);
}

static void on_idle(struct timer *timer);

static void start_idle(struct associated *f, uint32_t idle_ms)
{
	f->idle_ms = f->at->on_empty != NULL && idle_ms > ACCESS_FLOW_DRAIN_MS
			     ? ACCESS_FLOW_DRAIN_MS
			     : idle_ms;
	loop_timer_start(worker_of(f->at)->loop, &f->timer, f->idle_ms, on_idle);
}

/* The timer is not moved when a flow is used: when it fires it looks how long that was ago. */
static void on_idle(struct timer *timer)
{
	struct associated *f =
		(struct associated *)((char *)timer - offsetof(struct associated, timer));
	uint64_t due_ms = f->used_ms + f->idle_ms, now_ms = now_of(f->at);
	if (due_ms > now_ms)
		loop_timer_start(worker_of(f->at)->loop, timer, due_ms - now_ms, on_idle);
	else
		end_flow(f, "idle");
}

static void use(struct associated *f)
{
	struct udp_associate *at = f->at;
	f->used_ms = now_of(at);
	warm_use(&at->hot, &f->as.warm);
	if (f->next == NULL)
		return; /* the last one */
	DL_DELETE(at->flows, f);
	DL_APPEND(at->flows, f);
}

static void note_too_long(const struct associated *f, size_t len)
{
	char to[ADDR_TEXT_MAX];
	if (f->at->counters.n_too_long++ > 0)
		return;
	LOG_LIMITED(LOG_LEVEL_WARNING,
		"dropped: a datagram is longer than can be carried; more of this association are "
		"only counted flow=%u.%" PRIu32 " target=%s bytes=%zu",
		worker_of(f->at)->i_worker, f->as.id, addr_print(&f->as.target, to), len);
}

static void deliver(struct bytes data, void *owner)
{
	struct associated *f = owner;
	struct udp_associate *at = f->at;
	uint8_t header[SOCKS_DATAGRAM_HEADER_MAX];
	size_t len = socks_datagram_encode(&f->as.target, header);
	use(f);
	uint32_t idle_ms = access_flow_answered(&f->as);
	if (idle_ms > 0)
		start_idle(f, idle_ms);
	if (data.len > UDP_PAYLOAD_MAX - len) {
		note_too_long(f, data.len);
		return;
	}
	if (!access_charges_carry(&f->as.charges, SHAPER_DOWN, data.len)) {
		at->counters.n_over_rate++;
		return;
	}
	at->counters.n_down++;
	at->counters.n_down_bytes += data.len;
	udp_send(at->udp, &at->client, NULL, bytes_of(header, len), data);
}

static void on_status(uint8_t status, void *owner)
{
	struct associated *f = owner;
	char to[ADDR_TEXT_MAX];
	f->at->counters.n_unreachable++;
	LOG_DEBUG("unreachable flow=%u.%" PRIu32 " target=%s status=%s", worker_of(f->at)->i_worker,
		f->as.id, addr_print(&f->as.target, to), wire_status_find(status)->slug);
}

static void on_fail(const struct chain_error *error, void *owner)
{
	struct associated *f = owner;
	if (access_flow_way_retry(&f->as.way, error, &f->as.target, &f->at->client))
		return;
	f->at->counters.n_failed++;
	access_flow_log_failure(&f->as, error);
	access_flow_let_go(&f->as, chain_error_slug(error));
	f->used_ms = now_of(f->at);
	start_idle(f, ACCESS_FLOW_FAILED_MS);
}

/* There are few, and the one that was used last is asked for most often. */
static struct associated *find_flow(const struct udp_associate *at, const struct addr *target)
{
	struct associated *f = at->flows != NULL ? at->flows->prev : NULL;
	while (f != NULL && !addr_is_equal(&f->as.target, target))
		f = f == at->flows ? NULL : f->prev;
	return f;
}

static void make_room(struct udp_associate *at)
{
	uint32_t max = at->ingress->options->max_flows;
	if (max == 0 || max > ASSOCIATE_FLOWS_MAX)
		max = ASSOCIATE_FLOWS_MAX;
	if (at->n_flows >= max)
		end_flow(at->flows, "evicted");
}

static struct associated *new_flow(struct udp_associate *at, const struct addr *target)
{
	static const struct chain_datagram_ops ops = {
		.deliver = deliver, .on_status = on_status, .on_fail = on_fail
	};
	struct route_query query = {
		.target = target,
		.source = &at->client,
		.user = at->user,
		.listener = at->ingress->options->name,
		.protocol = ROUTE_UDP,
	};
	if (at->on_empty != NULL)
		return NULL;
	make_room(at); /* before the charge: it may be what is missing */
	struct associated *f = calloc(1, sizeof *f);
	if (f == NULL)
		return NULL;
	f->at = at;
	f->as.target = *target;
	f->as.start_ms = f->used_ms = now_of(at);
	f->as.client = at->client;
	f->as.hot = &at->hot;
	if (!access_charges_take(&f->as.charges, at->ingress, &at->client) ||
		!access_charges_take_user(&f->as.charges, at->ingress, &at->client, at->user) ||
		access_flow_way_open(&f->as.way, at->ingress, at->io, &query, &ops, f) != 0) {
		access_charges_return(&f->as.charges);
		free(f);
		return NULL;
	}
	f->as.id = ++worker_of(at)->n_accepted;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference,clang-analyzer-unix.Malloc): utlist */
	DL_APPEND(at->flows, f);
	at->n_flows++;
	at->counters.n_flows++;
	start_idle(f, ACCESS_FLOW_UNREPLIED_MS);
	return f;
}

static void send_up(struct udp_associate *at, const struct addr *target, struct bytes data)
{
	struct associated *f = find_flow(at, target);
	if (f == NULL)
		f = new_flow(at, target);
	if (f == NULL) {
		at->counters.n_refused++;
		return;
	}
	if (!access_flow_way_is_open(&f->as.way)) { /* no storm of new flows after a failure */
		at->counters.n_dropped++;
		return;
	}
	use(f);
	if (!access_charges_carry(&f->as.charges, SHAPER_UP, data.len)) {
		at->counters.n_over_rate++;
		return;
	}
	switch (chain_carrier_send(&f->as.way.carrier, data)) {
	case FLOW_CLIENT_SENT:
		at->counters.n_up++;
		at->counters.n_up_bytes += data.len;
		break;
	case FLOW_CLIENT_TOO_LONG:
		note_too_long(f, data.len);
		break;
	case FLOW_CLIENT_FAILED:
		at->counters.n_dropped++;
		break;
	}
}

static bool is_client(const struct udp_associate *at, const union addr_sock *from)
{
	union addr_sock client = at->client;
	if (addr_sock_port(&client) == 0)
		addr_sock_set_port(&client, addr_sock_port(from));
	return addr_sock_is_equal(&client, from);
}

static void on_packet(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct udp_associate *at = owner;
	struct addr target;
	struct bytes data;
	(void)udp;
	if (!is_client(at, packet->from)) {
		at->counters.n_foreign++;
		return;
	}
	switch (socks_datagram_decode(bytes_of(packet->data, packet->len), &target, &data)) {
	case SOCKS_DATAGRAM_OK:
		at->client = *packet->from; /* fixes the port */
		send_up(at, &target, data);
		break;
	case SOCKS_DATAGRAM_FRAGMENT:
		at->counters.n_fragments++;
		break;
	case SOCKS_DATAGRAM_BAD:
		at->counters.n_bad++;
		break;
	}
}

/* Of a socket without a peer: nobody to tell. */
static void on_error(struct udp *udp, int error, size_t mtu, void *owner)
{
	(void)udp;
	(void)mtu;
	(void)owner;
	LOG_DEBUG("udp association error=%s", err_name(error));
}

/* See the header: what can be believed of the port a client says it sends from. */
static uint16_t believed_port(const union addr_sock *client, const struct addr *hint)
{
	union addr_sock said;
	if (hint == NULL || addr_to_sock(hint, &said) != 0)
		return 0;
	addr_sock_unmap(&said);
	if (addr_classify(&said, NULL) == ADDR_UNSPECIFIED)
		return addr_classify(client, NULL) == ADDR_LOOPBACK ? hint->port : 0;
	union addr_sock expected = *client;
	addr_sock_set_port(&expected, hint->port);
	return addr_sock_is_equal(&said, &expected) ? hint->port : 0;
}

int udp_associate_open(struct access_ingress *ingress, struct udp_io *io,
	const union addr_sock *local, const union addr_sock *client, const struct addr *hint,
	const char *user, struct udp_associate **ret)
{
	static const struct udp_ops ops = { .on_packet = on_packet, .on_error = on_error };
	struct addr bind;
	struct udp_options options = { .bind = &bind };
	struct udp_associate *at = calloc(1, sizeof *at);
	if (at == NULL)
		return ERR_NOMEM;
	at->user = user != NULL ? strdup(user) : NULL;
	if (user != NULL && at->user == NULL) {
		free(at);
		return ERR_NOMEM;
	}
	at->ingress = ingress;
	at->io = io;
	at->client = *client;
	addr_sock_unmap(&at->client);
	addr_sock_set_port(&at->client, believed_port(&at->client, hint));
	at->bound = *local;
	addr_sock_unmap(&at->bound);
	addr_sock_set_port(&at->bound, 0);
	addr_from_sock(&at->bound, &bind);
	int error = udp_open(io, &options, &ops, at, &at->udp);
	if (error != 0) {
		free(at->user);
		free(at);
		return error;
	}
	addr_sock_set_port(&at->bound, udp_port(at->udp));
	access_flow_hot_init(&at->hot, ingress->worker->loop, HOT_MAX);
	*ret = at;
	return 0;
}

void udp_associate_close(struct udp_associate *associate)
{
	if (associate == NULL)
		return;
	associate->on_empty = NULL;
	while (associate->flows != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed has left the list */
		end_flow(associate->flows, "closed");
	}
	loop_timer_stop(worker_of(associate)->loop, &associate->empty);
	warm_list_deinit(&associate->hot);
	udp_close(associate->udp);
	free(associate->user);
	free(associate);
}

void udp_associate_bound(const struct udp_associate *associate, union addr_sock *ret)
{
	*ret = associate->bound;
}

uint32_t udp_associate_count(const struct udp_associate *associate)
{
	return associate->n_flows;
}

void udp_associate_drain(
	struct udp_associate *associate, udp_associate_empty_fn *on_empty, void *owner)
{
	struct associated *f;
	if (associate->on_empty != NULL)
		return;
	associate->on_empty = on_empty;
	associate->owner = owner;
	DL_FOREACH (associate->flows, f)
		start_idle(f, f->idle_ms);
	tell_if_empty(associate);
}

const struct udp_associate_counters *udp_associate_counters(const struct udp_associate *associate)
{
	return &associate->counters;
}
