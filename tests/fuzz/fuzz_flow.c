/*
 * Any sequence of operations on the flow table, against a model that looks at every flow and every
 * name: three bytes an operation. The clock only goes forward.
 */
#include "common/flow.h"
#include "common/seal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_FLOWS  24
#define N_NAMES  96
#define MAX_LIVE 12
#define SLACK_MS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the table should know of a flow. */
struct modelled {
	struct flow flow; /* first */
	bool is_live, is_confirmed;
	uint64_t used_ms, n_used; /* n_used orders what was used in the same millisecond */
	uint32_t idle_ms;
};

struct world {
	struct flow_table *table;
	struct modelled flows[N_FLOWS];
	struct flow_name names[N_NAMES];
	uint8_t owners[N_NAMES]; /* flow + 1; 0 = not in the table */
	uint8_t texts[N_NAMES];
	uint64_t now_ms, n_used;
	int expected; /* the flow that has to make room; -1 = none */
	uint32_t n_live, random;
};

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_flow: %s\n", what);
	abort();
}

static void forget_names(struct world *world, unsigned i_flow)
{
	for (unsigned i = 0; i < N_NAMES; i++) {
		if (world->owners[i] != i_flow + 1)
			continue;
		flow_name_remove(world->table, &world->names[i]);
		flow_name_remove(world->table, &world->names[i]);
		world->owners[i] = 0;
	}
}

static void remove_flow(struct world *world, unsigned i_flow)
{
	struct modelled *m = &world->flows[i_flow];

	forget_names(world, i_flow);
	flow_remove(world->table, &m->flow);
	flow_remove(world->table, &m->flow);
	world->n_live -= m->is_live;
	m->is_live = false;
}

static void on_end(struct flow *flow, bool is_evicted, void *owner)
{
	struct world *world = owner;
	struct modelled *m = (struct modelled *)flow;
	unsigned i_flow = (unsigned)(m - world->flows);

	demand(m->is_live, "a flow ends twice");
	if (is_evicted)
		demand((int)i_flow == world->expected, "the wrong flow makes room");
	else
		demand(m->used_ms + m->idle_ms <= world->now_ms, "ended before it was idle");
	remove_flow(world, i_flow);
	world->expected = -1;
	world->random = world->random * 1664525 + 1013904223;
	if (!is_evicted && world->random >> 30 == 0) /* takes another one with it */
		remove_flow(world, (world->random >> 8) % N_FLOWS);
}

static int oldest_unconfirmed(const struct world *world)
{
	int found = -1;

	for (int i = 0; i < N_FLOWS; i++) {
		const struct modelled *m = &world->flows[i];
		if (m->is_live && !m->is_confirmed &&
			(found < 0 || m->n_used < world->flows[found].n_used))
			found = i;
	}
	return found;
}

static void add_flow(struct world *world, unsigned i_flow, uint8_t value)
{
	struct modelled *m = &world->flows[i_flow];

	if (m->is_live)
		return;
	bool is_full = world->n_live == MAX_LIVE;
	world->expected = is_full ? oldest_unconfirmed(world) : -1;
	bool is_refused = is_full && world->expected < 0;
	uint32_t idle_ms = (uint32_t)value * 40 + 1;
	int rc = flow_add(world->table, &m->flow, idle_ms, world->now_ms);
	demand(rc == (is_refused ? ERR_AGAIN : 0), "flow_add answers wrongly");
	demand(world->expected < 0, "nobody made room");
	if (rc != 0)
		return;
	m->is_live = true;
	m->is_confirmed = false;
	m->used_ms = world->now_ms;
	m->n_used = ++world->n_used;
	m->idle_ms = idle_ms;
	world->n_live++;
}

static void use_flow(struct world *world, unsigned i_flow, uint8_t value, bool sets_idle)
{
	struct modelled *m = &world->flows[i_flow];

	if (!m->is_live)
		return;
	m->used_ms = world->now_ms;
	m->n_used = ++world->n_used;
	if (sets_idle) {
		m->idle_ms = (uint32_t)value * 10 + 1;
		flow_set_idle(world->table, &m->flow, m->idle_ms, world->now_ms);
	} else {
		flow_use(world->table, &m->flow, world->now_ms);
	}
}

