#ifndef TESTS_SUPPORT_STREAMS_H
#define TESTS_SUPPORT_STREAMS_H
/*
 * Does: connected pairs of every kind of stream, and an owner that records events, for tests.
 */
#include "common/loop.h"
#include "common/stream.h"

enum streams_kind {
	STREAMS_PAIR,        /* in memory */
	STREAMS_TCP,         /* loopback sockets */
	STREAMS_SECURE_PAIR, /* records over memory */
	STREAMS_SECURE_TCP,  /* records over loopback sockets */
	STREAMS_UNIX,        /* two ends of a unix socket */
	STREAMS_PIPES,       /* two pipes */
	STREAMS_N_KINDS,
};
const char *streams_kind_name(enum streams_kind kind);

/* Takes events of one stream; keeps what came. */
struct sink {
	struct stream *stream; /* NULL after CLOSED */
	uint8_t *data;
	size_t n, size;
	size_t n_max; /* bytes seen in the largest DATA */
	bool has_ended, has_failed, is_closed, is_drained, is_connected;
	int error;
	unsigned n_events_after_end; /* events after FAILED or CLOSED that must not be */
	bool is_inside;              /* set by the test around calls: no event may come */
	unsigned n_reentered;
	bool stops_after_data; /* call read_stop in each DATA */
	bool closes_on_data, closes_on_end;
};
void sink_take(struct sink *sink, struct stream *stream);
void sink_free(struct sink *sink);

/** streams_open() - two connected streams; asserts on failure. */
void streams_open(struct loop *loop, enum streams_kind kind, struct stream **a, struct stream **b);
/** streams_tcp_fds() - a loopback TCP connection as two descriptors, non-blocking. */
void streams_tcp_fds(int fds[2]);
/** streams_pattern() - byte @i of a test pattern. */
uint8_t streams_pattern(uint64_t i);

#endif
