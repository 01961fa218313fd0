#ifndef CONFIG_CLI_COMPLETE_H
#define CONFIG_CLI_COMPLETE_H
/*
 * Does: writes the completions of a program for bash, zsh and fish, from its tables, to stdout.
 * Knows: how these shells complete. Never knows: which programs there are.
 */
#include "config/cli.h"

#define CLI_COMPLETE_SHELLS "bash|zsh|fish"
/* Prints the slugs of hopchain-status(7), one a line, when a completion is asked for. */
#define CLI_COMPLETE_SLUGS  "chain explain 2>/dev/null | sed '1d;s/ .*//'"

/** cli_complete_print() - @shell: one of CLI_COMPLETE_SHELLS. Return: false if it is none. */
bool cli_complete_print(const struct cli_program *program, const char *shell);

void cli_complete_bash(const struct cli_program *program);
void cli_complete_zsh(const struct cli_program *program);
void cli_complete_fish(const struct cli_program *program);

/* For the three: the words of @argument, with blanks between. */
void cli_complete_words(const char *argument);
/** cli_complete_commands() - the names of the commands, with blanks between. */
void cli_complete_commands(const struct cli_program *program);
/** cli_complete_text() - @text with a backslash before each of @special; "'" as @quote. */
void cli_complete_text(const char *text, const char *special, const char *quote);

#endif
