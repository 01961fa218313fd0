#include "tests/model/attacker.h"

#include "tests/model/world.h"

#include <stdlib.h>
#include <string.h>

#define N_RECENT   64
#define N_RECORDED 128 /* requests, kept for long */

/* Strangers, by what they send. */
enum {
	STRANGER_COPIES = 200, /* anything */
	STRANGER_REQUESTS,     /* requests that may be young */
	STRANGER_STALE,        /* requests that must not be obeyed */
	STRANGER_BLOCKS,       /* no requests */
	STRANGER_JUNK,
};

struct copy {
	struct place from, to;
	size_t len;
	uint8_t data[2048];
};

struct attacker {
	struct world *world;
	struct dice dice;
	uint32_t per_mille;
	struct copy recent[N_RECENT], recorded[N_RECORDED];
	size_t n_recent, n_recorded; /* ever */
};

struct attacker *attacker_new(struct world *world, uint64_t seed)
{
	struct attacker *attacker = calloc(1, sizeof *attacker);

	attacker->world = world;
	attacker->dice.state = seed;
	return attacker;
}

void attacker_free(struct attacker *attacker)
{
	free(attacker);
}

void attacker_work(struct attacker *attacker, uint32_t per_mille)
{
	attacker->per_mille = per_mille;
}

static bool is_for_hop(const struct attacker *attacker, struct place to)
{
	return to.port == WORLD_PORT && to.node >= 1 && to.node <= attacker->world->options.n_hops;
}

static void inject(struct attacker *attacker, struct place from, struct place to,
	const struct copy *copy, uint32_t delay_ms)
{
	network_inject(attacker->world->network, from, to, copy->data, copy->len, delay_ms);
}

static uint32_t below(struct attacker *attacker, uint32_t n)
{
	return dice_below(&attacker->dice, n);
}

static struct place stranger(struct attacker *attacker, uint8_t node)
{
	return (struct place){ node, (uint16_t)(4000 + below(attacker, 4)) };
}

/* From the target on there is nothing that could tell copies apart. */
static bool is_protected(const struct attacker *attacker, const struct packet *packet)
{
	unsigned target = attacker->world->options.n_hops + 1;

	return packet->from.node != target && packet->to.node != target;
}

static void copy_request(struct attacker *attacker, const struct copy *copy)
{
	struct place from = stranger(attacker, STRANGER_REQUESTS);

	for (uint32_t n = 1 + below(attacker, 5); n > 0; n--)
		inject(attacker, from, copy->to, copy, below(attacker, n % 2 == 0 ? 3000 : 3));
}

/* Only the salt is as it was. */
static void forge_request(struct attacker *attacker, const struct copy *copy)
{
	struct copy forged = *copy;
	uint32_t bit =
		(WIRE_SALT + below(attacker, WIRE_REQUEST - WIRE_SALT)) * 8 + below(attacker, 8);

	forged.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	inject(attacker, stranger(attacker, STRANGER_JUNK), copy->to, &forged,
		1 + below(attacker, 500));
}

static void copy_now(struct attacker *attacker, const struct copy *copy)
{
	bool is_up = is_for_hop(attacker, copy->to);
	bool is_request = is_up && ledger_is_request(attacker->world->ledger,
					   bytes_of(copy->data, copy->len));
	unsigned other = below(attacker, attacker->world->options.n_apps);

	switch (below(attacker, 5)) {
	case 0:
		inject(attacker, copy->from, copy->to, copy, below(attacker, 50));
		break;
	case 1:
		if (is_up)
			inject(attacker, stranger(attacker, STRANGER_COPIES), copy->to, copy,
				below(attacker, 2) * below(attacker, 100));
		break;
	case 2:
		if (is_request) {
			copy_request(attacker, copy);
			forge_request(attacker, copy);
		}
		break;
	case 3:
		if (is_up && !is_request)
			inject(attacker, stranger(attacker, STRANGER_BLOCKS), copy->to, copy,
				below(attacker, 100));
		break;
	default:
		if (copy->to.node == 0)
			inject(attacker, copy->from, attacker->world->clients[other].place, copy,
				below(attacker, 30));
		break;
	}
}

void attacker_overhear(struct attacker *attacker, const struct packet *packet)
{
	struct copy *copy = &attacker->recent[attacker->n_recent % N_RECENT];

	if (!is_protected(attacker, packet) || packet->len > sizeof copy->data)
		return;
	attacker->n_recent++;
	copy->from = packet->from;
	copy->to = packet->to;
	copy->len = packet->len;
	memcpy(copy->data, packet->data, packet->len);
	if (is_for_hop(attacker, copy->to) &&
		ledger_is_request(attacker->world->ledger, bytes_of(copy->data, copy->len)))
		attacker->recorded[attacker->n_recorded++ % N_RECORDED] = *copy;
	if (dice_chance(&attacker->dice, attacker->per_mille))
		copy_now(attacker, copy);
}

static void send_junk(struct attacker *attacker)
{
	uint8_t node = (uint8_t)(1 + below(attacker, attacker->world->options.n_hops));
	struct copy junk = { .len = below(attacker, 600) };

	for (size_t i = 0; i < junk.len; i++)
		junk.data[i] = (uint8_t)dice_roll(&attacker->dice);
	inject(attacker, stranger(attacker, STRANGER_JUNK), world_hop_place(node), &junk, 0);
}

static void send_stale(struct attacker *attacker)
{
	size_t n = attacker->n_recorded < N_RECORDED ? attacker->n_recorded : N_RECORDED;

	if (n == 0)
		return;
	const struct copy *copy = &attacker->recorded[below(attacker, (uint32_t)n)];
	if (ledger_is_stale(attacker->world->ledger, copy->to.node, bytes_of(copy->data, copy->len),
		    world_now(attacker->world)))
		inject(attacker, stranger(attacker, STRANGER_STALE), copy->to, copy, 0);
}

void attacker_act(struct attacker *attacker)
{
	size_t n = attacker->n_recent < N_RECENT ? attacker->n_recent : N_RECENT;

	if (attacker->per_mille == 0)
		return;
	send_stale(attacker);
	if (below(attacker, 2) == 0)
		send_junk(attacker);
	if (n == 0)
		return;
	const struct copy *copy = &attacker->recent[below(attacker, (uint32_t)n)];
	if (below(attacker, 3) != 0)
		inject(attacker, copy->from, copy->to, copy, below(attacker, 20));
	else if (is_for_hop(attacker, copy->to))
		inject(attacker, stranger(attacker, STRANGER_COPIES),
			world_hop_place(1 + below(attacker, attacker->world->options.n_hops)), copy,
			0);
}
