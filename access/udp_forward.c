#include "access/udp_forward.h"

#include "access/flow_log.h"
#include "access/transparent.h"
#include "access/udp_flow.h"
#include "chain/wire_status.h"
#include "common/flow.h"
#include "common/loop.h"
#include "common/seal.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "access"
#include "common/log.h"

#define NAME_CLIENT 1
#define HOT_MAX     128 /* flows that hold such things at a time: 2 KiB and more each */

struct access_udp {
	struct access_ingress *ingress; /* of new flows */
	struct udp_io *io;
	struct udp *udp;
	struct transparent_voices *voices; /* of captured datagrams; else NULL */
	uint8_t name_keys[2][16];          /* likewise */
	struct flow_table *table;
	struct timer timer; /* of the table */
	struct warm_list hot;
	uint64_t due_ms;
	bool is_draining;
	struct access_udp_counters counters;
};

struct udp_flow {
	struct flow flow; /* first */
	struct flow_name name;
	struct access_udp *at;
	struct access_flow as; /* failed: it keeps its client quiet */
	union addr_sock local;
	struct transparent_voice *voice; /* speaks for the target; NULL until the first answer */
	uint16_t sent_len;               /* of the client's last datagram */
};

static struct access_worker *worker_of(const struct access_udp *at)
{
	return at->ingress->worker;
}

static uint64_t now_of(const struct access_udp *at)
{
	return loop_now_ms(worker_of(at)->loop);
}

static void on_timer(struct timer *timer);

/* One timer of the loop for all that the table times. */
static void arm(struct access_udp *at)
{
	uint64_t now_ms = now_of(at);
	int due = flow_table_due_ms(at->table, now_ms);
	if (due < 0 || (timer_is_running(&at->timer) && at->due_ms <= now_ms + (uint64_t)due))
		return;
	at->due_ms = now_ms + (uint64_t)due;
	loop_timer_start(worker_of(at)->loop, &at->timer, (uint64_t)due, on_timer);
}

static void on_timer(struct timer *timer)
{
	struct access_udp *at =
		(struct access_udp *)((char *)timer - offsetof(struct access_udp, timer));
	flow_table_run(at->table, now_of(at));
	arm(at);
}

/* The one place a flow ends. */
static void end_flow(struct udp_flow *f, const char *end)
{
	struct access_udp *at = f->at;
	struct access_worker *worker = worker_of(at);
	access_flow_let_go(&f->as, end);
	flow_name_remove(at->table, &f->name);
	flow_remove(at->table, &f->flow);
	transparent_voice_give(f->voice);
	free(f);
	worker->on_session_end(worker);
}

static void on_idle(struct flow *flow, bool is_evicted, void *owner)
{
	(void)owner;
	end_flow((struct udp_flow *)flow, is_evicted ? "evicted" : "idle");
}

/* A connected socket of the client's gets ECONNREFUSED, as from a kernel; where this process may
 * not send that, the log and the counter remain. */
static bool tell_client(const struct udp_flow *f)
{
	return udp_tell_unreachable(f->at->io, &f->as.client, &f->local, f->sent_len);
}

static void use(struct udp_flow *f)
{
	flow_use(f->at->table, &f->flow, now_of(f->at));
	warm_use(&f->at->hot, &f->as.warm);
}

static bool take_voice(struct udp_flow *f)
{
	char to[ADDR_TEXT_MAX];
	int error = transparent_voice_take(f->at->voices, &f->local, &f->voice);
	if (error != 0)
		LOG_LIMITED(LOG_LEVEL_WARNING, "cannot answer for a target=%s error=%s",
			addr_print(&f->as.target, to), err_name(error));
	return error == 0;
}

static void deliver(struct bytes data, void *owner)
{
	struct udp_flow *f = owner;
	struct access_udp *at = f->at;
	uint32_t idle_ms = access_flow_answered(&f->as);
	if (idle_ms > 0) {
		flow_confirm(at->table, &f->flow);
		flow_set_idle(at->table, &f->flow, idle_ms, now_of(at));
		arm(at);
	}
	use(f);
	if (!access_charges_carry(&f->as.charges, SHAPER_DOWN, data.len))
		at->counters.n_over_rate++;
	else if (at->voices == NULL)
		udp_send(at->udp, &f->as.client, &f->local, bytes_of(NULL, 0), data);
	else if (f->voice != NULL || take_voice(f))
		transparent_voice_send(f->voice, &f->as.client, data);
	else
		at->counters.n_dropped++;
}

