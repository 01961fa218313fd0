#ifndef CHAIN_LEG_H
#define CHAIN_LEG_H
/*
 * Does: one leg of a chain without I/O: as many hops as stand in a row, with one stack (open.h), or
 * one foreign proxy (foreign.h). Knows: both. Never knows: streams, deadlines of the whole.
 */
#include "chain/answers.h"
#include "chain/client.h"
#include "chain/error.h"
#include "chain/wire_secret.h"

enum chain_purpose {
	CHAIN_TO_TARGET,  /* CONNECT at the last step: payload to the target */
	CHAIN_TO_FLOW,    /* UDP at the exit: the stream carries frames (wire_frame.h) */
	CHAIN_TO_MEASURE, /* MEASURE at the exit: payload to its measuring service */
	CHAIN_TO_ECHO,    /* ECHO at hop n_hops: no payload; drop the stream. Of a foreign proxy:
			     greeting and login are its echo, of HTTP that it is connected */
	CHAIN_TO_KEEP,    /* NOOP with KEEP at hop n_hops: the stream is steered as far as this hop
			     and takes the next R for it */
};

/** chain_leg_is_possible() - whether the last of the first @n_hops steps can do what is asked; if
 * not, *ret says who cannot. */
bool chain_leg_is_possible(const struct chain_spec *spec, enum chain_purpose purpose, size_t n_hops,
	struct chain_error *ret);

struct chain_leg_options {
	struct chain_client *client;
	enum chain_purpose purpose;
	size_t first, n_hops;      /* 0-based: the step it begins at; where the whole way ends */
	const struct addr *target; /* borrowed during new() */
	const union addr_sock *client_at; /* see chain_open_options.client */
	bool is_trace;
	uint64_t left_ms; /* see chain_open_options */
};

enum chain_leg_step {
	CHAIN_LEG_MORE,   /* write the output, feed chain_leg_wants() more bytes */
	CHAIN_LEG_DONE,   /* the stream leads to the step at chain_leg_end() */
	CHAIN_LEG_FAILED, /* see the error */
};

struct chain_leg;
/** chain_leg_new() - the leg that begins at step @options->first. Return: 0, ERR_NOMEM, ERR_INVAL.
 */
NODISCARD int chain_leg_new(const struct chain_leg_options *options, struct chain_leg **ret);
void chain_leg_free(struct chain_leg *leg); /* wipes. NULL ok */
/** chain_leg_end() - the step behind the leg, 0-based. */
size_t chain_leg_end(const struct chain_leg *leg);
/** chain_leg_output() - what is to be written now, each byte once; valid until the next feed. */
struct bytes chain_leg_output(struct chain_leg *leg);
/** chain_leg_wants() - how many bytes may be read: none that is not the leg's own. 0 as it begins:
 * there is nothing to be said, the leg is done. */
size_t chain_leg_wants(const struct chain_leg *leg);
enum chain_leg_step chain_leg_feed(struct chain_leg *leg, struct bytes in);
/** chain_leg_deadline_ms() - from the leg's start until the awaited answer is due. */
uint32_t chain_leg_deadline_ms(const struct chain_leg *leg);
/** chain_leg_is_silent() - not a byte of an answer has come. */
bool chain_leg_is_silent(const struct chain_leg *leg);
/** chain_leg_fail() - fills @ret for EOF, reset or deadline while waiting. */
void chain_leg_fail(const struct chain_leg *leg, int code, struct chain_error *ret);
const struct chain_error *chain_leg_error(const struct chain_leg *leg); /* after FAILED */
/** chain_leg_note() - notes the answers that came up to @step. */
void chain_leg_note(const struct chain_leg *leg, enum chain_leg_step step,
	struct chain_answers *answers, uint64_t now_us);
/** chain_leg_warn() - after DONE: of hops' clocks that differ much from ours. */
void chain_leg_warn(const struct chain_leg *leg);
/** chain_leg_secrets() - after DONE: what follows is sealed with them. Return: false if not. */
bool chain_leg_secrets(const struct chain_leg *leg, uint8_t *ret_cipher, struct wire_secrets *ret);

#endif
