#include "tests/model/scenario.h"

#include "tests/model/attacker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct play {
	const struct scenario *scenario;
	struct dice dice;
	struct world *world;
	uint64_t start_ms;
};

static uint32_t below(struct play *play, uint32_t n)
{
	return dice_below(&play->dice, n);
}

static bool one_in(struct play *play, uint32_t n)
{
	return below(play, n) == 0;
}

static struct world *make_world(struct play *play)
{
	const struct scenario *scenario = play->scenario;
	struct world_options options = {
		.seed = scenario->seed,
		.n_hops = 1 + below(play, WORLD_HOPS_MAX),
		.n_apps = 1 + (one_in(play, 3) ? 1 : 0),
		.max_flows = one_in(play, 4) ? 8 : 64,
		.open_ms = one_in(play, 2) ? 0 : 1 + below(play, 40),
		.has_icmp = one_in(play, 2),
		.delay_ms = 1 + below(play, 10),
		.has_name = one_in(play, 3),
	};

	return world_new(&options);
}

/* How bad the links are; the last one is plain UDP, which may lose and delay but not double or
 * damage: nothing could tell. */
static void spoil_links(struct play *play)
{
	bool is_bad = one_in(play, 4);
	unsigned n_hops = play->world->options.n_hops;

	for (unsigned i = 0; i <= n_hops; i++) {
		struct link *link = network_link(play->world->network, (uint8_t)i);
		link->jitter_ms = below(play, 4);
		link->loss = below(play, is_bad ? 500 : 100);
		link->late = below(play, 300);
		link->late_ms = one_in(play, 8) ? 5000 : 1 + below(play, 300);
		if (i == n_hops)
			break;
		link->twice = below(play, is_bad ? 300 : 50);
		link->damage = below(play, is_bad ? 100 : 30);
	}
}

static size_t some_length(struct play *play)
{
	return one_in(play, 6) ? 8 + below(play, 1400) : 8 + below(play, 120);
}

/* The programs send every @gap_ms; the attacker acts too. */
static void talk(struct play *play, uint64_t for_ms, uint32_t gap_ms)
{
	struct world *world = play->world;
	uint64_t until_ms = world_now(world) + for_ms;

	while (world_now(world) < until_ms && ledger_broken(world->ledger) == NULL) {
		for (unsigned i = 0; i < world->options.n_apps; i++)
			world_send(world, i, some_length(play));
		if (one_in(play, 4))
			attacker_act(world->attacker);
		world_run(world, world_now(world) + gap_ms);
	}
}

/* Long ago for a hop: copies are old, flows may have ended. */
static void rest(struct play *play, uint64_t for_ms)
{
	uint64_t until_ms = world_now(play->world) + for_ms;

	while (world_now(play->world) < until_ms && ledger_broken(play->world->ledger) == NULL) {
		world_run(play->world, world_now(play->world) + 1000);
		attacker_act(play->world->attacker);
	}
}

static void restart_hop(struct play *play)
{
	struct world *world = play->world;
	unsigned i = below(play, world->options.n_hops);

	world_kill(world, i);
	talk(play, one_in(play, 2) ? 0 : below(play, 1500), 20);
	world_start(world, i);
}

static void rebind(struct play *play)
{
	for (unsigned i = 0; i < play->world->options.n_apps; i++)
		world_rebind(play->world, i);
}

static void strike(struct play *play, enum fault fault)
{
	if (fault == FAULT_REBINDING)
		rebind(play);
	else
		restart_hop(play);
}

/* 1,000 datagrams at once, each as late as it likes: everything arrives in another order. */
static void burst(struct play *play)
{
	struct link *link = network_link(play->world->network, 0);
	struct link before = *link;

	link->late = 1000;
	link->late_ms = 500;
	for (unsigned i = 0; i < 1000; i++)
		world_send(play->world, 0, LEDGER_PAYLOAD_MIN);
	world_run(play->world, world_now(play->world) + 600);
	*link = before;
}

static void trouble(struct play *play)
{
	struct world *world = play->world;
	uint32_t gap_ms = 20 + below(play, 80);

	if (one_in(play, 2))
		talk(play, 500, gap_ms);
	spoil_links(play);
	network_impair(world->network, true);
	world->refusing = one_in(play, 6) ? 100 : 0;
	world->path_max = one_in(play, 4) ? 1200 + below(play, 250) : 0;
	if (!one_in(play, 4))
		attacker_work(world->attacker, 20 + below(play, 150));
	talk(play, 500 + below(play, 3000), gap_ms);
	for (uint32_t n = below(play, 3); n > 0; n--) {
		strike(play, below(play, FAULT_N));
		talk(play, 200 + below(play, 2500), gap_ms);
	}
	if (one_in(play, 20))
		burst(play);
	if (one_in(play, 8))
		rest(play, 31000 + below(play, 120000));
	talk(play, below(play, 2000), gap_ms);
	network_impair(world->network, false);
	world->refusing = 0;
	attacker_work(world->attacker, 0);
	/* What is seconds late is a fault when it comes: an answer of before looks like life. */
	while (world_now(world) + 300 < network_settled(world->network) &&
		ledger_broken(world->ledger) == NULL)
		talk(play, gap_ms, gap_ms);
}

