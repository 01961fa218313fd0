#include "chain/lib_state.h"

#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#define TICK_MS 1000

/* Whether one of who can stand at position @i has a name, or names that SRV records give. */
static bool has_name(const struct chain_spec *spec, size_t i, bool only_srv)
{
	struct chain_candidates of = chain_spec_candidates(spec, i);
	for (size_t k = 0; k < of.n; k++) {
		if (of.hops[k].is_srv || (!only_srv && of.hops[k].addr.kind == ADDR_NAME))
			return true;
	}
	return false;
}

/* Names are looked up here only for hop 1, for SRV records, or where the chain says so. */
static int new_resolver(struct hopchain_client *client)
{
	const struct chain_spec *spec = client->chain->spec;
	bool is_needed = spec->resolves_locally || has_name(spec, 0, false);
	for (size_t i = 1; i < spec->n_hops; i++)
		is_needed |= has_name(spec, i, true);
	return is_needed ? resolver_new(client->loop, NULL, &client->resolver) : 0;
}

static int new_upstream(struct hopchain_client *client)
{
	struct chain_upstream_options options = { .loop = client->loop,
		.resolver = client->resolver };
	client->member.chain = client->chain->spec;
	client->upstream_spec.members = &client->member;
	client->upstream_spec.n_members = 1;
	return chain_upstream_new(&options, &client->upstream_spec, &client->upstream);
}

int hopchain_client_open(
	struct uv_loop_s *loop, const struct hopchain_chain *chain, struct hopchain_client **ret)
{
	int error = lib_start();
	if (error != 0)
		return error;
	struct hopchain_client *client = calloc(1, sizeof *client);
	if (client == NULL)
		return ERR_NOMEM;
	client->chain = chain;
	error = loop_new_on(loop, &client->loop);
	if (error != 0)
		goto free_client;
	error = new_resolver(client);
	if (error != 0)
		goto leave;
	error = chain_client_new(client->loop, client->resolver, chain->spec, &client->client);
	if (error != 0)
		goto free_resolver;
	error = new_upstream(client);
	if (error != 0)
		goto free_client_of_first;
	*ret = client;
	return 0;

free_client_of_first:
	chain_client_free(client->client);
free_resolver:
	resolver_free(client->resolver);
leave:
	loop_leave(client->loop, NULL, NULL);
free_client:
	free(client);
	return error;
}

static void on_left(void *owner)
{
	struct hopchain_client *client = owner;
	hopchain_closed_fn *on_closed = client->on_closed;
	void *closed_owner = client->owner;
	free(client);
	if (on_closed != NULL)
		on_closed(closed_owner);
}

/* Nothing is left that was made from it. */
static void on_finish(struct task *task)
{
	struct hopchain_client *client =
		(struct hopchain_client *)((char *)task - offsetof(struct hopchain_client, finish));
	if (client->items != NULL)
		return;
	loop_timer_stop(client->loop, &client->watch);
	chain_upstream_free(client->upstream);
	chain_client_free(client->client);
	udp_io_free(client->io);
	resolver_free(client->resolver);
	loop_leave(client->loop, on_left, client);
}

void hopchain_client_close(
	struct hopchain_client *client, hopchain_closed_fn *on_closed, void *owner)
{
	struct lib_item *item;
	if (client->is_closing)
		return;
	client->is_closing = true;
	client->on_closed = on_closed;
	client->owner = owner;
	loop_hold(client->loop, 1);
	DL_FOREACH (client->items, item)
		item->ops->drop(item);
	loop_defer(client->loop, &client->finish, on_finish);
}

void lib_client_add(
	struct hopchain_client *client, struct lib_item *item, const struct lib_item_ops *ops)
{
	item->client = client;
	item->ops = ops;
	DL_APPEND(client->items, item);
	loop_hold(client->loop, 1);
}

void lib_client_remove(struct lib_item *item)
{
	struct hopchain_client *client = item->client;
	DL_DELETE(client->items, item);
	loop_hold(client->loop, -1);
	if (client->is_closing && client->items == NULL)
		loop_defer(client->loop, &client->finish, on_finish);
}

int lib_client_io(struct hopchain_client *client, struct udp_io **ret)
{
	int error = client->io == NULL ? udp_io_new(client->loop, &client->io) : 0;
	if (error == 0)
		*ret = client->io;
	return error;
}

/* Items go only from tasks and their own events: not while this runs. */
static void on_watch(struct timer *timer)
{
	struct hopchain_client *client =
		(struct hopchain_client *)((char *)timer - offsetof(struct hopchain_client, watch));
	uint64_t now_ms = loop_now_ms(client->loop);
	bool goes_on = false;
	struct lib_item *item;
	DL_FOREACH (client->items, item)
		goes_on |= item->ops->tick != NULL && item->ops->tick(item, now_ms);
	if (goes_on && !client->is_closing)
		loop_timer_start(client->loop, timer, TICK_MS, on_watch);
}

void lib_client_watch(struct hopchain_client *client)
{
	if (!timer_is_running(&client->watch))
		loop_timer_start(client->loop, &client->watch, TICK_MS, on_watch);
}
