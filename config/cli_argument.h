#ifndef CONFIG_CLI_ARGUMENT_H
#define CONFIG_CLI_ARGUMENT_H
/*
 * Does: what may stand where a table writes "FILE", "NAME,KEYFILE", "auto|text" or "[SLUG]". Knows:
 * how tables are written. Never knows: shells.
 */
#include "common/wire.h"

#include <stdbool.h>

enum cli_argument {
	CLI_ARGUMENT_NONE,    /* takes none: NULL */
	CLI_ARGUMENT_FREE,    /* nothing is known of it */
	CLI_ARGUMENT_FILE,    /* FILE, KEYFILE */
	CLI_ARGUMENT_DIR,     /* DIR */
	CLI_ARGUMENT_PAIR,    /* NAME,KEYFILE: a file after the comma */
	CLI_ARGUMENT_WORDS,   /* auto|text, N|auto: cli_argument_word() says which */
	CLI_ARGUMENT_SLUG,    /* SLUG: of hopchain-status(7) */
	CLI_ARGUMENT_COMMAND, /* COMMAND: of this program */
};

/** cli_argument() - "[X]" and "X..." are as X. NULL ok. */
enum cli_argument cli_argument(const char *text);
/** cli_argument_word() - the next word to be written as it is. *rest: begins as the text; moves on.
 * Return: false after the last. */
bool cli_argument_word(const char **rest, struct bytes *ret);

#endif
