#include "chain/cli_file.h"

#include "config/report.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static enum cli_exit fail(const char *what, const char *path)
{
	char shown[PATH_MAX];
	int error = errno;
	report_quote(path, shown, sizeof shown);
	fprintf(stderr, "chain: cannot %s %s: %s\n", what, shown, strerror(error));
	return CLI_FAILED;
}

bool cli_file_write(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

int cli_file_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path + 1));
	int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	free(folder);
	return fd;
}

/* A rename or a new name is on disk once its folder is. Best effort: not every file system can. */
static void sync_folder(const char *path)
{
	int fd = cli_file_folder(path);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
}

static bool give_to(int fd, const struct stat *like)
{
	return like == NULL || (like->st_uid == geteuid() && like->st_gid == getegid()) ||
	       fchown(fd, like->st_uid, like->st_gid) == 0;
}

/* Mode 0600 whatever the umask. */
static enum cli_exit write_new(const char *path, const char *text, size_t len, const char *what_if,
	const struct stat *like)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EEXIST) {
		char shown[PATH_MAX];
		fprintf(stderr, "chain: %s exists; %s\n", report_quote(path, shown, sizeof shown),
			what_if);
		return CLI_FAILED;
	}
	if (fd < 0)
		return fail("create", path);
	bool is_good = fchmod(fd, 0600) == 0 && give_to(fd, like) &&
		       cli_file_write(fd, text, len) && fsync(fd) == 0;
	int error = errno;
	if (close(fd) < 0 && is_good) {
		is_good = false;
		error = errno;
	}
	if (is_good)
		return CLI_OK;
	unlink(path);
	errno = error;
	return fail("write", path);
}

enum cli_exit cli_file_create(const char *path, const char *text, size_t len, const char *what_if)
{
	enum cli_exit result = write_new(path, text, len, what_if, NULL);
	if (result == CLI_OK)
		sync_folder(path);
	return result;
}

enum cli_exit cli_file_replace(
	const char *path, const char *text, size_t len, const struct stat *like)
{
	char *beside = NULL;
	uint64_t suffix;
	if (getrandom(&suffix, sizeof suffix, 0) != sizeof suffix ||
		asprintf(&beside, "%s.%016llx", path, (unsigned long long)suffix) < 0)
		return fail("create", path);
	enum cli_exit result = write_new(beside, text, len, "try again", like);
	if (result == CLI_OK && rename(beside, path) < 0) {
		result = fail("replace", path);
		unlink(beside);
	}
	if (result == CLI_OK)
		sync_folder(path);
	free(beside);
	return result;
}
