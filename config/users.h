#ifndef CONFIG_USERS_H
#define CONFIG_USERS_H
/*
 * Does: adds users to a hop's options, from a folder of key files or one by one. Knows: key files.
 * Never knows: JSON.
 */
#include "config/key_file.h"
#include "hop/options.h"

#define USERS_WHY_MAX (KEY_WHY_MAX + 64)

/** users_add() - an empty user. Return: NULL without memory. Invalidates earlier users' addresses.
 */
NODISCARD struct hop_user *users_add(struct hop_options *options);
/** users_add_key() - takes @key. Return: false without memory; then the key is freed. */
NODISCARD bool users_add_key(
	struct hop_user *user, struct wire_key *key, uint64_t not_before_ms, uint64_t not_after_ms);
/** users_add_file() - the user @name with the key in @path. Return: false, with a sentence in @why.
 */
NODISCARD bool users_add_file(
	struct hop_options *options, const char *name, const char *path, char why[USERS_WHY_MAX]);

/** users_wrong_fn - something is wrong in the folder. */
typedef void users_wrong_fn(const char *why, void *owner);
/** users_add_folder() - a user NAME for each NAME.key in @folder, in the order of names; other
 * files are left alone. Tells everything that is wrong. */
void users_add_folder(
	struct hop_options *options, const char *folder, users_wrong_fn *on_wrong, void *owner);

#endif
