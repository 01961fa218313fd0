#include "tests/support/streams.h"

#include "common/fd_stream.h"
#include "common/secure.h"
#include "common/tcp.h"
#include "tests/support/pair.h"

#include <assert.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SINK_SIZE 4096

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

const char *streams_kind_name(enum streams_kind kind)
{
	static const char *const names[] = { "pair", "tcp", "secure-pair", "secure-tcp", "unix",
		"pipes" };
	return kind < STREAMS_N_KINDS ? names[kind] : "?";
}

uint8_t streams_pattern(uint64_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static void keep(struct sink *k, struct bytes data)
{
	if (k->n + data.len > k->size) {
		k->size = (k->n + data.len) * 2;
		k->data = realloc(k->data, k->size);
		CHECK(k->data != NULL);
	}
	memcpy(k->data + k->n, data.ptr, data.len);
	k->n += data.len;
	if (data.len > k->n_max)
		k->n_max = data.len;
}

static void on_event(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	struct sink *k = owner;
	k->n_reentered += k->is_inside;
	k->n_events_after_end += k->is_closed || (k->has_failed && event != STREAM_CLOSED) ||
				 (k->has_ended && (event == STREAM_DATA || event == STREAM_EOF));
	switch (event) {
	case STREAM_CONNECTED:
		k->is_connected = true;
		break;
	case STREAM_DATA:
		keep(k, data);
		if (k->stops_after_data)
			stream_read_stop(s);
		if (k->closes_on_data)
			stream_close(s);
		break;
	case STREAM_DRAINED:
		k->is_drained = true;
		break;
	case STREAM_EOF:
		k->has_ended = true;
		if (k->closes_on_end)
			stream_close(s);
		break;
	case STREAM_FAILED:
		k->has_failed = true;
		k->error = s->error;
		break;
	case STREAM_CLOSED:
		k->is_closed = true;
		k->stream = NULL;
		break;
	}
}

void sink_take(struct sink *sink, struct stream *stream)
{
	sink->stream = stream;
	if (sink->data == NULL) { /* now, so that small tests allocate nothing later */
		sink->size = SINK_SIZE;
		sink->data = malloc(sink->size);
		CHECK(sink->data != NULL);
	}
	stream_own(stream, on_event, sink);
}

void sink_free(struct sink *sink)
{
	free(sink->data);
	sink->data = NULL;
}

void streams_tcp_fds(int fds[2])
{
	static const int on = 1;
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
		listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(fds[0], (struct sockaddr *)&at, sizeof at) == 0);
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(fds[1] >= 0);
	close(listener);
	for (int i = 0; i < 2; i++) {
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	}
}

static void seal(struct stream **s, bool is_a)
{
	struct secure_options options = { .cipher = RECORD_AES_128_GCM };
	memset(is_a ? options.secret_out : options.secret_in, 0x11, 32);
	memset(is_a ? options.secret_in : options.secret_out, 0x22, 32);
	CHECK(record_start() == 0);
	CHECK(secure_open(*s, &options, s) == 0);
}

void streams_open(struct loop *loop, enum streams_kind kind, struct stream **a, struct stream **b)
{
	if (kind == STREAMS_TCP || kind == STREAMS_SECURE_TCP) {
		int fds[2];
		streams_tcp_fds(fds);
		CHECK(tcp_open_fd(loop, fds[0], a) == 0 && tcp_open_fd(loop, fds[1], b) == 0);
	} else if (kind == STREAMS_UNIX) {
		int fds[2];
		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
		CHECK(tcp_open_unix_fd(loop, fds[0], a) == 0 &&
			tcp_open_unix_fd(loop, fds[1], b) == 0);
	} else if (kind == STREAMS_PIPES) {
		int there[2], back[2];
		CHECK(pipe2(there, O_CLOEXEC) == 0 && pipe2(back, O_CLOEXEC) == 0);
		CHECK(fd_stream_open(loop, back[0], there[1], a) == 0 &&
			fd_stream_open(loop, there[0], back[1], b) == 0);
	} else {
		CHECK(pair_new(loop, 64 * 1024, a, b) == 0);
	}
	if (kind == STREAMS_SECURE_PAIR || kind == STREAMS_SECURE_TCP) {
		seal(a, true);
		seal(b, false);
	}
}
