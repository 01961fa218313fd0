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

struct proxy_reader;
/** proxy_reader_new() - @fn takes what is whole; no byte behind a header has been read. */
NODISCARD int proxy_reader_new(
	struct loop *loop, listener_fn *fn, void *owner, struct proxy_reader **ret);
/** proxy_reader_take() - @stream begins with a header; else, or too late, it is closed. */
void proxy_reader_take(
	struct proxy_reader *reader, struct stream *stream, const union addr_sock *peer);
void proxy_reader_free(struct proxy_reader *reader); /* closes what waits. NULL ok */

#endif
