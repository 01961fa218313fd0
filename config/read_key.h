#ifndef CONFIG_READ_KEY_H
#define CONFIG_READ_KEY_H
/*
 * Does: the members "key" and "key_file". Knows: documents, key files. Never knows: whose key it
 * is.
 */
#include "chain/wire_key.h"
#include "config/document.h"

/** read_key_file(), read_key_inline() - Return: NULL; the report knows why. */
NODISCARD struct wire_key *read_key_file(struct document *document, const struct json *value);
NODISCARD struct wire_key *read_key_inline(struct document *document, const struct json *value);
/** read_key_is_one() - @object has exactly one of @names; if not, that is reported. */
bool read_key_is_one(struct document *document, const struct json *object, const char *const *names,
	size_t n_names);

#endif
