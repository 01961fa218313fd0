#ifndef CHAIN_CLI_FILE_H
#define CHAIN_CLI_FILE_H
/*
 * Does: writes files with secrets: mode 0600 from the beginning, whole or not at all. Knows: file
 * systems. Never knows: what is in them. What goes wrong is told on stderr.
 */
#include "config/cli.h"

#include <sys/stat.h>

/** cli_file_write() - all of it. Return: false, with errno. */
NODISCARD bool cli_file_write(int fd, const char *text, size_t len);
/** cli_file_create() - a file that did not exist; if it does: "PATH exists; WHAT_IF". Return:
 * CLI_OK, CLI_FAILED. */
NODISCARD enum cli_exit cli_file_create(
	const char *path, const char *text, size_t len, const char *what_if);
/** cli_file_replace() - written beside, then renamed: there is a whole file at any time. @like:
 * whose the new one shall be; NULL: ours. Return: as above. */
NODISCARD enum cli_exit cli_file_replace(
	const char *path, const char *text, size_t len, const struct stat *like);
/** cli_file_folder() - the folder of @path, opened. Return: a descriptor, or -1 with errno. */
NODISCARD int cli_file_folder(const char *path);

#endif
