#ifndef CHAIN_TRACE_H
#define CHAIN_TRACE_H
/*
 * Does: measures all prefixes of a chain round after round, in parallel, and keeps the numbers of
 * each. Knows: probes, timers. Never knows: who shows them.
 */
#include "chain/probe.h"

/* Of one row; no I/O. All in us. */
struct chain_stat {
	uint64_t n_sent, n_lost, n_heard;
	uint64_t last_us, best_us, worst_us;
	double mean_us, square_us; /* Welford: mean, and sum of squared differences */
};
/** chain_stat_add() - something heard; n_sent and n_lost are the caller's. */
void chain_stat_add(struct chain_stat *stat, uint64_t us);
double chain_stat_deviation(const struct chain_stat *stat); /* population */

struct chain_trace_row {
	struct chain_stat total; /* to this row's answer */
	struct chain_stat own;   /* less that of the row before, of rounds where both answered;
				    never below 0. Only what was heard counts here */
	bool has_error;
	struct chain_error error; /* of the last probe that failed; has_error: the last one did */
	bool has_answer;
	uint32_t resolve_us, connect_us; /* to this row: told by the hop before it, row 1: here */
	uint8_t tries;
	bool has_address;
	union addr_sock address;    /* of this row, dialled by the hop before it */
	struct chain_answer answer; /* of this row's hop itself; target's row: of the exit */
};

struct chain_trace_options {
	const struct addr *target; /* copied; NULL = hops only */
	bool is_udp;
	uint32_t n_rounds;    /* 0 = until stopped */
	uint32_t interval_ms; /* from round to round, at least until all its probes ended; 0 =
				 1000 */
	uint32_t timeout_ms;  /* of a probe */
};
enum chain_trace_event {
	CHAIN_TRACE_CHANGED,
	CHAIN_TRACE_ROUND,
	CHAIN_TRACE_DONE, /* the trace is freed when the callback returns */
};
struct chain_trace;
typedef void chain_trace_fn(struct chain_trace *trace, enum chain_trace_event event, void *owner);
/** chain_trace_start() - all rows of a round start at once. Callbacks never run from inside a call.
 * Return: 0, ERR_NOMEM. */
NODISCARD int chain_trace_start(struct chain_client *client, struct udp_io *io,
	const struct chain_trace_options *options, chain_trace_fn *fn, void *owner,
	struct chain_trace **ret);
/** chain_trace_rows() - one a hop, and one for the target. */
const struct chain_trace_row *chain_trace_rows(const struct chain_trace *trace, size_t *ret_n);
/** chain_trace_n_rounds() - begun since the start or the last reset. */
uint64_t chain_trace_n_rounds(const struct chain_trace *trace);
/** chain_trace_reset() - forgets every row and drops what is under way: it counts nowhere. The next
 * round begins when its time comes. options.n_rounds counts on. */
void chain_trace_reset(struct chain_trace *trace);
void chain_trace_pause(struct chain_trace *trace, bool is_paused);
/** chain_trace_stop() - drops what is under way; DONE follows. Idempotent. chain_trace_cancel() -
 * at once, no callback; both also from inside a callback. */
void chain_trace_stop(struct chain_trace *trace);
void chain_trace_cancel(struct chain_trace *trace);

#endif
