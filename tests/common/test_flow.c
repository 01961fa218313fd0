/* The flow table by examples, large, and by random calls against a model. */
#include "common/flow.h"
#include "common/seal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define START 1000000
#define IDLE  5000

struct owned {
	struct flow flow; /* first */
	struct flow_name names[3];
	unsigned n_idle, n_evicted;
};

static struct flow_table *table;

static void let_go(struct owned *owned)
{
	for (unsigned i = 0; i < 3; i++)
		flow_name_remove(table, &owned->names[i]);
	flow_remove(table, &owned->flow);
}

static void on_end(struct flow *flow, bool is_evicted, void *owner)
{
	struct owned *owned = (struct owned *)flow;
	cr_assert_eq(owner, &table);
	owned->n_evicted += is_evicted;
	owned->n_idle += !is_evicted;
	let_go(owned);
}

static void make_table(uint32_t max_flows)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(flow_table_new(max_flows, START, on_end, &table, &table), 0);
}

static void add(struct owned *owned, uint64_t now_ms)
{
	cr_assert_eq(flow_add(table, &owned->flow, IDLE, now_ms), 0);
}

Test(flow, ends_when_idle_and_not_before)
{
	struct owned owned = { 0 };
	make_table(10);
	cr_assert_eq(flow_table_due_ms(table, START), -1);
	add(&owned, START);
	cr_assert_eq(flow_table_count(table), 1);
	for (uint64_t now = START; now < START + 20000; now += 100) {
		flow_use(table, &owned.flow, now);
		flow_table_run(table, now);
		cr_assert_eq(owned.n_idle, 0);
	}
	uint64_t last = START + 19900;
	flow_table_run(table, last + IDLE - 1);
	cr_assert_eq(owned.n_idle, 0);
	int due = flow_table_due_ms(table, last + IDLE - 1);
	cr_assert(due >= 0 && due <= 17);
	flow_table_run(table, last + IDLE + 16);
	cr_assert_eq(owned.n_idle, 1);
	cr_assert_eq(flow_table_count(table), 0);
	cr_assert_eq(flow_table_due_ms(table, last + IDLE + 16), -1);
	flow_table_free(table);
}

Test(flow, idle_time_can_be_shortened_and_lengthened)
{
	struct owned shorter = { 0 }, longer = { 0 };
	make_table(10);
	add(&shorter, START);
	add(&longer, START);
	flow_set_idle(table, &shorter.flow, 1000, START + 500);
	flow_set_idle(table, &longer.flow, 60000, START + 500);
	flow_table_run(table, START + 1499);
	cr_assert_eq(shorter.n_idle, 0);
	flow_table_run(table, START + 1520);
	cr_assert_eq(shorter.n_idle, 1);
	flow_table_run(table, START + 60499);
	cr_assert_eq(longer.n_idle, 0);
	flow_table_run(table, START + 60520);
	cr_assert_eq(longer.n_idle, 1);
	flow_table_free(table);
}

Test(flow, the_unconfirmed_one_used_longest_ago_makes_room)
{
	struct owned flows[6] = { 0 };
	make_table(4);
	for (unsigned i = 0; i < 4; i++)
		add(&flows[i], START + i);
	flow_confirm(table, &flows[0].flow);
	flow_confirm(table, &flows[0].flow);
	flow_use(table, &flows[1].flow, START + 10);
	add(&flows[4], START + 11);
	cr_assert_eq(flows[2].n_evicted, 1);
	cr_assert_eq(flow_table_count(table), 4);
	add(&flows[5], START + 12);
	cr_assert_eq(flows[3].n_evicted, 1);
	cr_assert_eq(flow_table_first(table), &flows[1].flow);
	for (struct flow *flow; (flow = flow_table_first(table)) != NULL;)
		let_go((struct owned *)flow);
	flow_table_free(table);
}

Test(flow, confirmed_ones_never_make_room)
{
	struct owned flows[5] = { 0 };
	make_table(4);
	for (unsigned i = 0; i < 4; i++) {
		add(&flows[i], START);
		flow_confirm(table, &flows[i].flow);
	}
	cr_assert_eq(flow_add(table, &flows[4].flow, IDLE, START), ERR_AGAIN);
	flow_remove(table, &flows[4].flow);
	let_go(&flows[2]);
	add(&flows[4], START);
	add(&flows[2], START); /* evicts 4; unconfirmed although it was confirmed before */
	cr_assert_eq(flows[4].n_evicted, 1);
	add(&flows[4], START);
	cr_assert_eq(flows[2].n_evicted, 1);
	for (struct flow *flow; (flow = flow_table_first(table)) != NULL;)
		let_go((struct owned *)flow);
	flow_table_free(table);
}

