/* A request of an operator, in any pieces: it is read the same, in its room; values of its query
 * are decoded, and encoded again mean the same.
 */
#include "common/admin_query.h"
#include "common/admin_request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VALUE_MAX 300

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

/* In pieces of buffers of their own, so that a byte too many is found. */
static enum admin_parsed feed(
	struct admin_parser *parser, const uint8_t *data, size_t size, size_t piece)
{
	enum admin_parsed result = ADMIN_MORE;
	for (size_t at = 0; at < size && result == ADMIN_MORE; at += piece) {
		size_t len = size - at < piece ? size - at : piece;
		uint8_t *copy = malloc(len);
		check(copy != NULL);
		memcpy(copy, data + at, len);
		result = admin_parser_feed(parser, bytes_of(copy, len));
		free(copy);
	}
	return result;
}

static void check_query(const char *query)
{
	static const char *const names[] = { "target", "user", "a" };
	char value[VALUE_MAX], again[VALUE_MAX], *text = NULL;
	size_t len;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		enum admin_value result = admin_query(query, names[i], value, sizeof value);
		if (result != ADMIN_VALUE_GOOD) {
			check(*value == '\0');
			continue;
		}
		FILE *to = open_memstream(&text, &len);
		check(to != NULL);
		admin_put_query(to, '?', names[i], value);
		check(fclose(to) == 0);
		check(admin_query(text + 1, names[i], again, sizeof again) == ADMIN_VALUE_GOOD);
		check(strcmp(value, again) == 0);
		free(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct admin_parser *whole = admin_parser_new(), *pieces = admin_parser_new();
	check(whole != NULL && pieces != NULL);
	enum admin_parsed result = feed(whole, data, size, size > 0 ? size : 1);
	enum admin_parsed other = feed(pieces, data, size, 3);
	check(result != ADMIN_WHOLE || size <= ADMIN_REQUEST_MAX);
	check((result == ADMIN_WHOLE) == (other == ADMIN_WHOLE) || size > ADMIN_REQUEST_MAX);
	if (result == ADMIN_WHOLE && other == ADMIN_WHOLE) {
		struct admin_asked a = admin_parser_asked(whole), b = admin_parser_asked(pieces);
		check(strcmp(a.method, b.method) == 0 && strcmp(a.path, b.path) == 0);
		check(strcmp(a.query, b.query) == 0 && a.body.len == b.body.len);
		check(a.has_origin == b.has_origin && a.is_json == b.is_json);
		check(strlen(a.path) + strlen(a.query) <= ADMIN_URL_MAX);
		check_query(a.query);
	}
	admin_parser_free(whole);
	admin_parser_free(pieces);
	return 0;
}
