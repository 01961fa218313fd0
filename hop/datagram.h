#ifndef HOP_DATAGRAM_H
#define HOP_DATAGRAM_H
/*
 * Does: the datagrams of one worker: sockets to clients, a socket upstream per flow, between them
 * the rules of hop/flow.h. Knows: sockets, DNS, policy, quotas. Never knows: block layouts, epochs.
 */
#include "hop/worker.h"

struct hop_datagrams;
/** hop_datagrams_new() - borrows @worker, whose udp and ephemeral are there. */
NODISCARD int hop_datagrams_new(struct hop_worker *worker, struct hop_datagrams **ret);
/** hop_datagrams_listen() - takes datagrams at @at. *ret (ret may be NULL): the socket, for leave.
 * Return: 0, or -errno of bind. */
NODISCARD int hop_datagrams_listen(
	struct hop_datagrams *datagrams, const struct addr *at, bool shares_port, struct udp **ret);
/** hop_datagrams_leave() - no new flows come by @socket; it is closed once those that came by it
 * have ended, or as soon as another one listens at its port. NULL ok. */
void hop_datagrams_leave(struct hop_datagrams *datagrams, struct udp *socket);
/** hop_datagrams_share() - as listener_share(), of what was left at @port. Return: whether there is
 * any. */
bool hop_datagrams_share(struct hop_datagrams *datagrams, uint16_t port, bool shares_port);
/** hop_datagrams_reload() - worker->generation is another one. */
void hop_datagrams_reload(struct hop_datagrams *datagrams);
/** hop_datagrams_drain() - no new flows; those that are quiet for HOP_DATAGRAMS_QUIET_MS end.
 * worker->on_session_end runs when the last one has. */
#define HOP_DATAGRAMS_QUIET_MS 1000
void hop_datagrams_drain(struct hop_datagrams *datagrams);
void hop_datagrams_stop(struct hop_datagrams *datagrams);            /* ends all flows now */
uint32_t hop_datagrams_count(const struct hop_datagrams *datagrams); /* flows */
/** hop_datagrams_free() - ends all flows, closes all sockets. NULL ok. */
void hop_datagrams_free(struct hop_datagrams *datagrams);

#endif
