#include "tests/model/network.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct event {
	uint64_t at_ms, order;
	struct packet *packet; /* or a call */
	network_call_fn *fn;
	uint64_t argument;
};

struct network {
	struct network_ops ops;
	void *owner;
	struct dice dice;
	uint64_t now_ms, n_events_ever, n_sent, n_extra;
	uint64_t settled_ms; /* the last packet that was sent while impaired arrives */
	struct link links[NETWORK_NODES];
	bool is_impaired;
	struct event *heap; /* binary, earliest first */
	size_t n_heap, max_heap;
};

uint64_t dice_roll(struct dice *dice)
{
	uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint32_t dice_below(struct dice *dice, uint32_t n)
{
	return (uint32_t)((dice_roll(dice) >> 32) * n >> 32);
}

bool dice_chance(struct dice *dice, uint32_t per_mille)
{
	return dice_below(dice, 1000) < per_mille;
}

bool place_is_equal(struct place a, struct place b)
{
	return a.node == b.node && a.port == b.port;
}

union addr_sock place_sock(struct place place)
{
	union addr_sock sock;

	memset(&sock, 0, sizeof sock);
	sock.ip4.sin_family = AF_INET;
	sock.ip4.sin_addr.s_addr = htonl(UINT32_C(0x0a000001) | (uint32_t)place.node << 8);
	sock.ip4.sin_port = htons(place.port);
	return sock;
}

struct place place_of(const union addr_sock *sock)
{
	uint32_t address = ntohl(sock->ip4.sin_addr.s_addr);

	if (sock->any.sa_family != AF_INET || (address & 0xffff00ff) != 0x0a000001)
		return (struct place){ 255, 0 };
	return (struct place){ (uint8_t)(address >> 8), ntohs(sock->ip4.sin_port) };
}

struct network *network_new(uint64_t seed, const struct network_ops *ops, void *owner)
{
	struct network *network = calloc(1, sizeof *network);

	network->ops = *ops;
	network->owner = owner;
	network->dice.state = seed;
	network->now_ms = NETWORK_START;
	return network;
}

void network_free(struct network *network)
{
	for (size_t i = 0; i < network->n_heap; i++)
		free(network->heap[i].packet);
	free(network->heap);
	free(network);
}

uint64_t network_now(const struct network *network)
{
	return network->now_ms;
}

struct link *network_link(struct network *network, uint8_t lower_node)
{
	return &network->links[lower_node];
}

void network_impair(struct network *network, bool is_impaired)
{
	network->is_impaired = is_impaired;
}

uint64_t network_settled(const struct network *network)
{
	return network->settled_ms;
}

uint64_t network_n_sent(const struct network *network)
{
	return network->n_sent;
}

uint64_t network_n_extra(const struct network *network)
{
	return network->n_extra;
}

/* ---- The queue. */

static bool is_before(const struct event *a, const struct event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void push(struct network *network, struct event event)
{
	size_t i = network->n_heap++;

	if (i == network->max_heap) {
		network->max_heap = network->max_heap == 0 ? 256 : network->max_heap * 2;
		network->heap = realloc(network->heap, network->max_heap * sizeof *network->heap);
	}
	event.order = network->n_events_ever++;
	for (; i > 0 && is_before(&event, &network->heap[(i - 1) / 2]); i = (i - 1) / 2)
		network->heap[i] = network->heap[(i - 1) / 2];
	network->heap[i] = event;
}

static struct event pop(struct network *network)
{
	struct event first = network->heap[0];
	struct event last = network->heap[--network->n_heap];
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < network->n_heap; i = child) {
		if (child + 1 < network->n_heap &&
			is_before(&network->heap[child + 1], &network->heap[child]))
			child++;
		if (!is_before(&network->heap[child], &last))
			break;
		network->heap[i] = network->heap[child];
	}
	network->heap[i] = last;
	return first;
}

void network_call(struct network *network, uint64_t at_ms, network_call_fn *fn, uint64_t argument)
{
	push(network, (struct event){ .at_ms = at_ms, .fn = fn, .argument = argument });
}

bool network_step(struct network *network, uint64_t until_ms)
{
	struct event event;

	if (network->n_heap == 0 || network->heap[0].at_ms > until_ms) {
		network->now_ms = until_ms > network->now_ms ? until_ms : network->now_ms;
		return false;
	}
	event = pop(network);
	network->now_ms = event.at_ms > network->now_ms ? event.at_ms : network->now_ms;
	if (event.packet != NULL)
		network->ops.arrive(event.packet, network->owner);
	else
		event.fn(event.argument, network->owner);
	free(event.packet);
	return true;
}

/* ---- The wire. */

static struct packet *packet_new(struct place from, struct place to, const void *head,
	size_t n_head, const void *body, size_t n_body)
{
	struct packet *packet = calloc(1, sizeof *packet + n_head + n_body);

	packet->from = from;
	packet->to = to;
	packet->len = n_head + n_body;
	if (n_head > 0)
		memcpy(packet->data, head, n_head);
	if (n_body > 0)
		memcpy(packet->data + n_head, body, n_body);
	return packet;
}

static void damage(struct network *network, struct packet *packet)
{
	uint32_t n_bits = 1 + dice_below(&network->dice, 3);

	if (packet->len == 0)
		return;
	packet->is_damaged = true;
	for (; n_bits > 0; n_bits--) {
		uint32_t bit = dice_below(&network->dice, (uint32_t)packet->len * 8);
		packet->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	if (dice_chance(&network->dice, 100))
		packet->len = dice_below(&network->dice, (uint32_t)packet->len);
}

static void carry(struct network *network, const struct link *link, struct packet *packet)
{
	uint64_t at_ms = network->now_ms + link->delay_ms;

	if (link->jitter_ms > 0)
		at_ms += dice_below(&network->dice, link->jitter_ms + 1);
	if (network->is_impaired && dice_chance(&network->dice, link->loss)) {
		free(packet);
		return;
	}
	if (network->is_impaired && dice_chance(&network->dice, link->damage))
		damage(network, packet);
	if (network->is_impaired && dice_chance(&network->dice, link->late))
		at_ms += dice_below(&network->dice, link->late_ms + 1);
	if (network->is_impaired && at_ms > network->settled_ms)
		network->settled_ms = at_ms;
	push(network, (struct event){ .at_ms = at_ms, .packet = packet });
}

void network_send(struct network *network, struct place from, struct place to, const void *head,
	size_t n_head, const void *body, size_t n_body)
{
	struct packet *packet = packet_new(from, to, head, n_head, body, n_body);
	uint8_t lower = from.node < to.node ? from.node : to.node;
	const struct link nothing = { .delay_ms = 1 };
	const struct link *link = lower < NETWORK_NODES ? &network->links[lower] : &nothing;

	if (from.node >= NETWORK_NODES || to.node >= NETWORK_NODES)
		link = &nothing;
	network->n_sent++;
	network->ops.overhear(packet, network->owner);
	if (network->is_impaired && dice_chance(&network->dice, link->twice)) {
		network->n_extra++;
		carry(network, link, packet_new(from, to, packet->data, packet->len, NULL, 0));
	}
	carry(network, link, packet);
}

void network_inject(struct network *network, struct place from, struct place to, const void *data,
	size_t len, uint32_t delay_ms)
{
	struct packet *packet = packet_new(from, to, data, len, NULL, 0);

	packet->is_injected = true;
	network->n_extra++;
	push(network, (struct event){ .at_ms = network->now_ms + delay_ms, .packet = packet });
}
