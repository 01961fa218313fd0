#include "chain/flow_packets.h"

#include "chain/flow_link.h"
#include "common/loop.h"

#include <stddef.h>
#include <stdlib.h>

struct flow_packets {
	struct chain_client *client;
	struct flow_link *link;
	struct flow_client *flow; /* NULL before on_ready */
	const struct flow_packets_ops *ops;
	void *owner;
	struct timer tick;
	uint64_t tick_at_ms;
	uint32_t n_epochs;
	bool is_open, is_stopped;
	bool *ret_is_gone; /* told by free; for the callback that is running */
};

static struct loop *loop_of(const struct flow_packets *p)
{
	return chain_client_loop(p->client);
}

static void on_tick(struct timer *timer);

/* After each call into the rules: their next time, and the life of the keys they may have taken. */
static void settle(struct flow_packets *p)
{
	uint32_t n_epochs = flow_client_counters(p->flow)->n_epochs;
	uint64_t due_ms = flow_client_due_ms(p->flow), now_ms = loop_now_ms(loop_of(p));
	if (p->is_stopped)
		return;
	if (n_epochs != p->n_epochs) {
		p->n_epochs = n_epochs;
		(void)chain_client_ephemeral(p->client);
	}
	/* A timer that comes early costs less than one moved with every datagram. */
	if (due_ms == UINT64_MAX || (timer_is_running(&p->tick) && p->tick_at_ms <= due_ms))
		return;
	p->tick_at_ms = due_ms;
	loop_timer_start(loop_of(p), &p->tick, due_ms > now_ms ? due_ms - now_ms : 0, on_tick);
}

static void on_tick(struct timer *timer)
{
	struct flow_packets *p =
		(struct flow_packets *)((char *)timer - offsetof(struct flow_packets, tick));
	uint64_t now_ms = loop_now_ms(loop_of(p));
	if (flow_client_due_ms(p->flow) <= now_ms)
		flow_client_tick(p->flow, now_ms, loop_wall_ms());
	settle(p);
}

static void send_to_hop(struct bytes datagram, void *owner)
{
	struct flow_packets *p = owner;
	flow_link_send(p->link, datagram);
}

static void deliver(struct bytes data, void *owner)
{
	struct flow_packets *p = owner;
	p->ops->deliver(data, p->owner);
}

static void on_status(uint8_t status, void *owner)
{
	struct flow_packets *p = owner;
	p->ops->on_status(status, p->owner);
}

static void on_open(void *owner)
{
	struct flow_packets *p = owner;
	p->is_open = true;
	flow_link_is_heard(p->link);
	p->ops->on_open(p->owner);
}

static void fail(const struct chain_error *error, void *owner)
{
	struct flow_packets *p = owner;
	flow_packets_stop(p);
	p->ops->on_fail(error, p->owner);
}

static const struct flow_client_ops flow_ops = {
	.send = send_to_hop,
	.deliver = deliver,
	.on_status = on_status,
	.on_open = on_open,
	.on_fail = fail,
};

static void on_packet(uint8_t *data, size_t len, void *owner)
{
	struct flow_packets *p = owner;
	bool is_gone = false;
	if (p->is_stopped || p->flow == NULL)
		return;
	p->ret_is_gone = &is_gone;
	flow_client_receive(p->flow, data, len, loop_now_ms(loop_of(p)), loop_wall_ms());
	if (is_gone)
		return;
	p->ret_is_gone = NULL;
	settle(p);
}

static int open_flow(struct flow_packets *p, const struct addr *target)
{
	struct flow_client_options options = {
		.spec = chain_client_spec(p->client),
		.target = target,
		.ephemeral = chain_client_ephemeral(p->client), /* decisions/0008 */
		.ops = &flow_ops,
		.owner = p,
	};
	options.link_mtu = flow_link_mtu(p->link, &options.is_ip6);
	return flow_client_new(&options, loop_now_ms(loop_of(p)), &p->flow);
}

static void on_ready(const struct addr *target, void *owner)
{
	struct flow_packets *p = owner;
	int error = open_flow(p, target);
	if (error != 0) {
		struct chain_error told = {
			.stage = CHAIN_SETUP,
			.hop = 1,
			.n_hops = (uint8_t)chain_client_spec(p->client)->n_hops,
			.code = error,
		};
		fail(&told, p);
		return;
	}
	p->ops->on_ready(p->owner);
}

int flow_packets_new(struct chain_client *client, struct udp_io *io, const struct addr *target,
	const struct flow_packets_ops *ops, void *owner, struct flow_packets **ret)
{
	static const struct flow_link_ops link_ops = {
		.on_ready = on_ready, .on_packet = on_packet, .on_fail = fail
	};
	struct flow_packets *p = calloc(1, sizeof *p);
	if (p == NULL)
		return ERR_NOMEM;
	p->client = client;
	p->ops = ops;
	p->owner = owner;
	int error = flow_link_new(client, io, target, &link_ops, p, &p->link);
	if (error != 0) {
		free(p);
		return error;
	}
	*ret = p;
	return 0;
}

void flow_packets_free(struct flow_packets *p)
{
	if (p == NULL)
		return;
	if (p->ret_is_gone != NULL)
		*p->ret_is_gone = true;
	loop_timer_stop(loop_of(p), &p->tick);
	flow_link_free(p->link);
	flow_client_free(p->flow);
	free(p);
}

void flow_packets_start(struct flow_packets *p)
{
	flow_link_start(p->link);
}

void flow_packets_stop(struct flow_packets *p)
{
	if (p == NULL)
		return;
	p->is_stopped = true;
	loop_timer_stop(loop_of(p), &p->tick);
}

enum flow_client_verdict flow_packets_send(struct flow_packets *p, struct bytes data)
{
	enum flow_client_verdict verdict =
		flow_client_send(p->flow, data, loop_now_ms(loop_of(p)), loop_wall_ms());
	settle(p);
	return verdict;
}

bool flow_packets_has_begun(const struct flow_packets *p)
{
	return p->n_epochs > 0;
}

bool flow_packets_is_open(const struct flow_packets *p)
{
	return p->is_open;
}

size_t flow_packets_room(const struct flow_packets *p, enum wire_form form)
{
	return p->flow != NULL ? flow_client_room(p->flow, form) : 0;
}

int flow_packets_mtu(const struct chain_spec *spec, const struct addr *target, size_t link_mtu,
	size_t *ret_first, size_t *ret_steady)
{
	struct flow_client *flow;
	struct flow_client_options options = {
		.spec = spec,
		.target = target,
		.link_mtu = link_mtu,
		.is_ip6 = spec->hops[0].addr.kind == ADDR_IP6,
		.ops = &flow_ops,
	};
	int error = flow_client_new(&options, 0, &flow);
	if (error != 0)
		return error;
	*ret_first = flow_client_room(flow, WIRE_FORM_F);
	*ret_steady = flow_client_room(flow, WIRE_FORM_S);
	flow_client_free(flow);
	return 0;
}

const struct flow_client_counters *flow_packets_counters(const struct flow_packets *p)
{
	return p->flow != NULL ? flow_client_counters(p->flow) : NULL;
}

uint64_t flow_packets_n_errors(const struct flow_packets *p)
{
	return flow_link_n_errors(p->link);
}

void flow_packets_rest(struct flow_packets *p)
{
	if (p->flow != NULL)
		flow_client_rest(p->flow);
}
