#ifndef MODEL_SCENARIO_H
#define MODEL_SCENARIO_H
/*
 * Does: one life of a chain by a seed: trouble of every kind, a last fault, recovery. Knows:
 * world.h. Never knows: what counts as good enough.
 */
#include "tests/model/plant.h"
#include "tests/model/world.h"

enum fault {
	FAULT_REBINDING, /* of the client's addresses */
	FAULT_RESTART,   /* of one hop */
	FAULT_N,
};
#define SCENARIO_LONGEST_MS 20000 /* recovery is waited for so long */

struct scenario {
	uint64_t seed;
	enum fault fault; /* the last one */
	bool is_calm;     /* nothing else ever happens */
	enum plant plant;
};

struct scenario_result {
	char broken[200]; /* the rule, or "" */
	unsigned n_apps, n_hops;
	uint32_t recovery_ms[LEDGER_APPS];
	uint64_t n_delivered; /* payload, both ways */
};
void scenario_run(const struct scenario *scenario, struct scenario_result *ret);

#endif
