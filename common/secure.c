#include "common/secure.h"

#include "common/loop.h"
#include "common/seal.h"

#include <assert.h>
#include <stdlib.h>

#define RECORD_CONTEXT "hc1-rec_"
#define SEAL_AT_ONCE   ((size_t)8 * RECORD_CONTENT_MAX) /* plaintext sealed into one write */

static_assert(
	SEAL_AT_ONCE + 9 * RECORD_OVERHEAD + 16 <= LOOP_BUFFER, "SEAL scratch holds one write");
static_assert(LOOP_READ_SIZE + RECORD_MAX <= LOOP_BUFFER,
	"PLAIN scratch holds one read and a kept record");

static const uint8_t close_notify[2] = { 1, 0 };
static const uint8_t user_canceled[2] = { 1, 90 };
static const uint8_t key_update[5] = { 24, 0, 0, 1, 0 };

/* What is left over between reads: the head of a record, or opened bytes nobody wanted yet. */
struct rest {
	size_t end;
	uint8_t data[];
};

struct secure {
	struct stream stream;
	struct stream *lower;
	struct record_key *in, *out;
	struct rest *part;       /* the first bytes of a record, RECORD_MAX in size */
	struct rest *plain;      /* opened beyond a read limit */
	uint64_t read_left;      /* 0 = reading is stopped */
	uint64_t n_until_update; /* data records until our next KeyUpdate */
	uint64_t key_update_records;
	struct task wakeup; /* read_start found something to deliver, or sealing failed */
	int seal_error;
	uint8_t n_empty;  /* records in a row without a data byte */
	bool may_update;  /* AES-GCM */
	bool peer_closed; /* close_notify came */
	bool has_ended;   /* EOF was delivered */
	bool has_failed;  /* FAILED was delivered */
	bool is_shut;     /* close_notify went out */
	bool is_closed;
};

static void on_lower(struct stream *lower, enum stream_event event, struct bytes data, void *owner);
static const struct stream_ops secure_ops;

static struct secure *secure_of(struct stream *s)
{
	assert(s->ops == &secure_ops);
	return (struct secure *)s;
}

static void emit(struct secure *s, enum stream_event event, struct bytes data)
{
	s->stream.fn(&s->stream, event, data, s->stream.owner);
}

static void fail(struct secure *s, int error)
{
	if (s->is_closed || s->has_failed)
		return;
	s->has_failed = true;
	s->stream.error = error;
	s->read_left = 0;
	stream_read_stop(s->lower);
	emit(s, STREAM_FAILED, bytes_of(NULL, 0));
}

/* Delivers what may be read of @data. Return: how much. */
static size_t deliver(struct secure *s, struct bytes data)
{
	size_t n = data.len < s->read_left ? data.len : (size_t)s->read_left;
	if (n == 0)
		return 0;
	if (s->read_left != STREAM_NO_LIMIT)
		s->read_left -= n;
	if (s->read_left == 0)
		stream_read_stop(s->lower);
	emit(s, STREAM_DATA, bytes_of(data.ptr, n));
	return n;
}

static void end_if_due(struct secure *s)
{
	if (!s->peer_closed || s->has_ended || s->has_failed || s->is_closed || s->read_left == 0 ||
		s->plain != NULL)
		return;
	s->has_ended = true;
	s->read_left = 0;
	emit(s, STREAM_EOF, bytes_of(NULL, 0));
}

/* Adds @plain to what nobody wanted yet. */
static int keep_plain(struct secure *s, struct bytes plain)
{
	size_t used = s->plain == NULL ? 0 : s->plain->end;
	struct rest *rest = realloc(s->plain, sizeof *rest + used + plain.len);
	if (rest == NULL)
		return ERR_NOMEM;
	memcpy(rest->data + used, plain.ptr, plain.len);
	rest->end = used + plain.len;
	s->plain = rest;
	return 0;
}

/* Delivers @plain; what is beyond a limit is kept until the next read_start. Return: 0, ERR_NOMEM.
 */
