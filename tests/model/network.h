#ifndef MODEL_NETWORK_H
#define MODEL_NETWORK_H
/*
 * Does: a network in virtual time: what is sent arrives later, in another order, twice, damaged or
 * not at all, decided by a seed. Knows: places, bytes. Never knows: flows.
 */
#include "common/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETWORK_NODES 8 /* 0 = client, 1..n = hops, n + 1 = target */
#define NETWORK_START UINT64_C(1000000)

/* A seeded generator. */
struct dice {
	uint64_t state;
};
uint64_t dice_roll(struct dice *dice);
uint32_t dice_below(struct dice *dice, uint32_t n); /* 0..n - 1 */
bool dice_chance(struct dice *dice, uint32_t per_mille);

/* Where a socket is. Nodes from NETWORK_NODES on are strangers'. */
struct place {
	uint8_t node;
	uint16_t port;
};
bool place_is_equal(struct place a, struct place b);
union addr_sock place_sock(struct place place);
struct place place_of(const union addr_sock *sock); /* node 255: none of ours */

struct packet {
	struct place from, to;
	bool is_damaged;
	bool is_injected; /* by the attacker */
	size_t len;
	uint8_t data[];
};

/* What happens between two neighbours; the last four while the network is impaired. */
struct link {
	uint32_t delay_ms, jitter_ms;
	uint32_t loss, twice, damage; /* per mille */
	uint32_t late, late_ms;       /* per mille come up to late_ms later */
};

struct network;
struct network_ops {
	/* A packet has come; it may be written to, and is freed afterwards. */
	void (*arrive)(struct packet *packet, void *owner);
	/* A packet leaves: what a listener on the wire sees. */
	void (*overhear)(const struct packet *packet, void *owner);
};
typedef void network_call_fn(uint64_t argument, void *owner);

struct network *network_new(uint64_t seed, const struct network_ops *ops, void *owner);
void network_free(struct network *network);
uint64_t network_now(const struct network *network);
struct link *network_link(struct network *network, uint8_t lower_node);
void network_impair(struct network *network, bool is_impaired);
/** network_settled() - when the last of what was sent while it was impaired arrives: a packet that
 * comes late is a fault then. */
uint64_t network_settled(const struct network *network);
uint64_t network_n_sent(const struct network *network);  /* without injected ones */
uint64_t network_n_extra(const struct network *network); /* injected, doubled */

void network_send(struct network *network, struct place from, struct place to, const void *head,
	size_t n_head, const void *body, size_t n_body);
/** network_inject() - arrives after @delay_ms, untouched. */
void network_inject(struct network *network, struct place from, struct place to, const void *data,
	size_t len, uint32_t delay_ms);
/** network_call() - @fn at @at_ms. */
void network_call(struct network *network, uint64_t at_ms, network_call_fn *fn, uint64_t argument);
/** network_step() - moves the clock to the next event, but not beyond @until_ms, and lets it
 * happen. Return: false if there was none. */
bool network_step(struct network *network, uint64_t until_ms);

#endif
