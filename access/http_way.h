#ifndef ACCESS_HTTP_WAY_H
#define ACCESS_HTTP_WAY_H
/*
 * Does: one direction of an exchange: what somebody looks at is copied piece by piece, a run that
 * nobody needs to look at may be spliced. Knows: relay_way.h. Never knows: HTTP.
 */
#include "common/relay_way.h"

/* Embedded; initialised. */
struct http_way {
	struct relay_way relay;
	struct shape_way shape;
	struct relay_kit *kit;
	bool is_blocked; /* until DRAINED of relay.to */
};

/** http_way_init() - borrows all. @shapers: or NULL. Reads nothing yet. */
void http_way_init(struct http_way *way, struct stream *from, struct stream *to,
	struct relay_kit *kit, const struct shaper_set *shapers, enum shaper_lane lane);
/** http_way_aim() - it takes @n bytes from now on, or until the end (STREAM_NO_LIMIT). @is_watched:
 * all of them are to come as DATA. */
void http_way_aim(struct http_way *way, uint64_t n, bool is_watched);
void http_way_write(struct http_way *way, struct bytes data);
/** http_way_read() - goes on, unless it is blocked. */
void http_way_read(struct http_way *way);
/** http_way_has_read() - to be called at the end of DATA, of @n bytes, when it is aimed at what
 * follows them. */
void http_way_has_read(struct http_way *way, size_t n);
/** http_way_move() - at DATA of one that splices, and at DRAINED. *ret_n: bytes it has taken. */
enum relay_way_step http_way_move(struct http_way *way, bool is_drained, uint64_t *ret_n);
/** http_way_stop() - its streams are as before, and not read. */
void http_way_stop(struct http_way *way);

#endif
