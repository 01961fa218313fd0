#ifndef MODEL_PLANT_H
#define MODEL_PLANT_H
/*
 * Does: plants mistakes into the flow rules at the functions they call (linked with --wrap), makes
 * their random numbers those of the seed, and listens to what they seal. Knows: the functions
 * below.
 */
#include "tests/model/ledger.h"

enum plant {
	PLANT_NOTHING,
	PLANT_WINDOW,  /* the window takes every number */
	PLANT_SOURCE,  /* all addresses are equal */
	PLANT_REPLAY,  /* every request is new */
	PLANT_FLOW_ID, /* a block down is taken for one of the flow, whatever its id */
	PLANT_TIMERS,  /* nothing happens by itself */
	PLANT_TAG,     /* what does not authenticate is opened all the same */
	PLANT_N,
};
const char *plant_name(enum plant plant);

/** plant_begin() - for one run: @plant acts, @ledger hears, random numbers follow from @seed. */
void plant_begin(enum plant plant, uint64_t seed, struct ledger *ledger);
void plant_end(void);

#endif
