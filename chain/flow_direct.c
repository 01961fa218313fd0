#include "chain/flow_direct.h"

#include "chain/flow_link.h"
#include "chain/waiting.h"
#include "chain/wire_status.h"

#include <stdlib.h>

#define IP4_HEADERS 28
#define IP6_HEADERS 48

struct flow_direct {
	struct flow_link *link;
	const struct flow_direct_ops *ops;
	void *owner;
	struct waiting waiting; /* for the target's name */
	bool is_ready;
};

static void on_packet(uint8_t *data, size_t len, void *owner)
{
	struct flow_direct *f = owner;
	f->ops->deliver(bytes_of(data, len), f->owner);
}

static void on_error(int error, void *owner)
{
	struct flow_direct *f = owner;
	f->ops->on_status(wire_status_of_datagram(error), f->owner);
}

static void send_waiting(struct bytes data, void *owner)
{
	struct flow_direct *f = owner;
	flow_link_send(f->link, data);
}

static void on_ready(const struct addr *target, void *owner)
{
	struct flow_direct *f = owner;
	(void)target;
	f->is_ready = true;
	waiting_flush(&f->waiting, send_waiting, f);
}

static void on_fail(const struct chain_error *error, void *owner)
{
	struct flow_direct *f = owner;
	f->ops->on_fail(error, f->owner);
}

int flow_direct_new(struct chain_client *client, struct udp_io *io, const struct addr *target,
	const struct flow_direct_ops *ops, void *owner, struct flow_direct **ret)
{
	static const struct flow_link_ops link_ops = { .on_ready = on_ready,
		.on_packet = on_packet,
		.on_fail = on_fail,
		.on_error = on_error };
	struct flow_direct *f = calloc(1, sizeof *f);
	if (f == NULL)
		return ERR_NOMEM;
	f->ops = ops;
	f->owner = owner;
	int error = flow_link_new(client, io, target, &link_ops, f, &f->link);
	if (error != 0) {
		free(f);
		return error;
	}
	*ret = f;
	return 0;
}

void flow_direct_start(struct flow_direct *flow)
{
	flow_link_start(flow->link);
}

void flow_direct_free(struct flow_direct *flow)
{
	if (flow == NULL)
		return;
	flow_link_free(flow->link);
	waiting_deinit(&flow->waiting);
	free(flow);
}

bool flow_direct_send(struct flow_direct *flow, struct bytes data)
{
	if (!flow->is_ready)
		return waiting_add(&flow->waiting, data);
	flow_link_send(flow->link, data);
	return true;
}

size_t flow_direct_room(const struct flow_direct *flow)
{
	return flow->is_ready ? UDP_PAYLOAD_MAX
			      : 0; /* what is larger than the way goes in fragments */
}

size_t flow_direct_mtu(const struct addr *target, size_t link_mtu)
{
	return link_mtu - (target->kind == ADDR_IP6 ? IP6_HEADERS : IP4_HEADERS);
}

uint64_t flow_direct_n_errors(const struct flow_direct *flow)
{
	return flow_link_n_errors(flow->link);
}
