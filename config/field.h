#ifndef CONFIG_FIELD_H
#define CONFIG_FIELD_H
/*
 * Does: reads members of JSON objects into variables of C types, or explains what is wrong with
 * them. Knows: documents, units, addresses. Never knows: what the members of one file are.
 *
 * Every field_* function writes its result only on success, and reports otherwise.
 */
#include "common/addr.h"
#include "common/netset.h"
#include "config/document.h"

/** field_fn - reads @value into something of @to. */
typedef void field_fn(struct document *document, const struct json *value, void *to);

struct field {
	const char *name;
	field_fn *read;
	bool is_required;
};

/** field_object() - each member of @object by its row; unknown and missing ones are errors.
 * "$comment" is always allowed. Return: false if @object is no object. */
bool field_object(struct document *document, const struct json *object, const struct field *fields,
	size_t n_fields, void *to);
/** field_each() - each element of an array of @n_min elements or more. */
bool field_each(struct document *document, const struct json *array, const char *expected,
	size_t n_min, field_fn *read, void *to);
/** field_count() - elements of an array; 0 for anything else. */
size_t field_count(const struct json *array);
/** field_is() - @value has the type; if not: "expected EXPECTED, found …". */
bool field_is(struct document *document, const struct json *value, enum json_type type,
	const char *expected);

bool field_bool(struct document *document, const struct json *value, bool *ret);
bool field_integer(struct document *document, const struct json *value, uint32_t min, uint32_t max,
	uint32_t *ret);
/** field_text() - a string; borrowed from the document. */
const char *field_text(struct document *document, const struct json *value, const char *expected);
/** field_name() - a copy of a string of the grammar of names; frees what *ret was. */
bool field_name(struct document *document, const struct json *value, char **ret);
bool field_duration(struct document *document, const struct json *value, uint32_t *ret_ms);
/** field_rate() - bytes per second, not 0, below 128GiB/s. */
bool field_rate(struct document *document, const struct json *value, uint64_t *ret);
/** field_timeout() - a duration that is not 0. */
bool field_timeout(struct document *document, const struct json *value, uint32_t *ret_ms);
bool field_time(struct document *document, const struct json *value, uint64_t *ret_unix_ms);
/** field_word() - one of @words; its position. */
bool field_word(struct document *document, const struct json *value, const char *const *words,
	size_t n_words, size_t *ret);
/** field_hop(), field_target(), field_listen() - addresses. */
bool field_hop(struct document *document, const struct json *value, struct addr *ret);
bool field_target(struct document *document, const struct json *value, struct addr *ret);
bool field_listen(struct document *document, const struct json *value, struct addr *ret);
/** field_targets(), field_sources() - an array of rules; appended to @set. */
bool field_targets(struct document *document, const struct json *value, struct netset *set);
bool field_sources(struct document *document, const struct json *value, struct netset *set);
/** field_mode() - permission bits of a file, as text: "0660". */
bool field_mode(struct document *document, const struct json *value, uint32_t *ret);
/** field_path() - a path relative to the file; heap; frees what *ret was. */
bool field_path(struct document *document, const struct json *value, char **ret);

/** field_is_name() - 1..63 of a-z, 0-9 and '-', which is neither first nor last. */
bool field_is_name(const char *text);

/** field_ignore() - any string. */
field_fn field_ignore;

#endif
