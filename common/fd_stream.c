#include "common/fd_stream.h"

#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READS_PER_TURN 2

/* One of the two descriptors. */
struct end {
	int fd;         /* -1: closed */
	int flags;      /* to be restored; -1: nothing was changed */
	bool is_polled; /* else it is always ready */
};

struct fd_stream {
	struct stream stream;
	struct poll in_poll, out_poll;
	struct task work, closed;
	struct end in, out;
	uint64_t read_left;
	uint8_t *queue; /* output that was not taken: queue[begin..end) */
	size_t begin, end;
	bool is_readable, is_writable, has_ended, wants_drained, wants_shutdown, is_failed,
		is_closed;
};

static const struct stream_ops fd_stream_ops;

static struct fd_stream *fd_stream_of(struct stream *s)
{
	assert(s->ops == &fd_stream_ops);
	return (struct fd_stream *)s;
}

static void emit(struct fd_stream *f, enum stream_event event, const void *data, size_t len)
{
	f->stream.fn(&f->stream, event, bytes_of(data, len), f->stream.owner);
}

static void work(struct task *task);

static void wake(struct fd_stream *f)
{
	loop_defer(f->stream.loop, &f->work, work);
}

static void close_end(struct fd_stream *f, struct end *e, struct poll *poll)
{
	if (e->fd < 0)
		return;
	if (e->is_polled)
		poll_remove(f->stream.loop, poll);
	if (e->flags >= 0)
		fcntl(e->fd, F_SETFL, e->flags);
	close(e->fd);
	e->fd = -1;
}

static void fail_later(struct fd_stream *f, int error)
{
	if (f->stream.error == 0)
		f->stream.error = error;
	wake(f);
}

/* Writes the queue, and then the end. */
static void flush(struct fd_stream *f)
{
	while (f->begin < f->end && f->is_writable && f->out.fd >= 0) {
		ssize_t n = write(f->out.fd, f->queue + f->begin, f->end - f->begin);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			fail_later(f, -errno);
			return;
		}
		if (n < 0)
			f->is_writable = false;
		else
			f->begin += (size_t)n;
	}
	if (f->begin < f->end)
		return;
	free(f->queue);
	f->queue = NULL;
	f->begin = f->end = 0;
	if (f->wants_shutdown)
		close_end(f, &f->out, &f->out_poll);
}

static bool can_read(const struct fd_stream *f)
{
	return !f->is_closed && !f->is_failed && f->stream.error == 0 && f->read_left > 0 &&
	       f->is_readable && !f->has_ended;
}

static void read_once(struct fd_stream *f)
{
	uint8_t *buffer = loop_scratch(f->stream.loop, LOOP_READ);
	size_t size = f->read_left < LOOP_READ_SIZE ? (size_t)f->read_left : LOOP_READ_SIZE;
	ssize_t n = read(f->in.fd, buffer, size);
	if (n > 0) {
		if (f->read_left != STREAM_NO_LIMIT)
			f->read_left -= (uint64_t)n;
		emit(f, STREAM_DATA, buffer, (size_t)n);
	} else if (n < 0 && errno == EAGAIN) {
		f->is_readable = false;
	} else if (n < 0 && errno != EINTR && errno != EIO) { /* EIO: the terminal has gone */
		fail_later(f, -errno);
	} else if (n == 0 || errno == EIO) {
		f->has_ended = true;
		f->read_left = 0;
		emit(f, STREAM_EOF, NULL, 0);
	}
}

static void work(struct task *task)
{
	struct fd_stream *f = (struct fd_stream *)((char *)task - offsetof(struct fd_stream, work));
	if (f->is_closed || f->is_failed)
		return;
	if (f->wants_drained && f->stream.error == 0) {
		flush(f);
		if (f->begin == f->end && f->stream.error == 0) {
			f->wants_drained = false;
			emit(f, STREAM_DRAINED, NULL, 0); /* may close @f: its memory stays */
		}
	}
	for (int i = 0; i < READS_PER_TURN && can_read(f); i++)
		read_once(f);
	if (f->stream.error != 0 && !f->is_closed && !f->is_failed) {
		f->is_failed = true;
		f->read_left = 0;
		emit(f, STREAM_FAILED, NULL, 0);
	} else if (can_read(f)) {
		wake(f);
	}
}

static void on_in(struct poll *poll, unsigned events)
{
	struct fd_stream *f =
		(struct fd_stream *)((char *)poll - offsetof(struct fd_stream, in_poll));
	(void)events;
	f->is_readable = true;
	wake(f);
}

/* Without readers there is an error, and nothing may ever be written that would meet it. */
static void on_out(struct poll *poll, unsigned events)
{
	struct fd_stream *f =
		(struct fd_stream *)((char *)poll - offsetof(struct fd_stream, out_poll));
	if (events & READY_ERR)
		fail_later(f, ERR_PIPE);
	if (events & READY_OUT)
		f->is_writable = true;
	wake(f);
}

