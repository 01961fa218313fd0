#ifndef HOP_OPENING_H
#define HOP_OPENING_H
/*
 * Does: a connection's time before its relay: reads a request header within its deadline, seals the
 * answer, makes the payload's keys; after a NOOP with KEEP once more. Knows: headers, replies, the
 * generation a header is looked up in. Never knows: what is done with a request, the session's
 * states. Freed before the relay runs.
 */
#include "hop/header.h"
#include "hop/policy.h"
#include "hop/reply.h"
#include "hop/worker.h"

struct hop_opening;

/** hop_opening_late_fn - the header's deadline has passed; may free the opening. */
typedef void hop_opening_late_fn(void *owner);
/** hop_opening_new() - of @client, whose events stay its owner's. Return: 0, ERR_NOMEM. */
NODISCARD int hop_opening_new(struct hop_worker *worker, struct stream *client,
	hop_opening_late_fn *on_late, void *owner, struct hop_opening **ret);
void hop_opening_free(struct hop_opening *opening); /* NULL ok */

/** hop_opening_await() - reads the first header, from now on. */
void hop_opening_await(struct hop_opening *opening);
/** hop_opening_await_next() - the next one, which may be long in coming (docs/protocol.md 2.7.6);
 * the request before it is gone. */
void hop_opening_await_next(struct hop_opening *opening);
/** hop_opening_feed() - what @client has brought. MORE: it reads on; else there is no deadline any
 * more. */
enum hop_header_step hop_opening_feed(struct hop_opening *opening, struct bytes data);

const struct hop_header *hop_opening_header(const struct hop_opening *opening);
/** hop_opening_generation() - whose users the header was looked up among, or NULL; held for the
 * caller. */
struct hop_generation *hop_opening_generation(const struct hop_opening *opening);
/** hop_opening_agree() - line 16 of docs/protocol.md 2.2: the exit's half of the key agreement.
 * Return: false = to be answered with *ret. */
NODISCARD bool hop_opening_agree(struct hop_opening *opening, struct policy_verdict *ret);
/** hop_opening_seal() - as hop_reply_seal(). */
NODISCARD int hop_opening_seal(const struct hop_opening *opening, struct hop_reply *reply);
/** hop_opening_payload() - the client's payload stream behind the sealed @reply: the socket itself,
 * or at an exit the records on it. Return: 0, or the failure of secure_open(). */
NODISCARD int hop_opening_payload(
	const struct hop_opening *opening, const struct hop_reply *reply, struct stream **ret);

/** hop_opening_log_stranger() - after SILENT: why. */
void hop_opening_log_stranger(const struct hop_opening *opening, const union addr_sock *peer);
/** hop_opening_fall_silent() - gives the client to the worker's drain (docs/protocol.md 2.11). */
void hop_opening_fall_silent(const struct hop_opening *opening);

#endif
