#include "chain/carrier.h"
#include "chain/lib_state.h"

#include <stddef.h>
#include <stdlib.h>

#define REST_MS 5000 /* quiet for so long: a flow lets go of what it can make again */

struct hopchain_flow {
	struct lib_item item;
	hopchain_flow_fn *fn;
	void *owner;
	struct chain_carrier carrier;
	uint64_t moved_ms;
	bool is_closing;
	struct lib_error error;
};

static void emit(
	struct hopchain_flow *f, enum hopchain_flow_event event, const void *data, size_t len)
{
	if (!f->is_closing)
		f->fn(f, event, data, len, f->owner);
}

static void note_move(struct hopchain_flow *f)
{
	f->moved_ms = loop_now_ms(f->item.client->loop);
	lib_client_watch(f->item.client);
}

static bool on_tick(struct lib_item *item, uint64_t now_ms)
{
	struct hopchain_flow *f = (struct hopchain_flow *)item;
	if (!f->is_closing && now_ms - f->moved_ms < REST_MS)
		return true;
	chain_carrier_rest(&f->carrier);
	return false;
}

static void deliver(struct bytes data, void *owner)
{
	struct hopchain_flow *f = owner;
	chain_carrier_report(&f->carrier, NULL);
	note_move(f);
	emit(f, HOPCHAIN_FLOW_DATAGRAM, data.ptr, data.len);
}

static void on_status(uint8_t status, void *owner)
{
	const char *slug = wire_status_find(status)->slug;
	emit(owner, HOPCHAIN_FLOW_STATUS, slug, strlen(slug));
}

static void on_fail(const struct chain_error *error, void *owner)
{
	struct hopchain_flow *f = owner;
	chain_carrier_report(&f->carrier, error);
	lib_error_set(&f->error, error);
	emit(f, HOPCHAIN_FLOW_FAILED, NULL, 0);
}

/* The one place a flow goes. */
static void on_closed(struct task *task)
{
	struct hopchain_flow *f =
		(struct hopchain_flow *)((char *)task - offsetof(struct hopchain_flow, item.task));
	f->fn(f, HOPCHAIN_FLOW_CLOSED, NULL, 0, f->owner);
	chain_carrier_close(&f->carrier);
	lib_client_remove(&f->item);
	free(f);
}

static void drop(struct lib_item *item)
{
	hopchain_flow_close((struct hopchain_flow *)item);
}

/* Sockets and the flow. */
static int start(struct hopchain_flow *f, struct hopchain_client *client, const struct addr *target)
{
	static const struct chain_datagram_ops ops = {
		.deliver = deliver, .on_status = on_status, .on_fail = on_fail
	};
	struct udp_io *io;
	struct chain_who who = { .target = target };
	int error = lib_client_io(client, &io);
	if (error != 0)
		return error;
	return chain_carrier_open(&f->carrier, client->upstream, &who, io, &ops, f);
}

int hopchain_flow_open(struct hopchain_client *client, const char *target, hopchain_flow_fn *fn,
	void *owner, struct hopchain_flow **ret)
{
	static const struct lib_item_ops ops = { .drop = drop, .tick = on_tick };
	struct addr addr;
	int error = lib_target(client->chain, target, &addr);
	if (error == 0 && client->is_closing)
		error = ERR_CANCEL;
	if (error != 0)
		return error;
	struct hopchain_flow *f = calloc(1, sizeof *f);
	if (f == NULL)
		return ERR_NOMEM;
	f->fn = fn;
	f->owner = owner;
	error = start(f, client, &addr);
	if (error != 0) {
		free(f);
		return error;
	}
	lib_client_add(client, &f->item, &ops);
	*ret = f;
	return 0;
}

int hopchain_flow_send(struct hopchain_flow *flow, const void *data, size_t len)
{
	if (flow->is_closing)
		return ERR_PIPE;
	if (len > UDP_PAYLOAD_MAX)
		return -EMSGSIZE;
	note_move(flow);
	bool is_waiting = flow->carrier.wait != NULL; /* then it may be lost, as on a network */
	switch (chain_carrier_send(&flow->carrier, bytes_of(data, len))) {
	case FLOW_CLIENT_SENT:
		return 0;
	case FLOW_CLIENT_TOO_LONG:
		return -EMSGSIZE;
	case FLOW_CLIENT_FAILED:
		break;
	}
	return is_waiting ? 0 : ERR_PIPE;
}

void hopchain_flow_close(struct hopchain_flow *flow)
{
	if (flow->is_closing)
		return;
	flow->is_closing = true;
	loop_defer(flow->item.client->loop, &flow->item.task, on_closed);
}

const struct hopchain_error *hopchain_flow_error(const struct hopchain_flow *flow)
{
	return flow->error.error.slug != NULL ? &flow->error.error : NULL;
}

bool hopchain_flow_is_stream(const struct hopchain_flow *flow)
{
	return flow->carrier.datagram != NULL && chain_datagram_is_stream(flow->carrier.datagram);
}
