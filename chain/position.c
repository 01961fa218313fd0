#include "chain/position.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARES       1000 /* a weight in parts, so that the hosts of a name can share it */
#define IDENTITY_MAX (ADDR_TEXT_MAX + CHAIN_LOGIN_MAX + WIRE_KID + 16)

/* By what the health of a hop is known: where it is, and as whom we come. Return: its length. */
static size_t identify(const struct chain_hop *hop, uint8_t to[IDENTITY_MAX])
{
	char address[ADDR_TEXT_MAX];
	int len = snprintf((char *)to, IDENTITY_MAX, "%d %s %s", (int)hop->step,
		addr_print(&hop->addr, address), hop->user != NULL ? hop->user : "");
	size_t n = len < IDENTITY_MAX - WIRE_KID ? (size_t)len : IDENTITY_MAX - WIRE_KID;
	if (hop->key == NULL)
		return n;
	memcpy(to + n, hop->key->kid, WIRE_KID);
	return n + WIRE_KID;
}

void chain_peer_hold(struct chain_peer *peer)
{
	peer->n_held++;
}

void chain_peer_release(struct chain_peer *peer, uint64_t now_ms)
{
	if (--peer->n_held > 0)
		return;
	chain_health_put(peer->health, now_ms);
	free(peer);
}

static struct chain_peer *new_peer(
	struct chain_position *position, size_t i_source, const struct addr *addr, uint64_t now_ms)
{
	uint8_t identity[IDENTITY_MAX];
	struct chain_peer *peer = calloc(1, sizeof *peer);
	if (peer == NULL)
		return NULL;
	peer->n_held = 1;
	peer->i_source = i_source;
	peer->hop = position->sources[i_source];
	peer->hop.addr = *addr;
	peer->hop.is_srv = false;
	size_t len = identify(&peer->hop, identity);
	peer->health = chain_health_get(position->health, identity, len, now_ms);
	if (peer->health != NULL)
		return peer;
	free(peer);
	return NULL;
}

static uint32_t weight_of(const struct chain_hop *hop)
{
	return hop->weight > 0 ? hop->weight : 1;
}

/* An RTT is divided by a hop's weight as it is written; turns are shared in parts of it. */
static uint32_t parts_of(const struct chain_position *position, size_t i_source)
{
	uint32_t weight = weight_of(&position->sources[i_source]);
	return position->strategy == CHAIN_LOWEST_RTT ? weight : weight * SHARES;
}

static void add(
	struct chain_position *position, struct chain_peer *peer, uint32_t weight, uint16_t tier)
{
	uint8_t identity[IDENTITY_MAX];
	size_t len = identify(&peer->hop, identity);
	position->select[position->n] = (struct chain_select_candidate){
		.identity = chain_select_hash(identity, len), .weight = weight, .tier = tier
	};
	position->peers[position->n++] = peer;
}

static size_t room_for(const struct chain_position *position)
{
	size_t n = 0;
	for (size_t i = 0; i < position->n_sources; i++)
		n += position->sources[i].is_srv ? CHAIN_RECORDS_MAX : 1;
	return n < CHAIN_PEERS_MAX ? n : CHAIN_PEERS_MAX;
}

static int add_sources(struct chain_position *position, uint64_t now_ms)
{
	for (size_t i = 0; i < position->n_sources; i++) {
		const struct chain_hop *source = &position->sources[i];
		if (source->is_srv)
			continue;
		struct chain_peer *peer = new_peer(position, i, &source->addr, now_ms);
		if (peer == NULL)
			return ERR_NOMEM;
		add(position, peer, parts_of(position, i), 0);
	}
	return 0;
}

int chain_position_init(struct chain_position *position, const struct chain_spec *spec, size_t i,
	struct chain_health *health, uint32_t max_fails, uint32_t retry_after_ms, uint64_t now_ms)
{
	const struct chain_group *group = spec->groups != NULL ? spec->groups[i] : NULL;
	*position = (struct chain_position){
		.sources = group != NULL ? group->hops : &spec->hops[i],
		.n_sources = group != NULL ? group->n_hops : 1,
		/* The hosts of one name: as RFC 2782 has it. */
		.strategy = group != NULL ? group->strategy : CHAIN_RANDOM,
		.max_fails = group != NULL && group->max_fails > 0 ? group->max_fails : max_fails,
		.retry_after_ms = group != NULL && group->retry_after_ms > 0 ? group->retry_after_ms
									     : retry_after_ms,
		.health = health,
	};
	position->n_max = room_for(position);
	position->peers = calloc(position->n_max, sizeof(struct chain_peer *));
	position->select = calloc(position->n_max, sizeof *position->select);
	if (position->peers == NULL || position->select == NULL)
		return ERR_NOMEM;
	return add_sources(position, now_ms);
}

