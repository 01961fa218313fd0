#ifndef CHAIN_POOL_H
#define CHAIN_POOL_H
/*
 * Does: warm connections of one worker: idle ones, already steered through hops 1..k of a chain,
 * kept alive by NOOP with KEEP (docs/protocol.md 2.3) and lent only while they are known to live.
 * Knows: clients, sessions. Never knows: what they are lent for.
 *
 * Ways that begin with the same hops share what is kept for these.
 */
#include "chain/client.h"
#include "common/stream.h"

struct chain_pools;
NODISCARD int chain_pools_new(struct loop *loop, struct chain_pools **ret);
/** chain_pools_free() - closes all. Clients that used it may live on. NULL ok. */
void chain_pools_free(struct chain_pools *pools);
/** chain_pools_add() - keeps as many connections as @client's hops say (chain_hop.n_warm), from now
 * on, ahead of use; @client's sessions borrow from them. Nothing is kept for a step that is not a
 * hop. Return: 0, ERR_NOMEM. */
NODISCARD int chain_pools_add(struct chain_pools *pools, struct chain_client *client);
/** chain_pools_remove() - chain_client_free() does it too. Without pools nothing happens. */
void chain_pools_remove(struct chain_client *client);

/* A warm connection. */
struct chain_warm {
	struct stream *stream; /* the borrower's; reading is stopped */
	size_t n_hops;         /* it is steered as far as this hop (1..): the next R is for it */
	uint32_t age_ms;
};
/** chain_pools_take() - the one that is steered furthest along @client's chain. Return: false if
 * none is there that has proved its life within the last 30 s, or @client has no pools. */
NODISCARD bool chain_pools_take(struct chain_client *client, struct chain_warm *ret);
/** chain_pools_died() - the borrower found the one of @n_hops dead after all: those that lie beside
 * it have to prove their life at once. */
void chain_pools_died(const struct chain_client *client, size_t n_hops);

struct chain_pool_counters {
	uint32_t n_idle, n_building;
	uint64_t n_lent, n_missed; /* asked for when none was there */
	uint64_t n_built, n_failed;
	uint64_t n_dead_peer, n_dead_age, n_dead_silent, n_dead_lent; /* by reason */
};
/** chain_pools_counters() - of all that is kept for the first @n_hops hops of @client's chain. */
struct chain_pool_counters chain_pools_counters(const struct chain_client *client, size_t n_hops);

#endif
