#ifndef COMMON_FLOW_H
#define COMMON_FLOW_H
/*
 * Does: the UDP session table of access and hop: finds a flow by any of its names, holds the number
 * of flows below a cap, ends the idle ones. Knows: names as bytes, a clock it is told. Never knows:
 * wire formats, sockets.
 *
 * A flow is embedded in what its owner keeps. It has any number of names (struct flow_name,
 * embedded too), each of a kind the owner numbers; a name is found in one table lookup (open
 * addressing, SipHash: strangers choose names). A new flow is unconfirmed; the owner confirms it
 * once its peer has proved that it receives. At the cap the unconfirmed flow that was used longest
 * ago makes room; if there is none, the new flow is refused.
 */
#include "common/err.h"
#include "common/timer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_NAME_MAX 30

struct flow {
	struct flow_table *table; /* NULL = not listed */
	struct flow *prev, *next; /* in its list; the unconfirmed: least recently used first */
	struct timer timer;
	uint64_t used_ms;
	uint32_t idle_ms; /* may be changed with flow_set_idle() */
	bool is_confirmed;
};

struct flow_name {
	struct flow *flow; /* NULL = not in the table */
	uint8_t kind, len;
	uint8_t bytes[FLOW_NAME_MAX];
};

struct flow_table;
/* A flow has been idle for idle_ms, or has to make room (@is_evicted). The owner must remove its
 * names and the flow itself (flow_remove()) before it returns. */
typedef void flow_end_fn(struct flow *flow, bool is_evicted, void *owner);

/** flow_table_new() - @max_flows ≥ 1. */
NODISCARD int flow_table_new(uint32_t max_flows, uint64_t now_ms, flow_end_fn *on_end, void *owner,
	struct flow_table **ret);
void flow_table_free(struct flow_table *table); /* asserts emptiness. NULL ok */
uint32_t flow_table_count(const struct flow_table *table);
/** flow_table_first() - any flow, confirmed ones last; NULL if there is none. For ending all. */
struct flow *flow_table_first(const struct flow_table *table);

/** flow_table_shorten() - no flow, now or later, is idle for longer than @idle_ms: for a table that
 * is to become empty. */
void flow_table_shorten(struct flow_table *table, uint32_t idle_ms, uint64_t now_ms);

/** flow_table_run() - runs what is due: idle flows, and the owner's own timers on
 * flow_table_wheel(). */
void flow_table_run(struct flow_table *table, uint64_t now_ms);
/** flow_table_due_ms() - ms from @now_ms until flow_table_run() may have something to do; -1 =
 * never. */
int flow_table_due_ms(const struct flow_table *table, uint64_t now_ms);
/** flow_table_wheel() - for timers of what belongs to the flows. */
struct timer_wheel *flow_table_wheel(struct flow_table *table);

/** flow_add() - lists @flow (zeroed, or removed before), unconfirmed, used now. Return: 0, or
 * ERR_AGAIN at the cap. */
NODISCARD int flow_add(
	struct flow_table *table, struct flow *flow, uint32_t idle_ms, uint64_t now_ms);
/** flow_remove() - idempotent. Its names must be gone. */
void flow_remove(struct flow_table *table, struct flow *flow);
/** flow_use() - it is not idle now. O(1), cheap enough for every datagram. */
void flow_use(struct flow_table *table, struct flow *flow, uint64_t now_ms);
/** flow_set_idle() - it is used now, and idle @idle_ms after its last use from now on. */
void flow_set_idle(struct flow_table *table, struct flow *flow, uint32_t idle_ms, uint64_t now_ms);
/** flow_confirm() - idempotent; until it is removed. */
void flow_confirm(struct flow_table *table, struct flow *flow);

/** flow_name_add() - enters @name (zeroed, or removed before) for @flow. @len ≤ FLOW_NAME_MAX.
 * Return: 0, -EEXIST if another flow or name has it, ERR_NOMEM. */
NODISCARD int flow_name_add(struct flow_table *table, struct flow *flow, struct flow_name *name,
	uint8_t kind, const void *bytes, uint8_t len);
/** flow_name_remove() - idempotent. */
void flow_name_remove(struct flow_table *table, struct flow_name *name);
/** flow_find() - NULL if there is none. */
struct flow_name *flow_find(
	const struct flow_table *table, uint8_t kind, const void *bytes, uint8_t len);

#endif
