#include "config/read_user.h"

#include "config/field.h"
#include "config/read_key.h"
#include "config/users.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* docs/protocol.md 2.1: no two equal keys; all users share one mask key, or two while it is
 * changed. */
static void check_key(struct document *d, struct user_reader *reader, const struct json *at)
{
	const struct wire_key *key = reader->key.key;
	char pointer[128];
	for (size_t i = 0; i < reader->n_seen; i++) {
		if (memcmp(reader->seen[i].key->kid, key->kid, WIRE_KID) != 0)
			continue;
		document_error(d, at, DOCUMENT_VALUE,
			"same key as %s; every user needs its own (chain keygen --mask-of FILE)",
			document_pointer(d, reader->seen[i].at, pointer, sizeof pointer));
		return;
	}
	for (size_t i = 0; i < reader->n_masks; i++) {
		if (memcmp(reader->masks[i]->id, key->mask->id, sizeof key->mask->id) == 0)
			return;
	}
	if (reader->n_masks < READ_MASKS_MAX)
		reader->masks[reader->n_masks++] = key->mask;
	else
		document_error(d, at, DOCUMENT_VALUE,
			"a third mask key; users of one hop share one, two while it is changed: "
			"chain keygen --mask-of FILE");
}

static void keep_seen(struct user_reader *reader, const struct json *at)
{
	struct seen_key *seen = reallocarray(reader->seen, reader->n_seen + 1, sizeof *seen);
	if (seen == NULL)
		return;
	reader->seen = seen;
	seen[reader->n_seen++] = (struct seen_key){ reader->key.key, at };
}

static void start_key(struct user_reader *reader)
{
	reader->key = (struct hop_user_key){ .not_after_ms = UINT64_MAX };
	reader->key_at = NULL;
}

/* The key that was read becomes the user's. */
static void end_key(struct document *d, struct user_reader *reader, const struct json *object)
{
	struct hop_user_key *key = &reader->key;
	if (key->not_before_ms >= key->not_after_ms)
		document_error(d, object, DOCUMENT_OPENER,
			"\"not_after\" is not later than \"not_before\": the key is never valid");
	if (key->key == NULL)
		return;
	check_key(d, reader, reader->key_at);
	keep_seen(reader, reader->key_at);
	if (!users_add_key(reader->user, key->key, key->not_before_ms, key->not_after_ms)) {
		document_error(d, object, DOCUMENT_OPENER, "out of memory");
		reader->n_seen = 0;
		reader->n_masks = 0;
	}
	key->key = NULL;
}

static void set_key(struct user_reader *reader, const struct json *at, struct wire_key *key)
{
	wire_key_free(reader->key.key);
	reader->key.key = key;
	reader->key_at = at;
}

static void read_user_key_file(struct document *d, const struct json *value, void *to)
{
	set_key(to, value, read_key_file(d, value));
}

static void read_user_key(struct document *d, const struct json *value, void *to)
{
	set_key(to, value, read_key_inline(d, value));
}

static void read_not_before(struct document *d, const struct json *value, void *to)
{
	field_time(d, value, &((struct user_reader *)to)->key.not_before_ms);
}

static void read_not_after(struct document *d, const struct json *value, void *to)
{
	field_time(d, value, &((struct user_reader *)to)->key.not_after_ms);
}

static void read_keys_element(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "key_file", read_user_key_file, false },
		{ "key", read_user_key, false },
		{ "not_before", read_not_before, false },
		{ "not_after", read_not_after, false },
	};
	static const char *const keys[] = { "key_file", "key" };
	struct user_reader *reader = to;
	start_key(reader);
	if (!field_object(d, value, fields, COUNT(fields), reader))
		return;
	read_key_is_one(d, value, keys, COUNT(keys));
	end_key(d, reader, value);
}

static void skip(struct document *d, const struct json *value, void *to)
{
	(void)d;
	(void)value;
	(void)to;
}

static void read_user_name(struct document *d, const struct json *value, void *to)
{
	struct user_reader *reader = to;
	if (!field_name(d, value, &reader->user->name))
		return;
	for (const struct hop_user *u = reader->options->users; u < reader->user; u++) {
		if (u->name != NULL && strcmp(u->name, reader->user->name) == 0)
			document_error(
				d, value, DOCUMENT_VALUE, "there are two users \"%s\"", u->name);
	}
}

