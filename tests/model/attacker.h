#ifndef MODEL_ATTACKER_H
#define MODEL_ATTACKER_H
/*
 * Does: hears every link and sends copies: early, late, of other times, from the sender's address
 * and from strangers', to whom they were meant for and to others; and junk. Knows: bytes. Never
 * knows: keys.
 */
#include "tests/model/ledger.h"
#include "tests/model/network.h"

struct world;
struct attacker;

struct attacker *attacker_new(struct world *world, uint64_t seed);
void attacker_free(struct attacker *attacker);
/** attacker_work() - @per_mille of what passes makes it act, and each attacker_act() does. */
void attacker_work(struct attacker *attacker, uint32_t per_mille);
void attacker_overhear(struct attacker *attacker, const struct packet *packet);
/** attacker_act() - something on its own: an old copy or junk. */
void attacker_act(struct attacker *attacker);

#endif
