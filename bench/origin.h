#ifndef BENCH_ORIGIN_H
#define BENCH_ORIGIN_H
/*
 * Does: the server behind the proxies, a process of its own that ends with the one that started it.
 * The first byte of a connection tells it its part: 'd' send without end, 'u' swallow everything,
 * 'e' echo all that follows, 'r' answer this byte and no more.
 */
#include <stdint.h>
#include <sys/types.h>

/** origin_start() - listens on 127.0.0.1:@port before it returns. Return: its process id. */
pid_t origin_start(int port);
/** origin_fork() - runs @run with @fd, which the caller loses, in a process that ends with this
 * one. */
pid_t origin_fork(int fd, void (*run)(int fd));
/** origin_swallowed() - bytes that arrived on connections of part 'u' so far. */
uint64_t origin_swallowed(void);

#endif
