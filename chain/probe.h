#ifndef CHAIN_PROBE_H
#define CHAIN_PROBE_H
/*
 * Does: measures one prefix of a chain once (docs/protocol.md 2.3, Measuring a chain): CONNECT (in
 * datagrams: UDP) for the hops before, ECHO at the last, or the whole chain to a target. Knows:
 * sessions, datagrams of form F. Never knows: rounds, statistics.
 */
#include "chain/answers.h"
#include "chain/error.h"
#include "chain/session.h"
#include "common/udp.h"

struct chain_probe_options {
	size_t n_hops;             /* 1..n: ECHO at this hop; 0: all, to @target */
	const struct addr *target; /* copied */
	bool is_udp;
	uint32_t timeout_ms; /* of the whole; 0 = the protocol's deadlines; over UDP: 10 s, and 1 s
				more after a middle hop spoke for itself: the next one's port is
				closed, most likely */
};
/** chain_probe_fn - @error is NULL if the whole prefix answered. Both are borrowed. */
typedef void chain_probe_fn(const struct chain_error *error, const struct chain_answers *answers,
	uint64_t total_us, void *owner);
struct chain_probe;
/** chain_probe_start() - @io is needed for UDP only. @on_done never runs from inside; the probe is
 * gone when it returns. Over UDP nothing is repeated: what is lost is a timeout. Return: 0,
 * ERR_NOMEM, ERR_INVAL. */
NODISCARD int chain_probe_start(struct chain_client *client, struct udp_io *io,
	const struct chain_probe_options *options, chain_probe_fn *on_done, void *owner,
	struct chain_probe **ret);
void chain_probe_cancel(struct chain_probe *probe);

#endif
