#ifndef ACCESS_CLI_EXPLAIN_H
#define ACCESS_CLI_EXPLAIN_H
/*
 * Does: the command "access explain". Knows: arguments, configuration files. Never knows: what
 * runs.
 */
#include "config/cli.h"

extern const struct cli_command cli_explain_row;

#endif
