#include "common/place.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

struct place {
	struct addr at;
	const struct systemd_sockets *passed;
	int fd; /* of a socket file */
	dev_t device;
	ino_t inode;
	_Atomic bool is_left;
};

static struct sockaddr_un name_of(const struct addr *at)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	memcpy(name.sun_path, at->name, strlen(at->name));
	return name;
}

/* Return: 0 if what was at the path is gone, or why it stays. */
static int remove_stale(const struct addr *at)
{
	struct stat file;
	struct sockaddr_un name = name_of(at);
	if (lstat(at->name, &file) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(file.st_mode))
		return -EEXIST;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = connect(fd, (struct sockaddr *)&name, sizeof name) != 0 ? errno : 0;
	close(fd);
	if (error != ECONNREFUSED)
		return -EADDRINUSE; /* it answers, has a full queue, or is of another type */
	return unlink(at->name) == 0 || errno == ENOENT ? 0 : -errno;
}

/* The mode is set before the file is there: nobody else comes in between. */
static int bind_file(int fd, const struct addr *at, uint32_t mode)
{
	struct sockaddr_un name = name_of(at);
	if (fchmod(fd, (mode_t)mode) != 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	int error = remove_stale(at);
	if (error == 0 && bind(fd, (struct sockaddr *)&name, sizeof name) != 0)
		error = -errno;
	return error;
}

static int open_file(struct place *p, uint32_t mode)
{
	struct stat file;
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return -errno;
	int error = bind_file(p->fd, &p->at, mode);
	if (error != 0)
		return error;
	if (chmod(p->at.name, (mode_t)mode) != 0 /* what the umask took */
		|| lstat(p->at.name, &file) != 0 || listen(p->fd, BACKLOG) != 0) {
		error = -errno;
		unlink(p->at.name);
		return error;
	}
	p->device = file.st_dev;
	p->inode = file.st_ino;
	return 0;
}

int place_open(const struct addr *at, uint32_t mode, const struct systemd_sockets *passed,
	struct place **ret)
{
	struct place *p = calloc(1, sizeof *p);
	int error = 0;
	if (p == NULL)
		return ERR_NOMEM;
	p->at = *at;
	p->passed = passed;
	p->fd = -1;
	atomic_init(&p->is_left, false);
	if (at->kind == ADDR_UNIX)
		error = open_file(p, mode);
	else if (place_fd(p, SOCK_STREAM, 0) < 0 && place_fd(p, SOCK_DGRAM, 0) < 0)
		error = -ENOENT;
	if (error != 0) {
		if (p->fd >= 0)
			close(p->fd);
		free(p);
		return error;
	}
	*ret = p;
	return 0;
}

int place_fd(const struct place *place, int type, size_t i)
{
	if (place->at.kind == ADDR_UNIX)
		return type == SOCK_STREAM && i == 0 ? place->fd : -1;
	return systemd_find(place->passed, place->at.name, type, i);
}

static bool is_own_file(const struct place *place)
{
	struct stat file;
	return place->at.kind == ADDR_UNIX && lstat(place->at.name, &file) == 0 &&
	       file.st_dev == place->device && file.st_ino == place->inode;
}

void place_set_mode(const struct place *place, uint32_t mode)
{
	if (place != NULL && is_own_file(place))
		(void)chmod(place->at.name, (mode_t)(mode != 0 ? mode : PLACE_MODE));
}

void place_leave(struct place *place)
{
	if (place == NULL || place->at.kind != ADDR_UNIX || atomic_exchange(&place->is_left, true))
		return;
	if (is_own_file(place))
		unlink(place->at.name);
	shutdown(place->fd, SHUT_RDWR);
}

void place_free(struct place *place)
{
	if (place == NULL)
		return;
	place_leave(place);
	if (place->fd >= 0)
		close(place->fd);
	free(place);
}