void chain_position_deinit(struct chain_position *position, uint64_t now_ms)
{
	for (size_t i = 0; i < position->n; i++)
		chain_peer_release(position->peers[i], now_ms);
	free(position->peers);
	free(position->select);
	*position = (struct chain_position){ 0 };
}

bool chain_position_has(const struct chain_position *position, const struct chain_peer *peer)
{
	for (size_t i = 0; i < position->n; i++) {
		if (position->peers[i] == peer)
			return true;
	}
	return false;
}

static struct addr address_of(const struct resolve_srv *record)
{
	struct addr addr = { .kind = ADDR_NAME, .port = record->port };
	memcpy(addr.name, record->name, sizeof addr.name);
	return addr;
}

static size_t find(const struct chain_position *position, size_t i_source, const struct addr *addr)
{
	for (size_t i = 0; i < position->n; i++) {
		if (position->peers[i]->i_source == i_source &&
			addr_is_equal(&position->peers[i]->hop.addr, addr))
			return i;
	}
	return SIZE_MAX;
}

static bool is_named(const struct chain_peer *peer, const struct resolve_srv *records, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct addr addr = address_of(&records[i]);
		if (addr_is_equal(&addr, &peer->hop.addr))
			return true;
	}
	return false;
}

static void remove_unnamed(struct chain_position *position, size_t i_source,
	const struct resolve_srv *records, size_t n, uint64_t now_ms)
{
	size_t n_kept = 0;
	for (size_t i = 0; i < position->n; i++) {
		struct chain_peer *peer = position->peers[i];
		if (peer->i_source == i_source && !is_named(peer, records, n)) {
			chain_peer_release(peer, now_ms);
			continue;
		}
		position->peers[n_kept] = peer;
		position->select[n_kept++] = position->select[i];
	}
	position->n = n_kept;
}

/* The share of record @i in what its name weighs; none has nothing. */
static uint32_t share_of(const struct chain_position *position, size_t i_source,
	const struct resolve_srv *records, size_t n, size_t i)
{
	uint64_t sum = 0, parts = parts_of(position, i_source);
	if (position->strategy == CHAIN_LOWEST_RTT)
		return (uint32_t)parts;
	for (size_t k = 0; k < n; k++)
		sum += records[k].priority == records[i].priority ? records[k].weight : 0;
	if (sum == 0) {
		for (size_t k = 0; k < n; k++)
			sum += records[k].priority == records[i].priority ? 1 : 0;
		return (uint32_t)(parts / sum > 0 ? parts / sum : 1);
	}
	uint64_t share = parts * records[i].weight / sum;
	return (uint32_t)(share > 0 ? share : 1);
}

/* Of priorities a position without a group takes note. Beside other hops of a group all hosts of a
 * name are equal: their priorities say nothing of those. */
static uint16_t tier_of(const struct chain_position *position, const struct resolve_srv *record)
{
	return position->n_sources == 1 ? record->priority : 0;
}

void chain_position_set_records(struct chain_position *position, size_t i_source,
	const struct resolve_srv *records, size_t n, uint64_t now_ms)
{
	if (n > CHAIN_RECORDS_MAX)
		n = CHAIN_RECORDS_MAX;
	remove_unnamed(position, i_source, records, n, now_ms);
	for (size_t i = 0; i < n; i++) {
		struct addr addr = address_of(&records[i]);
		uint32_t weight = share_of(position, i_source, records, n, i);
		size_t found = find(position, i_source, &addr);
		if (found != SIZE_MAX) {
			position->select[found].weight = weight;
			position->select[found].tier = tier_of(position, &records[i]);
			continue;
		}
		struct chain_peer *peer = position->n < position->n_max
						  ? new_peer(position, i_source, &addr, now_ms)
						  : NULL;
		if (peer != NULL)
			add(position, peer, weight, tier_of(position, &records[i]));
	}
}
