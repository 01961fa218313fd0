#ifndef COMMON_SEAL_PASSWORD_H
#define COMMON_SEAL_PASSWORD_H
/*
 * Does: hashes and checks passwords (argon2id, libsodium; RFC 9106). Knows: how dear that is.
 * Never knows: whose password. Both block for tens of ms: not on a loop.
 */
#include "common/err.h"

#include <stdbool.h>

#define SEAL_PASSWORD_TEXT 128 /* bytes of a hash as text, with NUL */

/** seal_password_hash() - a text "$argon2id$…" with its own salt. Return: 0, ERR_NOMEM. */
NODISCARD int seal_password_hash(const char *password, char to[SEAL_PASSWORD_TEXT]);
/** seal_password_is_hash() - whether @text is one, in form, and not dearer than ours by more than 4
 * times. */
bool seal_password_is_hash(const char *text);
bool seal_password_check(const char *hash, const char *password);

#endif
