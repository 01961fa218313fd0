#ifndef CHAIN_FLOW_CLIENT_H
#define CHAIN_FLOW_CLIENT_H
/*
 * Does: one UDP flow through a chain without I/O: wraps what the application sends, unwraps what
 * comes back, sets up, repeats, re-keys, notices death (docs/protocol.md 2.10, Client, Liveness,
 * Keys, Status). Knows: the wire, two clocks it is told. Never knows: sockets, loops.
 *
 * now_ms: CLOCK_MONOTONIC. wall_ms: unix ms.
 */
#include "chain/error.h"
#include "chain/spec.h"
#include "chain/wire_datagram.h"
#include "chain/wire_response.h"

#define FLOW_CLIENT_FAIL_MS  30000  /* without S_n: the flow has failed */
#define FLOW_CLIENT_REKEY_MS 120000 /* a new epoch in the background, if there was traffic */

struct flow_client;

struct flow_client_ops {
	/* To hop 1; valid until it returns. */
	void (*send)(struct bytes datagram, void *owner);
	/* One datagram of the target's, authentic, never twice. May end the flow (free it). */
	void (*deliver)(struct bytes data, void *owner);
	/* The exit's word about what was sent: STATUS_PORT_UNREACH, STATUS_MSGSIZE (see
	 * flow_client_room()), DENIED_*, 0x2x. A hint: the flow goes on. */
	void (*on_status)(uint8_t status, void *owner);
	/* S_n is here for the first time: the chain carries datagrams. */
	void (*on_open)(void *owner);
	/* The flow has failed and sends nothing any more: a hop said no (stage STATUS), or there
	 * was no answer (ANSWER; error->hop = the first hop that did not answer). The owner frees
	 * it, not from inside. */
	void (*on_fail)(const struct chain_error *error, void *owner);
};

struct flow_client_options {
	const struct chain_spec *spec;     /* borrowed */
	const struct addr *target;         /* copied */
	struct wire_ephemeral *ephemeral;  /* borrowed; NULL = without forward secrecy (one shot) */
	size_t link_mtu;                   /* IP packet bytes on the first link, e.g. 1500 */
	bool is_ip6;                       /* first link */
	const struct flow_client_ops *ops; /* borrowed */
	void *owner;
};
/** flow_client_new() - sends nothing yet. Return: 0, ERR_NOMEM, ERR_INVAL (no request can name the
 * target). */
NODISCARD int flow_client_new(
	const struct flow_client_options *options, uint64_t now_ms, struct flow_client **ret);
void flow_client_free(struct flow_client *flow); /* wipes. NULL ok */

enum flow_client_verdict {
	FLOW_CLIENT_SENT,
	FLOW_CLIENT_TOO_LONG, /* no datagram can carry it, or a hop said so (MSGSIZE): dropped */
	FLOW_CLIENT_FAILED,   /* the flow has failed: dropped */
};
/** flow_client_send() - one datagram of the application's; sends it in the form the flow's state
 * asks for. The first one sends F at once. While no epoch has S_n: F with payload if it fits, else
 * F alone and P. */
enum flow_client_verdict flow_client_send(
	struct flow_client *flow, struct bytes data, uint64_t now_ms, uint64_t wall_ms);
/** flow_client_receive() - a datagram from hop 1. @datagram may be overwritten. Junk is dropped and
 * counted. */
void flow_client_receive(
	struct flow_client *flow, uint8_t *datagram, size_t len, uint64_t now_ms, uint64_t wall_ms);
/** flow_client_tick() - does what is due: repeat, new epoch, PING, failure. */
void flow_client_tick(struct flow_client *flow, uint64_t now_ms, uint64_t wall_ms);
/** flow_client_due_ms() - on the now_ms clock, when flow_client_tick() is to be called next;
 * UINT64_MAX = after the next send or receive. */
uint64_t flow_client_due_ms(const struct flow_client *flow);
/** flow_client_rest() - lets go of cipher contexts; for flows that are quiet. */
void flow_client_rest(struct flow_client *flow);

/** flow_client_room() - largest payload that @form carries unfragmented: the link's MTU, and what
 * MSGSIZE said. */
size_t flow_client_room(const struct flow_client *flow, enum wire_form form);

struct flow_client_counters {
	uint64_t n_sent, n_delivered; /* payload datagrams */
	uint64_t n_sent_bytes, n_delivered_bytes;
	uint64_t n_junk, n_forged, n_replayed; /* dropped on receive */
	uint64_t n_too_long;
	uint64_t n_statuses; /* statuses in D_i that were believed */
	uint32_t n_epochs;   /* requests sealed */
};
const struct flow_client_counters *flow_client_counters(const struct flow_client *flow);

#endif
