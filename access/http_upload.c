#include "access/http_upload.h"

#include "common/tcp.h"

#include <stdlib.h>

struct http_upload {
	struct stream stream; /* first: this is what the owner has */
	struct stream *client;
	struct http_body body;
	bool is_reading, is_closing;
	bool has_ended; /* EOF or FAILED was passed on: what comes is dropped */
};

static struct http_upload *upload_of(struct stream *s)
{
	return (struct http_upload *)s;
}

static void tell(struct http_upload *u, enum stream_event event, struct bytes data)
{
	u->stream.fn(&u->stream, event, data, u->stream.owner);
}

static void end(struct http_upload *u, enum stream_event how)
{
	if (u->has_ended)
		return;
	u->has_ended = true;
	tell(u, how, bytes_of(NULL, 0));
}

/* RFC 9112 2.2: some clients say one more CR LF behind a body. */
static size_t n_line_ends(struct bytes data)
{
	size_t n = 0;
	while (n < data.len && (data.ptr[n] == '\r' || data.ptr[n] == '\n'))
		n++;
	return n;
}

/* The owner may stop reading or close from inside of what it is told; CLOSED comes later. */
static void on_data(struct http_upload *u, struct bytes data)
{
	size_t n = u->has_ended ? 0 : http_body_take(&u->body, data);
	if (n > 0)
		tell(u, STREAM_DATA, bytes_of(data.ptr, n));
	if (http_body_has_ended(&u->body))
		n += n_line_ends(bytes_of(data.ptr + n, data.len - n));
	if (n == data.len || u->is_closing)
		return;
	if (http_body_is_bad(&u->body)) {
		u->stream.error = -EPROTO;
		end(u, STREAM_FAILED);
	} else if (u->is_reading) {
		end(u, STREAM_EOF);
	}
}

static void on_event(struct stream *client, enum stream_event event, struct bytes data, void *owner)
{
	struct http_upload *u = owner;
	switch (event) {
	case STREAM_DATA:
		on_data(u, data);
		return;
	case STREAM_EOF:
		end(u, STREAM_EOF);
		return;
	case STREAM_FAILED:
		if (u->stream.error != 0)
			return;
		u->stream.error = client->error;
		u->has_ended = true;
		tell(u, STREAM_FAILED, data);
		return;
	case STREAM_CLOSED:
		tell(u, STREAM_CLOSED, data);
		free(u);
		return;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
		if (u->stream.error == 0)
			tell(u, event, data);
		return;
	}
}

static void read_start(struct stream *s, uint64_t limit)
{
	upload_of(s)->is_reading = true;
	upload_of(s)->client->ops->read_start(upload_of(s)->client, limit);
}

static void read_stop(struct stream *s)
{
	upload_of(s)->is_reading = false;
	stream_read_stop(upload_of(s)->client);
}

static bool write_to(struct stream *s, struct bytes data)
{
	return stream_write(upload_of(s)->client, data);
}

static bool shut_down(struct stream *s)
{
	return stream_shutdown(upload_of(s)->client);
}

static void close_both(struct stream *s)
{
	upload_of(s)->is_closing = true;
	stream_close(upload_of(s)->client);
}

static void abort_both(struct stream *s)
{
	upload_of(s)->is_closing = true;
	stream_abort(upload_of(s)->client);
}

static bool is_stalled(struct stream *s, uint64_t now_ms, bool is_quiet)
{
	return stream_is_stalled(upload_of(s)->client, now_ms, is_quiet);
}

int http_upload_new(struct stream *client, const struct http_body *body, struct stream **ret)
{
	static const struct stream_ops ops = { .read_start = read_start,
		.read_stop = read_stop,
		.write = write_to,
		.shutdown = shut_down,
		.close = close_both,
		.abort = abort_both,
		.is_stalled = is_stalled };
	struct http_upload *u = calloc(1, sizeof *u);
	if (u == NULL)
		return ERR_NOMEM;
	u->stream.ops = &ops;
	u->stream.loop = client->loop;
	u->client = client;
	u->body = *body;
	stream_own(client, on_event, u);
	if (tcp_is(client)) /* as the relay does with what it knows */
		tcp_cut_on_death(client);
	*ret = &u->stream;
	return 0;
}
