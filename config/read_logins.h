#ifndef CONFIG_READ_LOGINS_H
#define CONFIG_READ_LOGINS_H
/*
 * Does: a users file of access → struct login. Lines "NAME:HASH" as "chain passwd" makes them;
 * blank lines, and lines that begin with '#', are left alone. Knows: files, the grammar of names.
 * Never knows: passwords. Nothing behind a name ever comes into a sentence: it may be a password
 * that somebody wrote there.
 */
#include "access/logins.h"
#include "config/report.h"

#define READ_LOGINS_NAME_MAX 63
/* LOGINS_MAX of the longest lines are less. */
#define READ_LOGINS_FILE_MAX (LOGINS_MAX * 256)

/** read_logins_is_name() - 1..63 of letters, digits and "._@+-", not beginning with '-', and not
 * "hc1": that is how a key begins. */
bool read_logins_is_name(const char *text, size_t len);
/** read_logins_file() - "-" is stdin. Return: false; then @report knows what is wrong, all of it,
 * and nothing was written. */
NODISCARD bool read_logins_file(
	const char *path, struct report *report, struct login **ret, size_t *ret_n);
/** read_logins_text() - the same from a text; @path is what errors show. */
NODISCARD bool read_logins_text(const char *path, struct bytes text, struct report *report,
	struct login **ret, size_t *ret_n);
/** read_logins_free() - what one of these gave. */
void read_logins_free(struct login *list, size_t n);

#endif
