#ifndef CHAIN_POOL_LOT_H
#define CHAIN_POOL_LOT_H
/*
 * Does: the warm connections of one prefix: builds them, proves them, retires them. Knows:
 * sessions, stacks of one NOOP. Never knows: who shares them.
 */
#include "chain/pool.h"

#define POOL_BUILDING_MAX 8     /* at once, of one prefix */
#define POOL_PROOF_MS     25000 /* idle until NOOP, and up to POOL_SPREAD_MS more */
#define POOL_SPREAD_MS    4000
#define POOL_ANSWER_MS    5000   /* of NOOP */
#define POOL_FRESH_MS     30000  /* nothing is lent that said its last S before */
#define POOL_AGE_MS       600000 /* then a new one takes its place; up to a tenth sooner */
#define POOL_BUSY_MS      300000 /* that long after a miss twice as many are kept */
#define POOL_RETRY_MS     500    /* after a failed build; doubles */
#define POOL_RETRY_MAX_MS 30000

struct pool_lot;
/** pool_lot_new() - for the first @n_hops hops of @client's chain, the last of which is a HOP.
 * Keeps nothing before pool_lot_set(). Return: NULL without memory. */
struct pool_lot *pool_lot_new(struct chain_client *client, size_t n_hops);
void pool_lot_free(struct pool_lot *lot); /* closes all. NULL ok */
/** pool_lot_set() - how many are wanted, and by way of whose client they are built from now on:
 * what the former has under way is dropped. */
void pool_lot_set(struct pool_lot *lot, struct chain_client *client, uint32_t n_warm);
struct chain_client *pool_lot_client(const struct pool_lot *lot);
size_t pool_lot_n_hops(const struct pool_lot *lot);
/** pool_lot_take() - the one heard last. Return: false if there is none. */
NODISCARD bool pool_lot_take(struct pool_lot *lot, struct chain_warm *ret);
void pool_lot_died(struct pool_lot *lot);
struct chain_pool_counters pool_lot_counters(const struct pool_lot *lot);

#endif
