/* Socket files and what systemd passes: who may replace whom, what is left behind. */
#include "common/place.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static void set_up(void)
{
	strcpy(folder, "/tmp/hopchain-place-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
}

static void tear_down(void)
{
	cr_expect_eq(rmdir(folder), 0, "nothing is left behind");
}

TestSuite(place, .init = set_up, .fini = tear_down, .timeout = 20);

static struct addr file(const char *name)
{
	struct addr at = { .kind = ADDR_UNIX };
	snprintf(at.name, sizeof at.name, "%s/%s", folder, name);
	return at;
}

static int try_connect(const struct addr *at)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(name.sun_path, at->name);
	int error = connect(fd, (struct sockaddr *)&name, sizeof name) != 0 ? errno : 0;
	close(fd);
	return error;
}

static mode_t mode_of(const struct addr *at)
{
	struct stat status;
	cr_assert_eq(lstat(at->name, &status), 0);
	return status.st_mode;
}

Test(place, a_socket_file_has_its_mode_and_goes_with_us)
{
	static const uint32_t modes[] = { PLACE_MODE, 0600, 0666, 0777 };
	struct addr at = file("s");
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		struct place *place;
		umask(077);
		cr_assert_eq(place_open(&at, modes[i], NULL, &place), 0);
		cr_expect_eq(mode_of(&at), S_IFSOCK | modes[i]);
		cr_expect_geq(place_fd(place, SOCK_STREAM, 0), 0);
		cr_expect_eq(place_fd(place, SOCK_STREAM, 1), -1);
		cr_expect_eq(place_fd(place, SOCK_DGRAM, 0), -1);
		cr_expect_eq(try_connect(&at), 0);
		place_leave(place);
		place_leave(place);
		cr_expect_eq(try_connect(&at), ENOENT);
		place_free(place);
	}
}

Test(place, a_live_socket_stays_and_a_stale_one_is_replaced)
{
	struct addr at = file("s");
	struct place *place, *other = NULL;
	cr_assert_eq(place_open(&at, 0600, NULL, &place), 0);
	cr_expect_eq(place_open(&at, 0600, NULL, &other), -EADDRINUSE);
	cr_expect_eq(try_connect(&at), 0, "whoever was there still is");
	shutdown(place_fd(place, SOCK_STREAM, 0), SHUT_RDWR); /* as if its process had died */
	cr_expect_eq(place_open(&at, 0600, NULL, &other), 0);
	cr_expect_eq(try_connect(&at), 0);
	place_set_mode(place, 0666); /* the file is not its own any more */
	place_free(place);
	cr_expect_eq(try_connect(&at), 0);
	place_free(other);
	cr_expect_eq(try_connect(&at), ENOENT);
}

Test(place, what_is_no_socket_is_never_removed)
{
	struct addr at = file("f"), link = file("l");
	struct place *place;
	int fd = open(at.name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	cr_assert_eq(symlink("nowhere", link.name), 0);
	cr_expect_eq(place_open(&at, 0600, NULL, &place), -EEXIST);
	cr_expect_eq(place_open(&link, 0600, NULL, &place), -EEXIST);
	cr_expect(S_ISREG(mode_of(&at)) && S_ISLNK(mode_of(&link)));
	struct addr nowhere = file("no/where");
	cr_expect_eq(place_open(&nowhere, 0600, NULL, &place), -ENOENT);
	close(fd);
	unlink(at.name);
	unlink(link.name);
}

Test(place, another_ones_file_at_our_path_is_not_unlinked)
{
	struct addr at = file("s");
	struct place *place, *other;
	cr_assert_eq(place_open(&at, 0600, NULL, &place), 0);
	unlink(at.name);
	cr_assert_eq(place_open(&at, 0600, NULL, &other), 0);
	place_free(place);
	cr_expect_eq(try_connect(&at), 0);
	place_free(other);
}

/* What sd_listen_fds(3) promises, with the variables and descriptors of this very process. */
static void pass(const int *fds, size_t n, const char *names, long pid)
{
	char text[32];
	for (size_t i = 0; i < n; i++)
		dup2(fds[i], 3 + (int)i);
	snprintf(text, sizeof text, "%zu", n);
	setenv("LISTEN_FDS", text, 1);
	snprintf(text, sizeof text, "%ld", pid);
	setenv("LISTEN_PID", text, 1);
	if (names != NULL)
		setenv("LISTEN_FDNAMES", names, 1);
}

static int make_socket(int type, bool listens)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || (listens && listen(fd, 1) != 0))
		return -1;
	return fcntl(fd, F_DUPFD, 100); /* out of the way of 3, 4, … */
}