/* A name's text is its kind (2 bits), its length and one byte: many of them are equal. */
static uint8_t spell(uint8_t text, uint8_t bytes[FLOW_NAME_MAX])
{
	memset(bytes, text >> 2 & 7, FLOW_NAME_MAX);
	return (uint8_t)((text >> 5) * 4 + 2);
}

static int find_text(const struct world *world, uint8_t text)
{
	for (int i = 0; i < N_NAMES; i++)
		if (world->owners[i] != 0 && world->texts[i] == text)
			return i;
	return -1;
}

static void add_name(struct world *world, unsigned i_flow, uint8_t i_name, uint8_t text)
{
	struct flow_name *name = &world->names[i_name % N_NAMES];
	uint8_t bytes[FLOW_NAME_MAX];

	if (world->owners[i_name % N_NAMES] != 0 || !world->flows[i_flow].is_live)
		return;
	uint8_t len = spell(text, bytes);
	int rc =
		flow_name_add(world->table, &world->flows[i_flow].flow, name, text & 3, bytes, len);
	demand(rc == (find_text(world, text) < 0 ? 0 : -EEXIST), "flow_name_add answers wrongly");
	if (rc != 0)
		return;
	world->owners[i_name % N_NAMES] = (uint8_t)(i_flow + 1);
	world->texts[i_name % N_NAMES] = text;
}

static void check_names(const struct world *world)
{
	uint8_t bytes[FLOW_NAME_MAX];

	for (unsigned text = 0; text < 256; text++) {
		uint8_t len = spell((uint8_t)text, bytes);
		const struct flow_name *found = flow_find(world->table, text & 3, bytes, len);
		int i = find_text(world, (uint8_t)text);
		demand(found == (i < 0 ? NULL : &world->names[i]), "flow_find answers wrongly");
		demand(i < 0 || found->flow == &world->flows[world->owners[i] - 1].flow,
			"a name of another flow");
	}
}

static void run(struct world *world, uint64_t ms)
{
	int due_ms;

	world->now_ms += ms;
	flow_table_run(world->table, world->now_ms);
	due_ms = flow_table_due_ms(world->table, world->now_ms);
	demand((due_ms >= 0) == (world->n_live > 0), "flow_table_due_ms answers wrongly");
	for (unsigned i = 0; i < N_FLOWS; i++) {
		const struct modelled *m = &world->flows[i];
		demand(!m->is_live || m->used_ms + m->idle_ms + SLACK_MS > world->now_ms,
			"idle and still there");
	}
}

static void step(struct world *world, const uint8_t op[3])
{
	unsigned i_flow = op[1] % N_FLOWS;

	switch (op[0] % 8) {
	case 0:
	case 1:
		add_flow(world, i_flow, op[2]);
		break;
	case 2:
		use_flow(world, i_flow, op[2], op[0] & 8);
		break;
	case 3:
		if (world->flows[i_flow].is_live) {
			flow_confirm(world->table, &world->flows[i_flow].flow);
			world->flows[i_flow].is_confirmed = true;
		}
		break;
	case 4:
	case 5:
		add_name(world, i_flow, op[0] / 8 * 5 + op[1] / N_FLOWS, op[2]);
		break;
	case 6:
		if (op[0] & 8) {
			remove_flow(world, i_flow);
			break;
		}
		flow_name_remove(world->table, &world->names[op[1] % N_NAMES]);
		world->owners[op[1] % N_NAMES] = 0;
		break;
	default:
		run(world, (uint64_t)op[1] * op[2]);
		break;
	}
	demand(flow_table_count(world->table) == world->n_live, "flow_table_count is wrong");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	struct modelled *first;

	demand(seal_start() == 0, "seal_start");
	memset(&world, 0, sizeof world);
	world.now_ms = 1000000;
	world.random = size > 0 ? data[0] : 0;
	demand(flow_table_new(MAX_LIVE, world.now_ms, on_end, &world, &world.table) == 0,
		"flow_table_new");
	for (size_t at = 0; at + 3 <= size; at += 3) {
		step(&world, data + at);
		if (at % 240 == 0)
			check_names(&world);
	}
	check_names(&world);
	while ((first = (struct modelled *)flow_table_first(world.table)) != NULL)
		remove_flow(&world, (unsigned)(first - world.flows));
	demand(world.n_live == 0, "flow_table_first misses a flow");
	flow_table_free(world.table);
	return 0;
}