static void on_status(uint8_t status, void *owner)
{
	struct udp_flow *f = owner;
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
	const struct access_ingress *in = f->as.way.ingress;
	bool is_told = status != STATUS_MSGSIZE && tell_client(f);
	f->at->counters.n_unreachable++;
	LOG_LIMITED(status == STATUS_MSGSIZE ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
		"unreachable flow=%u.%" PRIu32 " from=%s target=%s status=%s told=%s",
		in->worker->i_worker, f->as.id, addr_sock_print(&f->as.client, from),
		addr_print(&f->as.target, to), wire_status_find(status)->slug,
		is_told ? "yes" : "no");
}

static void on_fail(const struct chain_error *error, void *owner)
{
	struct udp_flow *f = owner;
	struct access_udp *at = f->at;
	if (access_flow_way_retry(&f->as.way, error, &f->as.target, &f->as.client))
		return;
	at->counters.n_failed++;
	access_flow_log_failure(&f->as, error);
	(void)tell_client(f);
	access_flow_let_go(&f->as, chain_error_slug(error));
	flow_set_idle(at->table, &f->flow, ACCESS_FLOW_FAILED_MS, now_of(at));
	arm(at);
}

/* The name of a client: its address and port. Return: its length. */
static uint8_t name_client(const union addr_sock *client, uint8_t to[FLOW_NAME_MAX])
{
	uint8_t len = 0;
	uint16_t port = addr_sock_port(client);
	memcpy(to, &port, sizeof port);
	len += (uint8_t)sizeof port;
	if (client->any.sa_family == AF_INET) {
		memcpy(to + len, &client->ip4.sin_addr, sizeof client->ip4.sin_addr);
		return (uint8_t)(len + sizeof client->ip4.sin_addr);
	}
	memcpy(to + len, &client->ip6.sin6_addr, sizeof client->ip6.sin6_addr);
	len += (uint8_t)sizeof client->ip6.sin6_addr;
	memcpy(to + len, &client->ip6.sin6_scope_id, sizeof client->ip6.sin6_scope_id);
	return (uint8_t)(len + sizeof client->ip6.sin6_scope_id);
}

/* Of captured datagrams also where they were going. Two addresses of IP6 are longer than a name. */
static uint8_t name_flow(
	const struct access_udp *at, const struct udp_packet *packet, uint8_t to[FLOW_NAME_MAX])
{
	uint8_t both[2 * FLOW_NAME_MAX];
	if (at->voices == NULL)
		return name_client(packet->from, to);
	uint8_t len = name_client(packet->from, both);
	len = (uint8_t)(len + name_client(packet->local, both + len));
	for (size_t i = 0; i < 2; i++) {
		uint64_t hash = seal_siphash(at->name_keys[i], bytes_of(both, len));
		memcpy(to + i * sizeof hash, &hash, sizeof hash);
	}
	return 2 * sizeof(uint64_t);
}

static int start_chain(struct udp_flow *f)
{
	static const struct chain_datagram_ops ops = {
		.deliver = deliver, .on_status = on_status, .on_fail = on_fail
	};
	struct access_ingress *in = f->at->ingress;
	struct route_query query = {
		.target = &f->as.target,
		.source = &f->as.client,
		.listener = in->options->name,
		.protocol = ROUTE_UDP,
	};
	return access_flow_way_open(&f->as.way, in, f->at->io, &query, &ops, f);
}

/* Lists @f under its client's name and starts its way through the chain. Nothing stays on failure.
 */
static bool enter_flow(struct udp_flow *f, const uint8_t *name, uint8_t name_len)
{
	struct access_udp *at = f->at;
	char from[ADDR_TEXT_MAX];
	if (flow_add(at->table, &f->flow, ACCESS_FLOW_UNREPLIED_MS, now_of(at)) != 0) {
		LOG_LIMITED(LOG_LEVEL_WARNING, "refused: flow limit reached from=%s",
			addr_sock_print(&f->as.client, from));
		return false;
	}
	if (flow_name_add(at->table, &f->flow, &f->name, NAME_CLIENT, name, name_len) == 0 &&
		start_chain(f) == 0)
		return true;
	flow_name_remove(at->table, &f->name);
	flow_remove(at->table, &f->flow);
	return false;
}

