#include "config/cli.h"
#include "config/cli_argument.h"
#include "config/cli_complete.h"
#include "config/suggest.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* What ran, with which arguments. */
static char ran[256];

static enum cli_exit note(const char *what, int argc, char **argv)
{
	snprintf(ran, sizeof ran, "%s", what);
	for (int i = 1; i < argc; i++)
		snprintf(ran + strlen(ran), sizeof ran - strlen(ran), " %s", argv[i]);
	return CLI_LOST;
}

static enum cli_exit run_bare(int argc, char **argv)
{
	return note("bare", argc, argv);
}

static enum cli_exit run_trace(int argc, char **argv)
{
	return note("trace", argc, argv);
}

static const struct cli_option trace_options[] = {
	{ "count", 'c', "N", NULL, "rounds; 'a' [b]: c", "10" },
	{ "color", 0, "always|never|auto", NULL, "colours", "auto" },
	{ "hop", 0, "ADDR,KEYFILE", NULL, "a hop", NULL },
	{ "secret", 0, NULL, NULL, NULL, NULL },
};
static const struct cli trace_cli = { "prog trace", "Usage: prog trace\n", "See also: nothing",
	trace_options, N(trace_options) };
static const struct cli_command trace_row = { "trace", "where time goes", &trace_cli, "[SLUG...]",
	run_trace };
static const struct cli_command *const rows[] = { &trace_row };
static const struct cli bare_cli = { "prog", "Usage: prog COMMAND\n", "See also: nothing", NULL,
	0 };
static const struct cli_program with_run = { "prog", &cli, rows, N(rows), run_bare };
static const struct cli_program without_run = { "prog", &bare_cli, rows, N(rows), NULL };

static enum cli_exit dispatch(const struct cli_program *program, const char *line)
{
	char copy[200], name[] = "prog", *argv[16] = { name };
	int argc = 1;
	snprintf(copy, sizeof copy, "%s", line);
	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		argv[argc++] = word;
	ran[0] = '\0';
	return cli_main(program, argc, argv);
}

static const struct {
	const char *line;
	enum cli_exit exit_with, exit_without; /* a program that runs without a command; or not */
	const char *ran_with, *ran_without;
} dispatched[] = {
	{ "trace -c 1 x", CLI_LOST, CLI_LOST, "trace -c 1 x", "trace -c 1 x" },
	{ "trace --help", CLI_LOST, CLI_LOST, "trace --help", "trace --help" },
	{ "", CLI_LOST, CLI_USAGE, "bare", "" },
	{ "-q x", CLI_LOST, CLI_USAGE, "bare -q x", "" },
	{ "-q trace", CLI_LOST, CLI_USAGE, "bare -q trace", "" },
	{ "--", CLI_LOST, CLI_USAGE, "bare --", "" },
	{ "trce", CLI_USAGE, CLI_USAGE, "", "" },
	{ "--help", CLI_OK, CLI_OK, "", "" },
	{ "-h", CLI_OK, CLI_OK, "", "" },
	{ "--version", CLI_OK, CLI_OK, "", "" },
	{ "version", CLI_OK, CLI_OK, "", "" },
	{ "version --json", CLI_OK, CLI_OK, "", "" },
	{ "version --jsn", CLI_USAGE, CLI_USAGE, "", "" },
	{ "version x", CLI_USAGE, CLI_USAGE, "", "" },
	{ "help", CLI_OK, CLI_OK, "", "" },
	{ "help trace", CLI_OK, CLI_OK, "", "" },
	{ "help help", CLI_OK, CLI_OK, "", "" },
	{ "help trce", CLI_USAGE, CLI_USAGE, "", "" },
	{ "help trace x", CLI_USAGE, CLI_USAGE, "", "" },
	{ "completion bash", CLI_OK, CLI_OK, "", "" },
	{ "completion zsh", CLI_OK, CLI_OK, "", "" },
	{ "completion fish", CLI_OK, CLI_OK, "", "" },
	{ "completion", CLI_USAGE, CLI_USAGE, "", "" },
	{ "completion sh", CLI_USAGE, CLI_USAGE, "", "" },
	{ "schema", CLI_FAILED, CLI_FAILED, "", "" }, /* no program has this name */
	{ "schema x", CLI_USAGE, CLI_USAGE, "", "" },
};

static void redirect(void)
{
	cr_redirect_stdout();
	cr_redirect_stderr();
}

Test(cli, commands_are_found_and_run, .init = redirect)
{
	for (size_t i = 0; i < N(dispatched); i++) {
		const char *line = dispatched[i].line;
		cr_expect_eq(dispatch(&with_run, line), dispatched[i].exit_with, "%s", line);
		cr_expect_str_eq(ran, dispatched[i].ran_with, "%s: %s", line, ran);
		cr_expect_eq(dispatch(&without_run, line), dispatched[i].exit_without, "%s", line);
		cr_expect_str_eq(ran, dispatched[i].ran_without, "%s: %s", line, ran);
	}
}

