#ifndef CONFIG_READ_USER_H
#define CONFIG_READ_USER_H
/*
 * Does: users of a hop's configuration file → struct hop_user. Knows: the schema of one user.
 * Never knows: the rest of the file.
 */
#include "config/document.h"
#include "hop/options.h"

#define READ_MASKS_MAX 2 /* docs/protocol.md 2.1 */

/* A key that was read, and where it stands: for errors about two of them. */
struct seen_key {
	const struct wire_key *key;
	const struct json *at;
};

/* What the users of one file have in common while they are read; the rest zero at the beginning. */
struct user_reader {
	struct hop_options *options; /* borrowed */
	struct seen_key *seen;       /* owned */
	size_t n_seen;
	const struct wire_mask *masks[READ_MASKS_MAX];
	size_t n_masks;
	struct hop_user *user;   /* the one that is read */
	struct hop_user_key key; /* its key, or one of its keys, so far */
	const struct json *key_at;
};
void user_reader_deinit(struct user_reader *reader);

/** read_user() - adds one user to the options; @to: struct user_reader. A field_fn. */
void read_user(struct document *document, const struct json *object, void *to);
/** read_users_dir() - adds the users of a folder; @to: struct user_reader. A field_fn. */
void read_users_dir(struct document *document, const struct json *value, void *to);

#endif
