#include "hop/measure.h"

#include "common/loop.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#define NUMBER 8 /* bytes of either number */
#define NO_FD  0 /* the poll is in no set: it only asks for turns */

struct measure {
	struct stream stream;
	struct poll turn;   /* something may be read */
	struct task leave;  /* CLOSED */
	uint64_t read_left; /* 0 = reading is stopped */
	uint64_t n_wanted;  /* zeros that are still to come; 2^64 - 1 of them last for centuries */
	uint64_t n_counted;
	uint8_t n_asked; /* bytes of the first number that are here */
	uint8_t n_told;  /* bytes of the last number that are out */
	bool is_shut;    /* the writer has ended */
	bool has_ended;  /* EOF was delivered */
	bool is_closed;
};

static const struct stream_ops measure_ops;

static struct measure *measure_of(struct stream *s)
{
	assert(s->ops == &measure_ops);
	return (struct measure *)s;
}

/* Whether the reader is to be told something; nobody knows before the first number is whole. */
static bool has_more(const struct measure *m)
{
	return m->n_asked == NUMBER && (m->n_wanted > 0 || m->is_shut) && !m->has_ended;
}

static void ask_for_turn(struct measure *m)
{
	if (m->read_left > 0 && has_more(m) && !m->is_closed)
		poll_again(m->stream.loop, &m->turn, READY_IN);
}

static size_t least(uint64_t a, uint64_t b)
{
	return (size_t)(a < b ? a : b);
}

/* May end in the owner's closing @m: its memory stays until CLOSED. */
static void emit(struct measure *m, enum stream_event event, struct bytes data)
{
	if (m->read_left != STREAM_NO_LIMIT)
		m->read_left -= data.len;
	m->stream.fn(&m->stream, event, data, m->stream.owner);
}

static void give_zeros(struct measure *m)
{
	uint8_t *zeros = loop_scratch(m->stream.loop, LOOP_PLAIN);
	size_t n = least(m->n_wanted, least(m->read_left, LOOP_READ_SIZE));
	m->n_wanted -= n;
	memset(zeros, 0, n);
	emit(m, STREAM_DATA, bytes_of(zeros, n));
}

static void give_count(struct measure *m)
{
	uint8_t number[NUMBER];
	struct wire_writer w;
	size_t from = m->n_told, n = least(NUMBER - from, m->read_left);
	wire_writer_init(&w, number, sizeof number);
	wire_put_u64(&w, m->n_counted);
	m->n_told = (uint8_t)(from + n);
	emit(m, STREAM_DATA, bytes_of(number + from, n));
}

static void on_turn(struct poll *poll, unsigned events)
{
	struct measure *m = (struct measure *)((char *)poll - offsetof(struct measure, turn));
	(void)events;
	if (m->read_left == 0 || !has_more(m))
		return;
	if (m->n_wanted > 0) {
		give_zeros(m);
	} else if (m->n_told < NUMBER) {
		give_count(m);
	} else {
		m->has_ended = true;
		emit(m, STREAM_EOF, bytes_of(NULL, 0));
	}
	ask_for_turn(m);
}

static void measure_read_start(struct stream *stream, uint64_t limit)
{
	struct measure *m = measure_of(stream);
	m->read_left = limit;
	ask_for_turn(m);
}

static void measure_read_stop(struct stream *stream)
{
	measure_of(stream)->read_left = 0;
}

static bool measure_write(struct stream *stream, struct bytes data)
{
	struct measure *m = measure_of(stream);
	if (m->is_shut || m->is_closed)
		return false;
	while (m->n_asked < NUMBER && data.len > 0) {
		m->n_wanted = m->n_wanted << 8 | data.ptr[0];
		m->n_asked++;
		data = bytes_of(data.ptr + 1, data.len - 1);
	}
	m->n_counted += data.len;
	ask_for_turn(m);
	return false;
}

static bool measure_shutdown(struct stream *stream)
{
	struct measure *m = measure_of(stream);
	m->is_shut = true;
	if (m->n_asked < NUMBER) {
		m->n_asked = NUMBER;
		m->n_wanted = 0;
	}
	ask_for_turn(m);
	return false;
}

static void on_leave(struct task *task)
{
	struct measure *m = (struct measure *)((char *)task - offsetof(struct measure, leave));
	m->stream.fn(&m->stream, STREAM_CLOSED, bytes_of(NULL, 0), m->stream.owner);
	free(m);
}

/* Also abort: there is nobody behind it who could be told of a break. */
static void measure_close(struct stream *stream)
{
	struct measure *m = measure_of(stream);
	if (m->is_closed)
		return;
	m->is_closed = true;
	m->read_left = 0;
	poll_remove(stream->loop, &m->turn);
	loop_defer(stream->loop, &m->leave, on_leave);
}

static bool measure_is_stalled(struct stream *stream, uint64_t now_ms, bool is_quiet)
{
	(void)stream;
	(void)now_ms;
	(void)is_quiet;
	return false;
}

static const struct stream_ops measure_ops = {
	.read_start = measure_read_start,
	.read_stop = measure_read_stop,
	.write = measure_write,
	.shutdown = measure_shutdown,
	.close = measure_close,
	.abort = measure_close,
	.is_stalled = measure_is_stalled,
};

int measure_open(struct loop *loop, struct stream **ret)
{
	struct measure *m = calloc(1, sizeof *m);
	if (m == NULL)
		return ERR_NOMEM;
	m->stream.ops = &measure_ops;
	m->stream.loop = loop;
	m->turn = (struct poll){ .fn = on_turn, .fd = NO_FD };
	*ret = &m->stream;
	return 0;
}
