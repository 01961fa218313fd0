#ifndef CHAIN_ANSWERS_H
#define CHAIN_ANSWERS_H
/*
 * Does: what the hops of a chain said, and when, while it was built or measured. Knows: nothing
 * else. Never knows: how they were asked. Times are CLOCK_MONOTONIC in us.
 */
#include "chain/spec.h"

#define CHAIN_SOFTWARE_MAX 48 /* bytes a hop may say about its software (docs/protocol.md 2.5) */

struct chain_answer {
	uint64_t at_us;                  /* when the last byte of S came, since start_us */
	uint32_t resolve_us, connect_us; /* of what it dialled */
	uint8_t status, tries;
	uint8_t cipher;          /* S.cipher: 0 but at a sealed exit */
	bool is_foreign;         /* somebody else's proxy: of all this at_us only, and as
				    software what it is in words */
	bool has_clock;          /* all but those that open a flow of datagrams, or tell no time */
	int64_t clock_offset_ms; /* its clock - ours; see chain_answers_set() */
	bool has_address;
	union addr_sock address; /* it dialled (TRACE) */
	char software[CHAIN_SOFTWARE_MAX + 1];
};

struct chain_answers {
	uint64_t start_us;
	uint32_t resolve_us, connect_us; /* of hop 1, here */
	uint8_t tries;
	bool has_address;
	union addr_sock address; /* of hop 1 */
	uint64_t written_us;     /* when the stack went out, since start_us */
	size_t n_warm;           /* the stream was steered through so many hops before it was asked
				    for: of these, and of the way to hop 1, nothing is known */
	size_t n_answers;        /* hops[0..n_answers) are there; over UDP one before the last may
				    be missing (all 0): its S was lost or overtaken */
	struct chain_answer hops[CHAIN_HOPS_MAX];
};

struct wire_response;
/** chain_answers_set() - notes S of hop @i + 1, which came @now_us (CLOCK_MONOTONIC) = @wall_us
 * (unix time). What the hops before said must be noted first.
 * The clock: S.val was read when S was sealed: after the write and all the time that this hop and
 * those before it say they spent dialling, and before S came. Of that span our clock is taken half
 * a round trip after its begin: the round trip is the sum of the connects of all links on the way
 * where every one is known, and never more than the span. (S itself cannot be asked: a middle hop
 * may hold it back for 200 ms, docs/protocol.md 2.7.6.) It is wrong by the span at most, with
 * connects known by half a round trip and what the hops took to think. */
void chain_answers_set(struct chain_answers *answers, size_t i,
	const struct wire_response *response, bool has_clock, uint64_t now_us, uint64_t wall_us);

#endif
