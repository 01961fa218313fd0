#ifndef CHAIN_REQUEST_H
#define CHAIN_REQUEST_H
/*
 * Does: what the request of one hop says by the chain's spec, on streams and in datagrams alike.
 * Knows: specs, the fields of R. Never knows: transports, stacks, answers.
 */
#include "chain/spec.h"
#include "chain/wire_request.h"
#include "chain/wire_secret.h"

/** chain_request_fill() - for hop @i (0-based): its own time, @wall_ms and a random -500..+500 ms
 * (docs/protocol.md 2.12), its budget, and where to go: @target from the last hop, else the next
 * hop. Everything else of *ret is 0. */
void chain_request_fill(const struct chain_spec *spec, size_t i, const struct addr *target,
	uint64_t wall_ms, struct wire_request *ret);
/** chain_request_hurry() - a smaller budget than the spec's: what a hop has to say about its
 * dialling is to be here before @left_ms have passed, so it gets 4/5 of that. 0: no hurry. */
void chain_request_hurry(uint64_t left_ms, struct wire_request *request);
/** chain_request_seal() - to the exit's request: E2E and the ciphers @cipher allows, with @pair (or
 * NULL) forward secret. */
void chain_request_seal(
	struct wire_request *request, enum chain_cipher cipher, const struct wire_pair *pair);

#endif
