#ifndef ACCESS_TRANSPARENT_H
#define ACCESS_TRANSPARENT_H
/*
 * Does: where a connection was going that the kernel gave to us instead; answers to datagrams, in
 * the name of who was asked. Knows: REDIRECT, TPROXY. Never knows: rules, chains.
 */
#include "access/options.h"
#include "common/stream.h"
#include "common/udp.h"

/** transparent_target() - the target of @stream, which was accepted at @port of ours. Return:
 * false, logged, if nothing was redirected, or what goes to ourselves: it would come back for ever.
 */
NODISCARD bool transparent_target(
	const struct stream *stream, enum access_capture capture, uint16_t port, struct addr *ret);
/** transparent_is_loop() - whether @target is our own @port. */
bool transparent_is_loop(const union addr_sock *target, uint16_t port);

/** transparent_comes_back() - whether @target, of what was captured, is where @way begins: it is
 * our own connection, which the rules of the kernel do not spare, or would end as such. Logs that.
 */
bool transparent_comes_back(const struct chain_upstream_spec *way, const struct addr *target);

/* Sockets that speak for targets: one for each, as long as somebody holds it. */
struct transparent_voices;
struct transparent_voice;
/** transparent_voices_new() - what comes to the sockets goes to @ops and @owner. */
NODISCARD int transparent_voices_new(
	struct udp_io *io, const struct udp_ops *ops, void *owner, struct transparent_voices **ret);
void transparent_voices_free(struct transparent_voices *voices); /* after all. NULL ok */
/** transparent_voice_take() - the socket of @target. Return: 0, -errno. */
NODISCARD int transparent_voice_take(struct transparent_voices *voices,
	const union addr_sock *target, struct transparent_voice **ret);
void transparent_voice_give(struct transparent_voice *voice); /* back. NULL ok */
void transparent_voice_send(
	struct transparent_voice *voice, const union addr_sock *to, struct bytes data);

#endif
