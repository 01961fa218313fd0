#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H
/*
 * Does: opens and reads what a path names, without waiting for ever. Knows: descriptors. Never
 * knows: what is in there.
 *
 * "-" is standard input. A pipe that was given on purpose - "-", /dev/stdin, <(command) - is read
 * to its end. A named pipe is refused: one without a writer would be waited for until somebody
 * comes.
 */
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

/** file_open() - Return: a descriptor of the caller's, or -errno. */
NODISCARD int file_open(const char *path);
/** file_read() - at most @size bytes. Return: 0, or -errno; then *ret_len is what came before. */
NODISCARD int file_read(int fd, void *to, size_t size, size_t *ret_len);
/** file_error_text() - of what these two return. */
const char *file_error_text(int error);
/** file_is_descriptor() - whether @path names an open descriptor: what came from there is gone.
 * NULL ok. */
bool file_is_descriptor(const char *path);

#endif
