#ifndef COMMON_TCP_H
#define COMMON_TCP_H
/*
 * Does: TCP streams, and those of unix sockets, on raw non-blocking sockets watched by the loop.
 * Knows: sockets, splice(2). Never knows: proxying.
 */
#include "common/addr.h"
#include "common/loop.h"
#include "common/stream.h"

/** tcp_open_fd() - a stream on a connected, non-blocking @fd (takes it; closes it on failure too).
 */
NODISCARD int tcp_open_fd(struct loop *loop, int fd, struct stream **ret);

/** tcp_open_unix_fd() - the same of a unix socket. What TCP alone has is left out, and there are no
 * resets: a peer takes an abort for an end in order, unless it had sent bytes that nobody read. */
NODISCARD int tcp_open_unix_fd(struct loop *loop, int fd, struct stream **ret);

/**
 * tcp_connect() - starts a connection to @to; CONNECTED or FAILED follows. The caller has a
 * deadline. Sets TCP_NODELAY. Return: 0, or -errno (EMFILE, ENETUNREACH …) and no stream.
 */
NODISCARD int tcp_connect(struct loop *loop, const union addr_sock *to, bool speaks_first,
	stream_fn *fn, void *owner, struct stream **ret);

/** tcp_write_more() - like stream_write(), but the kernel may hold the bytes back for what follows,
 * at most 200 ms (MSG_MORE). For a response header that is of no use to the client before the next
 * one (decisions/0005). */
void tcp_write_more(struct stream *s, struct bytes data);
/** tcp_is() - whether @s is a plain TCP stream (then its descriptor may be spliced). */
bool tcp_is(const struct stream *s);
/** tcp_has_input() - MSG_PEEK: 1 = a byte is waiting, 0 = nothing, negative = EOF (ERR_PIPE) or
 * error. */
int tcp_has_input(struct stream *s);
/** tcp_watch_hangup() - while not reading: report the peer's FIN as EOF at once, although unread
 * bytes hide it from read() (EPOLLRDHUP; protocol.md 2.7.5). FAILED is reported in any case. Of
 * another kind of stream it changes nothing. */
void tcp_watch_hangup(struct stream *s, bool is_on);
/** tcp_watch_end() - the same, but a FIN behind unread bytes is no event: they can still be read,
 * and EOF follows them. */
void tcp_watch_end(struct stream *s, bool is_on);
/** tcp_cut_on_death() - from now on the kernel resets the connection if this process dies
 * (SO_LINGER 0), so that a stream that was cut never looks like one that ended. stream_close()
 * still ends in order (decisions/0006). */
void tcp_cut_on_death(struct stream *s);
bool tcp_peer(const struct stream *s, union addr_sock *ret);
bool tcp_local(const struct stream *s, union addr_sock *ret); /* our end, as the peer sees it */
/** tcp_original() - where an accepted connection was going before the kernel redirected it to us.
 * Return: false if it was not redirected. */
bool tcp_original(const struct stream *s, union addr_sock *ret);

/*
 * Splicing (relay_splice.c only). tcp_pull_start(): from now on DATA carries no bytes and means
 * "readable: pull"; tcp_splice_in() moves at most @n bytes socket → pipe, tcp_splice_out() pipe →
 * socket. Return: > 0 bytes moved; 0 = EOF (in only); ERR_AGAIN (in: DATA comes again; out: DRAINED
 * comes; in may also mean "pipe full", which the caller knows from its count); else an error, to be
 * handled by abort. tcp_splice_out() must not be used while stream_write() output is queued: see
 * tcp_is_drained().
 */
void tcp_pull_start(struct stream *s);
void tcp_pull_stop(struct stream *s);
NODISCARD ssize_t tcp_splice_in(struct stream *s, int pipe_fd, size_t n);
NODISCARD ssize_t tcp_splice_out(struct stream *s, int pipe_fd, size_t n);
bool tcp_is_drained(const struct stream *s);
/** tcp_pull_again() - DATA again next turn: the puller stopped early for fairness. */
bool tcp_has_urgent(const struct stream *s);
void tcp_pull_again(struct stream *s);

#endif
