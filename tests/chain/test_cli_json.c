#include "chain/cli_json.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

struct document {
	char *text;
	size_t len;
	FILE *file;
	struct cli_json json;
};

static void open_document(struct document *document, bool is_compact)
{
	document->file = open_memstream(&document->text, &document->len);
	cr_assert_not_null(document->file);
	cli_json_init(&document->json, document->file, is_compact);
}

static void close_document(struct document *document, const char *expected)
{
	fclose(document->file);
	cr_expect_str_eq(document->text, expected);
	free(document->text);
}

/* {"v": TEXT} in one line. */
static void expect_string(const char *text, const char *expected)
{
	struct document document;
	char whole[256];
	open_document(&document, true);
	cli_json_begin_object(&document.json, NULL);
	cli_json_string(&document.json, "v", text);
	cli_json_end_object(&document.json);
	snprintf(whole, sizeof whole, "{\"v\":%s}\n", expected);
	close_document(&document, whole);
}

Test(cli_json, escapes_what_must_be_escaped_and_nothing_else)
{
	expect_string("plain /slash", "\"plain /slash\"");
	expect_string("", "\"\"");
	expect_string(NULL, "null");
	expect_string("a\"b\\c", "\"a\\\"b\\\\c\"");
	expect_string("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"");
	expect_string("\x01\x1b[31m\x7f", "\"\\u0001\\u001b[31m\\u007f\"");
	expect_string(
		"\xc3\xa9\xe2\x86\x92\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x86\x92\xf0\x9f\x98\x80\"");
}

Test(cli_json, replaces_bytes_that_are_not_utf_8)
{
	expect_string("a\xff\x62", "\"a\\ufffdb\"");
	expect_string("\xc3", "\"\\ufffd\"");
	expect_string("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
}

static void expect_number(double value, int decimals, const char *expected)
{
	struct document document;
	char whole[512];
	open_document(&document, true);
	cli_json_begin_array(&document.json, NULL);
	cli_json_number(&document.json, NULL, value, decimals);
	cli_json_end_array(&document.json);
	snprintf(whole, sizeof whole, "[%s]\n", expected);
	close_document(&document, whole);
}

Test(cli_json, writes_numbers_short_and_never_what_json_lacks)
{
	expect_number(0, 3, "0.0");
	expect_number(1.5, 3, "1.5");
	expect_number(0.0625, 3, "0.062");
	expect_number(100, 3, "100.0");
	expect_number(1200, 0, "1200");
	expect_number(-2.5, 1, "-2.5");
	expect_number(NAN, 3, "null");
	expect_number(INFINITY, 3, "null");
}

Test(cli_json, indents_members_and_puts_commas_between_them)
{
	struct document document;
	open_document(&document, false);
	struct cli_json *json = &document.json;
	cli_json_begin_object(json, NULL);
	cli_json_integer(json, "a", -1);
	cli_json_begin_array(json, "b");
	cli_json_unsigned(json, NULL, UINT64_MAX);
	cli_json_boolean(json, NULL, true);
	cli_json_end_array(json);
	cli_json_begin_object(json, "c");
	cli_json_end_object(json);
	cli_json_null(json, "d");
	cli_json_end_object(json);
	close_document(&document,
		"{\n  \"a\": -1,\n  \"b\": [\n    18446744073709551615,\n    true\n  ],\n"
		"  \"c\": {},\n  \"d\": null\n}\n");
}
