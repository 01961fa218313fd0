#ifndef CHAIN_DIALLED_H
#define CHAIN_DIALLED_H
/*
 * Does: tells how the connection to a chain's first step, or a direct one, came about or failed.
 * Knows: results of dials. Never knows: what follows.
 */
#include "chain/answers.h"
#include "chain/error.h"
#include "common/dial.h"

/** chain_dialled_note() - as the way to hop 1. */
void chain_dialled_note(const struct dial_result *result, struct chain_answers *answers);
/** chain_dialled_fail() - stage and code of @result, which failed; the rest of *ret stays. */
void chain_dialled_fail(const struct dial_result *result, struct chain_error *ret);

#endif
