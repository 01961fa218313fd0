#ifndef CHAIN_CARRIER_H
#define CHAIN_CARRIER_H
/*
 * Does: what carries one UDP flow through an upstream: a way and its datagrams, or, while SRV
 * records are asked for, the wait for one. Knows: upstreams, datagrams. Never knows: who sends.
 */
#include "chain/flow_wait.h"

/* Embedded in a flow; zeroed = none. */
struct chain_carrier {
	struct chain_flow_wait *wait; /* for a way; the next two are NULL until there is one */
	struct chain_way *way;        /* held */
	struct chain_datagram *datagram;
	bool is_reported; /* how the way does */
	struct udp_io *io;
	const struct chain_datagram_ops *ops;
	void *owner;
};
/** chain_carrier_open() - takes a way for @who at once, or waits for one; that there is none comes
 * as on_fail. @ops are static. Return: 0, ERR_NOMEM. */
NODISCARD int chain_carrier_open(struct chain_carrier *carrier, struct chain_upstream *upstream,
	const struct chain_who *who, struct udp_io *io, const struct chain_datagram_ops *ops,
	void *owner);
/** chain_carrier_send() - what is sent before there is a way waits for it, as far as there is room.
 */
enum flow_client_verdict chain_carrier_send(struct chain_carrier *carrier, struct bytes data);
void chain_carrier_rest(struct chain_carrier *carrier); /* of a quiet flow */
/** chain_carrier_report() - @error NULL: an answer came. The first report counts. */
void chain_carrier_report(struct chain_carrier *carrier, const struct chain_error *error);
void chain_carrier_close(struct chain_carrier *carrier); /* idempotent */

#endif
