#include "common/drain.h"

#include "common/loop.h"
#include "common/seal.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#define LAST_MS 1000 /* between our FIN and the close of a silent drain */

struct drained {
	struct drained *prev, *next; /* of its list, oldest first */
	struct drain *drain;
	struct stream *stream;
	struct timer timer;
	uint64_t n_left; /* bytes until the end */
	bool is_silent;  /* counts against DRAIN_MAX_STREAMS; still says nothing */
};

struct drain {
	struct loop *loop;
	struct drain_limits limits;
	struct drained *silent, *ending;
	unsigned n_silent, n_ending;
	drain_empty_fn *on_empty;
	void *owner;
};

struct drain_limits drain_limits_derive(const uint8_t secret[16])
{
	static const char label[] = "hopchain drain";
	uint8_t hash[16];
	struct bytes parts[1] = { bytes_of(label, sizeof label - 1) };
	seal_hash(bytes_of(secret, 16), parts, 1, hash, sizeof hash);
	uint32_t a = (uint32_t)hash[0] << 8 | hash[1], b = (uint32_t)hash[2] << 8 | hash[3];
	return (struct drain_limits){
		.n_bytes = 1024 + a % (15 * 1024 + 1),
		.n_ms = 20000 + b % 40001,
	};
}

int drain_new(struct loop *loop, struct drain_limits limits, drain_empty_fn *on_empty, void *owner,
	struct drain **ret)
{
	struct drain *drain = calloc(1, sizeof *drain);
	if (drain == NULL)
		return ERR_NOMEM;
	drain->loop = loop;
	drain->limits = limits;
	drain->on_empty = on_empty;
	drain->owner = owner;
	*ret = drain;
	return 0;
}

bool drain_is_empty(const struct drain *drain)
{
	return drain->silent == NULL && drain->ending == NULL;
}

void drain_free(struct drain *drain)
{
	assert(drain == NULL || drain_is_empty(drain));
	free(drain);
}

static void end(struct drained *d)
{
	loop_timer_stop(d->drain->loop, &d->timer);
	stream_close(d->stream);
}

static void on_timeout(struct timer *timer)
{
	end((struct drained *)((char *)timer - offsetof(struct drained, timer)));
}

/* One more is ending: beyond the limit the oldest goes at once. */
static void bound_ending(struct drain *drain)
{
	if (++drain->n_ending > DRAIN_MAX_STREAMS)
		end(drain->ending);
}

/* From silence to the end: FIN, a last second of discarding, close. */
static void finish(struct drained *d)
{
	struct drain *drain = d->drain;
	if (!d->is_silent) {
		end(d);
		return;
	}
	DL_DELETE(drain->silent, d);
	DL_APPEND(drain->ending, d);
	drain->n_silent--;
	d->is_silent = false;
	d->n_left = DRAIN_LINGER_BYTES; /* who floods on is not listened to for the whole second */
	bound_ending(drain);
	stream_shutdown(d->stream);
	loop_timer_start(drain->loop, &d->timer, LAST_MS, on_timeout);
}

static void on_silence_over(struct timer *timer)
{
	finish((struct drained *)((char *)timer - offsetof(struct drained, timer)));
}

static void on_closed(struct drained *d)
{
	struct drain *drain = d->drain;
	loop_timer_stop(drain->loop, &d->timer);
	if (d->is_silent) {
		DL_DELETE(drain->silent, d);
		drain->n_silent--;
	} else {
		DL_DELETE(drain->ending, d);
		drain->n_ending--;
	}
	free(d);
	if (drain_is_empty(drain))
		drain->on_empty(drain->owner);
}

static void on_event(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	struct drained *d = owner;
	(void)s;
	switch (event) {
	case STREAM_DATA:
		if (data.len < d->n_left)
			d->n_left -= data.len;
		else
			finish(d);
		return;
	case STREAM_EOF:
	case STREAM_FAILED:
		end(d);
		return;
	case STREAM_CLOSED:
		on_closed(d);
		return;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
		return;
	}
}

static struct drained *take(struct drain *drain, struct stream *stream)
{
	struct drained *d = calloc(1, sizeof *d);
	if (d == NULL) {
		stream_drop(stream);
		return NULL;
	}
	d->drain = drain;
	d->stream = stream;
	stream_own(stream, on_event, d);
	return d;
}

void drain_silent(
	struct drain *drain, struct stream *stream, uint64_t n_received, uint64_t start_ms)
{
	uint64_t now_ms = loop_now_ms(drain->loop);
	bool is_full = n_received >= drain->limits.n_bytes;
	uint64_t due_ms = is_full ? now_ms : start_ms + drain->limits.n_ms;
	struct drained *d = take(drain, stream);
	if (d == NULL)
		return;
	if (drain->n_silent == DRAIN_MAX_STREAMS)
		finish(drain->silent);
	DL_APPEND(drain->silent, d);
	drain->n_silent++;
	d->is_silent = true;
	d->n_left = is_full ? 1 : drain->limits.n_bytes - n_received;
	stream_read_start(stream);
	loop_timer_start(
		drain->loop, &d->timer, due_ms > now_ms ? due_ms - now_ms : 0, on_silence_over);
}

void drain_linger(struct drain *drain, struct stream *stream)
{
	struct drained *d = take(drain, stream);
	if (d == NULL)
		return;
	DL_APPEND(drain->ending, d);
	d->n_left = DRAIN_LINGER_BYTES;
	bound_ending(drain);
	stream_shutdown(stream);
	stream_read_start(stream);
	loop_timer_start(drain->loop, &d->timer, DRAIN_LINGER_MS, on_timeout);
}

void drain_stop_silent(struct drain *drain)
{
	struct drained *d;
	DL_FOREACH (drain->silent, d)
		end(d);
}

void drain_stop(struct drain *drain)
{
	struct drained *d;
	drain_stop_silent(drain);
	DL_FOREACH (drain->ending, d)
		end(d);
}
