#ifndef CONFIG_CLI_H
#define CONFIG_CLI_H
/*
 * Does: options of a program from one table: parsing, --help, and what is wrong. Knows:
 * getopt_long. Never knows: what an option means.
 */
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Exit codes of all programs (interface.md 2.2). */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_CONFIG = 3,
	CLI_LISTEN = 4,
	CLI_FIRST_HOP = 5, /* unreachable: DNS, refused, timeout */
	CLI_LATER_HOP = 6, /* unreachable, or refused what it was asked */
	CLI_NO_ANSWER = 7, /* a hop did not answer our header: key, clock, or not a hop */
	CLI_TARGET = 8,    /* refused, unreachable, or denied by policy */
	CLI_LOST = 9,      /* timed out, or broken after it stood */
};

#define CLI_COLUMNS 80
#define CLI_LINES   24

struct cli_option {
	const char *name;     /* "listen" */
	char letter;          /* 'l', or 0 */
	const char *argument; /* "ADDR"; NULL: the option takes none */
	const char *group;    /* heading of this and the following rows, or NULL */
	const char *help;     /* one line; NULL: not in --help */
	const char *standard; /* what holds without it, or NULL */
};

struct cli {
	const char *program;              /* "hop", "chain keygen": begins messages */
	const char *head;                 /* usage, what it is for, examples */
	const char *foot;                 /* see also */
	const struct cli_option *options; /* --help and -h are always there */
	size_t n_options;
};

/** cli_option_fn - option @i of the table was given. Return: false after cli_wrong(). */
typedef bool cli_option_fn(size_t i, const char *argument, void *owner);

enum cli_result {
	CLI_GOOD,
	CLI_WRONG,  /* a message was printed: end with CLI_USAGE */
	CLI_HELPED, /* --help was printed: end with CLI_OK */
};

/** cli_parse() - @argv[0] is skipped. *ret_n_rest arguments that are no options are the last of
 * @argv. */
enum cli_result cli_parse(const struct cli *cli, int argc, char **argv, cli_option_fn *on_option,
	void *owner, int *ret_n_rest);
/** cli_wrong() - "PROGRAM: SENTENCE" and a hint at --help, to stderr. Return: false. */
bool cli_wrong(const struct cli *cli, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/** cli_print_help() - to stdout. */
void cli_print_help(const struct cli *cli);
/** cli_print_options() - the rows of the options alone. */
void cli_print_options(const struct cli *cli);
/** cli_unknown_command() - the message about a command that is none of @commands. */
void cli_unknown_command(
	const struct cli *cli, const char *command, const char *const *commands, size_t n);

/* One command of a program: what dispatch, help, completions and the tests of the man pages read.
 */
struct cli_command {
	const char *name;
	const char *help;      /* one line, lower case */
	const struct cli *cli; /* its options and help; never NULL */
	const char *operands;  /* "FILE...", "[HOST:PORT]", or NULL: takes none */
	enum cli_exit (*run)(int argc, char **argv); /* argv[0] is the command's own name */
};
struct cli_program {
	const char *name;                          /* "chain" */
	const struct cli *cli;                     /* help without a command */
	const struct cli_command *const *commands; /* but for those every program has: below */
	size_t n_commands;
	/* Run when the first argument is no command; NULL: a command must be there. */
	enum cli_exit (*run)(int argc, char **argv);
};
/** cli_guard_descriptors() - descriptors 0, 1 and 2 exist from here on: a missing one reads as
 * ended, and writing to it fails with EBADF. Without that, a socket could become "standard
 * output". */
void cli_guard_descriptors(void);
/**
 * cli_main() - finds the command and runs it, with descriptors 0 to 2 guarded. An output that
 * could not be written is a failure. Every program also has:
 * version [--json], help [COMMAND], completion bash|zsh|fish, schema (of its configuration file).
 */
enum cli_exit cli_main(const struct cli_program *program, int argc, char **argv);

/* Words that were given, in order. Borrowed; the array is owned. */
struct cli_words {
	const char **words;
	size_t n_words;
};
/** cli_words_add() - Return: false without memory, after a message. */
NODISCARD bool cli_words_add(const struct cli *cli, struct cli_words *words, const char *word);
void cli_words_deinit(struct cli_words *words);
/** cli_split() - "NAME,KEYFILE": a copy of NAME (heap), and KEYFILE. NULL if there is no comma, or
 * nothing on one side of it. */
NODISCARD char *cli_split(const char *text, const char **ret_second);

#endif