static void read_user_allow(struct document *d, const struct json *value, void *to)
{
	struct hop_user *user = ((struct user_reader *)to)->user;
	if (field_targets(d, value, &user->allow))
		user->has_allow = true;
}

static void read_user_deny(struct document *d, const struct json *value, void *to)
{
	field_targets(d, value, &((struct user_reader *)to)->user->deny);
}

static void read_user_targets(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "allow", read_user_allow, false },
		{ "deny", read_user_deny, false },
	};
	field_object(d, value, fields, COUNT(fields), to);
}

static void read_user_connections(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX, &((struct user_reader *)to)->user->max_connections);
}

static void read_user_rate(struct document *d, const struct json *value, void *to)
{
	field_integer(
		d, value, 1, INT32_MAX, &((struct user_reader *)to)->user->max_connects_per_second);
}

static void read_user_flows(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX, &((struct user_reader *)to)->user->max_flows);
}

static void read_user_bytes(struct document *d, const struct json *value, void *to)
{
	field_rate(d, value, &((struct user_reader *)to)->user->rate);
}

static void read_user_limits(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "connections", read_user_connections, false },
		{ "connects_per_second", read_user_rate, false },
		{ "flows", read_user_flows, false },
		{ "rate", read_user_bytes, false },
	};
	field_object(d, value, fields, COUNT(fields), to);
}

static void read_user_proxy(struct document *d, const struct json *value, void *to)
{
	field_bool(d, value, &((struct user_reader *)to)->user->has_proxy_header);
}

/* Those of a user with "keys" belong to the keys. */
static void refuse_dates(struct document *d, const struct json *object)
{
	static const char *const names[] = { "not_before", "not_after" };
	for (size_t i = 0; i < COUNT(names); i++) {
		const struct json *member = json_member(object, names[i]);
		if (member != NULL)
			document_error(d, member, DOCUMENT_NAME,
				"with \"keys\", \"%s\" belongs into each of them", names[i]);
	}
}

static void read_user_keys(
	struct document *d, const struct json *object, struct user_reader *reader)
{
	const struct json *keys = json_member(object, "keys");
	if (keys == NULL) {
		end_key(d, reader, object);
		return;
	}
	wire_key_free(reader->key.key);
	start_key(reader);
	refuse_dates(d, object);
	field_each(d, keys, "an array of keys", 1, read_keys_element, reader);
}

void read_user(struct document *d, const struct json *object, void *to)
{
	static const struct field fields[] = {
		{ "name", read_user_name, true },
		{ "key_file", read_user_key_file, false },
		{ "key", read_user_key, false },
		{ "keys", skip, false },
		{ "not_before", read_not_before, false },
		{ "not_after", read_not_after, false },
		{ "targets", read_user_targets, false },
		{ "limits", read_user_limits, false },
		{ "proxy_protocol", read_user_proxy, false },
	};
	static const char *const keys[] = { "key_file", "key", "keys" };
	struct user_reader *reader = to;
	reader->user = users_add(reader->options);
	if (reader->user == NULL) {
		document_error(d, object, DOCUMENT_OPENER, "out of memory");
		return;
	}
	start_key(reader);
	if (!field_object(d, object, fields, COUNT(fields), reader))
		return;
	read_key_is_one(d, object, keys, COUNT(keys));
	read_user_keys(d, object, reader);
}

struct folder_error {
	struct document *document;
	const struct json *at;
};

static void on_wrong(const char *why, void *owner)
{
	struct folder_error *error = owner;
	document_error(error->document, error->at, DOCUMENT_VALUE, "%s", why);
}

void read_users_dir(struct document *d, const struct json *value, void *to)
{
	struct user_reader *reader = to;
	struct folder_error error = { d, value };
	char *folder = NULL;
	if (field_path(d, value, &folder))
		users_add_folder(reader->options, folder, on_wrong, &error);
	free(folder);
}

void user_reader_deinit(struct user_reader *reader)
{
	free(reader->seen);
	*reader = (struct user_reader){ 0 };
}
