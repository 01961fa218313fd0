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
	bool has_clock;          /* S came over TCP */
	int64_t clock_offset_ms; /* its clock - ours, ours taken when S came less half of what the
				    last round trip can have taken */
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
	size_t n_answers;        /* hops[0..n_answers) are there */
	struct chain_answer hops[CHAIN_HOPS_MAX];
};

#endif
