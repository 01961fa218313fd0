#ifndef CHAIN_FLOW_STATE_H
#define CHAIN_FLOW_STATE_H
/*
 * Does: what the files behind flow_client.h share: the state of a client's flow, its forms up, its
 * parser down, its timers. Knows: epochs. Never knows: sockets. For chain/flow_*.c only.
 *
 * Epochs: @pending has no S_n yet; @current is the newest that has; @previous is what the exit may
 * still seal with. S_n: pending -> current -> previous -> gone.
 */
#include "chain/flow_client.h"
#include "chain/flow_epoch.h"

enum flow_state {
	FLOW_QUIET,  /* nothing was sent yet */
	FLOW_SETUP,  /* no epoch ever had S_n */
	FLOW_OPEN,   /* there is a current epoch */
	FLOW_FAILED, /* the end: no epoch is left */
};

struct flow_hop {
	uint64_t fid;           /* fid_c, for the whole life of the flow */
	uint64_t assigned;      /* val of the newest S_i; 0 = none yet */
	uint32_t serial;        /* of the epoch that S_i answered */
	uint32_t connect_us;    /* that S_i's */
	uint64_t status_number; /* pn of the last status accepted */
};

/* Attempt to get an S_n: from the first F without it to S_n. A new R does not begin another. */
struct flow_attempt {
	uint64_t start_ms;
	uint64_t repeat_ms; /* when F goes again, also for the S_i still missing after S_n */
	uint64_t sealed_ms; /* when the newest R was */
	uint64_t retry_ms;  /* no background attempt before */
	uint16_t answered;  /* bit i-1: hop i said S_i */
	uint8_t i_gap;
	bool is_background; /* the current epoch was well when it began */
};

struct flow_health {
	uint64_t heard_ms;    /* when D_n opened last */
	uint64_t since_ms;    /* first payload after anything was opened */
	uint32_t n_unheard;   /* payload datagrams since */
	uint32_t patience_ms; /* from since_ms to the PING */
	uint64_t ping_ms;     /* when that went; UINT64_MAX = not yet */
	uint64_t confirm_ms;  /* next PING to prove the current epoch */
	uint32_t confirm_gap_ms;
	bool wants_ping;   /* an S form is due at the end of this call */
	bool wants_setup;  /* a hop's hint asks for F with new R */
	uint32_t pause_ms; /* between hints obeyed; 0 = none since a D_n */
};

struct flow_client {
	const struct chain_spec *spec;
	struct addr target;
	struct wire_ephemeral *ephemeral;
	const struct flow_client_ops *ops;
	void *owner;
	size_t link_mtu, n_ext_bytes;
	size_t exit_limit, link_limit; /* payload, by MSGSIZE; SIZE_MAX = never told */
	bool is_ip6;
	bool is_freed; /* by its owner, from inside a callback */
	uint8_t depth; /* calls on the stack */
	uint8_t n_hops;
	enum flow_state state;
	uint32_t last_serial;
	uint64_t previous_until_ms; /* UINT64_MAX = until the exit proved the current epoch */
	struct flow_epoch *pending, *current, *previous;
	struct flow_attempt attempt;
	struct flow_health health;
	struct flow_client_counters counters;
	struct flow_hop hops[]; /* n_hops */
};

/* ---- flow_forms.c: up ---- */

/** flow_send_requests() - form F of @epoch: R_i, or B_i for hops whose S_i is here. @data: payload
 * of the first F of a pending epoch, or NULL; repetitions send it again as it was sealed. */
void flow_send_requests(
	struct flow_client *flow, struct flow_epoch *epoch, const struct bytes *data);
/** flow_send_provisional() - form P under the pending epoch. */
void flow_send_provisional(struct flow_client *flow, struct bytes data);
/** flow_send_steady() - form S under the current epoch. */
void flow_send_steady(struct flow_client *flow, struct bytes data);
void flow_send_ping(struct flow_client *flow);

/* ---- flow_setup.c: epochs ---- */

/** flow_setup_start() - seals a new pending epoch in place of an earlier one and sends its F, with
 * @data if it is not NULL. May fail the flow. */
void flow_setup_start(struct flow_client *flow, const struct bytes *data, uint64_t now_ms,
	uint64_t wall_ms, bool is_background);
/** flow_setup_parse() - takes an S_i, @i from 0, from the front of *@from. Return: false if the
 * rest of the datagram is not to be looked at. */
bool flow_setup_parse(struct flow_client *flow, size_t i, struct bytes *from, uint64_t now_ms);
/** flow_setup_expire() - no S_n for FLOW_CLIENT_FAIL_MS. */
void flow_setup_expire(struct flow_client *flow, uint64_t now_ms);
/** flow_fail() - the end; fills the error's general part. */
void flow_fail(struct flow_client *flow, struct chain_error *error, uint64_t now_ms);

/* ---- flow_down.c: down ---- */

void flow_parse(struct flow_client *flow, struct bytes datagram, uint64_t now_ms);

/* ---- flow_timers.c ---- */

void flow_run(struct flow_client *flow, uint64_t now_ms, uint64_t wall_ms);
uint64_t flow_due_ms(const struct flow_client *flow);
/** flow_on_repeated() - F of any epoch was sent: when it goes again. */
void flow_on_repeated(struct flow_client *flow, uint64_t now_ms);
/** flow_on_sent() - payload went up in form S. */
void flow_on_sent(struct flow_client *flow, uint64_t now_ms);
/** flow_on_opened() - S or D_n opened. */
void flow_on_opened(struct flow_client *flow);
/** flow_on_delivered() - payload came. */
void flow_on_delivered(struct flow_client *flow);
/** flow_on_confirmed() - the exit replies under the current epoch as validated. */
void flow_on_confirmed(struct flow_client *flow, uint64_t now_ms);

#endif