static struct udp_flow *new_flow(struct access_udp *at, const struct udp_packet *packet,
	const uint8_t *name, uint8_t name_len)
{
	if (at->is_draining || !access_ingress_serves(at->ingress, packet->from))
		return NULL;
	if (at->voices != NULL && transparent_is_loop(packet->local, udp_port(at->udp))) {
		LOG_LIMITED(LOG_LEVEL_WARNING,
			"refused: datagrams to this listener itself would be a loop");
		return NULL;
	}
	struct udp_flow *f = calloc(1, sizeof *f);
	if (f == NULL)
		return NULL;
	f->at = at;
	f->as.client = *packet->from;
	f->local = *packet->local;
	if (at->voices != NULL)
		addr_from_sock(packet->local, &f->as.target);
	else
		f->as.target = at->ingress->options->to;
	f->as.start_ms = now_of(at);
	f->as.hot = &at->hot;
	if (!access_charges_take(&f->as.charges, at->ingress, packet->from) ||
		!enter_flow(f, name, name_len)) {
		access_charges_return(&f->as.charges);
		free(f);
		return NULL;
	}
	f->as.id = ++worker_of(at)->n_accepted;
	at->counters.n_flows++;
	arm(at);
	return f;
}

static void on_packet(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct access_udp *at = owner;
	uint8_t name[FLOW_NAME_MAX];
	uint8_t name_len = name_flow(at, packet, name);
	struct flow_name *found = flow_find(at->table, NAME_CLIENT, name, name_len);
	struct udp_flow *f = found != NULL ? (struct udp_flow *)found->flow
					   : new_flow(at, packet, name, name_len);
	(void)udp;
	if (f == NULL) {
		at->counters.n_refused++;
		return;
	}
	f->local = *packet->local;
	f->sent_len = (uint16_t)packet->len;
	if (!access_flow_way_is_open(&f->as.way)) { /* no storm of new flows after a failure */
		at->counters.n_dropped++;
		return;
	}
	use(f);
	if (!access_charges_carry(&f->as.charges, SHAPER_UP, packet->len)) {
		at->counters.n_over_rate++;
		return;
	}
	if (chain_carrier_send(&f->as.way.carrier, bytes_of(packet->data, packet->len)) !=
		FLOW_CLIENT_SENT)
		at->counters.n_dropped++;
}

/* Of a socket without a peer: nobody to tell. */
static void on_error(struct udp *udp, int error, size_t mtu, void *owner)
{
	(void)udp;
	(void)mtu;
	(void)owner;
	LOG_DEBUG("udp listener error=%s", err_name(error));
}

int access_udp_open(struct access_ingress *ingress, struct udp_io *io,
	const struct udp_options *socket, struct access_udp **ret)
{
	static const struct udp_ops ops = { .on_packet = on_packet, .on_error = on_error };
	uint32_t max_flows = ingress->options->max_flows;
	struct access_udp *udp = calloc(1, sizeof *udp);
	if (udp == NULL)
		return ERR_NOMEM;
	udp->ingress = ingress;
	udp->io = io;
	seal_random(udp->name_keys, sizeof udp->name_keys);
	int error = flow_table_new(max_flows > 0 ? max_flows : ACCESS_FLOWS_MAX,
		loop_now_ms(ingress->worker->loop), on_idle, udp, &udp->table);
	if (error == 0 && socket->is_transparent)
		error = transparent_voices_new(io, &ops, udp, &udp->voices);
	if (error == 0)
		error = udp_open(io, socket, &ops, udp, &udp->udp);
	if (error != 0) {
		transparent_voices_free(udp->voices);
		flow_table_free(udp->table);
		free(udp);
		return error;
	}
	access_flow_hot_init(&udp->hot, ingress->worker->loop, HOT_MAX);
	*ret = udp;
	return 0;
}

void access_udp_use(struct access_udp *udp, struct access_ingress *ingress)
{
	udp->ingress = ingress;
}

void access_udp_share(struct access_udp *udp, bool shares_port)
{
	udp_share(udp->udp, shares_port);
}

uint16_t access_udp_port(const struct access_udp *udp)
{
	return udp_port(udp->udp);
}

void access_udp_drain(struct access_udp *udp)
{
	if (udp == NULL || udp->is_draining)
		return;
	udp->is_draining = true;
	flow_table_shorten(udp->table, ACCESS_FLOW_DRAIN_MS, now_of(udp));
	arm(udp);
}

uint32_t access_udp_count(const struct access_udp *udp)
{
	return flow_table_count(udp->table);
}

const struct access_udp_counters *access_udp_counters(const struct access_udp *udp)
{
	return &udp->counters;
}

void access_udp_close(struct access_udp *udp)
{
	struct flow *flow;
	if (udp == NULL)
		return;
	udp->is_draining = true;
	while ((flow = flow_table_first(udp->table)) != NULL)
		end_flow((struct udp_flow *)flow, "stopped");
	loop_timer_stop(worker_of(udp)->loop, &udp->timer);
	warm_list_deinit(&udp->hot);
	udp_close(udp->udp);
	transparent_voices_free(udp->voices);
	flow_table_free(udp->table);
	free(udp);
}
