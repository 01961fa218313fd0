#include "common/seal_password.h"
#include "config/read_logins.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH                                                                                       \
	"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
#define BAD "expected NAME:HASH; chain passwd makes such lines"
#define NO_HASH                                                                                    \
	"this is not an argon2id hash, or one that costs too much; make one with: chain passwd "   \
	"users "
#define NO_NAME                                                                                    \
	"what is before the first ':' is not a user name; names have up to 63 of letters, digits " \
	"and . _ @ + -"

/* What @report says; heap. */
static char *said(struct report *report)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	report_print(report, to);
	fclose(to);
	report_free(report);
	return text;
}

static struct login *list;
static size_t n;

static char *read_bytes(const char *text, size_t len)
{
	struct report *report = report_new("access");
	list = NULL;
	n = 0;
	bool is_good = read_logins_text("users", bytes_of(text, len), report, &list, &n);
	cr_expect_eq(is_good, report_n_errors(report) == 0);
	cr_expect(is_good || (list == NULL && n == 0));
	return said(report);
}

static char *read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

Test(read_logins, good)
{
	char *text = read_text("# users of the proxy\n"
			       "ann:" HASH "\n"
			       "\n"
			       "  \t \n"
			       "#bob:plain\r\n"
			       "Bob.B_1@example.org+x-y:" HASH "\r\n"
			       "7:" HASH);
	cr_assert_str_empty(text, "%s", text);
	cr_assert_eq(n, 3);
	cr_expect_str_eq(list[0].name, "ann");
	cr_expect_str_eq(list[0].hash, HASH);
	cr_expect_str_eq(list[1].name, "Bob.B_1@example.org+x-y");
	cr_expect_str_eq(list[1].hash, HASH);
	cr_expect_str_eq(list[2].name, "7");
	cr_expect(seal_password_check(list[2].hash, "password"));
	read_logins_free(list, n);
	free(text);
}

Test(read_logins, empty_files_have_nobody)
{
	static const char *const texts[] = { "", "\n", "# nobody\n", "#", " " };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *text = read_text(texts[i]);
		cr_expect_str_empty(text, "%s", text);
		cr_expect_eq(n, 0);
		read_logins_free(list, n);
		free(text);
	}
}

#define N63 "a23456789b23456789c23456789d23456789e23456789f23456789g23456789"

Test(read_logins, names)
{
	static const struct {
		const char *text;
		bool is_name;
	} rows[] = {
		{ "a", true },
		{ "-a", false },
		{ "a-", true },
		{ "", false },
		{ ".", true },
		{ N63, true },
		{ N63 "h", false },
		{ "a b", false },
		{ " a", false },
		{ "a:", false },
		{ "a\"", false },
		{ "a=b", false },
		{ "#a", false },
		{ "\xc3\xbc", false },
		{ "a\x7f", false },
		{ "hc1", false },
		{ "hc11", true },
		{ "HC1", true },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		cr_expect_eq(read_logins_is_name(rows[i].text, strlen(rows[i].text)),
			rows[i].is_name, "%s", rows[i].text);
	cr_expect_not(read_logins_is_name("a\0b", 3));
}

/* Each file, and how its first line of complaint ends. */
Test(read_logins, bad)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "secret", "users:1:1: error: " BAD },
		{ "\nann:" HASH "\nsecret\n", "users:3:1: error: " BAD },
		{ " # comment", "users:1:1: error: " BAD },
		{ ":" HASH, "users:1:1: error: " NO_NAME },
		{ " ann:" HASH, "users:1:1: error: " NO_NAME },
		{ "secret word:" HASH, "users:1:1: error: " NO_NAME },
		{ "ann:", "users:1:5: error: " NO_HASH "ann" },
		{ "ann:secret", "users:1:5: error: " NO_HASH "ann" },
		{ "ann:" HASH " ", "users:1:5: error: " NO_HASH "ann" },
		{ "ann:" HASH ":secret", "users:1:5: error: " NO_HASH "ann" },
		{ "ann:$6$secret$secret", "users:1:5: error: " NO_HASH "ann" },
		{ "ann:$argon2id$v=19$m=65536,t=2000,p=1$c29tZXNhbHQ$"
		  "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
			"users:1:5: error: " NO_HASH "ann" },
		{ "hc1:secret",
			"users:1:5: error: this is a key of a hop, not a line NAME:HASH of a users "
			"file" },
		{ "ann:" HASH "\nbob:" HASH "\nann:" HASH "\n",
			"users:3:1: error: there are two users \"ann\"; the other is in line 1" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *text = read_text(rows[i].text);
		cr_expect_eq(
			strncmp(text, rows[i].says, strlen(rows[i].says)), 0, "%zu: %s", i, text);
		cr_expect_null(strstr(text, "secret"), "%s", text);
		cr_expect_null(strstr(text, "$argon2id"), "%s", text);
		free(text);
	}
}

