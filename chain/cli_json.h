#ifndef CHAIN_CLI_JSON_H
#define CHAIN_CLI_JSON_H
/*
 * Does: writes one JSON document (RFC 8259) member by member. Knows: commas, escapes, indents.
 * Never knows: what the members mean.
 *
 * @key is NULL in arrays and for the outermost value. Keys are the program's own: not escaped.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_JSON_DEPTH 16

struct cli_json {
	FILE *to;
	bool is_compact; /* the whole document in one line */
	unsigned depth;
	bool has_members[CLI_JSON_DEPTH];
};

void cli_json_init(struct cli_json *json, FILE *to, bool is_compact);
void cli_json_begin_object(struct cli_json *json, const char *key);
void cli_json_begin_array(struct cli_json *json, const char *key);
/** cli_json_end_object(), cli_json_end_array() - the outermost one ends the line. */
void cli_json_end_object(struct cli_json *json);
void cli_json_end_array(struct cli_json *json);
/** cli_json_string() - @text is UTF-8; bytes that are none become U+FFFD. NULL: null. */
void cli_json_string(struct cli_json *json, const char *key, const char *text);
void cli_json_integer(struct cli_json *json, const char *key, int64_t value);
void cli_json_unsigned(struct cli_json *json, const char *key, uint64_t value);
/** cli_json_number() - with at most @decimals digits after the point (0..9), without zeros at the
 * end but one; null if it is not finite. */
void cli_json_number(struct cli_json *json, const char *key, double value, int decimals);
void cli_json_boolean(struct cli_json *json, const char *key, bool value);
void cli_json_null(struct cli_json *json, const char *key);

#endif
