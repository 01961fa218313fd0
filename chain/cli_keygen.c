#include "chain/cli_commands.h"
#include "chain/hopchain.h"
#include "config/report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cli_option options[] = {
	{ "output", 'o', "FILE", "Where", "the key's file, mode 0600", "stdout" },
	{ "force", 'f', NULL, NULL, "replace the file if it exists", NULL },
	{ "mask-of", 0, "KEYFILE", "Which", "a further user of this key's hop", NULL },
};

static const struct cli cli = {
	.program = "chain keygen",
	.head = "Usage: chain keygen [-o FILE] [--force] [--mask-of KEYFILE]\n"
		"Make a key: 64 random bytes for one user at one hop.\n"
		"\n"
		"  chain keygen -o hop1.key                       the first user of a hop\n"
		"  chain keygen -o ann.key --mask-of hop1.key     another user of that hop\n"
		"\n"
		"A key has two halves. One is secret to the user. The other, the mask key, only\n"
		"hides from observers which user connects; all users of a hop share it, and a\n"
		"hop accepts at most two (the old and the new one while it is changed). So each\n"
		"further user's key is made from a key of that hop, with --mask-of.\n",
	.foot = "See also: chain check, hop --user",
	.options = options,
	.n_options = COUNT(options),
};

struct flags {
	const char *output, *mask_of;
	bool is_forced;
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	if (strcmp(options[i].name, "output") == 0)
		flags->output = argument;
	else if (strcmp(options[i].name, "mask-of") == 0)
		flags->mask_of = argument;
	else
		flags->is_forced = true;
	return true;
}

static enum cli_exit fail(const char *what, const char *path)
{
	char shown[PATH_MAX];
	int error = errno;
	report_quote(path, shown, sizeof shown);
	fprintf(stderr, "chain: cannot %s %s: %s\n", what, shown, strerror(error));
	return CLI_FAILED;
}

static bool write_all(int fd, const char *text, size_t len)
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

/* A rename or a new name is on disk once its folder is. Best effort: not every file system can. */
static void sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path + 1));
	int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(folder);
}

/* A file that did not exist, mode 0600 whatever the umask. */
static enum cli_exit write_new(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EEXIST) {
		char shown[PATH_MAX];
		fprintf(stderr, "chain: %s exists; a key that is replaced is lost: --force\n",
			report_quote(path, shown, sizeof shown));
		return CLI_FAILED;
	}
	if (fd < 0)
		return fail("create", path);
	bool is_good = fchmod(fd, 0600) == 0 && write_all(fd, text, len) && fsync(fd) == 0;
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

/* Written beside, then renamed: there is a whole key at any time. */
static enum cli_exit replace(const char *path, const char *text, size_t len)
{
	char *beside = NULL;
	uint8_t suffix[8];
	if (getrandom(suffix, sizeof suffix, 0) != sizeof suffix ||
		asprintf(&beside, "%s.%02x%02x%02x%02x%02x%02x%02x%02x", path, suffix[0], suffix[1],
			suffix[2], suffix[3], suffix[4], suffix[5], suffix[6], suffix[7]) < 0)
		return fail("create", path);
	enum cli_exit result = write_new(beside, text, len);
	if (result == CLI_OK && rename(beside, path) < 0) {
		result = fail("replace", path);
		unlink(beside);
	}
	free(beside);
	return result;
}

static enum cli_exit write_key(const struct flags *flags, const char *text, size_t len)
{
	enum cli_exit result;
	if (flags->output == NULL || strcmp(flags->output, "-") == 0)
		return write_all(STDOUT_FILENO, text, len) ? CLI_OK : fail("write to", "stdout");
	if (flags->is_forced)
		result = replace(flags->output, text, len);
	else
		result = write_new(flags->output, text, len);
	if (result == CLI_OK)
		sync_folder(flags->output);
	return result;
}

static enum cli_exit generate(const struct flags *flags)
{
	char text[HOPCHAIN_KEY_TEXT], *report = NULL;
	enum cli_exit result;
	int error = hopchain_key_generate(flags->mask_of, text, &report);
	if (error == 0) {
		text[HOPCHAIN_KEY_TEXT - 1] = '\n'; /* where its NUL was */
		result = write_key(flags, text, HOPCHAIN_KEY_TEXT);
	} else if (report != NULL) {
		fputs(report, stderr);
		result = CLI_CONFIG;
	} else {
		fprintf(stderr, "chain: %s\n", hopchain_strerror(error));
		result = CLI_FAILED;
	}
	hopchain_text_free(report);
	explicit_bzero(text, sizeof text);
	return result;
}

static enum cli_exit run(int argc, char **argv)
{
	struct flags flags = { 0 };
	int n_rest = 0;
	enum cli_result parsed = cli_parse(&cli, argc, argv, on_option, &flags, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (n_rest > 0) {
		cli_wrong(&cli, "unexpected argument \"%.60s\"; the file is named with -o",
			argv[argc - n_rest]);
		return CLI_USAGE;
	}
	return generate(&flags);
}

const struct cli_command cli_keygen_command = {
	.name = "keygen",
	.help = "make a key for one user at one hop",
	.cli = &cli,
	.operands = NULL,
	.run = run,
};
