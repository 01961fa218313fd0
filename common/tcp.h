#ifndef COMMON_TCP_H
#define COMMON_TCP_H
/*
 * Does: TCP streams and listeners on raw non-blocking sockets watched by the loop.
 * Knows: sockets, splice(2). Never knows: proxying.
 */
#include "common/addr.h"
#include "common/loop.h"
#include "common/stream.h"

/** tcp_open_fd() - a stream on a connected, non-blocking @fd (takes it; closes it on failure too). */
NODISCARD int tcp_open_fd(struct loop *loop, int fd, struct stream **ret);

/**
 * tcp_connect() - starts a connection to @to; CONNECTED or FAILED follows. The caller has a deadline.
 * Sets TCP_NODELAY, TCP_USER_TIMEOUT 20 s (until tcp_set_relaying()) and keepalive 60/10/3.
 * Return: 0, or -errno (EMFILE, ENETUNREACH …) and no stream.
 */
NODISCARD int tcp_connect(struct loop *loop, const union addr_sock *to, stream_fn *fn, void *owner,
	struct stream **ret);

/** tcp_is() - whether @s is a plain TCP stream (then its descriptor may be spliced). */
bool tcp_is(const struct stream *s);
/** tcp_set_relaying() - header phase is over: TCP_USER_TIMEOUT 0 (protocol.md 2.7.6). */
void tcp_set_relaying(struct stream *s);
/** tcp_has_input() - MSG_PEEK: 1 = a byte is waiting, 0 = nothing, negative = EOF (ERR_PIPE) or error. */
int tcp_has_input(struct stream *s);
/** tcp_watch_hangup() - while not reading: report the peer's FIN as EOF at once, although unread bytes
 * hide it from read() (EPOLLRDHUP; protocol.md 2.7.5). FAILED is reported in any case. */
void tcp_watch_hangup(struct stream *s, bool is_on);
bool tcp_peer(const struct stream *s, union addr_sock *ret);
/** tcp_local() - own address of the connection. */
bool tcp_local(const struct stream *s, union addr_sock *ret);

/*
 * Splicing (relay_splice.c only). tcp_pull_start(): from now on DATA carries no bytes and means "readable:
 * pull"; tcp_splice_in() moves at most @n bytes socket → pipe, tcp_splice_out() pipe → socket.
 * Return: > 0 bytes moved; 0 = EOF (in only); ERR_AGAIN (in: DATA comes again; out: DRAINED comes; in may
 * also mean "pipe full", which the caller knows from its count); else an error, to be handled by abort.
 * tcp_splice_out() must not be used while stream_write() output is queued: see tcp_is_drained().
 */
void tcp_pull_start(struct stream *s);
void tcp_pull_stop(struct stream *s);
NODISCARD ssize_t tcp_splice_in(struct stream *s, int pipe_fd, size_t n);
NODISCARD ssize_t tcp_splice_out(struct stream *s, int pipe_fd, size_t n);
bool tcp_is_drained(const struct stream *s);
/** tcp_pull_again() - DATA again next turn: the puller stopped early for fairness. */
void tcp_pull_again(struct stream *s);

/* Listener: accepts until EAGAIN, at most 64 a turn. On EMFILE/ENFILE/ENOBUFS/ENOMEM it pauses 100 ms and
 * goes on: no spin, pending connections wait in the backlog. */
struct listener;
/** listener_fn - a new connection; @stream is the callee's to own. @peer is unmapped. */
typedef void listener_fn(struct stream *stream, const union addr_sock *peer, void *owner);
/** listener_open() - binds and listens with SO_REUSEPORT (kind ADDR_NONE: dual stack).
 * Return: 0, or -errno of bind/listen. */
NODISCARD int listener_open(struct loop *loop, const struct addr *at, listener_fn *fn, void *owner,
	struct listener **ret);
/** listener_port() - the port the kernel chose. */
uint16_t listener_port(const struct listener *l);
/** listener_close() - no more connections; frees itself. NULL ok. */
void listener_close(struct listener *l);

#endif