static int deliver_or_keep(struct secure *s, struct bytes plain)
{
	size_t n = 0;
	while (s->plain == NULL && s->read_left > 0 && n < plain.len) /* the reader may renew it */
		n += deliver(s, bytes_of(plain.ptr + n, plain.len - n));
	if (s->is_closed || n == plain.len)
		return 0;
	return keep_plain(s, bytes_of(plain.ptr + n, plain.len - n));
}

static int on_alert(struct secure *s, const uint8_t *content, int len)
{
	if (len != 2)
		return ERR_BAD_RECORD;
	if (memcmp(content, user_canceled, 2) == 0)
		return ERR_CANCELED;
	if (memcmp(content, close_notify, 2) != 0 || s->peer_closed)
		return ERR_BAD_RECORD;
	s->peer_closed = true;
	return 0;
}

static int on_handshake(struct secure *s, const uint8_t *content, int len)
{
	if (!s->may_update || s->peer_closed || len != (int)sizeof key_update ||
		memcmp(content, key_update, sizeof key_update) != 0)
		return ERR_BAD_RECORD;
	return record_update(s->in);
}

/* Opens one record to @to. Return: plaintext bytes for the reader, or a negative error. */
static int open_record(struct secure *s, struct bytes record, uint8_t *to)
{
	uint8_t type;
	int len = record_open(s->in, record, to, &type);
	int error = 0;
	if (len < 0)
		return len;
	if (type == RECORD_DATA) {
		if (s->peer_closed)
			return ERR_BAD_RECORD;
		s->n_empty = len > 0 ? 0 : (uint8_t)(s->n_empty + 1);
		return s->n_empty > RECORD_MAX_EMPTY ? ERR_BAD_RECORD : len;
	}
	if (type == RECORD_ALERT)
		error = on_alert(s, to, len);
	else if (type == RECORD_HANDSHAKE)
		error = on_handshake(s, to, len);
	else
		error = ERR_BAD_RECORD;
	if (error == 0 && type == RECORD_HANDSHAKE && ++s->n_empty > RECORD_MAX_EMPTY)
		error = ERR_BAD_RECORD;
	return error;
}

/* How many more bytes the kept head of a record wants: its header first, then the rest. Negative:
 * bad. */
static int part_wants(const struct rest *part)
{
	if (part->end < RECORD_HEADER)
		return RECORD_HEADER - (int)part->end;
	int length = record_length(part->data);
	return length < 0 ? length : length - (int)part->end;
}

/* Adds bytes of @in to the kept head; opens the record once whole. Return: plaintext bytes or an
 * error. */
static int feed_part(struct secure *s, struct bytes *in, uint8_t *to)
{
	int wants = part_wants(s->part);
	while (wants > 0 && in->len > 0) {
		size_t n = in->len < (size_t)wants ? in->len : (size_t)wants;
		memcpy(s->part->data + s->part->end, in->ptr, n);
		s->part->end += n;
		*in = bytes_of(in->ptr + n, in->len - n);
		wants = part_wants(s->part);
	}
	if (wants != 0)
		return wants < 0 ? wants : 0;
	int len = open_record(s, bytes_of(s->part->data, s->part->end), to);
	free(s->part);
	s->part = NULL;
	return len;
}

static int keep_part(struct secure *s, struct bytes *in)
{
	s->part = malloc(sizeof *s->part + RECORD_MAX);
	if (s->part == NULL)
		return ERR_NOMEM;
	s->part->end = in->len;
	memcpy(s->part->data, in->ptr, in->len);
	*in = bytes_of(in->ptr + in->len, 0);
	return 0;
}

