#include "common/systemd.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD    3
#define SOCKETS_MAX 1024

struct passed {
	int fd, type; /* type 0: nothing that one listens on */
	char *name;
};
struct systemd_sockets {
	size_t n;
	struct passed sockets[];
};

/* Return: @min - 1 if @text is NULL or no number of @min..@max. */
static long read_number(const char *text, long min, long max)
{
	char *end;
	if (text == NULL || *text < '0' || *text > '9')
		return min - 1;
	errno = 0;
	long value = strtol(text, &end, 10);
	return errno != 0 || *end != '\0' || value < min || value > max ? min - 1 : value;
}

static int type_of(int fd)
{
	int type = 0, listens = 0;
	socklen_t len = sizeof type;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0)
		return 0;
	len = sizeof listens;
	if (type != SOCK_STREAM)
		return type;
	bool is_known = getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0;
	return is_known && listens ? type : 0;
}

static void set_flags(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* The next of the names that colons separate; "unknown" where there is none, as sd_listen_fds does.
 */
static char *next_name(const char **rest)
{
	size_t len = *rest != NULL ? strcspn(*rest, ":") : 0;
	char *name = len > 0 ? strndup(*rest, len) : strdup("unknown");
	if (*rest != NULL)
		*rest = (*rest)[len] == ':' ? *rest + len + 1 : NULL;
	return name;
}

static int take(size_t n, struct systemd_sockets **ret)
{
	const char *rest = getenv("LISTEN_FDNAMES");
	struct systemd_sockets *s = calloc(1, sizeof *s + n * sizeof s->sockets[0]);
	if (s == NULL)
		return ERR_NOMEM;
	for (; s->n < n; s->n++) {
		struct passed *p = &s->sockets[s->n];
		p->fd = FIRST_FD + (int)s->n;
		if (fcntl(p->fd, F_GETFD) < 0)
			p->fd = -1; /* not there: the number will be something else's */
		p->type = type_of(p->fd);
		p->name = next_name(&rest);
		if (p->name == NULL) {
			systemd_free(s);
			return ERR_NOMEM;
		}
		set_flags(p->fd);
	}
	*ret = s;
	return 0;
}

int systemd_take(struct systemd_sockets **ret)
{
	long n = read_number(getenv("LISTEN_FDS"), 1, SOCKETS_MAX);
	bool is_ours = read_number(getenv("LISTEN_PID"), 1, INT32_MAX) == (long)getpid();
	*ret = NULL;
	int error = n > 0 && is_ours ? take((size_t)n, ret) : 0;
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return error;
}

void systemd_free(struct systemd_sockets *sockets)
{
	if (sockets == NULL)
		return;
	for (size_t i = 0; i < sockets->n; i++) {
		if (sockets->sockets[i].fd >= 0)
			close(sockets->sockets[i].fd);
		free(sockets->sockets[i].name);
	}
	free(sockets);
}

int systemd_find(const struct systemd_sockets *sockets, const char *name, int type, size_t i)
{
	for (size_t n = 0; sockets != NULL && n < sockets->n; n++) {
		const struct passed *p = &sockets->sockets[n];
		if (p->type == type && strcmp(p->name, name) == 0 && i-- == 0)
			return p->fd;
	}
	return -1;
}

static bool is_first_of_name(const struct systemd_sockets *sockets, size_t i)
{
	for (size_t n = 0; n < i; n++) {
		if (strcmp(sockets->sockets[n].name, sockets->sockets[i].name) == 0)
			return false;
	}
	return true;
}

const char *systemd_print_names(const struct systemd_sockets *sockets, char *to, size_t size)
{
	size_t len = 0;
	snprintf(to, size, "nothing");
	for (size_t i = 0; sockets != NULL && i < sockets->n && len < size; i++) {
		if (is_first_of_name(sockets, i))
			len += (size_t)snprintf(to + len, size - len, "%s%s", len > 0 ? ", " : "",
				sockets->sockets[i].name);
	}
	return to;
}
