#include "ends.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define POUR_BYTES    (256 * 1024)
#define POUR_CHUNKS   4
#define DISCARD_BYTES (4 * 1024 * 1024)
#define BUFFER_BYTES  (4 * 1024 * 1024)

void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "failed");
	exit(1);
}

struct sockaddr_in loopback(uint32_t last, int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(0x7f000000 + last) };
}

void set_option(int fd, int level, int name)
{
	int one = 1;

	if (setsockopt(fd, level, name, &one, sizeof(one)))
		die("setsockopt");
}

void set_buffers(int fd)
{
	int size = BUFFER_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

ssize_t pour(int fd)
{
	static char chunk[POUR_BYTES];
	ssize_t n = 0;

	for (int i = 0; i < POUR_CHUNKS; i++) {
		n = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL);
		if (n <= 0)
			break;
	}
	return n;
}

ssize_t discard(int fd)
{
	return recv(fd, NULL, DISCARD_BYTES, MSG_TRUNC); /* the kernel drops the bytes: no copy */
}

bool is_over(ssize_t n)
{
	return n == 0 || (n < 0 && errno != EAGAIN);
}
