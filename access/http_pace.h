#ifndef ACCESS_HTTP_PACE_H
#define ACCESS_HTTP_PACE_H
/*
 * Does: reads one direction of an exchange as fast as limits of bytes per second allow. Knows:
 * streams, shapers. Never knows: what is read.
 */
#include "common/loop.h"
#include "common/shaper.h"
#include "common/stream.h"

/* Embedded; zeroed = does not read. */
struct http_pace {
	struct stream *stream;
	const struct shaper_set *shapers; /* NULL: none */
	enum shaper_lane lane;
	uint64_t n_wanted; /* still to be read */
	size_t n_paid;     /* of them may be read now */
	struct shaper_wait wait;
	struct timer again;
};

/** http_pace_start() - reads @stream until @n_wanted bytes have come, or it is stopped. */
void http_pace_start(struct http_pace *pace, uint64_t n_wanted);
/** http_pace_took() - to be called first at DATA, with its length. Return: whether all that was
 * wanted has come. */
bool http_pace_took(struct http_pace *pace, size_t n);
/** http_pace_go_on() - to be called last at DATA, unless stopped or started anew. */
void http_pace_go_on(struct http_pace *pace);
void http_pace_stop(struct http_pace *pace); /* idempotent */
/** http_pace_is_held_up() - whether the limits let it read nothing now. */
bool http_pace_is_held_up(const struct http_pace *pace);

#endif
