#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_is_descriptor(const char *path)
{
	static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };
	if (path == NULL)
		return false;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		if (strncmp(path, folders[i], strlen(folders[i])) == 0)
			return true;
	}
	return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdin") == 0;
}

int file_open(const char *path)
{
	struct stat stat;
	bool is_given = file_is_descriptor(path);
	int fd =
		strcmp(path, "-") == 0
			? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
			: open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (is_given ? 0 : O_NONBLOCK));
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &stat) < 0 ? -errno : 0;
	if (error == 0 && S_ISFIFO(stat.st_mode) && !is_given)
		error = -ESPIPE;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

int file_read(int fd, void *to, size_t size, size_t *ret_len)
{
	*ret_len = 0;
	while (*ret_len < size) {
		ssize_t n = read(fd, (char *)to + *ret_len, size - *ret_len);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
		*ret_len += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

const char *file_error_text(int error)
{
	return error == -ESPIPE ? "it is a named pipe, which may never have a writer"
				: strerror(-error);
}
