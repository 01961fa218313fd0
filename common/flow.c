#include "common/flow.h"

#include "common/seal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 16

/* Names lie in the slot of their hash or, with no gap in between, after it. */
struct slot {
	uint64_t hash;
	struct flow_name *name; /* NULL = empty */
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct slot) == 16, "the table is this dense");

struct list {
	struct flow *first, *last;
};

struct flow_table {
	uint32_t max_flows, n_flows;
	uint32_t max_idle_ms;    /* UINT32_MAX, until shortened */
	struct list unconfirmed; /* least recently used first */
	struct list confirmed;
	struct timer_wheel *wheel;
	uint64_t now_ms; /* of the present run */
	flow_end_fn *on_end;
	void *owner;
	struct slot *slots;
	size_t n_slots, n_names; /* n_slots: a power of two */
	uint8_t hash_key[16];
};

static void list_append(struct list *list, struct flow *flow)
{
	flow->next = NULL;
	flow->prev = list->last;
	if (list->last != NULL)
		list->last->next = flow;
	else
		list->first = flow;
	list->last = flow;
}

static void list_remove(struct list *list, struct flow *flow)
{
	if (flow->prev != NULL)
		flow->prev->next = flow->next;
	else
		list->first = flow->next;
	if (flow->next != NULL)
		flow->next->prev = flow->prev;
	else
		list->last = flow->prev;
	flow->prev = flow->next = NULL;
}

static struct list *list_of(struct flow_table *table, const struct flow *flow)
{
	return flow->is_confirmed ? &table->confirmed : &table->unconfirmed;
}

int flow_table_new(uint32_t max_flows, uint64_t now_ms, flow_end_fn *on_end, void *owner,
	struct flow_table **ret)
{
	struct flow_table *table = calloc(1, sizeof(*table));

	assert(max_flows >= 1);
	if (table == NULL)
		return ERR_NOMEM;
	table->slots = calloc(SLOTS_MIN, sizeof(*table->slots));
	if (table->slots == NULL)
		goto free_table;
	if (timer_wheel_new(now_ms, &table->wheel) != 0)
		goto free_slots;
	table->n_slots = SLOTS_MIN;
	table->max_flows = max_flows;
	table->max_idle_ms = UINT32_MAX;
	table->now_ms = now_ms;
	table->on_end = on_end;
	table->owner = owner;
	seal_random(table->hash_key, sizeof table->hash_key);
	*ret = table;
	return 0;

free_slots:
	free(table->slots);
free_table:
	free(table);
	return ERR_NOMEM;
}

void flow_table_free(struct flow_table *table)
{
	if (table == NULL)
		return;
	assert(table->n_flows == 0 && table->n_names == 0);
	timer_wheel_free(table->wheel);
	free(table->slots);
	free(table);
}

uint32_t flow_table_count(const struct flow_table *table)
{
	return table->n_flows;
}

struct flow *flow_table_first(const struct flow_table *table)
{
	if (table->unconfirmed.first != NULL)
		return table->unconfirmed.first;
	return table->confirmed.first;
}

void flow_table_run(struct flow_table *table, uint64_t now_ms)
{
	table->now_ms = now_ms;
	timer_wheel_run(table->wheel, now_ms);
}

int flow_table_due_ms(const struct flow_table *table, uint64_t now_ms)
{
	return timer_wheel_next_ms(table->wheel, now_ms);
}

struct timer_wheel *flow_table_wheel(struct flow_table *table)
{
	return table->wheel;
}

/* ---- Flows. */

/* The timer is not moved when a flow is used: when it fires it looks how long that was ago. */
static void on_timer(struct timer *timer)
{
	struct flow *flow = (struct flow *)((char *)timer - offsetof(struct flow, timer));
	struct flow_table *table = flow->table;
	uint64_t due_ms = flow->used_ms + flow->idle_ms;

	if (due_ms > table->now_ms) {
		timer_start(table->wheel, timer, due_ms, on_timer);
		return;
	}
	table->on_end(flow, false, table->owner); /* @flow is gone */
}

static uint32_t shortened(const struct flow_table *table, uint32_t idle_ms)
{
	return idle_ms < table->max_idle_ms ? idle_ms : table->max_idle_ms;
}

void flow_table_shorten(struct flow_table *table, uint32_t idle_ms, uint64_t now_ms)
{
	struct flow *firsts[] = { table->unconfirmed.first, table->confirmed.first };

	table->max_idle_ms = idle_ms;
	for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
		for (struct flow *flow = firsts[i]; flow != NULL; flow = flow->next) {
			flow->idle_ms = shortened(table, flow->idle_ms);
			if (now_ms + flow->idle_ms < flow->timer.at_ms)
				timer_start(table->wheel, &flow->timer, now_ms + flow->idle_ms,
					on_timer);
		}
	}
}

static bool make_room(struct flow_table *table)
{
	if (table->n_flows < table->max_flows)
		return true;
	if (table->unconfirmed.first == NULL)
		return false;
	table->on_end(table->unconfirmed.first, true, table->owner);
	return table->n_flows < table->max_flows;
}

int flow_add(struct flow_table *table, struct flow *flow, uint32_t idle_ms, uint64_t now_ms)
{
	assert(flow->table == NULL);
	if (!make_room(table))
		return ERR_AGAIN;
	flow->table = table;
	flow->is_confirmed = false;
	flow->idle_ms = shortened(table, idle_ms);
	flow->used_ms = now_ms;
	list_append(&table->unconfirmed, flow);
	table->n_flows++;
	timer_start(table->wheel, &flow->timer, now_ms + flow->idle_ms, on_timer);
	return 0;
}

