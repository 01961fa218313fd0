#ifndef HOP_SESSION_H
#define HOP_SESSION_H
/*
 * Does: one connection at a hop: header → dial → reply → relay → closing; at an exit the relay may
 * be one between the stream and datagrams (udp_stream.h). Knows: its own header, its neighbours.
 * Never knows: the rest of the chain, payload (but at the exit the stream that seals it).
 *
 *   state     waits for                         next
 *   HEADER    the request header                DIAL, RELAY (measure.h), CLOSING (stranger, error,
 *                                               peer gone)
 *   DIAL      the next hop or target            RELAY, CLOSING
 *   RELAY     the end of both directions        CLOSING
 *   CLOSING   the client stream's CLOSED event  (gone)
 * A connection that gets an error answer or silence is handed to common/drain.h; the session ends
 * there.
 */
#include "hop/worker.h"

/** hop_session_start() - takes @client, just accepted from @peer. */
void hop_session_start(
	struct hop_worker *worker, struct stream *client, const union addr_sock *peer);
/** hop_sessions_drain() - ends the sessions that have not begun (no header yet). */
void hop_sessions_drain(struct hop_worker *worker);
/** hop_sessions_stop() - ends all of the worker's. */
void hop_sessions_stop(struct hop_worker *worker);

#endif
