#include "tests/model/world.h"

#include "tests/model/attacker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGET_PORT 9000 /* and one for each app */
#define N_ASKED     16384

struct place world_hop_place(unsigned node)
{
	return (struct place){ (uint8_t)node, WORLD_PORT };
}

uint64_t world_now(const struct world *world)
{
	return network_now(world->network);
}

uint64_t world_wall(const struct world *world)
{
	return WORLD_WALL_MS + world_now(world);
}

void world_put(struct world *world, struct place from, struct place to, struct bytes head,
	struct bytes body)
{
	network_send(world->network, from, to, head.ptr, head.len, body.ptr, body.len);
}

/* ---- The client. */

static void on_client_send(struct bytes datagram, void *owner)
{
	struct client *client = owner;

	world_put(client->world, client->place, world_hop_place(1), datagram, bytes_of(NULL, 0));
}

static void on_client_deliver(struct bytes data, void *owner)
{
	struct client *client = owner;
	int64_t number = ledger_deliver(client->world->ledger, client->app, false, data);

	if (number < 0 || client->recovered_ms != 0 || client->mark_ms == 0)
		return;
	if (client->world->asked[client->app][number] >= client->mark_number)
		client->recovered_ms = world_now(client->world);
}

static void on_client_status(uint8_t status, void *owner)
{
	(void)status;
	(void)owner;
}

static void on_client_open(void *owner)
{
	((struct client *)owner)->n_opened++;
}

static void on_client_fail(const struct chain_error *error, void *owner)
{
	(void)error;
	((struct client *)owner)->has_failed = true;
}

static const struct flow_client_ops client_ops = {
	.send = on_client_send,
	.deliver = on_client_deliver,
	.on_status = on_client_status,
	.on_open = on_client_open,
	.on_fail = on_client_fail,
};

static void begin_flow(struct client *client)
{
	struct world *world = client->world;
	struct flow_client_options options = {
		.spec = &world->spec,
		.target = &client->target,
		.ephemeral = world->ephemeral,
		.link_mtu = 1500,
		.ops = &client_ops,
		.owner = client,
	};

	flow_client_free(client->flow);
	client->has_failed = false;
	client->place = (struct place){ 0, world->next_port++ };
	client->n_flows++;
	if (flow_client_new(&options, world_now(world), &client->flow) != 0)
		abort();
}

void world_send(struct world *world, unsigned app, size_t len)
{
	struct client *client = &world->clients[app];
	uint8_t data[1500];

	if (client->flow == NULL || client->has_failed)
		begin_flow(client);
	size_t room = flow_client_room(client->flow, WIRE_FORM_P);
	len = len > room ? room : len;
	len = len < LEDGER_PAYLOAD_MIN ? LEDGER_PAYLOAD_MIN : len;
	ledger_write(world->ledger, (uint8_t)app, true, data, len);
	world->n_payload++;
	if (flow_client_send(client->flow, bytes_of(data, len), world_now(world),
		    world_wall(world)) == FLOW_CLIENT_TOO_LONG)
		ledger_break(world->ledger, "no room for what has room: %zu bytes", len);
}

void world_rebind(struct world *world, unsigned app)
{
	world->clients[app].place.port = world->next_port++;
}

void world_mark(struct world *world)
{
	for (unsigned i = 0; i < world->options.n_apps; i++) {
		struct client *client = &world->clients[i];
		uint8_t data[LEDGER_PAYLOAD_MIN];
		/* a number that is never sent */
		client->mark_number =
			ledger_write(world->ledger, (uint8_t)i, true, data, sizeof data) + 1;
		client->mark_ms = world_now(world);
		client->recovered_ms = 0;
	}
}

static void reach_client(struct world *world, struct packet *packet)
{
	for (unsigned i = 0; i < world->options.n_apps; i++) {
		struct client *client = &world->clients[i];
		if (client->flow == NULL || client->has_failed ||
			!place_is_equal(client->place, packet->to) ||
			!place_is_equal(world_hop_place(1), packet->from))
			continue;
		flow_client_receive(client->flow, packet->data, packet->len, world_now(world),
			world_wall(world));
		return;
	}
}

/* ---- The target: answers. */

static void reach_target(struct world *world, const struct packet *packet)
{
	unsigned app = packet->to.port - TARGET_PORT;
	uint8_t data[1500];
	uint32_t n_answers = 1;
	int64_t number;

	number = ledger_deliver(
		world->ledger, (uint8_t)app, true, bytes_of(packet->data, packet->len));
	if (number < 0)
		return;
	if (!world->is_even && dice_chance(&world->dice, 100))
		n_answers = dice_below(&world->dice, 2) * 2;
	for (; n_answers > 0; n_answers--) {
		bool is_long = dice_chance(&world->dice, 150);
		size_t len = LEDGER_PAYLOAD_MIN + dice_below(&world->dice, is_long ? 1380 : 300);
		uint32_t answer = ledger_write(world->ledger, (uint8_t)app, false, data, len);
		world->asked[app][answer] = (uint32_t)number;
		world->n_payload++;
		world_put(world, packet->to, packet->from, bytes_of(data, len), bytes_of(NULL, 0));
	}
}

/* ---- Time. */

