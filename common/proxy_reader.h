#ifndef COMMON_PROXY_READER_H
#define COMMON_PROXY_READER_H
/*
 * Does: waits for the PROXY header of accepted connections and hands them over behind it, with the
 * client it names. Knows: proxy_header.h, streams. Never knows: who may send one.
 */
#include "common/listener.h"
#include "common/loop.h"

#define PROXY_READER_MS  5000 /* for a whole header */
#define PROXY_READER_MAX 4096 /* connections that wait for theirs */

/* What begins with no header, or has none in time. Without a taker it is closed in order. */
struct proxy_stranger {
	struct stream *stream; /* the callee's */
	const union addr_sock *peer;
	size_t n_received; /* bytes of it, taken and forgotten */
	uint64_t start_ms; /* when it came */
};
typedef void proxy_stranger_fn(const struct proxy_stranger *stranger, void *owner);

struct proxy_reader;
struct proxy_reader_options {
	struct loop *loop;
	listener_fn *on_client;         /* takes what is whole; no byte behind a header is read */
	proxy_stranger_fn *on_stranger; /* or NULL */
	void *owner;
	uint32_t timeout_ms; /* 0 = PROXY_READER_MS */
};
/** proxy_reader_new() - copies @options. */
NODISCARD int proxy_reader_new(
	const struct proxy_reader_options *options, struct proxy_reader **ret);
/** proxy_reader_take() - @stream, just accepted from @peer, begins with a header. */
void proxy_reader_take(
	struct proxy_reader *reader, struct stream *stream, const union addr_sock *peer);
void proxy_reader_free(struct proxy_reader *reader); /* closes what waits. NULL ok */

#endif
