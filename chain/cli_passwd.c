#include "chain/cli_commands.h"
#include "chain/cli_file.h"
#include "chain/cli_secret.h"
#include "chain/hopchain.h"
#include "config/key_file.h"
#include "config/read_logins.h"
#include "config/report.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Some hash, to see what the file would be with one. */
#define EXAMPLE                                                                                    \
	"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cli_option options[] = {
	{ "delete", 'd', NULL, NULL, "take the user out of the file", NULL },
};

static const struct cli cli = {
	.program = "chain passwd",
	.head = "Usage: chain passwd [--delete] FILE USER\n"
		"Set the password of a user of access: SOCKS5 and HTTP proxies.\n"
		"\n"
		"  chain passwd proxy.users ann            asks twice; adds ann, or changes her\n"
		"  pwgen 20 1 | tee ann.txt | chain passwd proxy.users ann\n"
		"  chain passwd --delete proxy.users ann\n"
		"\n"
		"The file has a line NAME:HASH for each user (argon2id), and mode 0600. Other\n"
		"lines stay as they are. It is made if it is not there.\n",
	.foot = "See also: access --users-file",
	.options = options,
	.n_options = COUNT(options),
};

struct flags {
	bool is_delete;
	const char *path, *user;
};

/* A users file as it is. */
struct users {
	char *path; /* where it really is, behind symbolic links; owned */
	bool is_there, has_user;
	struct stat stat;
	char *text; /* owned */
	size_t len;
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	(void)i, (void)argument;
	((struct flags *)owner)->is_delete = true;
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

static void users_deinit(struct users *users)
{
	if (users->text != NULL)
		explicit_bzero(users->text, users->len);
	free(users->text);
	free(users->path);
}

static enum cli_exit load_text(struct users *users, const char *path)
{
	char why[KEY_WHY_MAX];
	size_t size = (size_t)users->stat.st_size;
	if (size > READ_LOGINS_FILE_MAX) {
		errno = EFBIG;
		return fail("read", path);
	}
	users->text = malloc(size + 1);
	if (users->text == NULL)
		return fail("read", path);
	/* "-" would be stdin, where the password comes from. */
	int len = key_file_load(strcmp(path, "-") == 0 ? "./-" : path, users->text, size, why);
	if (len < 0) {
		fprintf(stderr, "chain: %s\n", why);
		return CLI_CONFIG;
	}
	users->len = (size_t)len;
	return CLI_OK;
}

static enum cli_exit users_load(struct users *users, const char *path)
{
	*users = (struct users){ .path = realpath(path, NULL) };
	if (users->path == NULL && errno == ENOENT)
		users->path = strdup(path);
	else if (users->path != NULL)
		users->is_there = stat(users->path, &users->stat) == 0;
	if (users->path == NULL)
		return fail("open", path);
	if (!users->is_there)
		return CLI_OK;
	if (S_ISREG(users->stat.st_mode))
		return load_text(users, path);
	char shown[PATH_MAX];
	fprintf(stderr, "chain: %s is not a regular file\n",
		report_quote(path, shown, sizeof shown));
	return CLI_FAILED;
}

/* Everything but the user's line; @hash NULL: without it. */
static void edit(struct users *users, const char *user, const char *hash, FILE *to)
{
	size_t user_len = strlen(user), next = 0;
	for (size_t start = 0; start < users->len; start = next) {
		const char *line = users->text + start;
		size_t left = users->len - start;
		const char *newline = memchr(line, '\n', left);
		size_t len = newline != NULL ? (size_t)(newline - line) : left;
		next = start + len + 1;
		bool is_his = len > user_len && memcmp(line, user, user_len) == 0 &&
			      line[user_len] == ':';
		if (!is_his) {
			(void)fwrite(line, 1, len, to);
			(void)putc('\n', to);
		} else if (hash != NULL && !users->has_user) {
			fprintf(to, "%s:%s\n", user, hash);
		}
		users->has_user |= is_his;
	}
	if (hash != NULL && !users->has_user)
		fprintf(to, "%s:%s\n", user, hash);
}

/* A file that has other things in it is no users file, or a broken one: it stays as it is. What
 * was wrong with the user's own line is not any more. */
static enum cli_exit check(const char *path, const char *text, size_t len)
{
	struct login *list = NULL;
	size_t n = 0;
	struct report *report = report_new("chain");
	if (report == NULL)
		return fail("read", path);
	bool is_good = read_logins_text(path, bytes_of(text, len), report, &list, &n);
	report_print(report, stderr);
	report_free(report);
	if (is_good)
		read_logins_free(list, n);
	return is_good ? CLI_OK : CLI_CONFIG;
}

/* The text with the change. */
static enum cli_exit make(struct users *users, const struct flags *flags, const char *hash,
	char **ret_text, size_t *ret_len)
{
	enum cli_exit result = CLI_OK;
	FILE *to = open_memstream(ret_text, ret_len);
	if (to != NULL)
		edit(users, flags->user, hash, to);
	if (to == NULL || fclose(to) != 0)
		return fail("write", flags->path);
	if (hash == NULL && !users->has_user) {
		char shown[PATH_MAX];
		fprintf(stderr, "chain: there is no user \"%s\" in %s\n", flags->user,
			report_quote(flags->path, shown, sizeof shown));
		result = CLI_FAILED;
	} else {
		result = check(flags->path, *ret_text, *ret_len);
	}
	return result;
}

static enum cli_exit save(const struct users *users, const char *text, size_t len)
{
	return users->is_there ? cli_file_replace(users->path, text, len, &users->stat)
			       : cli_file_create(users->path, text, len, "try again");
}

static void tell(const struct users *users, const struct flags *flags)
{
	const char *what = users->has_user ? "changed" : "added";
	char shown[PATH_MAX];
	fprintf(stderr, "chain: %s: %s %s\n", report_quote(flags->path, shown, sizeof shown),
		flags->is_delete ? "deleted" : what, flags->user);
}

/* @is_trial: only says what is wrong. */
static enum cli_exit apply(const struct flags *flags, const char *hash, bool is_trial)
{
	struct users users;
	char *text = NULL;
	size_t len = 0;
	enum cli_exit result = users_load(&users, flags->path);
	if (result == CLI_OK)
		result = make(&users, flags, hash, &text, &len);
	if (result == CLI_OK && !is_trial)
		result = save(&users, text, len);
	if (result == CLI_OK && !is_trial)
		tell(&users, flags);
	if (text != NULL)
		explicit_bzero(text, len);
	free(text);
	users_deinit(&users);
	return result;
}

/* Who changes the file as well waits: the folder is locked, since the file becomes another one. */
static enum cli_exit change(const struct flags *flags, const char *hash)
{
	char *real = realpath(flags->path, NULL);
	int lock = cli_file_folder(real != NULL ? real : flags->path);
	free(real);
	if (lock >= 0)
		(void)flock(lock, LOCK_EX); /* best effort: not every file system can */
	enum cli_exit result = apply(flags, hash, false);
	if (lock >= 0)
		close(lock);
	return result;
}

/* What is wrong with the file is told before a password is asked for. */
static enum cli_exit set(const struct flags *flags)
{
	char password[CLI_SECRET_TEXT], hash[HOPCHAIN_PASSWORD_TEXT];
	enum cli_exit result = apply(flags, EXAMPLE, true);
	if (result != CLI_OK)
		return result;
	result = cli_secret_read(flags->user, password);
	int error = result == CLI_OK ? hopchain_password_hash(password, hash) : 0;
	explicit_bzero(password, sizeof password);
	if (error != 0) {
		fprintf(stderr, "chain: %s\n", hopchain_strerror(error));
		result = CLI_FAILED;
	}
	return result == CLI_OK ? change(flags, hash) : result;
}

static enum cli_exit run(int argc, char **argv)
{
	struct flags flags = { 0 };
	int n_rest = 0;
	enum cli_result parsed = cli_parse(&cli, argc, argv, on_option, &flags, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (n_rest != 2) {
		cli_wrong(&cli, "expected FILE and USER; the password is asked for");
		return CLI_USAGE;
	}
	flags.path = argv[argc - 2];
	flags.user = argv[argc - 1];
	if (!read_logins_is_name(flags.user, strlen(flags.user))) {
		cli_wrong(&cli,
			"\"%.63s\" is not a user name; names have up to %d of letters, digits and "
			". _ @ + -",
			flags.user, READ_LOGINS_NAME_MAX);
		return CLI_USAGE;
	}
	return flags.is_delete ? change(&flags, NULL) : set(&flags);
}

const struct cli_command cli_passwd_command = {
	.name = "passwd",
	.help = "set the password of a user of access",
	.cli = &cli,
	.operands = "FILE USER",
	.run = run,
};
