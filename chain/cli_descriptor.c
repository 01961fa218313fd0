#include "chain/cli_descriptor.h"

#include "config/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opening that one again would make another terminal. */
static bool is_pty_master(int fd)
{
	unsigned number;
	return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* Return: -1 if there is none. */
static int reopen(int fd, mode_t mode, int access)
{
	char path[32];
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || ((flags & O_ACCMODE) != access && (flags & O_ACCMODE) != O_RDWR))
		return -1;
	if (!S_ISFIFO(mode) && (!isatty(fd) || is_pty_master(fd)))
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void cli_descriptor_init(struct cli_descriptor *d, int fd, bool is_output)
{
	struct stat status;
	*d = (struct cli_descriptor){ .fd = fd, .shared_fd = fd };
	if (fstat(fd, &status) < 0)
		return; /* what is wrong comes with the first call */
	if (S_ISSOCK(status.st_mode)) {
		d->kind = CLI_DESCRIPTOR_SOCKET;
		return;
	}
	d->is_terminal = isatty(fd);
	int own = reopen(fd, status.st_mode, is_output ? O_WRONLY : O_RDONLY);
	if (own < 0)
		return;
	d->kind = CLI_DESCRIPTOR_PRIVATE;
	d->fd = own;
}

void cli_descriptor_deinit(struct cli_descriptor *d)
{
	if (d->fd != d->shared_fd)
		close(d->fd);
	d->fd = d->shared_fd;
}

/* Whether calling @d now would not wait, as far as can be known. */
static bool is_ready(const struct cli_descriptor *d, short events)
{
	struct pollfd p = { .fd = d->fd, .events = events };
	bool is_asked = d->kind == CLI_DESCRIPTOR_SHARED || d->is_terminal;
	return !is_asked || poll(&p, 1, 0) != 0;
}

ssize_t cli_descriptor_take(const struct cli_descriptor *d, void *to, size_t size)
{
	ssize_t n;
	do {
		if (!is_ready(d, POLLIN))
			return -EAGAIN;
		n = d->kind == CLI_DESCRIPTOR_SOCKET ? recv(d->fd, to, size, MSG_DONTWAIT)
						     : read(d->fd, to, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t cli_descriptor_put(const struct cli_descriptor *d, const void *data, size_t len)
{
	ssize_t n;
	if (d->kind == CLI_DESCRIPTOR_SHARED && len > PIPE_BUF)
		len = PIPE_BUF;
	do {
		if (!is_ready(d, POLLOUT))
			return -EAGAIN;
		n = d->kind == CLI_DESCRIPTOR_SOCKET
			    ? send(d->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)
			    : write(d->fd, data, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int cli_descriptor_end(struct cli_descriptor *d)
{
	if (d->kind == CLI_DESCRIPTOR_SOCKET) {
		(void)shutdown(d->fd, SHUT_WR);
		return 0;
	}
	cli_descriptor_deinit(d);
	int error = close(d->shared_fd) < 0 && errno != EBADF ? -errno : 0;
	cli_guard_descriptors();
	return error;
}
