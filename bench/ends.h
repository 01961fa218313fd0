#ifndef BENCH_ENDS_H
#define BENCH_ENDS_H
/*
 * Does: what client and origin share: loopback sockets, pouring bytes in, throwing bytes away.
 * Never knows: which of the two calls it.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ENDS_EVENTS_MAX 256

/** die() - says what failed, with errno when it is set, and ends the program with 1. */
_Noreturn void die(const char *what);

/** loopback() - 127.0.0.@last, port @port */
struct sockaddr_in loopback(unsigned last, int port);
void set_option(int fd, int level, int name);
/** set_buffers() - receive and send buffers of a datagram socket, as large as allowed up to 4 MiB.
 */
void set_buffers(int fd);

/**
 * pour(), discard() - move as much as one stream may before the next gets its turn
 * discard() leaves the bytes in the kernel (MSG_TRUNC): receiving costs no copy.
 * Return: what the last system call returned, with errno.
 */
ssize_t pour(int fd);
ssize_t discard(int fd);
/** is_over() - does @n, as pour(), discard(), send() or recv() returned it, mean the end of the
 * stream? */
bool is_over(ssize_t n);

#endif
