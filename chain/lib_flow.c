#include "chain/datagram.h"
#include "chain/flow_wait.h"
#include "chain/lib_state.h"

#include <stddef.h>
#include <stdlib.h>

#define REST_MS 5000 /* quiet for so long: a flow lets go of what it can make again */

struct hopchain_flow {
	struct lib_item item;
	hopchain_flow_fn *fn;
	void *owner;
	struct chain_flow_wait *wait; /* for a way; until then no way and no datagram */
	struct chain_way *way;        /* held */
	bool is_reported;             /* how the way does */
	struct chain_datagram *datagram;
	struct udp_io *io;
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
	if (f->datagram != NULL)
		chain_datagram_rest(f->datagram);
	return false;
}

static void report(struct hopchain_flow *f, const struct chain_error *error)
{
	if (!f->is_reported && f->way != NULL)
		(void)chain_way_report(f->way, error, NULL, 0);
	f->is_reported = true;
}

static void deliver(struct bytes data, void *owner)
{
	report(owner, NULL);
	note_move(owner);
	emit(owner, HOPCHAIN_FLOW_DATAGRAM, data.ptr, data.len);
}

static void on_status(uint8_t status, void *owner)
{
	const char *slug = wire_status_find(status)->slug;
	emit(owner, HOPCHAIN_FLOW_STATUS, slug, strlen(slug));
}

static void on_fail(const struct chain_error *error, void *owner)
{
	struct hopchain_flow *f = owner;
	report(f, error);
	lib_error_set(&f->error, error);
	emit(f, HOPCHAIN_FLOW_FAILED, NULL, 0);
}

/* The one place a flow goes. */
static void on_closed(struct task *task)
{
	struct hopchain_flow *f =
		(struct hopchain_flow *)((char *)task - offsetof(struct hopchain_flow, item.task));
	f->fn(f, HOPCHAIN_FLOW_CLOSED, NULL, 0, f->owner);
	chain_flow_wait_free(f->wait);
	chain_datagram_free(f->datagram);
	chain_way_release(f->way);
	lib_client_remove(&f->item);
	free(f);
}

static void drop(struct lib_item *item)
{
	hopchain_flow_close((struct hopchain_flow *)item);
}

/* Return: 0; else @way is released. */
static int take(struct hopchain_flow *f, struct chain_way *way, const struct addr *target)
{
	static const struct chain_datagram_ops ops = {
		.deliver = deliver, .on_status = on_status, .on_fail = on_fail
	};
	int error = chain_datagram_new(chain_way_client(way), f->io, target, &ops, f, &f->datagram);
	if (error != 0) {
		chain_way_release(way);
		return error;
	}
	f->way = way;
	if (chain_upstream_has_choice(chain_way_upstream(way)))
		chain_datagram_hurry(f->datagram);
	return 0;
}

static void on_way(struct chain_way *way, const struct chain_error *error,
	const struct addr *target, void *owner)
{
	struct hopchain_flow *f = owner;
	struct chain_flow_wait *wait = f->wait;
	struct chain_error no_memory = { .hop = 1, .stage = CHAIN_SETUP, .code = ERR_NOMEM };
	f->wait = NULL;
	if (way != NULL && take(f, way, target) != 0)
		error = &no_memory;
	if (error == NULL)
		chain_flow_wait_flush(wait, f->datagram);
	chain_flow_wait_free(wait);
	if (error != NULL)
		on_fail(error, f);
}

/* Sockets and the flow. */
static int start(struct hopchain_flow *f, struct hopchain_client *client, const struct addr *target)
{
	int error = lib_client_io(client, &f->io);
	if (error != 0)
		return error;
	struct chain_who who = { .target = target };
	struct chain_way *way = chain_upstream_choose(client->upstream, &who);
	return way != NULL ? take(f, way, target)
			   : chain_flow_wait_new(client->upstream, &who, on_way, f, &f->wait);
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
	if (flow->wait != NULL) {
		(void)chain_flow_wait_send(flow->wait, bytes_of(data, len)); /* or it is lost */
		return 0;
	}
	if (flow->datagram == NULL)
		return ERR_PIPE;
	switch (chain_datagram_send(flow->datagram, bytes_of(data, len))) {
	case FLOW_CLIENT_SENT:
		return 0;
	case FLOW_CLIENT_TOO_LONG:
		return -EMSGSIZE;
	case FLOW_CLIENT_FAILED:
		break;
	}
	return ERR_PIPE;
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
	return flow->datagram != NULL && chain_datagram_is_stream(flow->datagram);
}
