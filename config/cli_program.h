#ifndef CONFIG_CLI_PROGRAM_H
#define CONFIG_CLI_PROGRAM_H
/*
 * Does: lists the commands of a program, those that every program has included. Knows: tables.
 * Never knows: what a command does.
 */
#include "config/cli.h"

/** cli_program_n_commands() - the program's own, then those that every program has. */
size_t cli_program_n_commands(const struct cli_program *program);
/** cli_program_command() - @i < cli_program_n_commands(). The last ones have no run(), and their
 * cli no head. */
const struct cli_command *cli_program_command(const struct cli_program *program, size_t i);

#endif