Test(cli, unknown_commands_are_told_with_a_suggestion, .init = redirect)
{
	dispatch(&with_run, "trce");
	dispatch(&without_run, "help verzion");
	dispatch(&without_run, "");
	fflush(stderr);
	cr_expect_stderr_eq_str("prog: unknown command \"trce\"; did you mean \"trace\"?\n"
				"Try 'prog --help'.\n"
				"prog: unknown command \"verzion\"; did you mean \"version\"?\n"
				"Try 'prog --help'.\n"
				"prog: needs a command\n"
				"Try 'prog --help'.\n");
}

Test(cli, help_lists_the_commands, .init = redirect)
{
	dispatch(&with_run, "help");
	dispatch(&without_run, "--help");
	dispatch(&without_run, "help version");
	fflush(stdout);
	cr_expect_stdout_eq_str("Usage: prog\n\n"
				"Where     -l, --listen ADDR        address [:7000]\n"
				"              --users-dir DIR      folder\n"
				"How       -q, --quiet              less\n"
				"Commands: trace schema completion help version\n"
				"See also: nothing\n"
				"Usage: prog COMMAND\n\n"
				"Commands:\n"
				"  trace        where time goes\n"
				"  schema       print the JSON schema of its file\n"
				"  completion   print completions for a shell\n"
				"  help         print how a command is used\n"
				"  version      print which version this is\n"
				"See also: nothing\n"
				"Usage: prog version [options]\n"
				"Print which version this is.\n\n"
				"              --json               also the libraries, as JSON\n"
				"See also: help\n");
}

static const struct {
	const char *text;
	enum cli_argument kind;
	const char *words;
} arguments[] = {
	{ NULL, CLI_ARGUMENT_NONE, "" },
	{ "ADDR", CLI_ARGUMENT_FREE, "" },
	{ "[HOST:PORT]", CLI_ARGUMENT_FREE, "" },
	{ "HOST PORT|HOST:PORT", CLI_ARGUMENT_FREE, "" },
	{ "FILE", CLI_ARGUMENT_FILE, "" },
	{ "[FILE]", CLI_ARGUMENT_FILE, "" },
	{ "FILE...", CLI_ARGUMENT_FILE, "" },
	{ "[FILE...]", CLI_ARGUMENT_FILE, "" },
	{ "DIR", CLI_ARGUMENT_DIR, "" },
	{ "NAME,KEYFILE", CLI_ARGUMENT_PAIR, "" },
	{ "[SLUG...]", CLI_ARGUMENT_SLUG, "" },
	{ "[COMMAND]", CLI_ARGUMENT_COMMAND, "" },
	{ "auto|text", CLI_ARGUMENT_WORDS, "auto text " },
	{ "N|auto", CLI_ARGUMENT_WORDS, "auto " },
	{ "[x25519|a-b]", CLI_ARGUMENT_WORDS, "x25519 a-b " },
};

Test(cli, arguments_are_understood_as_they_are_written)
{
	for (size_t i = 0; i < N(arguments); i++) {
		char words[64] = "";
		struct bytes word;
		const char *rest = arguments[i].text != NULL ? arguments[i].text : "";
		cr_expect_eq(cli_argument(arguments[i].text), arguments[i].kind, "%s", rest);
		while (cli_argument_word(&rest, &word))
			snprintf(words + strlen(words), sizeof words - strlen(words), "%.*s ",
				(int)word.len, (const char *)word.ptr);
		cr_expect_str_eq(words, arguments[i].words, "%s: %s", arguments[i].text, words);
	}
}

/* Whether what a shell is told has @wanted in it. */
static void expect_in(const char *shell, const char *wanted)
{
	static char told[8192];
	FILE *out = tmpfile();
	fflush(stdout);
	int saved = dup(STDOUT_FILENO);
	dup2(fileno(out), STDOUT_FILENO);
	bool is_known = cli_complete_print(&with_run, shell);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(out);
	told[fread(told, 1, sizeof told - 1, out)] = '\0';
	fclose(out);
	cr_expect(is_known);
	cr_expect_not_null(strstr(told, wanted), "%s: no %s in:\n%s", shell, wanted, told);
	cr_expect_null(strstr(told, "secret"), "%s: an option that is not in the help", shell);
}

Test(cli, completions_are_quoted_for_each_shell)
{
	expect_in("bash", "-c | --count) kind='' ;;");
	expect_in("bash", "--color) kind='words' words='always never auto' ;;");
	expect_in("zsh", "{-c+,--count=}'[rounds; '\\''a'\\'' \\[b\\]\\: c]:N: '");
	expect_in("zsh", "--hop='[a hop]:ADDR,KEYFILE:_hopchain_prog_pair'");
	expect_in("fish", "-s c -l count -x -d 'rounds; \\'a\\' [b]: c'");
	expect_in("fish", "-l color -x -a 'always never auto' -d 'colours'");
	cr_expect_not(cli_complete_print(&with_run, "csh"));
}
