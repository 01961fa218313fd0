#ifndef CHAIN_ERROR_H
#define CHAIN_ERROR_H
/*
 * Does: one value for every way a chain can fail: which hop, which stage, why, after how long; and
 * its words. Knows: statuses, errors. Never knows: who is told.
 */
#include "common/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum chain_stage {
	CHAIN_RESOLVE, /* of the first hop's name, here */
	CHAIN_DIAL,    /* connection to the first hop, here */
	CHAIN_ANSWER,  /* waiting for a hop's response header */
	CHAIN_STATUS,  /* a hop answered with a status that is not OK */
	CHAIN_PAYLOAD, /* after all hops said OK */
	CHAIN_SETUP,   /* own side: memory, descriptors, crypto */
};

struct chain_error {
	uint8_t hop; /* 1..n: the hop that failed or did not answer; 0: the target's name failed to
			resolve here, or, of a chain without hops, the target to be dialled */
	uint8_t n_hops;
	enum chain_stage stage;
	bool is_udp; /* ANSWER: over datagrams, where nobody is connected and what is lost is
			silence */
	int code;    /* STATUS: 0; else a negative value of err.h */
	uint8_t status, detail; /* STATUS: of protocol.md 2.6 */
	uint32_t elapsed_ms;    /* from the start of the attempt */
	uint32_t connect_us; /* ANSWER, hop > 1: what hop - 1 said about its connect to this hop */
	int64_t clock_skew_ms; /* of the last hop that answered: its clock - ours; 0 = unknown */
	char text[121];        /* what the hop said in words, or "" ; safe to show */
	char seen[32]; /* ANSWER: printable start of what came instead of a header ("SSH-2.0-…"), or
			  "" */
	uint16_t n_in, n_wanted; /* ANSWER: bytes of the answer that came, of how many */
	/* NULL: a hop. Else somebody else's proxy: "socks5", "http"; static. Of ANSWER, code is
	 * ERR_BAD_RECORD if it speaks another protocol, -EACCES if it refused our login, -EPERM if
	 * it wants one and we have none. */
	const char *foreign;
	uint16_t foreign_code; /* STATUS of a foreign proxy: the reply or status it sent; 0: ours */
	struct addr address;   /* of the hop that failed (STATUS of the exit: of the target) */
	struct addr hop_address; /* STATUS: of the hop that answered */
};

/** chain_stage_name() - "resolve", "dial", "answer" … for the log. Static. */
const char *chain_stage_name(enum chain_stage stage);

/** chain_error_status() - the status (chain/wire_status.h) that says it best: a hop's own word, or
 * what our own resolving, dialling and waiting would be called there. Never STATUS_OK. */
uint8_t chain_error_status(const struct chain_error *error);
/** chain_error_slug() - "no-answer", "not-a-hop", "refused", "denied-loopback" … one word for
 * scripts and logs. */
const char *chain_error_slug(const struct chain_error *error);
/** chain_error_print() - one sentence with hop, address, stage, reason and time (interface.md 2.6,
 * 21 to 25). */
const char *chain_error_print(const struct chain_error *error, char *to, size_t size);
/** chain_error_exit_code() - 5..9 of interface.md 2.2. */
int chain_error_exit_code(const struct chain_error *error);

#endif
