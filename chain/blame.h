#ifndef CHAIN_BLAME_H
#define CHAIN_BLAME_H
/*
 * Does: whose fault a failure is, and whether another way may do better. Knows: errors, statuses
 * (docs/protocol.md 2.6). Never knows: candidates.
 */
#include "chain/error.h"

enum chain_fault {
	CHAIN_FAULT_NONE, /* nothing is said against the hop */
	CHAIN_FAULT_BUSY, /* it lives, and has enough to do */
	CHAIN_FAULT_DEAD, /* it, or the way to it */
};
struct chain_blame {
	uint8_t hop; /* 1..n: another one in its place may do better; 0: nobody is to blame */
	enum chain_fault fault;
	uint8_t n_alive; /* hops 1..n_alive have answered */
	bool is_link;    /* the hop before says that it did not get to @hop: one of the two */
	bool is_final;   /* no other way does better: the target's word, a policy's, our own */
};
struct chain_blame chain_blame_of(const struct chain_error *error);

#endif
