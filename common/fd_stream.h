#ifndef COMMON_FD_STREAM_H
#define COMMON_FD_STREAM_H
/*
 * Does: a stream over two descriptors of any kind: pipes, terminals, files. Knows: read(2),
 * write(2). Never knows: sockets, whose descriptors these are.
 *
 * A file is always ready. There is no reset: whoever reads at the other end takes an abort for an
 * end in order.
 */
#include "common/loop.h"
#include "common/stream.h"

/** fd_stream_open() - a stream that reads @in_fd and writes @out_fd: takes both, and closes them on
 * failure too. They are made non-blocking, for everyone who shares them, until they are closed. */
NODISCARD int fd_stream_open(struct loop *loop, int in_fd, int out_fd, struct stream **ret);
/** fd_stream_take() - what is open as @fd, as a new descriptor that shares as little as can be with
 * other processes; @fd itself is /dev/null from now on, so that an end reaches the peer. @flags:
 * O_RDONLY or O_WRONLY. Return: it, or -errno. */
NODISCARD int fd_stream_take(int fd, int flags);

#endif