/* One step over @in: a record opened, or its head kept. Return: plaintext bytes or an error. */
static int take_record(struct secure *s, struct bytes *in, uint8_t *to)
{
	if (s->part != NULL)
		return feed_part(s, in, to);
	if (in->len < RECORD_HEADER)
		return keep_part(s, in);
	int length = record_length(in->ptr);
	if (length < 0)
		return length;
	if ((size_t)length > in->len)
		return keep_part(s, in);
	int len = open_record(s, bytes_of(in->ptr, (size_t)length), to);
	*in = bytes_of(in->ptr + length, in->len - (size_t)length);
	return len;
}

static void on_ciphertext(struct secure *s, struct bytes in)
{
	uint8_t *plain = loop_scratch(s->stream.loop, LOOP_PLAIN);
	size_t n = 0;
	int error = 0;
	while (in.len > 0 && error == 0 && !s->is_closed) {
		int len = take_record(s, &in, plain + n);
		if (len < 0)
			error = len;
		else
			n += (size_t)len;
		if (error == 0 && (in.len == 0 || n + RECORD_MAX > LOOP_BUFFER)) {
			error = deliver_or_keep(s, bytes_of(plain, n)); /* may close @s */
			n = 0;
		}
	}
	if (error != 0 && n > 0 && !s->is_closed)
		deliver(s, bytes_of(plain, n));
	if (error != 0)
		fail(s, error);
	else
		end_if_due(s);
}

static void on_lower(struct stream *lower, enum stream_event event, struct bytes data, void *owner)
{
	struct secure *s = owner;
	switch (event) {
	case STREAM_DATA:
		on_ciphertext(s, data);
		return;
	case STREAM_DRAINED:
		emit(s, STREAM_DRAINED, data);
		return;
	case STREAM_EOF:
		if (!s->peer_closed)
			fail(s, ERR_TRUNCATED);
		return;
	case STREAM_FAILED:
		fail(s, lower->error);
		return;
	case STREAM_CLOSED:
		emit(s, STREAM_CLOSED, data);
		free(s);
		return;
	case STREAM_CONNECTED:
		return;
	}
}

static void on_wakeup(struct task *task)
{
	struct secure *s = (struct secure *)((char *)task - offsetof(struct secure, wakeup));
	if (s->seal_error != 0)
		fail(s, s->seal_error);
	if (s->is_closed || s->has_failed || s->read_left == 0)
		return;
	if (s->plain != NULL) {
		struct rest *rest = s->plain;
		s->plain = NULL;
		int error = deliver_or_keep(s, bytes_of(rest->data, rest->end));
		free(rest);
		if (error != 0) {
			fail(s, error);
			return;
		}
	}
	if (!s->is_closed && s->read_left > 0 && s->plain == NULL && !s->peer_closed)
		stream_read_start(s->lower);
	end_if_due(s);
}

static void secure_read_start(struct stream *stream, uint64_t limit)
{
	struct secure *s = secure_of(stream);
	if (s->has_ended || s->has_failed || s->is_closed)
		return;
	s->read_left = limit;
	if (limit > 0 && (s->plain != NULL || s->peer_closed))
		loop_defer(stream->loop, &s->wakeup, on_wakeup);
	if (limit > 0 && s->plain == NULL)
		stream_read_start(s->lower);
}

static void secure_read_stop(struct stream *stream)
{
	struct secure *s = secure_of(stream);
	s->read_left = 0;
	stream_read_stop(s->lower);
}

/* Seals one record to @to. Return: bytes, or a negative error. */
static int seal_data(struct secure *s, struct bytes content, uint8_t *to)
{
	int n = 0;
	if (s->may_update && s->n_until_update == 0) {
		n = record_seal(
			s->out, RECORD_HANDSHAKE, bytes_of(key_update, sizeof key_update), to);
		int error = n < 0 ? n : record_update(s->out);
		if (error != 0)
			return error;
		s->n_until_update = s->key_update_records;
	}
	int m = record_seal(s->out, RECORD_DATA, content, to + n);
	s->n_until_update--;
	return m < 0 ? m : n + m;
}

