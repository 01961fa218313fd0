#ifndef CHAIN_FLOW_STREAM_H
#define CHAIN_FLOW_STREAM_H
/*
 * Does: one UDP flow inside a TCP connection through the chain (command UDP on tcp,
 * docs/protocol.md 2.3): builds it, frames what is sent, unframes what comes; builds it again for
 * the next datagram after its orderly end. Knows: sessions, frames. Never knows: UDP sockets, who
 * sends.
 */
#include "chain/error.h"
#include "chain/session.h"
#include "chain/waiting.h"

#define FLOW_STREAM_BRIEF_MS 1000 /* a stream that ends sooner has failed */

struct flow_stream;
/* Each may free the flow. None runs from inside a call. */
struct flow_stream_ops {
	void (*deliver)(struct bytes data, void *owner);
	/* The exit said OK: the stream stands. */
	void (*on_open)(void *owner);
	/* It could not be built, or ended at once. The flow is quiet until the next
	 * flow_stream_send(). */
	void (*on_fail)(const struct chain_error *error, void *owner);
};
/** flow_stream_new() - to @target (copied); connects nowhere yet. Return: 0, ERR_NOMEM. */
NODISCARD int flow_stream_new(struct chain_client *client, const struct addr *target,
	const struct flow_stream_ops *ops, void *owner, struct flow_stream **ret);
void flow_stream_free(struct flow_stream *flow); /* NULL ok */
/** flow_stream_build() - begins to build the stream unless there is one. Return: 0, ERR_NOMEM. */
NODISCARD int flow_stream_build(struct flow_stream *flow);
/** flow_stream_send() - @data of at most 65507 bytes; builds the stream if there is none; copied
 * where it has to wait. Return: false if it was dropped. */
bool flow_stream_send(struct flow_stream *flow, struct bytes data);
/** flow_stream_take_waiting() - what waits for the stream is the caller's from now on. */
struct waiting flow_stream_take_waiting(struct flow_stream *flow);

#endif