static void set_jitter(struct play *play, uint32_t ms)
{
	for (unsigned i = 0; i <= play->world->options.n_hops; i++)
		network_link(play->world->network, (uint8_t)i)->jitter_ms = ms;
}

/* Without faults nothing is lost, from when the flow is there: not through new epochs, and not when
 * 1,000 datagrams overtake each other. */
static void calm(struct play *play)
{
	struct world *world = play->world;
	uint32_t n_up[LEDGER_APPS], n_down[LEDGER_APPS];
	bool is_long = one_in(play, 4);

	world->is_even = true;
	talk(play, 1000, 20);
	for (uint8_t i = 0; i < world->options.n_apps; i++) {
		n_up[i] = ledger_n_written(world->ledger, i, true);
		n_down[i] = ledger_n_written(world->ledger, i, false);
	}
	set_jitter(play, is_long ? 60 : 0);
	talk(play, is_long ? 150000 : 2000, is_long ? 50 : 20);
	network_impair(world->network, true); /* links are good: but for the burst's order */
	if (one_in(play, 4))
		burst(play);
	network_impair(world->network, false);
	world_run(world, world_now(world) + 1500);
	set_jitter(play, 0);
	for (uint8_t i = 0; i < world->options.n_apps; i++) {
		ledger_demand_all(world->ledger, i, true, n_up[i]);
		ledger_demand_all(world->ledger, i, false, n_down[i]);
	}
	world_run(world, world_now(world) + 600);
	talk(play, 500, 20);
}

static bool has_recovered(const struct world *world)
{
	for (unsigned i = 0; i < world->options.n_apps; i++)
		if (world->clients[i].recovered_ms == 0)
			return false;
	return true;
}

static void recover(struct play *play, struct scenario_result *ret)
{
	struct world *world = play->world;
	uint64_t from_ms = world_now(world);

	world->is_even = true;
	world_mark(world);
	while (!has_recovered(world) && world_now(world) < from_ms + SCENARIO_LONGEST_MS &&
		ledger_broken(world->ledger) == NULL)
		talk(play, 20, 20);
	for (unsigned i = 0; i < world->options.n_apps; i++) {
		uint64_t at_ms = world->clients[i].recovered_ms;
		ret->recovery_ms[i] =
			at_ms == 0 ? SCENARIO_LONGEST_MS : (uint32_t)(at_ms - from_ms);
	}
	talk(play, 300, 20);
}

/* What one datagram may lead to: each link both ways, and as much again for setting up; and a
 * little for every second that passes. */
static void check_storm(struct play *play)
{
	struct world *world = play->world;
	uint64_t seconds = (world_now(world) - play->start_ms) / 1000 + 1;
	uint64_t n_causes = world->n_payload + network_n_extra(world->network) +
			    seconds * 4 * world->options.n_apps;

	if (network_n_sent(world->network) > n_causes * 2 * (world->options.n_hops + 1))
		ledger_break(world->ledger, "a storm: %llu datagrams sent for %llu reasons",
			(unsigned long long)network_n_sent(world->network),
			(unsigned long long)n_causes);
}

void scenario_run(const struct scenario *scenario, struct scenario_result *ret)
{
	struct play play = { .scenario = scenario };

	memset(ret, 0, sizeof *ret);
	play.dice.state = scenario->seed * 2 + (uint64_t)scenario->fault;
	play.world = make_world(&play);
	play.start_ms = world_now(play.world);
	plant_begin(scenario->plant, scenario->seed, play.world->ledger);
	if (scenario->is_calm)
		calm(&play);
	else
		trouble(&play);
	strike(&play, scenario->fault);
	recover(&play, ret);
	check_storm(&play);
	ret->n_apps = play.world->options.n_apps;
	ret->n_hops = play.world->options.n_hops;
	ret->n_delivered = ledger_n_delivered(play.world->ledger, true) +
			   ledger_n_delivered(play.world->ledger, false);
	if (ledger_broken(play.world->ledger) != NULL)
		snprintf(ret->broken, sizeof ret->broken, "%s", ledger_broken(play.world->ledger));
	world_free(play.world);
	plant_end();
}
