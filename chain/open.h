#ifndef CHAIN_OPEN_H
#define CHAIN_OPEN_H
/*
 * Does: establishes a chain without I/O: all request headers out, all response headers in.
 * Knows: the wire. Never knows: sockets, loops.
 */
#include "chain/error.h"
#include "chain/spec.h"
#include "chain/wire_response.h"
#include "chain/wire_secret.h"

struct chain_open;

enum chain_open_step {
	CHAIN_OPEN_MORE,   /* feed chain_open_wants() more bytes */
	CHAIN_OPEN_DONE,   /* every hop said OK */
	CHAIN_OPEN_FAILED, /* see the error */
};

struct chain_open_options {
	const struct chain_spec *spec; /* borrowed until free */
	/* Asked are hops [first..n_hops) of the spec, 0-based, all of them HOPs; the last gets
	 * @cmd. Errors and chain_open_hop() count from the chain's first hop whatever @first is. */
	size_t first, n_hops;
	uint8_t cmd; /* WIRE_CONNECT, WIRE_CMD_UDP, WIRE_MEASURE; WIRE_ECHO; WIRE_NOOP: with KEEP */
	const struct addr *target; /* of the spec's last hop: CONNECT and UDP; the others connect to
				      what stands behind them. Borrowed during new() */
	const union addr_sock *client; /* CONNECT: told to the spec's last hop (extension CLIENT);
					  or NULL. Borrowed during new() */
	bool is_trace;
	uint64_t left_ms; /* the caller waits no longer for all answers; 0 = it follows
			     chain_open_deadline_ms() */
	/* NULL: nothing is sealed end to end (ECHO; header-only). UDP is always sealed. */
	struct wire_ephemeral *ephemeral;
};
/**
 * chain_open_new() - seals the stack. Each header gets its own time: @wall_ms and a random
 * -500..+500 ms. Return: 0, ERR_NOMEM, ERR_INVAL (no T1 request can name the target).
 */
NODISCARD int chain_open_new(const struct chain_open_options *options, uint64_t wall_ms,
	uint64_t now_ms, struct chain_open **ret);
void chain_open_free(struct chain_open *open); /* wipes. NULL ok */
/** chain_open_request() - the bytes to send, in one write. Valid until free. */
struct bytes chain_open_request(const struct chain_open *open);
/** chain_open_wants() - how many bytes may be read now: never more than belong to answers. */
size_t chain_open_wants(const struct chain_open *open);
/** chain_open_feed() - at most chain_open_wants() bytes. */
enum chain_open_step chain_open_feed(
	struct chain_open *open, struct bytes in, uint64_t wall_ms, uint64_t now_ms);
/** chain_open_is_silent() - whether not a byte of an answer has come yet. */
bool chain_open_is_silent(const struct chain_open *open);
/** chain_open_hop() - 1-based: whose response is awaited. */
unsigned chain_open_hop(const struct chain_open *open);
/** chain_open_deadline_ms() - ms from the write until the awaited response is due (2.7.6). */
uint32_t chain_open_deadline_ms(const struct chain_open *open);
/** chain_open_fail() - fills @ret for a failure outside the protocol: EOF, reset, deadline while
 * waiting. */
void chain_open_fail(const struct chain_open *open, int code, struct chain_error *ret);
/** chain_open_error() - after FAILED. */
const struct chain_error *chain_open_error(const struct chain_open *open);
/** chain_open_response() - of hop @i (1-based), after it was read. */
const struct wire_response *chain_open_response(const struct chain_open *open, unsigned i);
/** chain_open_secrets() - after DONE of sealed payload: cipher and secrets. Return: false if it is
 * not sealed (header-only). */
bool chain_open_secrets(
	const struct chain_open *open, uint8_t *ret_cipher, struct wire_secrets *ret);

#endif
