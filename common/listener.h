#ifndef COMMON_LISTENER_H
#define COMMON_LISTENER_H
/*
 * Does: a listening socket that turns accepted connections into streams. Knows: sockets.
 * Never knows: who is served.
 */
#include "common/addr.h"
#include "common/loop.h"
#include "common/stream.h"

/* Listener: accepts until EAGAIN, at most 64 before others have their turn. On
 * EMFILE/ENFILE/ENOBUFS/ENOMEM it pauses 100 ms and goes on: no spin, pending connections wait in
 * the backlog. */
struct listener;
enum {                            /* bits */
	LISTENER_SHARES_PORT = 1, /* SO_REUSEPORT, for several workers */
	LISTENER_TRANSPARENT = 2, /* IP_TRANSPARENT: takes what goes to other hosts, if rules of the
				     kernel give it to us */
};
/** listener_fn - a new connection; @stream is the callee's to own. @peer is unmapped; of a
 * unix socket it is AF_UNIX alone. */
typedef void listener_fn(struct stream *stream, const union addr_sock *peer, void *owner);
/** listener_open() - binds and listens (kind ADDR_NONE: dual stack, 0.0.0.0 where IPv6 is off).
 * A listener that does not share finds a port that anybody else holds in use. Return: 0, or -errno
 * of bind/listen; -EPERM: LISTENER_TRANSPARENT needs CAP_NET_ADMIN. */
NODISCARD int listener_open(struct loop *loop, const struct addr *at, unsigned flags,
	listener_fn *fn, void *owner, struct listener **ret);
/** listener_open_fd() - the same on a copy of @fd, which is bound and listens already: several
 * workers may share it. Return: 0, or -errno. */
NODISCARD int listener_open_fd(
	struct loop *loop, int fd, listener_fn *fn, void *owner, struct listener **ret);
/** listener_claim() - whether @at can be listened on by nobody but us; sets at->port if it was 0.
 * For several workers that then share the port: so that a port in use is an error and "port 0" is
 * one port for all. Return: 0, or -errno. */
NODISCARD int listener_claim(struct addr *at);
/** listener_port() - the port the kernel chose. */
uint16_t listener_port(const struct listener *l);
/** listener_share() - whether another socket of this user may be opened at its port, for the moment
 * in which one of ours takes another's place (SO_REUSEPORT). */
void listener_share(struct listener *l, bool shares_port);
/** listener_close() - no more connections; frees itself. NULL ok. */
void listener_close(struct listener *l);

#endif
