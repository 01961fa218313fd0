#ifndef CHAIN_POSITION_H
#define CHAIN_POSITION_H
/*
 * Does: who can stand at one position of a chain: its hop, the hops of its group, and the hosts of
 * their SRV records. Knows: health, strategies. Never knows: ways, DNS.
 */
#include "chain/health.h"
#include "chain/select.h"
#include "chain/spec.h"
#include "common/resolve_srv.h"

#define CHAIN_PEERS_MAX   128 /* at one position */
#define CHAIN_RECORDS_MAX 16  /* hosts of one SRV name that are used */

/* One who can. Ways hold it beyond the time that DNS names it. */
struct chain_peer {
	unsigned n_held;
	size_t i_source;      /* which of the position's hops it comes from */
	struct chain_hop hop; /* all but the address is the spec's */
	struct chain_health_entry *health;
	uint64_t now_ms;        /* of the last that was heard of it */
	uint64_t next_check_ms; /* checks.c */
};
void chain_peer_hold(struct chain_peer *peer);
void chain_peer_release(struct chain_peer *peer, uint64_t now_ms);

struct chain_position {
	const struct chain_hop *sources; /* of the spec */
	size_t n_sources;
	enum chain_strategy strategy;
	uint32_t max_fails, retry_after_ms;
	struct chain_health *health;
	size_t n, n_max; /* at most CHAIN_PEERS_MAX */
	struct chain_peer **peers;
	struct chain_select_candidate *select; /* what the strategies remember of each */
};
/** chain_position_init() - borrows @spec. @max_fails and @retry_after_ms are of a position without
 * a group. SRV hops have nobody yet. Return: 0, ERR_NOMEM; deinit either way. */
NODISCARD int chain_position_init(struct chain_position *position, const struct chain_spec *spec,
	size_t i, struct chain_health *health, uint32_t max_fails, uint32_t retry_after_ms,
	uint64_t now_ms);
void chain_position_deinit(struct chain_position *position, uint64_t now_ms);
/** chain_position_set_records() - source @i_source has these hosts from now on. */
void chain_position_set_records(struct chain_position *position, size_t i_source,
	const struct resolve_srv *records, size_t n, uint64_t now_ms);
/** chain_position_has() - whether @peer can stand there now. */
bool chain_position_has(const struct chain_position *position, const struct chain_peer *peer);

#endif
