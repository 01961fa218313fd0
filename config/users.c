#include "config/users.h"

#include "config/field.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define SUFFIX ".key"

struct hop_user *users_add(struct hop_options *options)
{
	struct hop_user *users =
		reallocarray(options->users, options->n_users + 1, sizeof *options->users);
	if (users == NULL)
		return NULL;
	options->users = users;
	struct hop_user *user = &users[options->n_users++];
	*user = (struct hop_user){ 0 };
	return user;
}

bool users_add_key(
	struct hop_user *user, struct wire_key *key, uint64_t not_before_ms, uint64_t not_after_ms)
{
	struct hop_user_key *keys = reallocarray(user->keys, user->n_keys + 1, sizeof *user->keys);
	if (keys == NULL) {
		wire_key_free(key);
		return false;
	}
	user->keys = keys;
	keys[user->n_keys++] = (struct hop_user_key){
		.key = key, .not_before_ms = not_before_ms, .not_after_ms = not_after_ms
	};
	return true;
}

static bool has_user(const struct hop_options *options, const char *name)
{
	for (size_t i = 0; i < options->n_users; i++) {
		if (options->users[i].name != NULL && strcmp(options->users[i].name, name) == 0)
			return true;
	}
	return false;
}

bool users_add_file(
	struct hop_options *options, const char *name, const char *path, char why[USERS_WHY_MAX])
{
	if (!field_is_name(name)) {
		snprintf(why, USERS_WHY_MAX,
			"\"%.63s\" is not a user name; names have up to 63 of a-z, 0-9 and '-' "
			"inside",
			name);
		return false;
	}
	if (has_user(options, name)) {
		snprintf(why, USERS_WHY_MAX, "there are two users \"%s\"", name);
		return false;
	}
	struct wire_key *key = key_file_read(path, why);
	if (key == NULL)
		return false;
	struct hop_user *user = users_add(options);
	if (user == NULL)
		wire_key_free(key);
	else
		user->name = strdup(name);
	if (user == NULL || !users_add_key(user, key, 0, UINT64_MAX) || user->name == NULL) {
		snprintf(why, USERS_WHY_MAX, "out of memory");
		return false;
	}
	return true;
}

static int is_key_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	return entry->d_name[0] != '.' && len > strlen(SUFFIX) &&
	       strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) == 0;
}

static void add_entry(struct hop_options *options, const char *folder, const char *file,
	users_wrong_fn *on_wrong, void *owner)
{
	char why[USERS_WHY_MAX];
	char *path = NULL, *name = strndup(file, strlen(file) - strlen(SUFFIX));
	if (asprintf(&path, "%s/%s", folder, file) < 0)
		path = NULL;
	if (name == NULL || path == NULL)
		on_wrong("out of memory", owner);
	else if (!users_add_file(options, name, path, why))
		on_wrong(why, owner);
	free(path);
	free(name);
}

void users_add_folder(
	struct hop_options *options, const char *folder, users_wrong_fn *on_wrong, void *owner)
{
	struct dirent **entries = NULL;
	int n = scandir(folder, &entries, is_key_file, alphasort);
	if (n < 0) {
		char why[USERS_WHY_MAX];
		snprintf(why, sizeof why, "cannot open %s: %s", folder, strerror(errno));
		on_wrong(why, owner);
		return;
	}
	for (int i = 0; i < n; i++) {
		add_entry(options, folder, entries[i]->d_name, on_wrong, owner);
		free(entries[i]);
	}
	free(entries);
}
