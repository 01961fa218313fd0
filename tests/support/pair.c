#include "tests/support/pair.h"

#include "common/loop.h"

#include <stddef.h>
#include <stdlib.h>

/* What one end may read: bytes written by the other. */
struct channel {
	uint8_t *data; /* grows without bound: what is over the size is "queued by the writer" */
	size_t n, size;
	bool has_ended, is_reset;
	bool writer_waits; /* wrote more than fits: owed a DRAINED */
	uint64_t flip_at;  /* UINT64_MAX = none */
};

struct end {
	struct stream stream;
	struct end *peer; /* NULL once it is gone */
	struct channel in;
	struct task task;
	uint64_t read_left;
	size_t chunk;
	bool is_shut, has_ended, is_closing, has_failed, is_closed_told;
	bool owes_drained;
};

static const struct stream_ops pair_ops;

static void emit(struct end *e, enum stream_event event, struct bytes data)
{
	e->stream.fn(&e->stream, event, data, e->stream.owner);
}

static void run(struct task *task);

static void kick(struct end *e)
{
	if (e != NULL)
		loop_defer(e->stream.loop, &e->task, run);
}

static void free_end(struct end *e)
{
	emit(e, STREAM_CLOSED, bytes_of(NULL, 0));
	free(e->in.data);
	free(e);
}

static void deliver(struct end *e)
{
	struct channel *in = &e->in;
	size_t n = in->n < e->chunk ? in->n : e->chunk;
	if (n > e->read_left)
		n = (size_t)e->read_left;
	if (n > in->size)
		n = in->size;
	uint8_t *copy = malloc(n);
	memcpy(copy, in->data, n);
	if (in->flip_at < n)
		copy[in->flip_at] ^= 0x10;
	in->flip_at =
		in->flip_at < n ? UINT64_MAX : in->flip_at - (in->flip_at == UINT64_MAX ? 0 : n);
	memmove(in->data, in->data + n, in->n - n);
	in->n -= n;
	if (e->read_left != STREAM_NO_LIMIT)
		e->read_left -= n;
	if (in->writer_waits && in->n <= in->size && e->peer != NULL) {
		in->writer_waits = false;
		e->peer->owes_drained = true;
		kick(e->peer);
	}
	emit(e, STREAM_DATA, bytes_of(copy, n));
	free(copy);
	kick(e);
}

static void run(struct task *task)
{
	struct end *e = (struct end *)((char *)task - offsetof(struct end, task));
	if (e->is_closing) {
		free_end(e);
		return;
	}
	if (e->in.is_reset && !e->has_failed) {
		e->has_failed = true;
		e->stream.error = ERR_RESET;
		e->read_left = 0;
		emit(e, STREAM_FAILED, bytes_of(NULL, 0));
		return;
	}
	if (e->owes_drained) {
		e->owes_drained = false;
		emit(e, STREAM_DRAINED, bytes_of(NULL, 0));
		kick(e);
		return;
	}
	if (e->has_failed || e->read_left == 0 || e->has_ended)
		return;
	if (e->in.n > 0) {
		deliver(e);
	} else if (e->in.has_ended) {
		e->has_ended = true;
		e->read_left = 0;
		emit(e, STREAM_EOF, bytes_of(NULL, 0));
	}
}

static void pair_read_start(struct stream *s, uint64_t limit)
{
	struct end *e = (struct end *)s;
	if (e->has_ended)
		return;
	e->read_left = limit;
	kick(e);
}

static void pair_read_stop(struct stream *s)
{
	((struct end *)s)->read_left = 0;
}

static bool pair_write(struct stream *s, struct bytes data)
{
	struct end *e = (struct end *)s;
	if (e->peer == NULL || e->is_shut || e->has_failed || e->is_closing || data.len == 0)
		return false;
	struct channel *out = &e->peer->in;
	out->data = realloc(out->data, out->n + data.len);
	memcpy(out->data + out->n, data.ptr, data.len);
	out->n += data.len;
	kick(e->peer);
	out->writer_waits = out->n > out->size;
	return out->writer_waits;
}

static bool pair_shutdown(struct stream *s)
{
	struct end *e = (struct end *)s;
	if (e->peer == NULL || e->is_shut || e->has_failed)
		return false;
	e->is_shut = true;
	e->peer->in.has_ended = true;
	kick(e->peer);
	return e->peer->in.writer_waits;
}

static void leave(struct end *e, bool is_reset)
{
	if (e->is_closing)
		return;
	e->is_closing = true;
	if (e->peer != NULL) {
		/* As a socket does: closing with unread input resets. */
		if (is_reset || e->in.n > 0)
			e->peer->in.is_reset = true;
		e->peer->in.has_ended = true;
		e->peer->peer = NULL;
		kick(e->peer);
	}
	kick(e);
}

static void pair_close(struct stream *s)
{
	leave((struct end *)s, false);
}

static void pair_abort(struct stream *s)
{
	leave((struct end *)s, true);
}

static bool pair_is_stalled(struct stream *s, uint64_t now_ms, bool is_quiet)
{
	(void)s, (void)now_ms, (void)is_quiet;
	return false;
}

static const struct stream_ops pair_ops = {
	.read_start = pair_read_start,
	.read_stop = pair_read_stop,
	.write = pair_write,
	.shutdown = pair_shutdown,
	.close = pair_close,
	.abort = pair_abort,
	.is_stalled = pair_is_stalled,
};

int pair_new(struct loop *loop, size_t size, struct stream **ret_a, struct stream **ret_b)
{
	struct end *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
	if (a == NULL || b == NULL) {
		free(a);
		free(b);
		return ERR_NOMEM;
	}
	struct end *ends[2] = { a, b };
	for (int i = 0; i < 2; i++) {
		ends[i]->stream.ops = &pair_ops;
		ends[i]->stream.loop = loop;
		ends[i]->peer = ends[1 - i];
		ends[i]->in.size = size;
		ends[i]->in.flip_at = UINT64_MAX;
		ends[i]->chunk = SIZE_MAX;
	}
	*ret_a = &a->stream;
	*ret_b = &b->stream;
	return 0;
}

void pair_set_chunk(struct stream *s, size_t n)
{
	((struct end *)s)->chunk = n;
}

void pair_flip(struct stream *s, uint64_t at)
{
	((struct end *)s)->in.flip_at = at;
}
