#ifndef HOP_REACH_H
#define HOP_REACH_H
/*
 * Does: reaches the target of one request: a TCP connection or, for command UDP, a flow; says what
 * the client is to hear of it. Knows: policy, DNS, what a user may look up. Never knows: the
 * client's stream, what is carried.
 */
#include "hop/policy.h"
#include "hop/reply.h"
#include "hop/worker.h"

struct udp_stream;

/* All of it must live until the end. */
struct hop_reach_wish {
	struct hop_worker *worker;
	const struct hop_entry *entry;
	const struct hop_options *options; /* of the user's generation */
	const struct wire_request *request;
};

struct hop_reached {
	struct hop_reply reply; /* to be sealed */
	/* With STATUS_OK one of these, the callee's. */
	struct stream *stream;
	struct udp_stream *flow;
	union addr_sock address; /* of the stream: connected, or last tried */
};
/** hop_reached_drop() - what was reached is not needed. */
void hop_reached_drop(const struct hop_reached *reached);

/** hop_reached_name_client() - its @user's targets hear first whose connection this is, where
 * @request tells (docs/protocol.md 2.2, CLIENT). */
void hop_reached_name_client(const struct hop_reached *reached, const struct hop_user *user,
	const struct wire_request *request);

struct hop_reach;
/** hop_reach_fn - exactly once unless cancelled, never from inside start(); the reach is gone. */
typedef void hop_reach_fn(struct hop_reached *reached, void *owner);
/** hop_reach_start() - Return: false = refused at once, to be answered with *ret_refusal. */
NODISCARD bool hop_reach_start(const struct hop_reach_wish *wish, hop_reach_fn *on_done,
	void *owner, struct hop_reach **ret, struct policy_verdict *ret_refusal);
void hop_reach_cancel(struct hop_reach *reach);

#endif