void flow_remove(struct flow_table *table, struct flow *flow)
{
	if (flow->table == NULL)
		return;
	assert(flow->table == table);
	timer_stop(table->wheel, &flow->timer);
	list_remove(list_of(table, flow), flow);
	flow->table = NULL;
	table->n_flows--;
}

void flow_use(struct flow_table *table, struct flow *flow, uint64_t now_ms)
{
	flow->used_ms = now_ms;
	/* Nobody asks for the order of the confirmed ones. */
	if (flow->is_confirmed || flow->next == NULL)
		return;
	list_remove(&table->unconfirmed, flow);
	list_append(&table->unconfirmed, flow);
}

void flow_set_idle(struct flow_table *table, struct flow *flow, uint32_t idle_ms, uint64_t now_ms)
{
	flow->idle_ms = shortened(table, idle_ms);
	flow_use(table, flow, now_ms);
	if (now_ms + flow->idle_ms < flow->timer.at_ms)
		timer_start(table->wheel, &flow->timer, now_ms + flow->idle_ms, on_timer);
}

void flow_confirm(struct flow_table *table, struct flow *flow)
{
	if (flow->is_confirmed)
		return;
	list_remove(&table->unconfirmed, flow);
	flow->is_confirmed = true;
	list_append(&table->confirmed, flow);
}

/* ---- Names. */

static uint64_t hash_of(
	const struct flow_table *table, uint8_t kind, const void *bytes, uint8_t len)
{
	uint8_t text[1 + FLOW_NAME_MAX];

	assert(len <= FLOW_NAME_MAX);
	text[0] = kind;
	memcpy(text + 1, bytes, len);
	return seal_siphash(table->hash_key, (struct bytes){ text, 1 + (size_t)len });
}

/* The slot of the name, or the empty one where it would be. */
static size_t find_slot(
	const struct flow_table *table, uint64_t hash, uint8_t kind, const void *bytes, uint8_t len)
{
	size_t mask = table->n_slots - 1;
	size_t i = hash & mask;

	for (const struct slot *slot; (slot = &table->slots[i])->name != NULL; i = (i + 1) & mask) {
		const struct flow_name *name = slot->name;
		if (slot->hash == hash && name->kind == kind && name->len == len &&
			memcmp(name->bytes, bytes, len) == 0)
			break;
	}
	return i;
}

/* Puts @slot behind those that are there. */
static void put_slot(struct flow_table *table, struct slot slot)
{
	size_t mask = table->n_slots - 1;
	size_t i = slot.hash & mask;

	while (table->slots[i].name != NULL)
		i = (i + 1) & mask;
	table->slots[i] = slot;
}

static int resize(struct flow_table *table, size_t n_slots)
{
	struct slot *old = table->slots, *slots;
	size_t n_old = table->n_slots;

	slots = calloc(n_slots, sizeof(*slots));
	if (slots == NULL)
		return ERR_NOMEM;
	table->slots = slots;
	table->n_slots = n_slots;
	for (size_t i = 0; i < n_old; i++)
		if (old[i].name != NULL)
			put_slot(table, old[i]);
	free(old);
	return 0;
}

/* Keeps a quarter of the slots empty. */
static int grow(struct flow_table *table)
{
	if ((table->n_names + 1) * 4 <= table->n_slots * 3)
		return 0;
	return resize(table, table->n_slots * 2);
}

/* A table that was full once gives memory back; without memory for the smaller one it stays. */
static void shrink(struct flow_table *table)
{
	if (table->n_slots > SLOTS_MIN && table->n_names * 3 < table->n_slots)
		(void)!resize(table, table->n_slots / 2);
}

int flow_name_add(struct flow_table *table, struct flow *flow, struct flow_name *name, uint8_t kind,
	const void *bytes, uint8_t len)
{
	uint64_t hash = hash_of(table, kind, bytes, len);
	int rc;

	assert(name->flow == NULL && flow->table == table);
	if (table->slots[find_slot(table, hash, kind, bytes, len)].name != NULL)
		return -EEXIST;
	rc = grow(table);
	if (rc != 0)
		return rc;
	name->flow = flow;
	name->kind = kind;
	name->len = len;
	memcpy(name->bytes, bytes, len);
	put_slot(table, (struct slot){ hash, name });
	table->n_names++;
	return 0;
}

void flow_name_remove(struct flow_table *table, struct flow_name *name)
{
	size_t mask = table->n_slots - 1;
	size_t hole;

	if (name->flow == NULL)
		return;
	hole = find_slot(table, hash_of(table, name->kind, name->bytes, name->len), name->kind,
		name->bytes, name->len);
	assert(table->slots[hole].name == name);
	name->flow = NULL;
	table->n_names--;
	/* What comes behind without a gap moves into the hole, unless it would come before its own
	 * place. */
	for (size_t i = (hole + 1) & mask; table->slots[i].name != NULL; i = (i + 1) & mask) {
		size_t n_behind = (i - table->slots[i].hash) & mask;
		if (n_behind < ((i - hole) & mask))
			continue;
		table->slots[hole] = table->slots[i];
		hole = i;
	}
	table->slots[hole].name = NULL;
	shrink(table);
}

struct flow_name *flow_find(
	const struct flow_table *table, uint8_t kind, const void *bytes, uint8_t len)
{
	uint64_t hash = hash_of(table, kind, bytes, len);

	return table->slots[find_slot(table, hash, kind, bytes, len)].name;
}
