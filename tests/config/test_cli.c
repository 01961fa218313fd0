#include "config/cli.h"
#include "config/suggest.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct cli_option options[] = {
	{ "listen", 'l', "ADDR", "Where", "address", ":7000" },
	{ "users-dir", 0, "DIR", NULL, "folder", NULL },
	{ "quiet", 'q', NULL, "How", "less", NULL },
	{ "hidden", 0, NULL, NULL, NULL, NULL },
};
static const struct cli cli = { "prog", "Usage: prog\n", "See also: nothing", options, N(options) };

static bool on_option(size_t i, const char *argument, void *owner)
{
	strcat(owner, options[i].name);
	strcat(owner, argument != NULL ? "=" : "");
	strcat(owner, argument != NULL ? argument : "");
	return strcat(owner, ";") != NULL;
}

/* Runs the arguments of @line, separated by blanks. */
static enum cli_result parse(const char *line, char *seen, int *n_rest)
{
	char copy[200], program[] = "prog", *argv[16] = { program };
	int argc = 1;
	snprintf(copy, sizeof copy, "%s", line);
	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		argv[argc++] = word;
	seen[0] = '\0';
	return cli_parse(&cli, argc, argv, on_option, seen, n_rest);
}

static const struct {
	const char *line, *seen;
	int n_rest;
} good[] = {
	{ "", "", 0 },
	{ "--listen :1 -l :2 -l:3 --listen=:4", "listen=:1;listen=:2;listen=:3;listen=:4;", 0 },
	{ "-ql :1", "quiet;listen=:1;", 0 },
	{ "--users-dir d x --quiet y", "users-dir=d;quiet;", 2 },
	{ "-- --listen x", "", 2 },
	{ "--hidden", "hidden;", 0 },
	{ "-l -", "listen=-;", 0 },
};

Test(cli, options_are_read_in_all_forms)
{
	for (size_t i = 0; i < N(good); i++) {
		char seen[256];
		int n_rest = -1;
		cr_expect_eq(parse(good[i].line, seen, &n_rest), CLI_GOOD, "%s", good[i].line);
		cr_expect_str_eq(seen, good[i].seen, "%s: %s", good[i].line, seen);
		cr_expect_eq(n_rest, good[i].n_rest, "%s", good[i].line);
	}
}

static const struct {
	const char *line, *message;
} bad[] = {
	{ "--lisen :1", "unknown option --lisen; did you mean --listen?" },
	{ "--lisen=:1", "unknown option --lisen; did you mean --listen?" },
	{ "--user-dir x --nothing-like-it",
		"unknown option --user-dir; did you mean --users-dir?" },
	{ "--nothing-like-it", "unknown option --nothing-like-it" },
	{ "--halp", "unknown option --halp; did you mean --help?" },
	{ "-x", "unknown option -x" },
	{ "-qx", "unknown option -x" },
	{ "--listen", "--listen needs ADDR" },
	{ "-l", "--listen needs ADDR" },
	{ "--quiet=1", "--quiet takes no argument" },
};

Test(cli, wrong_options_are_told_with_a_suggestion, .init = cr_redirect_stderr)
{
	char wanted[4096] = "";
	for (size_t i = 0; i < N(bad); i++) {
		char seen[256];
		int n_rest;
		cr_expect_eq(parse(bad[i].line, seen, &n_rest), CLI_WRONG, "%s", bad[i].line);
		snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted),
			"prog: %s\nTry 'prog --help'.\n", bad[i].message);
	}
	fflush(stderr);
	cr_expect_stderr_eq_str(wanted);
}

Test(cli, help_is_made_from_the_table, .init = cr_redirect_stdout)
{
	char seen[256];
	int n_rest;
	cr_expect_eq(parse("--quiet --help", seen, &n_rest), CLI_HELPED);
	fflush(stdout);
	cr_expect_stdout_eq_str("Usage: prog\n\n"
				"Where     -l, --listen ADDR        address [:7000]\n"
				"              --users-dir DIR      folder\n"
				"How       -q, --quiet              less\n"
				"See also: nothing\n");
}

Test(cli, pairs_are_split_at_the_first_comma)
{
	const char *second = NULL;
	char *first = cli_split("me,a,b.key", &second);
	cr_expect_str_eq(first, "me");
	cr_expect_str_eq(second, "a,b.key");
	free(first);
	cr_expect_null(cli_split("me", &second));
	cr_expect_null(cli_split(",key", &second));
	cr_expect_null(cli_split("me,", &second));
}

Test(cli, slips_are_recognised)
{
	static const char *const words[] = { "listen", "hops", "users", "users_dir", "dns" };
	cr_expect_str_eq(suggest("lisen", words, N(words)), "listen");
	cr_expect_str_eq(suggest("Listen", words, N(words)), "listen");
	cr_expect_str_eq(suggest("hosp", words, N(words)), "hops");
	cr_expect_str_eq(suggest("user_dir", words, N(words)), "users_dir");
	cr_expect_null(suggest("pool", words, N(words)));
	cr_expect_null(suggest("x", words, N(words)));
	cr_expect_null(suggest("", words, N(words)));
	cr_expect_null(suggest(
		"a-very-long-word-that-is-longer-than-the-table-of-distances", words, N(words)));
}
