#ifndef CHAIN_FLOW_EPOCH_H
#define CHAIN_FLOW_EPOCH_H
/*
 * Does: one epoch of a client's UDP flow: a stack of requests R_1 … R_n, the answers S_i accepted
 * for them, the keys and numbers that follow from R_n and S_n (docs/protocol.md 2.10, Keys, pn,
 * Window). Knows: one chain, bytes. Never knows: other epochs, timers, what is sent when.
 */
#include "chain/spec.h"
#include "chain/wire_datagram.h"
#include "chain/wire_response.h"
#include "common/window.h"

/* What only setting up needs; let go with flow_epoch_settle(). */
struct flow_setup;

struct flow_epoch {
	struct flow_setup *setup; /* NULL once settled */
	uint32_t serial;          /* of the flow's epochs; higher = newer */
	uint16_t answered;        /* bit i-1: S_i is here */
	uint8_t n_hops;
	bool has_keys;        /* S_n is here */
	bool is_confirmed;    /* the exit has proved that it validated this epoch */
	bool has_traffic;     /* payload went up or down under it */
	uint64_t sealed_ms;   /* when R_1 … R_n were */
	uint64_t since_ms;    /* when S_n came */
	uint64_t fid;         /* S_n.val */
	uint64_t next_number; /* up; counts through both phases */
	struct window window; /* down */
	struct record_packet up, down;
};

struct flow_epoch_options {
	const struct chain_spec *spec;    /* borrowed for the call */
	const struct addr *target;        /* same */
	const uint64_t *fids;             /* fid_c of each hop, n_hops */
	struct wire_ephemeral *ephemeral; /* or NULL: no forward secrecy */
	uint32_t serial;
	uint64_t now_ms, wall_ms;
};
/** flow_epoch_make() - seals R_1 … R_n with new salts. Return: 0, ERR_NOMEM, ERR_INVAL (a request
 * is not legal). */
NODISCARD int flow_epoch_make(const struct flow_epoch_options *options, struct flow_epoch **ret);
void flow_epoch_free(struct flow_epoch *epoch); /* wipes. NULL ok */

/** flow_epoch_request() - R_i with its extension, @i from 0. Only before it settled. */
struct bytes flow_epoch_request(const struct flow_epoch *epoch, size_t i);

enum flow_answer {
	FLOW_ANSWER_NONE,   /* these bytes are no S_i of this epoch */
	FLOW_ANSWER_AGAIN,  /* the S_i that was accepted before */
	FLOW_ANSWER_OK,     /* accepted now; of the last hop: keys are here */
	FLOW_ANSWER_STATUS, /* the hop refuses: ret->status */
	FLOW_ANSWER_BROKEN, /* authentic, and against the rules */
	FLOW_ANSWER_NOMEM,  /* not accepted now; a copy may be */
};
/** flow_epoch_answer() - whether @from begins with an S_i for this epoch's R_i, @i from 0.
 * *ret_len: bytes it has, with its extension; *ret: only when it is new. */
enum flow_answer flow_epoch_answer(struct flow_epoch *epoch, const struct chain_spec *spec,
	size_t i, struct bytes from, uint64_t now_ms, struct wire_response *ret, size_t *ret_len);

/** flow_epoch_is_complete() - whether every S_i is here. */
bool flow_epoch_is_complete(const struct flow_epoch *epoch);
bool flow_epoch_has_answer(const struct flow_epoch *epoch, size_t i);

/** flow_epoch_seal() - @data in phase 1 with keys, in phase 0 before. @up: B_n as it is sent, with
 * its number. Return: bytes written to @to, ERR_CRYPTO, ERR_NOMEM. */
NODISCARD int flow_epoch_seal(
	struct flow_epoch *epoch, const struct wire_up *up, struct bytes data, uint8_t *to);

/** flow_epoch_keep_tail() - B_n ‖ sealed of the payload that went with R_n, for the repetitions.
 * Copies; without memory it is not kept. */
void flow_epoch_keep_tail(struct flow_epoch *epoch, struct bytes tail);
struct bytes flow_epoch_tail(const struct flow_epoch *epoch); /* empty if there is none */

/** flow_epoch_settle_ms() - when requests and answers are not needed any more: UINT64_MAX = not
 * known yet, or settled. */
uint64_t flow_epoch_settle_ms(const struct flow_epoch *epoch);
void flow_epoch_settle(struct flow_epoch *epoch);
/** flow_epoch_rest() - lets go of cipher contexts. */
void flow_epoch_rest(struct flow_epoch *epoch);

#endif
