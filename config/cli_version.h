#ifndef CONFIG_CLI_VERSION_H
#define CONFIG_CLI_VERSION_H
/*
 * Does: says which version of a program and of its libraries runs. Knows: the libraries' wrappers.
 * Never knows: options.
 */
#include "config/cli.h"

/** cli_version_print() - to stdout: one line, or one JSON object. */
enum cli_exit cli_version_print(const char *program, bool is_json);

#endif