static void fd_read_start(struct stream *s, uint64_t limit)
{
	struct fd_stream *f = fd_stream_of(s);
	if (f->has_ended)
		return;
	f->read_left = limit;
	wake(f);
}

static void fd_read_stop(struct stream *s)
{
	fd_stream_of(s)->read_left = 0;
}

/* The queue grows by what one write adds; its writer then pauses. */
static bool keep(struct fd_stream *f, struct bytes data)
{
	size_t used = f->end - f->begin;
	uint8_t *queue = malloc(used + data.len);
	if (queue == NULL)
		return false;
	if (used > 0)
		memcpy(queue, f->queue + f->begin, used);
	memcpy(queue + used, data.ptr, data.len);
	free(f->queue);
	f->queue = queue;
	f->begin = 0;
	f->end = used + data.len;
	return true;
}

static bool fd_write(struct stream *s, struct bytes data)
{
	struct fd_stream *f = fd_stream_of(s);
	if (f->is_closed || f->wants_shutdown || s->error != 0)
		return false;
	while (data.len > 0 && f->begin == f->end && f->is_writable) {
		ssize_t n = write(f->out.fd, data.ptr, data.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			fail_later(f, -errno);
			return false;
		}
		if (n < 0)
			f->is_writable = false;
		else
			data = bytes_of(data.ptr + n, data.len - (size_t)n);
	}
	if (data.len == 0)
		return false;
	if (!keep(f, data)) {
		fail_later(f, ERR_NOMEM);
		return false;
	}
	f->wants_drained = true;
	return true;
}

static bool fd_shutdown(struct stream *s)
{
	struct fd_stream *f = fd_stream_of(s);
	if (f->is_closed || s->error != 0)
		return false;
	f->wants_shutdown = true;
	flush(f);
	f->wants_drained |= f->begin < f->end;
	return f->begin < f->end;
}

static void on_closed(struct task *task)
{
	struct fd_stream *f =
		(struct fd_stream *)((char *)task - offsetof(struct fd_stream, closed));
	emit(f, STREAM_CLOSED, NULL, 0);
	free(f->queue);
	free(f);
}

static void fd_close(struct stream *s)
{
	struct fd_stream *f = fd_stream_of(s);
	if (f->is_closed)
		return;
	f->is_closed = true;
	f->read_left = 0;
	close_end(f, &f->in, &f->in_poll);
	close_end(f, &f->out, &f->out_poll);
	wake(f); /* if it is queued already, before the memory goes */
	loop_defer(s->loop, &f->closed, on_closed);
}

static bool fd_is_stalled(struct stream *s, uint64_t now_ms, bool is_quiet)
{
	(void)s, (void)now_ms, (void)is_quiet;
	return false;
}

static const struct stream_ops fd_stream_ops = {
	.read_start = fd_read_start,
	.read_stop = fd_read_stop,
	.write = fd_write,
	.shutdown = fd_shutdown,
	.close = fd_close,
	.abort = fd_close,
	.is_stalled = fd_is_stalled,
};

/* Return: 0; what cannot be watched is always ready. */
static int watch(struct loop *loop, struct end *e, struct poll *poll, poll_fn *fn)
{
	int flags = fcntl(e->fd, F_GETFL);
	if (flags >= 0 && (flags & O_NONBLOCK) == 0 &&
		fcntl(e->fd, F_SETFL, flags | O_NONBLOCK) == 0)
		e->flags = flags;
	int error = poll_add(loop, poll, e->fd, fn);
	e->is_polled = error == 0;
	return error == -EPERM ? 0 : error;
}

int fd_stream_open(struct loop *loop, int in_fd, int out_fd, struct stream **ret)
{
	struct fd_stream *f = calloc(1, sizeof *f);
	if (f == NULL) {
		close(in_fd);
		close(out_fd);
		return ERR_NOMEM;
	}
	f->stream.ops = &fd_stream_ops;
	f->stream.loop = loop;
	f->in = (struct end){ .fd = in_fd, .flags = -1 };
	f->out = (struct end){ .fd = out_fd, .flags = -1 };
	f->is_readable = f->is_writable = true;
	int error = watch(loop, &f->in, &f->in_poll, on_in);
	if (error == 0)
		error = watch(loop, &f->out, &f->out_poll, on_out);
	if (error != 0) {
		close_end(f, &f->in, &f->in_poll);
		close_end(f, &f->out, &f->out_poll);
		free(f);
		return error;
	}
	*ret = &f->stream;
	return 0;
}

/* Opened anew, a pipe or a terminal can be non-blocking for us alone. */
int fd_stream_take(int fd, int flags)
{
	char path[32];
	int own = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (lseek(fd, 0, SEEK_CUR) < 0) /* a file's position is to be kept */
		own = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int error = own < 0 ? -errno : 0;
	if (error == 0 && dup2(null, fd) < 0)
		error = -errno;
	close(null);
	if (error != 0 && own >= 0)
		close(own);
	return error != 0 ? error : own;
}
