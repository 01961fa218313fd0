#ifndef ACCESS_LOGINS_H
#define ACCESS_LOGINS_H
/*
 * Does: whether a name and a password belong together, without blocking the loop: hashes are
 * checked on libuv's threads, and what was right is remembered for a while. Knows: names, argon2id
 * texts (common/seal_password.h). Never knows: protocols, files.
 */
#include "common/addr.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

#define LOGINS_MAX         65536
#define LOGINS_PENDING_MAX 64 /* checks under way or waiting, per worker; more: refused */
#define LOGINS_SOURCE_MAX  32 /* of them, of one source (quota.h): a browser's connections */
#define LOGINS_REMEMBER_MS 300000

/* One line of a users file. */
struct login {
	char *name;
	char *hash; /* "$argon2id$…", as seal_password_hash() makes it */
};

struct loop;
struct logins;
/** logins_new() - of one worker; @list is borrowed until free. Of each, one check runs at a time,
 * in the order they came: it takes a core and the hash's memory (64 MiB, at most 4 times that,
 * common/seal_password.h). Those of a process are on libuv's 4 threads: 256 MiB for hashes of ours.
 */
NODISCARD int logins_new(
	struct loop *loop, const struct login *list, size_t n_logins, struct logins **ret);
/** logins_free() - waits for no thread: checks under way end by themselves. Their callbacks do not
 * run. NULL ok. */
void logins_free(struct logins *logins);

struct login_check;
typedef void login_check_fn(bool is_right, void *owner);
/** logins_check() - copies both texts (wiped after). An unknown name takes as long as a wrong
 * password: a hash of the list is checked for it. What was right is right at once for
 * LOGINS_REMEMBER_MS, however many checks are under way. @fn runs once, never from inside, unless
 * cancelled. @source: who asks; nobody fills the queue alone. Return: 0, ERR_NOMEM, ERR_AGAIN:
 * LOGINS_PENDING_MAX are under way, or LOGINS_SOURCE_MAX of @source. */
NODISCARD int logins_check(struct logins *logins, const union addr_sock *source, const char *name,
	const char *password, login_check_fn *fn, void *owner, struct login_check **ret);
void login_check_cancel(struct login_check *check);

#endif