static void arrive(struct packet *packet, void *owner)
{
	struct world *world = owner;
	unsigned node = packet->to.node;

	if (getenv("MODEL_TRACE") != NULL)
		fprintf(stderr, "%8llu %u:%u > %u:%u %zu%s%s\n",
			(unsigned long long)(world_now(world) - NETWORK_START), packet->from.node,
			packet->from.port, node, packet->to.port, packet->len,
			packet->is_damaged ? " damaged" : "",
			packet->is_injected ? " injected" : "");
	if (node == 0)
		reach_client(world, packet);
	else if (node <= world->options.n_hops)
		world_reach_hop(world, &world->hops[node - 1], packet);
	else if (node == world->options.n_hops + 1)
		reach_target(world, packet);
}

static void overhear(const struct packet *packet, void *owner)
{
	attacker_overhear(((struct world *)owner)->attacker, packet);
}

/* When something wants to be run next. */
static uint64_t next_due(const struct world *world)
{
	uint64_t due = UINT64_MAX, now = world_now(world);

	for (unsigned i = 0; i < world->options.n_apps; i++) {
		const struct client *client = &world->clients[i];
		uint64_t at = client->flow == NULL || client->has_failed
				      ? UINT64_MAX
				      : flow_client_due_ms(client->flow);
		due = at < due ? at : due;
	}
	for (unsigned i = 0; i < world->options.n_hops; i++) {
		int wait = world->hops[i].flows == NULL
				   ? -1
				   : hop_flows_due_ms(world->hops[i].flows, now);
		if (wait >= 0 && now + (uint64_t)wait < due)
			due = now + (uint64_t)wait;
	}
	return due;
}

static void run_timers(struct world *world)
{
	uint64_t now = world_now(world);

	for (unsigned i = 0; i < world->options.n_apps; i++) {
		struct client *client = &world->clients[i];
		if (client->flow != NULL && !client->has_failed &&
			flow_client_due_ms(client->flow) <= now)
			flow_client_tick(client->flow, now, world_wall(world));
	}
	for (unsigned i = 0; i < world->options.n_hops; i++)
		if (world->hops[i].flows != NULL &&
			hop_flows_due_ms(world->hops[i].flows, now) == 0)
			hop_flows_run(world->hops[i].flows, now);
}

void world_run(struct world *world, uint64_t until_ms)
{
	unsigned n_idle = 0;

	while (ledger_broken(world->ledger) == NULL) {
		uint64_t now = world_now(world), due = next_due(world);
		bool happened;
		if (due <= now) { /* ran, and wants more: not without end */
			run_timers(world);
			due = next_due(world);
			due = due <= now ? now + 16 : due;
		}
		happened = network_step(world->network, due < until_ms ? due : until_ms);
		if (next_due(world) <= world_now(world))
			run_timers(world);
		n_idle = happened || world_now(world) > now ? 0 : n_idle + 1;
		if (!happened && world_now(world) >= until_ms)
			return;
		if (n_idle > 1000) {
			ledger_break(world->ledger, "time stands still");
			return;
		}
	}
}

/* ---- Making and unmaking. */

static void name_target(struct addr *target)
{
	uint16_t port = target->port;

	if (addr_parse_dial("a-target-with-a-long-name.example:1", target) != ADDR_OK)
		abort();
	target->port = port;
}

struct world *world_new(const struct world_options *options)
{
	static const struct network_ops ops = { arrive, overhear };
	struct world *world = calloc(1, sizeof *world);

	world->options = *options;
	world->dice.state = options->seed ^ 1;
	world->next_port = 20000;
	world->network = network_new(options->seed ^ 2, &ops, world);
	world->ledger = ledger_new();
	world->attacker = attacker_new(world, options->seed ^ 3);
	world->spec = (struct chain_spec)CHAIN_SPEC_DEFAULT;
	world->spec.n_hops = options->n_hops;
	world->spec.hops = calloc(options->n_hops, sizeof *world->spec.hops);
	if (wire_ephemeral_new(60000, &world->ephemeral) != 0)
		abort();
	for (unsigned i = 0; i <= options->n_hops; i++)
		network_link(world->network, (uint8_t)i)->delay_ms = options->delay_ms;
	for (unsigned i = 0; i < options->n_hops; i++)
		world_make_hop(world, i);
	for (unsigned i = 0; i < options->n_apps; i++) {
		union addr_sock target = place_sock((struct place){
			(uint8_t)(options->n_hops + 1), (uint16_t)(TARGET_PORT + i) });
		world->clients[i].world = world;
		world->clients[i].app = (uint8_t)i;
		addr_from_sock(&target, &world->clients[i].target);
		if (options->has_name)
			name_target(&world->clients[i].target);
		world->asked[i] = calloc(N_ASKED, sizeof *world->asked[i]);
	}
	return world;
}

void world_free(struct world *world)
{
	for (unsigned i = 0; i < world->options.n_apps; i++) {
		flow_client_free(world->clients[i].flow);
		free(world->asked[i]);
	}
	for (unsigned i = 0; i < world->options.n_hops; i++)
		world_unmake_hop(world, i);
	wire_ephemeral_free(world->ephemeral);
	free(world->spec.hops);
	attacker_free(world->attacker);
	ledger_free(world->ledger);
	network_free(world->network);
	free(world);
}
