#ifndef HOP_UDP_STREAM_H
#define HOP_UDP_STREAM_H
/*
 * Does: a UDP flow of a client that came over TCP, at the exit: opens the socket to the target,
 * then carries frames of the payload stream as datagrams and datagrams as frames
 * (docs/protocol.md 2.3, command UDP). Knows: frames, one socket, one stream. Never knows: headers,
 * records.
 *
 * The stream is never held up by datagrams: what comes from the target while the client does not
 * read is dropped and counted; no queue but the stream's own.
 */
#include "hop/udp_target.h"

struct udp_stream_options {
	const struct hop_worker *worker;
	const struct hop_entry *entry; /* must live until the end */
	const struct addr *to;         /* copied */
	uint64_t timeout_ms;           /* for resolving */
	/* The flow ends when nothing moved for so long: before the target's first datagram, and
	 * from then on. */
	uint32_t unanswered_ms, answered_ms;
	struct shaper_set shapers; /* the flow holds them itself; what is over them is dropped */
};

struct udp_stream;
/** udp_stream_opened_fn - exactly once unless cancelled, never from inside open(). With a status
 * that is not OK the flow is gone when it returns. */
typedef void udp_stream_opened_fn(const struct hop_flow_outcome *outcome, void *owner);
/** udp_stream_open() - Return: 0, ERR_NOMEM. */
NODISCARD int udp_stream_open(const struct udp_stream_options *options,
	udp_stream_opened_fn *on_opened, void *owner, struct udp_stream **ret);
/** udp_stream_cancel() - before run(): gone at once, without a call. */
void udp_stream_cancel(struct udp_stream *flow);

struct udp_stream_result {
	const char *end; /* for the log: "client", "idle", "bad-frame", "stalled", "stopped", or an
			    error's name */
	uint64_t n_bytes_up, n_bytes_down; /* of datagrams, without frames */
};
/** udp_stream_done_fn - the flow is gone, its stream closed or given to the worker's drain. */
typedef void udp_stream_done_fn(const struct udp_stream_result *result, void *owner);
/** udp_stream_run() - after an OK: takes @payload, carries until one side ends. @on_done runs
 * exactly once, never from inside. */
void udp_stream_run(
	struct udp_stream *flow, struct stream *payload, udp_stream_done_fn *on_done, void *owner);
/** udp_stream_stop() - after run(): aborts; on_done follows. */
void udp_stream_stop(struct udp_stream *flow);

#endif
