#include "tests/model/world.h"

#include <stdlib.h>
#include <string.h>

static void on_send_down(
	const struct hop_path *to, struct bytes head, struct bytes body, void *owner)
{
	struct hop *hop = owner;
	struct place place = place_of(&to->peer);

	if (to->via != hop->node)
		ledger_break(hop->world->ledger, "hop %u answers from another socket", hop->node);
	ledger_answer(hop->world->ledger, hop->node, place, head.len + body.len,
		hop->flows != NULL ? hop_flows_count(hop->flows) : 0, world_now(hop->world));
	world_put(hop->world, world_hop_place(hop->node), place, head, body);
}

/* For a later event: hop, tube and its serial. */
static uint64_t name_tube(const struct hop *hop, const struct tube *tube)
{
	return (uint64_t)(hop - hop->world->hops) << 48 | (uint64_t)(tube - hop->tubes) << 32 |
	       tube->serial;
}

static struct tube *find_tube(struct world *world, uint64_t name)
{
	struct tube *tube = &world->hops[name >> 48].tubes[name >> 32 & 0xffff];

	return tube->flow != NULL && tube->serial == (uint32_t)name ? tube : NULL;
}

static void on_too_long(uint64_t name, void *owner)
{
	struct world *world = owner;
	struct tube *tube = find_tube(world, name);

	if (tube != NULL)
		hop_flow_trouble(tube->flow, STATUS_MSGSIZE, (uint16_t)world->path_max,
			world_now(world), world_wall(world));
}

static void on_send_up(struct hop_flow *flow, struct bytes datagram, void *owner)
{
	struct hop *hop = owner;
	struct tube *tube = hop_flow_data(flow);

	if (tube == NULL || !tube->is_open) {
		ledger_break(
			hop->world->ledger, "hop %u sends before its socket is there", hop->node);
		return;
	}
	ledger_forward(hop->world->ledger, hop->node);
	if (hop->world->path_max != 0 && datagram.len > hop->world->path_max) {
		network_call(hop->world->network, world_now(hop->world), on_too_long,
			name_tube(hop, tube));
		return;
	}
	world_put(hop->world, tube->place, tube->remote, datagram, bytes_of(NULL, 0));
}

static void opened(struct tube *tube, struct world *world)
{
	struct hop_flow_outcome outcome = { .status = STATUS_OK, .tries = 1 };

	if (dice_chance(&world->dice, world->refusing))
		outcome.status = STATUS_HOST_UNREACH;
	tube->is_open = outcome.status == STATUS_OK;
	hop_flow_opened(tube->flow, &outcome, world_now(world), world_wall(world));
}

static void on_opened(uint64_t name, void *owner)
{
	struct tube *tube = find_tube(owner, name);

	if (tube != NULL)
		opened(tube, owner);
}

static struct tube *free_tube(struct hop *hop)
{
	for (unsigned i = 0; i < WORLD_TUBES; i++)
		if (hop->tubes[i].flow == NULL)
			return &hop->tubes[i];
	return NULL;
}

static void on_open(struct hop_flow *flow, const struct wire_request *request, void *owner)
{
	struct hop *hop = owner;
	struct world *world = hop->world;
	struct tube *tube = free_tube(hop);
	union addr_sock sock;

	if (request->to.kind == ADDR_NAME) /* the target's: resolved */
		sock = place_sock(
			(struct place){ (uint8_t)(world->options.n_hops + 1), request->to.port });
	else if (addr_to_sock(&request->to, &sock) != 0)
		tube = NULL;
	if (tube == NULL) {
		ledger_break(world->ledger, "hop %u opens too much", hop->node);
		return;
	}
	*tube = (struct tube){
		.flow = flow,
		.place = { hop->node, world->next_port++ },
		.remote = place_of(&sock),
		.serial = ++world->next_serial,
	};
	if (tube->remote.node != hop->node + 1)
		ledger_break(
			world->ledger, "hop %u opens to node %u", hop->node, tube->remote.node);
	hop_flow_set_data(flow, tube);
	if (world->options.open_ms == 0) {
		opened(tube, world);
		return;
	}
	network_call(world->network,
		world_now(world) + dice_below(&world->dice, world->options.open_ms), on_opened,
		name_tube(hop, tube));
}

static void on_close(struct hop_flow *flow, const char *why, void *owner)
{
	struct tube *tube = hop_flow_data(flow);

	(void)why;
	(void)owner;
	if (tube != NULL)
		*tube = (struct tube){ .flow = NULL };
}

static enum wire_status on_admit(struct hop_flow *flow, const struct hop_entry *entry, void *owner)
{
	(void)flow;
	struct world *world = ((struct hop *)owner)->world;

	(void)entry;
	return dice_chance(&world->dice, world->refusing / 4) ? STATUS_LIMIT : STATUS_OK;
}

static const struct hop_flows_ops hop_ops = {
	.send_down = on_send_down,
	.send_up = on_send_up,
	.open = on_open,
	.close = on_close,
	.admit = on_admit,
};

