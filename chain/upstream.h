#ifndef CHAIN_UPSTREAM_H
#define CHAIN_UPSTREAM_H
/*
 * Does: where connections and flows of one worker go: one chain or several of equal use, each with
 * its candidates per position. Chooses a way for each, by strategy, weight and health. Knows:
 * specs, health. Never knows: rules, who asks; how a connection is made (attempt.h).
 */
#include "chain/answers.h"
#include "chain/client.h"
#include "chain/error.h"
#include "chain/health.h"
#include "chain/pool.h"

/* One of the chains of an upstream. */
struct chain_member {
	const struct chain_spec *chain; /* n_hops 0: direct */
	uint32_t weight;                /* 0 = 1 */
};
/* What a file says. A single chain is an upstream of one member. */
struct chain_upstream_spec {
	char *name; /* owned */
	enum chain_strategy strategy;
	uint32_t max_fails, retry_after_ms; /* 0 = CHAIN_MAX_FAILS, CHAIN_RETRY_AFTER_MS */
	struct chain_member *members;       /* 1..CHAIN_CANDIDATES_MAX; owned */
	size_t n_members;
};
void chain_upstream_spec_free(struct chain_upstream_spec *spec); /* itself too. NULL ok */

struct chain_upstream;
struct chain_upstream_options {
	struct loop *loop;
	struct resolver *resolver;
	struct chain_health *health; /* shared by all workers; NULL: a table of its own */
	struct chain_pools *pools;   /* of the worker; NULL: no warm connections */
	bool probes;                 /* this worker measures candidates that carry nothing, and asks
					those that were put aside whether they live again */
};
/** chain_upstream_new() - borrows @spec and its chains, and what @options name. SRV records are
 * asked for from now on. */
NODISCARD int chain_upstream_new(const struct chain_upstream_options *options,
	const struct chain_upstream_spec *spec, struct chain_upstream **ret);
/** chain_upstream_free() - after its sessions, flows and ways ended. NULL ok. */
void chain_upstream_free(struct chain_upstream *upstream);
const struct chain_upstream_spec *chain_upstream_spec_of(const struct chain_upstream *upstream);
struct loop *chain_upstream_loop(const struct chain_upstream *upstream);

/* Somebody who has no way because SRV records are asked for still. */
struct chain_upstream_wait {
	struct chain_upstream_wait *prev, *next;
	/* Once, from the loop, when there are some or when some are not to be had; may free @wait,
	 * may wait again. */
	void (*fn)(struct chain_upstream_wait *wait);
};
/** chain_upstream_wait() - Return: false if nothing is to be waited for; @wait is unused then. */
bool chain_upstream_wait(struct chain_upstream *upstream, struct chain_upstream_wait *wait);
void chain_upstream_unwait(struct chain_upstream *upstream, struct chain_upstream_wait *wait);
/** chain_upstream_no_way() - why chain_upstream_choose() has none at all: a name without SRV
 * records, or no memory. */
struct chain_error chain_upstream_no_way(const struct chain_upstream *upstream);
/** chain_upstream_has_choice() - whether there is more than one way now. */
bool chain_upstream_has_choice(const struct chain_upstream *upstream);

/* One way: a member with a candidate at each position. */
struct chain_way;
/* A way that was taken for this connection. */
struct chain_tried {
	struct chain_way *way; /* held */
	uint8_t hop;           /* that failed, from 1; 0: not known, it may still stand */
};
/* For whom. */
struct chain_who {
	const struct addr *target;       /* or NULL */
	const union addr_sock *source;   /* or NULL */
	const struct chain_tried *tried; /* by this connection */
	size_t n_tried;
};
/** chain_upstream_choose() - the way for a new connection or flow: one that shares no failed
 * candidate with @who->tried if there is any; among those put aside only if nothing else is left.
 * Return: NULL if no way is left that might do better, or without memory. Each way returned is held
 * until chain_way_release(). */
struct chain_way *chain_upstream_choose(
	struct chain_upstream *upstream, const struct chain_who *who);
void chain_way_release(struct chain_way *way); /* NULL ok */
struct chain_client *chain_way_client(const struct chain_way *way);
struct chain_upstream *chain_way_upstream(const struct chain_way *way);
/** chain_way_patience_ms() - how long to wait for it before another one is tried beside it: what it
 * took before, four times, and half a second; at least CHAIN_PATIENCE_MIN_MS. */
#define CHAIN_PATIENCE_MIN_MS 1000
uint32_t chain_way_patience_ms(const struct chain_way *way);

struct chain_verdict {
	uint8_t hop;    /* for chain_tried */
	bool may_retry; /* another way may do better: nothing was carried, and the fault is a hop's
			 */
};
/** chain_way_report() - how it ended: @error NULL: it stands, after @total_us. Blames the candidate
 * that is at fault; what the target or a policy is to blame for is nobody's failure. @answers, or
 * NULL, say how far the hops are. */
struct chain_verdict chain_way_report(struct chain_way *way, const struct chain_error *error,
	const struct chain_answers *answers, uint64_t total_us);

/* For people: all candidates, and what is known of each. */
struct chain_candidate {
	const char *member; /* name of the chain */
	unsigned position;  /* 0: the chain itself as a member; 1..: hop */
	const char *name;   /* of the hop or chain; or "" */
	char address[ADDR_TEXT_MAX];
	uint32_t weight;
	struct chain_health_state state; /* zeroed: nothing known */
	bool is_chosen;                  /* what @who would get now */
	char why[96]; /* of the others: why not, in words. Of the chosen one why */
};
typedef void chain_candidate_fn(const struct chain_candidate *candidate, void *owner);
/** chain_upstream_explain() - calls @fn for each candidate; changes nothing. */
void chain_upstream_explain(struct chain_upstream *upstream, const struct chain_who *who,
	chain_candidate_fn *fn, void *owner);

/* The same: what is kept warm for one of its ways. */
struct chain_upstream_pool {
	const char *member; /* name of the chain */
	size_t n_hops;      /* steered as far as this hop */
	char address[ADDR_TEXT_MAX];
	struct chain_pool_counters counters;
};
typedef void chain_upstream_pool_fn(const struct chain_upstream_pool *pool, void *owner);
/** chain_upstream_pools() - calls @fn for each pool of each way; ways that begin with the same hops
 * tell the same pool. */
void chain_upstream_pools(
	const struct chain_upstream *upstream, chain_upstream_pool_fn *fn, void *owner);

#endif
