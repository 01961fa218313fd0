#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H
/*
 * Does: a client, hops, an exit and a target in one process and in virtual time: the flow rules
 * themselves (chain/flow_client.h, hop/flow.h) over a network that loses, doubles, delays and
 * damages, and an attacker who copies. Knows: how to drive them. Never knows: how they work.
 *
 *   client (node 0) ── hop 1 ── … ── hop n ── target (node n + 1)          attacker: on every link
 */
#include "chain/flow_client.h"
#include "hop/flow.h"
#include "tests/model/ledger.h"

#define WORLD_HOPS_MAX 5
#define WORLD_TUBES    64
#define WORLD_PORT     7000 /* hops listen there */
#define WORLD_WALL_MS  UINT64_C(1800000000000)

struct world;

/* The upstream socket of a flow. */
struct tube {
	struct hop_flow *flow; /* NULL = free */
	struct place place, remote;
	uint32_t serial; /* tells a reused place in the array apart */
	bool is_open;
};

struct hop {
	struct world *world;
	uint8_t node;
	bool is_down;
	struct hop_options options;
	struct hop_users *users;
	struct replay *replay;
	struct wire_ephemeral *ephemeral;
	struct hop_flows *flows; /* NULL while it is down */
	struct tube tubes[WORLD_TUBES];
};

/* A program that talks through the chain: one flow, and another when that has failed. */
struct client {
	struct world *world;
	uint8_t app;
	struct addr target;
	struct flow_client *flow; /* NULL = none yet */
	struct place place;       /* as hop 1 sees it */
	bool has_failed;
	uint32_t n_flows, n_opened;
	uint64_t mark_ms;      /* what is sent from here on counts */
	uint32_t mark_number;  /* first payload of that */
	uint64_t recovered_ms; /* when its first echo came; 0 = not yet */
};

struct attacker;

struct world_options {
	uint64_t seed;
	unsigned n_hops, n_apps;
	uint32_t max_flows; /* of each hop */
	uint32_t open_ms;   /* upper limit of what open() takes; 0 = at once */
	bool has_icmp;      /* a hop that is down is heard of */
	uint32_t delay_ms;  /* of each link */
	bool has_name;      /* the target is named: requests have an extension */
};

struct world {
	struct world_options options;
	struct dice dice;
	struct network *network;
	struct ledger *ledger;
	struct attacker *attacker;
	struct chain_spec spec;
	struct wire_ephemeral *ephemeral;
	struct hop hops[WORLD_HOPS_MAX];
	struct client clients[LEDGER_APPS];
	uint32_t *asked[LEDGER_APPS]; /* by number of an answer: number of what was answered */
	uint16_t next_port;
	uint32_t next_serial;
	uint64_t n_payload; /* datagrams given to flows and target */
	uint32_t refusing;  /* per mille of flows that hops refuse */
	size_t path_max;    /* UDP payload that the links behind hops carry; 0 = any */
	bool is_even;       /* the target answers each datagram once */
};

struct world *world_new(const struct world_options *options);
/** world_free() - checks what holds at the end. */
void world_free(struct world *world);

uint64_t world_now(const struct world *world);
/** world_run() - until @until_ms, or until a rule is broken. */
void world_run(struct world *world, uint64_t until_ms);
/** world_send() - a datagram of @app's of about @len bytes. */
void world_send(struct world *world, unsigned app, size_t len);
/** world_rebind() - a NAT gives the client's flow another address. */
void world_rebind(struct world *world, unsigned app);
/** world_kill() / start() - the process of hop @i (0 = the first); its replay store stays. */
void world_kill(struct world *world, unsigned i);
void world_start(struct world *world, unsigned i);
/** world_mark() - from now on echoes count as recovery. */
void world_mark(struct world *world);

struct place world_hop_place(unsigned node);

/* Between world.c and world_hop.c. */
uint64_t world_wall(const struct world *world); /* unix ms */
void world_put(struct world *world, struct place from, struct place to, struct bytes head,
	struct bytes body);
void world_make_hop(struct world *world, unsigned i);
void world_unmake_hop(struct world *world, unsigned i);
void world_reach_hop(struct world *world, struct hop *hop, struct packet *packet);

#endif
