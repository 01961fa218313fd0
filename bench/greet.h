#ifndef BENCH_GREET_H
#define BENCH_GREET_H
/*
 * Does: what a client says to a proxy before its payload: SOCKS5 CONNECT without a login, or HTTP
 * CONNECT. Knows: the origin's port. Never knows: what is measured.
 */
#include <stdbool.h>

/** greet_set() - "socks5" or "http", towards @port on loopback. Return: false for another word. */
bool greet_set(const char *protocol, int port);

/* One greeting; zeroed = at its begin. */
struct greet {
	int stage;
	unsigned n_in;
	char in[256];
};
/**
 * greet_step() - says and hears what it can on @fd, which is connected and does not block
 * Return: 1 when the payload may begin (at once where there is no greeting), 0 to be called again
 * when @fd is readable, -1 if the proxy refused or the connection failed.
 */
int greet_step(struct greet *greet, int fd);
/** greet_whole() - the same on a descriptor that blocks. Ends the program where it fails. */
void greet_whole(int fd);

#endif