Test(flow, is_found_by_each_of_its_names_and_no_other)
{
	struct owned one = { 0 }, two = { 0 };
	uint8_t longest[FLOW_NAME_MAX] = { 1, 2, 3 };
	make_table(10);
	add(&one, START);
	add(&two, START);
	cr_assert_eq(flow_name_add(table, &one.flow, &one.names[0], 1, "abc", 3), 0);
	cr_assert_eq(flow_name_add(table, &one.flow, &one.names[1], 2, "abc", 3), 0);
	cr_assert_eq(flow_name_add(table, &one.flow, &one.names[2], 1, longest, FLOW_NAME_MAX), 0);
	cr_assert_eq(flow_name_add(table, &two.flow, &two.names[0], 1, "abc", 3), -EEXIST);
	cr_assert_eq(flow_name_add(table, &one.flow, &two.names[0], 1, "abc", 3), -EEXIST);
	cr_assert_null(two.names[0].flow);
	cr_assert_eq(flow_name_add(table, &two.flow, &two.names[0], 3, "", 0), 0);

	cr_assert_eq(flow_find(table, 1, "abc", 3), &one.names[0]);
	cr_assert_eq(flow_find(table, 2, "abc", 3), &one.names[1]);
	cr_assert_eq(flow_find(table, 1, longest, FLOW_NAME_MAX), &one.names[2]);
	cr_assert_eq(flow_find(table, 3, "", 0), &two.names[0]);
	cr_assert_null(flow_find(table, 1, "abd", 3));
	cr_assert_null(flow_find(table, 1, "abc", 2));
	cr_assert_null(flow_find(table, 3, "abc", 3));

	flow_name_remove(table, &one.names[0]);
	flow_name_remove(table, &one.names[0]);
	cr_assert_null(flow_find(table, 1, "abc", 3));
	cr_assert_eq(flow_name_add(table, &two.flow, &two.names[1], 1, "abc", 3), 0);
	cr_assert_eq(flow_find(table, 1, "abc", 3)->flow, &two.flow);
	let_go(&one);
	let_go(&two);
	flow_table_free(table);
}

static struct owned trio[3];

static void end_all(struct flow *flow, bool is_evicted, void *owner)
{
	(void)is_evicted;
	((struct owned *)flow)->n_idle++;
	cr_assert_null(owner);
	for (unsigned i = 0; i < 3; i++)
		let_go(&trio[i]);
}

Test(flow, the_end_of_one_may_take_others_with_it)
{
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(flow_table_new(5, START, end_all, NULL, &table), 0);
	for (uint8_t i = 0; i < 3; i++) {
		add(&trio[i], START);
		cr_assert_eq(flow_name_add(table, &trio[i].flow, &trio[i].names[0], 0, &i, 1), 0);
	}
	flow_table_run(table, START + 2 * IDLE);
	cr_assert_eq(trio[0].n_idle + trio[1].n_idle + trio[2].n_idle, 1);
	cr_assert_eq(flow_table_count(table), 0);
	flow_table_free(table);
}

#define N_MANY 100000

Test(flow, holds_100000_flows)
{
	struct owned *many = calloc(N_MANY, sizeof(*many));
	cr_assert_not_null(many);
	make_table(N_MANY);
	for (uint32_t i = 0; i < N_MANY; i++) {
		add(&many[i], START + i / 100);
		for (uint8_t kind = 0; kind < 3; kind++)
			cr_assert_eq(flow_name_add(table, &many[i].flow, &many[i].names[kind], kind,
					     &i, sizeof i),
				0);
	}
	for (uint32_t i = 0; i < N_MANY; i += 2)
		flow_name_remove(table, &many[i].names[1]);
	for (uint32_t i = 0; i < N_MANY; i++) {
		cr_assert_eq(flow_find(table, 0, &i, sizeof i), &many[i].names[0]);
		cr_assert_eq(
			flow_find(table, 1, &i, sizeof i), i % 2 == 0 ? NULL : &many[i].names[1]);
		cr_assert_eq(flow_find(table, 2, &i, sizeof i), &many[i].names[2]);
	}
	flow_table_run(table, START + IDLE + 500);
	uint32_t n_left = flow_table_count(table);
	cr_assert(n_left >= 49900 && n_left <= 51500, "%u", n_left);
	flow_table_run(table, START + IDLE + 1100);
	cr_assert_eq(flow_table_count(table), 0);
	for (uint32_t i = 0; i < N_MANY; i++)
		cr_assert_eq(many[i].n_idle, 1);
	flow_table_free(table);
	free(many);
}

/* The model is the fuzzer's: it takes the calls from bytes, here random ones. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

Test(flow, agrees_with_a_naive_model)
{
	for (uint32_t seed = 1; seed <= 200; seed++) {
		static uint8_t calls[6000];
		uint32_t state = seed;
		for (size_t i = 0; i < sizeof calls; i++) {
			state = state * 1664525 + 1013904223;
			calls[i] = (uint8_t)(state >> 24);
		}
		LLVMFuzzerTestOneInput(calls, sizeof calls);
	}
}