/* In a process of its own: the descriptors from 3 on are the test runner's. Return: line of what is
 * wrong, or 0. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return __LINE__;                                                           \
	} while (0)
static int check_passed(void)
{
	struct systemd_sockets *passed;
	struct place *place;
	char text[64];
	int fds[] = { make_socket(SOCK_STREAM, true), make_socket(SOCK_DGRAM, false),
		make_socket(SOCK_STREAM, true), make_socket(SOCK_STREAM, false) };
	pass(fds, 4, "web:web:dns:web", (long)getpid());
	CHECK(systemd_take(&passed) == 0);
	CHECK(getenv("LISTEN_FDS") == NULL);
	CHECK(getenv("LISTEN_PID") == NULL);
	CHECK(getenv("LISTEN_FDNAMES") == NULL);
	CHECK(systemd_find(passed, "web", SOCK_STREAM, 0) == 3);
	CHECK(systemd_find(passed, "web", SOCK_STREAM, 1) == -1);
	CHECK(systemd_find(passed, "web", SOCK_DGRAM, 0) == 4);
	CHECK(systemd_find(passed, "dns", SOCK_STREAM, 0) == 5);
	CHECK(systemd_find(NULL, "dns", SOCK_STREAM, 0) == -1);
	for (int fd = 3; fd < 7; fd++) {
		CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	}
	CHECK(strcmp(systemd_print_names(passed, text, sizeof text), "web, dns") == 0);
	struct addr at = { .kind = ADDR_SYSTEMD, .name = "web" };
	CHECK(place_open(&at, 0, passed, &place) == 0);
	CHECK(place_fd(place, SOCK_DGRAM, 0) == 4);
	place_leave(place);
	place_free(place);
	CHECK(fcntl(4, F_GETFD) >= 0);
	strcpy(at.name, "ftp");
	CHECK(place_open(&at, 0, passed, &place) == -ENOENT);
	systemd_free(passed);
	return 0;
}

Test(place, systemd_passes_sockets_by_name)
{
	int status = -1;
	pid_t child = fork();
	if (child == 0)
		_exit(check_passed() & 0xff);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "line ...%d", WEXITSTATUS(status));
}

Test(place, variables_for_another_process_or_without_sense_are_nothing)
{
	static const struct {
		const char *fds, *pid;
	} rows[] = { { "1", "1" }, { "1", NULL }, { NULL, "self" }, { "0", "self" },
		{ "x", "self" }, { "-1", "self" }, { "1x", "self" }, { "99999", "self" },
		{ "18446744073709551617", "self" }, { "", "self" } };
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char self[32], text[16];
		struct systemd_sockets *passed;
		snprintf(self, sizeof self, "%ld", (long)getpid());
		unsetenv("LISTEN_FDS");
		unsetenv("LISTEN_PID");
		if (rows[i].fds != NULL)
			setenv("LISTEN_FDS", rows[i].fds, 1);
		if (rows[i].pid != NULL)
			setenv("LISTEN_PID", *rows[i].pid == 's' ? self : rows[i].pid, 1);
		cr_assert_eq(systemd_take(&passed), 0);
		cr_expect_null(passed, "row %zu", i);
		cr_expect_null(getenv("LISTEN_FDS"));
		cr_expect_str_eq(systemd_print_names(passed, text, sizeof text), "nothing");
	}
}
