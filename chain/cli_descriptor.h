#ifndef CHAIN_CLI_DESCRIPTOR_H
#define CHAIN_CLI_DESCRIPTOR_H
/*
 * Does: reads and writes a descriptor that other processes share, without waiting and without
 * setting O_NONBLOCK on what is shared. Knows: kinds of descriptors. Never knows: loops.
 *
 * Pipes and terminals get an open file description of our own where /proc allows it; sockets are
 * asked not to wait by each call; files are read and written plainly; what is left is asked
 * whether it is ready before each call, and written 4 KiB at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum cli_descriptor_kind {
	CLI_DESCRIPTOR_SHARED,  /* may block: asked before each call */
	CLI_DESCRIPTOR_PRIVATE, /* a description of our own, O_NONBLOCK */
	CLI_DESCRIPTOR_SOCKET,  /* MSG_DONTWAIT */
	CLI_DESCRIPTOR_PLAIN,   /* always ready: files, /dev/null; found out by the caller */
};
struct cli_descriptor {
	int fd; /* what is used */
	int shared_fd;
	enum cli_descriptor_kind kind;
	/* Asked before each call as well: who only tries to read one in the background is stopped
	 * (SIGTTIN). */
	bool is_terminal;
};

void cli_descriptor_init(struct cli_descriptor *d, int fd, bool is_output);
/** cli_descriptor_deinit() - closes what is our own. Idempotent. */
void cli_descriptor_deinit(struct cli_descriptor *d);
/** cli_descriptor_take() - Return: how much, 0 at the end, -EAGAIN, or another negative value. */
ssize_t cli_descriptor_take(const struct cli_descriptor *d, void *to, size_t size);
/** cli_descriptor_put() - Return: how much of it, -EAGAIN, or another negative value. */
ssize_t cli_descriptor_put(const struct cli_descriptor *d, const void *data, size_t len);
/** cli_descriptor_end() - its reader sees the end, unless further processes hold it: a socket is
 * shut, all else closed. Not to be used any more. Return: 0, or what close() says. */
int cli_descriptor_end(struct cli_descriptor *d);

#endif
