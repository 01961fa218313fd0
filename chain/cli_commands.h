#ifndef CHAIN_CLI_COMMANDS_H
#define CHAIN_CLI_COMMANDS_H
/*
 * Does: the commands of the tool "chain". Knows: arguments. Never knows: sockets.
 */
#include "config/cli.h"

/** cli_keygen(), cli_check() - @argv[0] is the command's own name. */
enum cli_exit cli_keygen(int argc, char **argv);
enum cli_exit cli_check(int argc, char **argv);

#endif