void world_start(struct world *world, unsigned i)
{
	struct hop *hop = &world->hops[i];
	struct hop_flows_options options = {
		.users = hop->users,
		.replay = hop->replay,
		.ephemeral = hop->ephemeral,
		.max_flows = world->options.max_flows,
		.ops = &hop_ops,
		.owner = hop,
	};

	if (hop->flows == NULL && hop_flows_new(&options, world_now(world), &hop->flows) != 0)
		abort();
}

void world_kill(struct world *world, unsigned i)
{
	hop_flows_free(world->hops[i].flows);
	world->hops[i].flows = NULL;
	ledger_restart(world->ledger, world->hops[i].node);
	for (unsigned t = 0; t < WORLD_TUBES; t++)
		if (world->hops[i].tubes[t].flow != NULL)
			ledger_break(world->ledger, "hop %u leaves a socket open", i + 1);
}

/* Nobody listens: what stands before the hop may hear of it. */
static void bounce(struct world *world, const struct packet *packet)
{
	struct hop *hop = &world->hops[packet->from.node - 1];

	if (!world->options.has_icmp || packet->is_injected || hop->flows == NULL)
		return;
	for (unsigned i = 0; i < WORLD_TUBES; i++)
		if (hop->tubes[i].flow != NULL && place_is_equal(hop->tubes[i].place, packet->from))
			hop_flow_trouble(hop->tubes[i].flow, STATUS_PORT_UNREACH, 0,
				world_now(world), world_wall(world));
}

void world_reach_hop(struct world *world, struct hop *hop, struct packet *packet)
{
	struct hop_path path = {
		.peer = place_sock(packet->from),
		.via = hop->node,
	};

	if (hop->flows == NULL) {
		if (packet->from.node >= 1 && packet->from.node < hop->node)
			bounce(world, packet);
		return;
	}
	if (packet->to.port == WORLD_PORT) {
		ledger_receive(world->ledger, hop->node, packet, hop_users_mask(hop->users, 0),
			world_now(world));
		hop_flows_receive(hop->flows, &path, packet->data, packet->len, world_now(world),
			world_wall(world));
		ledger_received(world->ledger, hop->node);
	}
	for (unsigned i = 0; i < WORLD_TUBES; i++) {
		struct tube *tube = &hop->tubes[i];
		if (tube->flow == NULL || !tube->is_open ||
			!place_is_equal(tube->place, packet->to) ||
			!place_is_equal(tube->remote, packet->from))
			continue;
		hop_flow_receive(
			tube->flow, packet->data, packet->len, world_now(world), world_wall(world));
		break;
	}
	if (hop_flows_count(hop->flows) > world->options.max_flows)
		ledger_break(world->ledger, "hop %u holds %u flows", hop->node,
			hop_flows_count(hop->flows));
}

/* ---- Making and unmaking. */

static struct wire_key *key_of(const char *text)
{
	struct wire_key *key;

	if (wire_key_parse(bytes_of(text, strlen(text)), &key) != WIRE_KEY_OK)
		abort();
	return key;
}

void world_make_hop(struct world *world, unsigned i)
{
	struct hop *hop = &world->hops[i];
	struct replay_options memory = { .path = NULL };
	char text[WIRE_CREDENTIAL_TEXT + 1];
	union addr_sock at = place_sock(world_hop_place(i + 1));

	hop->world = world;
	hop->node = (uint8_t)(i + 1);
	wire_key_generate(NULL, text);
	hop->options = (struct hop_options)HOP_OPTIONS_DEFAULT;
	hop->options.n_users = 1;
	hop->options.users = calloc(1, sizeof *hop->options.users);
	hop->options.users[0].name = strdup("me");
	hop->options.users[0].n_keys = 1;
	hop->options.users[0].keys = calloc(1, sizeof *hop->options.users[0].keys);
	hop->options.users[0].keys[0] =
		(struct hop_user_key){ .key = key_of(text), .not_after_ms = UINT64_MAX };
	if (hop_users_new(&hop->options, &hop->users) != 0 ||
		replay_open(&memory, WORLD_WALL_MS + NETWORK_START - 60000, NETWORK_START - 60000,
			&hop->replay) != 0 ||
		wire_ephemeral_new(60000, &hop->ephemeral) != 0)
		abort();
	world->spec.hops[i].key = key_of(text);
	addr_from_sock(&at, &world->spec.hops[i].addr);
	world_start(world, i);
}

void world_unmake_hop(struct world *world, unsigned i)
{
	struct hop *hop = &world->hops[i];

	world_kill(world, i);
	hop_users_free(hop->users);
	replay_close(hop->replay);
	wire_ephemeral_free(hop->ephemeral);
	wire_key_free(hop->options.users[0].keys[0].key);
	free(hop->options.users[0].keys);
	free(hop->options.users[0].name);
	free(hop->options.users);
	wire_key_free(world->spec.hops[i].key);
}
