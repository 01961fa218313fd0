#ifndef CHAIN_ECHO_H
#define CHAIN_ECHO_H
/*
 * Does: one measurement of a prefix of a chain in datagrams, without I/O: form F out, S_1 … S_n in
 * (docs/protocol.md 2.10, ECHO in a datagram, Who sends S_i). Knows: the wire. Never knows:
 * sockets, clocks, repetitions.
 */
#include "chain/error.h"
#include "chain/spec.h"
#include "chain/wire_response.h"

struct chain_echo;
struct chain_echo_options {
	const struct chain_spec *spec; /* borrowed until free */
	size_t n_hops;                 /* 1..spec->n_hops; the last of them gets ECHO */
	/* NULL; or the last of all hops gets UDP to here, without payload: a flow that nobody uses
	 * and that the hops forget. Copied. */
	const struct addr *target;
	uint64_t left_ms; /* the caller waits no longer */
};
/** chain_echo_new() - seals R_1 … R_n, all with TRACE. Return: 0, ERR_NOMEM, ERR_INVAL (no request
 * can name the target). */
NODISCARD int chain_echo_new(
	const struct chain_echo_options *options, uint64_t wall_ms, struct chain_echo **ret);
void chain_echo_free(struct chain_echo *echo); /* wipes. NULL ok */
/** chain_echo_request() - the datagram to hop 1. Valid until free. */
struct bytes chain_echo_request(const struct chain_echo *echo);

enum chain_echo_step {
	CHAIN_ECHO_MORE,   /* it may have told something, or be junk */
	CHAIN_ECHO_DONE,   /* S_n is here, OK; S_i of a middle hop can be missing (too long) */
	CHAIN_ECHO_FAILED, /* see the error */
};
/** chain_echo_feed() - a datagram from hop 1. What is not an answer is dropped and counted. Not
 * after DONE or FAILED. */
enum chain_echo_step chain_echo_feed(struct chain_echo *echo, struct bytes datagram);
/** chain_echo_response() - of hop @i (1-based), also one that refuses; NULL if it is not here. */
const struct wire_response *chain_echo_response(const struct chain_echo *echo, unsigned i);
/** chain_echo_has_clock() - whether S.val of hop @i is its clock. */
bool chain_echo_has_clock(const struct chain_echo *echo, unsigned i);
/** chain_echo_error() - after FAILED. chain_echo_fail() - for a failure outside the protocol, the
 * time being over: at the first hop without S. elapsed_ms is the caller's to fill in both. */
const struct chain_error *chain_echo_error(const struct chain_echo *echo);
void chain_echo_fail(const struct chain_echo *echo, int code, struct chain_error *ret);
uint64_t chain_echo_n_junk(const struct chain_echo *echo);

#endif
