#include "common/proxy_reader.h"

#include "common/proxy_header.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LOG_MODULE "listen"
#include "common/log.h"

struct waiting {
	struct waiting *prev, *next;
	struct proxy_reader *reader;
	struct stream *stream;
	struct timer timer;
	union addr_sock peer;
	uint64_t start_ms;
	size_t len;
	uint8_t data[PROXY_HEADER_MAX];
};

struct proxy_reader {
	struct proxy_reader_options options;
	struct waiting *waiting;
	uint32_t n_waiting;
};

static struct stream *let_go(struct waiting *w)
{
	struct stream *stream = w->stream;
	loop_timer_stop(w->reader->options.loop, &w->timer);
	DL_DELETE(w->reader->waiting, w);
	w->reader->n_waiting--;
	free(w);
	return stream;
}

static void log_refused(const struct waiting *w, const char *why)
{
	char from[ADDR_TEXT_MAX];
	LOG_LIMITED(LOG_LEVEL_WARNING, "refused: no PROXY header from=%s why=%s",
		addr_sock_print(&w->peer, from), why);
}

static void refuse(struct waiting *w, const char *why)
{
	proxy_stranger_fn *fn = w->reader->options.on_stranger;
	void *owner = w->reader->options.owner;
	union addr_sock peer = w->peer;
	struct proxy_stranger stranger = {
		.peer = &peer, .n_received = w->len, .start_ms = w->start_ms
	};
	log_refused(w, why);
	stranger.stream = let_go(w);
	if (fn != NULL)
		fn(&stranger, owner);
	else
		stream_leave(stranger.stream);
}

static void on_timer(struct timer *timer)
{
	refuse((struct waiting *)((char *)timer - offsetof(struct waiting, timer)), "timeout");
}

static void go_on(struct waiting *w)
{
	size_t len;
	union addr_sock client;
	listener_fn *fn = w->reader->options.on_client;
	void *owner = w->reader->options.owner;
	switch (proxy_header_read(bytes_of(w->data, w->len), &len, &client)) {
	case PROXY_HEADER_BAD:
		refuse(w, "malformed");
		return;
	case PROXY_HEADER_MORE:
		stream_read_limit(w->stream, len - w->len);
		return;
	case PROXY_HEADER_WHOLE:
		break;
	}
	if (client.any.sa_family == AF_UNSPEC)
		client = w->peer;
	fn(let_go(w), &client, owner);
}

static void on_event(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	struct waiting *w = owner;
	(void)s;
	if (event == STREAM_DATA) {
		memcpy(w->data + w->len, data.ptr, data.len); /* as much as was asked for */
		w->len += data.len;
		go_on(w);
	} else if (event == STREAM_EOF || event == STREAM_FAILED) {
		log_refused(w, "end");
		stream_leave(let_go(w));
	}
}

int proxy_reader_new(const struct proxy_reader_options *options, struct proxy_reader **ret)
{
	struct proxy_reader *reader = calloc(1, sizeof *reader);
	if (reader == NULL)
		return ERR_NOMEM;
	reader->options = *options;
	if (reader->options.timeout_ms == 0)
		reader->options.timeout_ms = PROXY_READER_MS;
	*ret = reader;
	return 0;
}

void proxy_reader_take(
	struct proxy_reader *reader, struct stream *stream, const union addr_sock *peer)
{
	struct waiting *w = reader->n_waiting < PROXY_READER_MAX ? calloc(1, sizeof *w) : NULL;
	if (w == NULL) {
		LOG_LIMITED(
			LOG_LEVEL_WARNING, "refused: too many connections wait for a PROXY header");
		stream_drop(stream);
		return;
	}
	w->reader = reader;
	w->stream = stream;
	w->peer = *peer;
	w->start_ms = loop_now_ms(reader->options.loop);
	DL_APPEND(reader->waiting, w);
	reader->n_waiting++;
	stream_own(stream, on_event, w);
	loop_timer_start(reader->options.loop, &w->timer, reader->options.timeout_ms, on_timer);
	go_on(w);
}

void proxy_reader_free(struct proxy_reader *reader)
{
	struct waiting *w, *next;
	if (reader == NULL)
		return;
	DL_FOREACH_SAFE (reader->waiting, w, next)
		stream_leave(let_go(w));
	free(reader);
}