Test(read_logins, all_that_is_wrong)
{
	char *text = read_text("a:x\nb:y\nc:" HASH "\nc:" HASH "\nc:" HASH "\n");
	cr_expect_not_null(strstr(text, "users:1:3: "));
	cr_expect_not_null(strstr(text, "users:2:3: "));
	cr_expect_not_null(strstr(text, "users:4:1: "));
	cr_expect_not_null(strstr(text, "users:5:1: "));
	free(text);
}

Test(read_logins, nul_bytes)
{
	static const char hash[] = "ann:" HASH "\0";
	static const char name[] = "a\0n:" HASH;
	char *text = read_bytes(hash, sizeof hash - 1);
	cr_expect_not_null(strstr(text, "users:1:5: "), "%s", text);
	free(text);
	text = read_bytes(name, sizeof name - 1);
	cr_expect_not_null(strstr(text, "users:1:1: "), "%s", text);
	free(text);
}

Test(read_logins, cut_anywhere)
{
	static const char whole[] = "# c\nann:" HASH "\r\n\nbob:" HASH "\n";
	for (size_t len = 0; len <= strlen(whole); len++) {
		char *copy = malloc(len + 1); /* so that a read behind the end is seen */
		memcpy(copy, whole, len);
		char *text = read_bytes(copy, len);
		cr_expect(n <= 2);
		read_logins_free(list, n);
		free(text);
		free(copy);
	}
}

/* "user" or "userNUMBER", and @rest. */
static char *many(size_t n_lines, bool has_number, const char *rest, size_t *ret_len)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, ret_len);
	for (size_t i = 0; i < n_lines; i++) {
		fputs("user", to);
		if (has_number)
			fprintf(to, "%zu", i);
		fprintf(to, ":%s\n", rest);
	}
	fclose(to);
	return text;
}

Test(read_logins, as_many_as_there_may_be, .timeout = 60)
{
	size_t len;
	char *file = many(LOGINS_MAX, true, HASH, &len);
	char *text = read_bytes(file, len);
	cr_expect_str_empty(text, "%s", text);
	cr_expect_eq(n, LOGINS_MAX);
	read_logins_free(list, n);
	free(text);
	free(file);
	file = many(LOGINS_MAX + 1, true, HASH, &len);
	text = read_bytes(file, len);
	cr_expect_not_null(strstr(text, "users:65537:1: error: more than 65536 users"), "%s", text);
	free(text);
	free(file);
}

Test(read_logins, many_errors_are_told_soon, .timeout = 20)
{
	size_t len;
	char *file = many(LOGINS_MAX, true, "plain", &len);
	free(read_bytes(file, len));
	free(file);
	file = many(LOGINS_MAX, false, HASH, &len);
	free(read_bytes(file, len));
	free(file);
}

Test(read_logins, files)
{
	char path[] = "/tmp/hopchain-logins-XXXXXX";
	int fd = mkstemp(path);
	cr_assert(fd >= 0);
	cr_assert_eq(write(fd, "ann:" HASH "\n", strlen(HASH) + 5), (ssize_t)strlen(HASH) + 5);
	struct report *report = report_new("access");
	cr_expect(read_logins_file(path, report, &list, &n));
	cr_expect_eq(n, 1);
	read_logins_free(list, n);
	static const unsigned modes[] = { 0640, 0604, 0660, 0602, 0622 };
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		fchmod(fd, modes[i]);
		cr_expect_not(read_logins_file(path, report, &list, &n), "%o", modes[i]);
	}
	fchmod(fd, 0400);
	cr_expect(read_logins_file(path, report, &list, &n));
	read_logins_free(list, n);
	cr_expect_not(read_logins_file("/nowhere/users", report, &list, &n));
	cr_expect_not(read_logins_file("/tmp", report, &list, &n));
	cr_assert_eq(ftruncate(fd, READ_LOGINS_FILE_MAX + 1), 0);
	cr_expect_not(read_logins_file(path, report, &list, &n));
	char *text = said(report);
	cr_expect_not_null(strstr(text, "mode 0640 lets others read this secret"), "%s", text);
	cr_expect_not_null(strstr(text, "cannot open /nowhere/users"), "%s", text);
	cr_expect_not_null(strstr(text, "is longer than 16777216 bytes"), "%s", text);
	free(text);
	close(fd);
	unlink(path);
}
