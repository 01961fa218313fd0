#ifndef CONFIG_JSON_H
#define CONFIG_JSON_H
/*
 * Does: a tree of JSON values to look at. Knows: cJSON. Never knows: places in the text, files.
 */
#include "common/err.h"
#include "common/wire.h"

/** json_library() - the version of cJSON that runs. Static. */
const char *json_library(void);

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json;
/** json_parse() - @text has passed scan_json(). Return: the tree's root, or NULL without memory. */
NODISCARD struct json *json_parse(struct bytes text);
/** json_free() - wipes every string: some are keys. NULL ok. */
void json_free(struct json *root);

enum json_type json_type(const struct json *value);
/** json_name() - of a member; NULL for values without one. */
const char *json_name(const struct json *value);
/** json_string(), json_number(), json_is_true() - of a value of that type. */
const char *json_string(const struct json *value);
double json_number(const struct json *value);
bool json_is_true(const struct json *value);

/** json_first(), json_next() - members or elements in the order of the text; NULL after the last.
 */
const struct json *json_first(const struct json *container);
const struct json *json_next(const struct json *value);
/** json_member() - by exact name, the first one; NULL if there is none or @object is no object. */
const struct json *json_member(const struct json *object, const char *name);

/**
 * json_find() - the way from @root to @value, compared by identity
 * Writes at most @n_max positions for locate(), and the JSON pointer (RFC 6901; cut at @size).
 * Return: false if it is not in there.
 */
NODISCARD bool json_find(const struct json *root, const struct json *value, size_t *path,
	size_t n_max, size_t *ret_n_path, char *pointer, size_t size);

#endif