static bool secure_write(struct stream *stream, struct bytes data)
{
	struct secure *s = secure_of(stream);
	uint8_t *sealed = loop_scratch(stream->loop, LOOP_SEAL);
	bool is_blocked = false;
	if (s->is_closed || s->is_shut || s->has_failed)
		return false;
	while (data.len > 0) {
		size_t n = 0, left = data.len < SEAL_AT_ONCE ? data.len : SEAL_AT_ONCE;
		while (left > 0) {
			size_t content = left < RECORD_CONTENT_MAX ? left : RECORD_CONTENT_MAX;
			int len = seal_data(s, bytes_of(data.ptr, content), sealed + n);
			if (len < 0) {
				s->seal_error = len;
				loop_defer(stream->loop, &s->wakeup, on_wakeup);
				return true;
			}
			n += (size_t)len;
			left -= content;
			data = bytes_of(data.ptr + content, data.len - content);
		}
		is_blocked = stream_write(s->lower, bytes_of(sealed, n));
	}
	return is_blocked;
}

static bool send_alert(struct secure *s, const uint8_t alert[2])
{
	uint8_t record[RECORD_OVERHEAD + 2];
	int n = record_seal(s->out, RECORD_ALERT, bytes_of(alert, 2), record);
	return n > 0 && stream_write(s->lower, bytes_of(record, (size_t)n));
}

static bool secure_shutdown(struct stream *stream)
{
	struct secure *s = secure_of(stream);
	if (s->is_closed || s->has_failed)
		return false;
	if (!s->is_shut)
		send_alert(s, close_notify);
	s->is_shut = true;
	return stream_shutdown(s->lower);
}

/* Common to close and abort; the lower stream's CLOSED becomes ours. */
static void let_go(struct secure *s)
{
	s->is_closed = true;
	s->read_left = 0;
	record_key_free(s->in);
	record_key_free(s->out);
	free(s->part);
	free(s->plain);
	s->in = s->out = NULL;
	s->part = s->plain = NULL;
}

static void secure_close(struct stream *stream)
{
	struct secure *s = secure_of(stream);
	if (s->is_closed)
		return;
	let_go(s);
	stream_close(s->lower);
}

/* docs/protocol.md 2.8, abort: user_canceled and FIN while the transport takes bytes, else RST. */
static void secure_abort(struct stream *stream)
{
	struct secure *s = secure_of(stream);
	if (s->is_closed)
		return;
	bool is_sent = !s->has_failed && !s->is_shut && !send_alert(s, user_canceled);
	let_go(s);
	if (is_sent && !stream_shutdown(s->lower))
		stream_close(s->lower);
	else
		stream_abort(s->lower);
}

static bool secure_is_stalled(struct stream *stream, uint64_t now_ms, bool is_quiet)
{
	return stream_is_stalled(secure_of(stream)->lower, now_ms, is_quiet);
}

static const struct stream_ops secure_ops = {
	.read_start = secure_read_start,
	.read_stop = secure_read_stop,
	.write = secure_write,
	.shutdown = secure_shutdown,
	.close = secure_close,
	.abort = secure_abort,
	.is_stalled = secure_is_stalled,
};

int secure_open(struct stream *lower, const struct secure_options *options, struct stream **ret)
{
	struct secure *s = calloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	int error =
		record_key_new(options->cipher, options->secret_in, RECORD_CONTEXT, false, &s->in);
	if (error == 0)
		error = record_key_new(
			options->cipher, options->secret_out, RECORD_CONTEXT, true, &s->out);
	if (error != 0) {
		record_key_free(s->in);
		free(s);
		return error;
	}
	s->stream.ops = &secure_ops;
	s->stream.loop = lower->loop;
	s->lower = lower;
	s->may_update = options->cipher != RECORD_CHACHA20_POLY1305;
	s->key_update_records = options->key_update_records > 0 ? options->key_update_records
								: RECORD_KEY_UPDATE_SEQ;
	s->n_until_update = s->key_update_records;
	stream_own(lower, on_lower, s);
	*ret = &s->stream;
	return 0;
}
