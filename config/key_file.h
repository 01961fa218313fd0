#ifndef CONFIG_KEY_FILE_H
#define CONFIG_KEY_FILE_H
/*
 * Does: credentials from files and texts, and what is wrong with those that are not. Knows: modes
 * of files. Never knows: whose key it is. No part of a key file ever comes into a sentence.
 */
#include "chain/wire_key.h"

#include <sys/stat.h>

#define KEY_WHY_MAX 512

/** key_file_read() - a file with one credential, mode 0600. Return: NULL, with a sentence in @why.
 */
NODISCARD struct wire_key *key_file_read(const char *path, char why[KEY_WHY_MAX]);
/** key_text_read() - a credential in a text. Return: NULL, with a sentence in @why. */
NODISCARD struct wire_key *key_text_read(const char *text, char why[KEY_WHY_MAX]);
/** key_file_load() - the text of a key file, for who needs the key itself; the caller wipes it.
 * Return: its length, or -1 with a sentence in @why. */
NODISCARD int key_file_load(const char *path, char *to, size_t size, char why[KEY_WHY_MAX]);
/** key_file_is_private() - whether only the owner may read: regular files need mode 0600 or less.
 * Return: false, with a sentence in @why. */
NODISCARD bool key_file_is_private(
	const char *path, const struct stat *stat, char why[KEY_WHY_MAX]);

#endif
