#ifndef COMMON_STREAM_H
#define COMMON_STREAM_H
/*
 * Does: the one interface of byte streams. Knows: nothing else. Never knows: TCP, records.
 *
 * Contract (the conformance suite in tests/conformance/ checks it for every implementation):
 *  - One callback, six events. No event runs from inside a call on the stream.
 *  - CONNECTED: once, for streams that were started by a connect; writes before it are an error.
 *  - DATA: bytes are valid only during the call. Only between stream_read_start() and stop. With
 *    stream_read_limit(n) at most n bytes in all are taken from the kernel; reading then stops by
 * itself.
 *  - DRAINED: after stream_write() returned true, once everything queued has gone out.
 *  - EOF: once; the peer ended its direction in order. Writing goes on.
 *    If reading is stopped, EOF comes after the next stream_read_start().
 *  - FAILED: at most once; @stream->error says why (negative, err.h); nothing but CLOSED follows.
 * It comes whether or not reading is on. The owner must still close.
 *  - CLOSED: exactly once, after stream_close() or stream_abort(), and nothing after it; the memory
 * is gone when the callback returns (the stream frees itself).
 */
#include "common/err.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum stream_event {
	STREAM_CONNECTED,
	STREAM_DATA,
	STREAM_DRAINED,
	STREAM_EOF,
	STREAM_FAILED,
	STREAM_CLOSED,
};

struct stream;
struct loop;
typedef void stream_fn(
	struct stream *stream, enum stream_event event, struct bytes data, void *owner);

struct stream_ops {
	void (*read_start)(struct stream *s, uint64_t limit);
	void (*read_stop)(struct stream *s);
	bool (*write)(struct stream *s, struct bytes data);
	bool (*shutdown)(struct stream *s);
	void (*close)(struct stream *s);
	void (*abort)(struct stream *s);
	bool (*is_stalled)(struct stream *s, uint64_t now_ms, bool is_quiet);
};

/* Embedded first in every implementation. */
struct stream {
	const struct stream_ops *ops;
	stream_fn *fn;
	void *owner;
	struct loop *loop;
	int error;
};

#define STREAM_NO_LIMIT UINT64_MAX

/** stream_own() - names who gets the events from now on. */
static inline void stream_own(struct stream *s, stream_fn *fn, void *owner)
{
	s->fn = fn;
	s->owner = owner;
}

/** stream_read_start() - DATA and EOF from now on. Idempotent; ends an earlier limit. */
static inline void stream_read_start(struct stream *s)
{
	s->ops->read_start(s, STREAM_NO_LIMIT);
}

/** stream_read_limit() - like stream_read_start() but takes exactly @n bytes and not one more, then
 * stops. */
static inline void stream_read_limit(struct stream *s, uint64_t n)
{
	s->ops->read_start(s, n);
}

static inline void stream_read_stop(struct stream *s)
{
	s->ops->read_stop(s);
}

/**
 * stream_write() - sends @data, keeping a copy of what the kernel does not take now.
 * Return: true if something was kept: the writer should pause until DRAINED. Errors come as FAILED.
 */
static inline bool stream_write(struct stream *s, struct bytes data)
{
	return s->ops->write(s, data);
}

/** stream_shutdown() - orderly end of our direction once all written bytes have gone out.
 * Idempotent. Return: true if something is still queued: DRAINED follows once it and the end have
 * gone out. */
static inline bool stream_shutdown(struct stream *s)
{
	return s->ops->shutdown(s);
}

/** stream_close() - ends both directions now; queued output that the kernel did not take is
 * dropped. Leads to CLOSED. Idempotent. */
static inline void stream_close(struct stream *s)
{
	s->ops->close(s);
}

/** stream_abort() - like close, but the peer learns that the stream is broken (TCP: RST).
 * Idempotent. */
static inline void stream_abort(struct stream *s)
{
	s->ops->abort(s);
}

/** stream_drop() - aborts and forgets: no event reaches anybody any more. For a stream without an
 * owner. */
void stream_drop(struct stream *s);
/** stream_leave() - the same in order: the peer hears an end, of records a close_notify. */
void stream_leave(struct stream *s);

/** stream_is_stalled() - whether the peer's host has acknowledged nothing for 20 s although bytes
 * are out and its window is open (docs/protocol.md 2.7.6). To be asked about once a second; cheap
 * while nothing moves.
 * @is_quiet: nothing has moved for a minute; a vanished peer may then be noticed later
 * (decisions/0007). */
static inline bool stream_is_stalled(struct stream *s, uint64_t now_ms, bool is_quiet)
{
	return s->ops->is_stalled(s, now_ms, is_quiet);
}

#endif
