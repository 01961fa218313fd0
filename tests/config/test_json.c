#include "config/json.h"
#include "config/locate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

struct found {
	size_t n;
	struct span at;
	char text[256];
};

static void on_finding(struct span at, const char *text, void *owner)
{
	struct found *found = owner;
	if (found->n++ > 0)
		return;
	found->at = at;
	snprintf(found->text, sizeof found->text, "%s", text);
}

static struct bytes text_of(const char *text)
{
	return bytes_of(text, strlen(text));
}

/* Whether @text passes; each input in its own allocation, so that a sanitizer sees its end. */
static bool scan(const char *text, size_t len, struct found *found)
{
	char *copy = malloc(len ? len : 1);
	*found = (struct found){ 0 };
	memcpy(copy, text, len);
	bool is_good = scan_json(bytes_of(copy, len), on_finding, found);
	free(copy);
	return is_good;
}

static const char *const good[] = { "{}", "[]", "0", "-0", "-1.5e+3", "1E9", "true", "false",
	"null", "\"\"", " \t\r\n{ } \n", "[1,[2,[3]],{}]", "{\"a\":{\"a\":1},\"b\":[{\"a\":2}]}",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
	"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"", "{\"\":1,\" \":2}", "[1e308]",
	"{\"a\":1,\"A\":2}" };

Test(json, good_texts_pass)
{
	for (size_t i = 0; i < N(good); i++) {
		struct found found;
		cr_expect(scan(good[i], strlen(good[i]), &found), "%s: %s", good[i], found.text);
		cr_expect_eq(found.n, 0, "%s", good[i]);
		struct json *tree = json_parse(text_of(good[i]));
		cr_expect_not_null(tree, "%s", good[i]);
		json_free(tree);
	}
}

static const struct {
	const char *text;
	size_t start;
	const char *why;
} bad[] = {
	{ "", 0, "the file is empty; expected a value" },
	{ "  ", 2, "the file is empty; expected a value" },
	{ "[1 2]", 2, "missing ',' here" },
	{ "[1\n\n  2]", 2, "missing ',' here" },
	{ "{\"a\":1 \"b\":2}", 6, "missing ',' here" },
	{ "{\"a\":{} \"b\":2}", 7, "missing ',' here" },
	{ "[1,]", 2, "trailing comma before ']'" },
	{ "{\"a\":1 ,\n}", 7, "trailing comma before '}'" },
	{ "[1,,2]", 3, "expected a value, found ','" },
	{ "[,1]", 1, "expected a value, found ','" },
	{ "// x\n{}", 0, "JSON has no comments (use a \"$comment\" member)" },
	{ "{ /* x */ }", 2, "JSON has no comments (use a \"$comment\" member)" },
	{ "[1, # x\n2]", 4, "JSON has no comments (use a \"$comment\" member)" },
	{ "{\"a\":1}//", 7, "JSON has no comments (use a \"$comment\" member)" },
	{ "{\"a\": [1, 2}", 6, "'[' opened here is never closed" },
	{ "[{\"a\": 1]", 1, "'{' opened here is never closed" },
	{ "{\"a\":", 0, "'{' opened here is never closed" },
	{ "{\"a\"", 4, "missing ':' after the member name" },
	{ "[\"abc", 1, "'\"' opened here is never closed" },
	{ "[\"abc\n\"]", 1, "'\"' opened here is never closed" },
	{ "[\"abc\\", 5, "unknown escape in a string; a backslash is written \"\\\\\"" },
	{ "[\"\t\"]", 2, "control character in a string; write \"\\u0009\"" },
	{ "[\"\\x\"]", 2, "unknown escape in a string; a backslash is written \"\\\\\"" },
	{ "[\"\\u12g4\"]", 2, "'\\u' needs four hexadecimal digits" },
	{ "[\"\\u12", 2, "'\\u' needs four hexadecimal digits" },
	{ "[\"\\u0000\"]", 2, "\\u0000 is not allowed in a string" },
	{ "[\"\\ud800\"]", 2, "half of a surrogate pair" },
	{ "[\"\\ud800\\u0041\"]", 2, "half of a surrogate pair" },
	{ "[\"\\udc00\"]", 2, "half of a surrogate pair" },
	{ "{\"a\" 1}", 4, "missing ':' after the member name" },
	{ "{\"a\"=1}", 4, "missing ':' after the member name" },
	{ "{a: 1}", 1, "member names need double quotes: \"a\"" },
	{ "{'a': 1}", 1, "strings need double quotes" },
	{ "['a']", 1, "strings need double quotes" },
	{ "{1: 1}", 1, "member names need double quotes: \"1\"" },
	{ "{,}", 1, "expected a member name, found ','" },
	{ "True", 0, "unknown word \"True\"; did you mean \"true\"?" },
	{ "[NULL]", 1, "unknown word \"NULL\"; did you mean \"null\"?" },
	{ "[None]", 1, "unknown word \"None\"; strings need double quotes" },
	{ "[nan]", 1, "unknown word \"nan\"; strings need double quotes" },
	{ "[01]", 1, "malformed number \"01\"" },
	{ "[1.]", 1, "malformed number \"1.\"" },
	{ "[.5]", 1, "malformed number \".5\"" },
	{ "[+1]", 1, "malformed number \"+1\"" },
	{ "[-]", 1, "malformed number \"-\"" },
	{ "[1e]", 1, "malformed number \"1e\"" },
	{ "[0x10]", 1, "malformed number \"0x10\"" },
	{ "[1e999]", 1, "the number 1e999 is out of range" },
	{ "{} x", 3, "unexpected text after the end of the document" },
	{ "{}{}", 2, "unexpected text after the end of the document" },
	{ "]", 0, "expected a value, found ']'" },
	{ "[1;2]", 2, "expected ',' or ']', found ';'" },
	{ "[@]", 1, "expected a value, found '@'" },
	{ "\xef\xbb\xbf{}", 0, "byte order mark; save the file as UTF-8 without one" },
	{ "[\"\xff\"]", 2, "the byte 0xff is not UTF-8 text" },
	{ "[\"\xc0\xaf\"]", 2, "the byte 0xc0 is not UTF-8 text" },
	{ "[\"\xed\xa0\x80\"]", 2, "the byte 0xed is not UTF-8 text" },
	{ "[\"\xf4\x90\x80\x80\"]", 2, "the byte 0xf4 is not UTF-8 text" },
	{ "[\"\xe2\x82", 2, "the byte 0xe2 is not UTF-8 text" },
};

Test(json, bad_texts_are_refused_where_and_why)
{
	for (size_t i = 0; i < N(bad); i++) {
		struct found found;
		cr_expect_not(scan(bad[i].text, strlen(bad[i].text), &found), "%s", bad[i].text);
		cr_expect_eq(found.n, 1, "%s", bad[i].text);
		cr_expect_eq(found.at.start, bad[i].start, "%s: %zu", bad[i].text, found.at.start);
		cr_expect_str_eq(found.text, bad[i].why, "%s: %s", bad[i].text, found.text);
	}
}

Test(json, zero_bytes_are_refused)
{
	struct found found;
	cr_expect_not(scan("[\"a\0b\"]", 7, &found));
	cr_expect_str_eq(found.text, "the byte 0x00 is not UTF-8 text");
	cr_expect_not(scan("{}\0", 3, &found));
}

Test(json, depth_is_bounded_at_64)
{
	char text[2 * 65 + 1];
	struct found found;
	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	cr_expect(scan(text, 128, &found), "%s", found.text);
	memset(text, '[', 65);
	memset(text + 65, ']', 65);
	cr_expect_not(scan(text, 130, &found));
	cr_expect_str_eq(found.text, "more than 64 levels deep");
	cr_expect_eq(found.at.start, 64);
}

static const struct {
	const char *text;
	size_t start;
	const char *why;
} duplicates[] = {
	{ "{\"a\":1,\n\"a\":2}", 8, "/a: duplicate member \"a\" (first at line 1)" },
	{ "{\"b\":[0,{\"x\":1,\"y\":2,\n\"x\":3}]}", 22,
		"/b/1/x: duplicate member \"x\" (first at line 1)" },
	{ "{\"\\u0061\":1,\"a\":2}", 12, "/a: duplicate member \"a\" (first at line 1)" },
	{ "{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", 18,
		"/\xf0\x9f\x98\x80: duplicate member \"\xf0\x9f\x98\x80\" (first at line 1)" },
};

Test(json, duplicate_names_are_told_after_decoding)
{
	for (size_t i = 0; i < N(duplicates); i++) {
		struct found found;
		cr_expect(scan(duplicates[i].text, strlen(duplicates[i].text), &found));
		cr_expect_eq(found.n, 1);
		cr_expect_eq(found.at.start, duplicates[i].start, "%zu", found.at.start);
		cr_expect_str_eq(found.text, duplicates[i].why);
	}
	struct found found;
	cr_expect(scan("{\"a\":1,\"b\":1,\"a\":1,\"a\":1,\"b\":2}", 31, &found));
	cr_expect_eq(found.n, 3, "every one of them");
}

Test(json, a_text_cut_anywhere_is_refused)
{
	static const char text[] =
		"{\"a\": [1, true, \"x\\u00e9\\n\xc3\xa9\", {\"b\": null}], \"c\": -1.5e3}";
	struct found found;
	for (size_t len = 0; len + 1 < sizeof text - 1; len++)
		cr_expect_not(scan(text, len, &found), "%.*s", (int)len, text);
	cr_expect(scan(text, sizeof text - 1, &found));
}

Test(json, a_tree_can_be_walked_and_located)
{
	static const char text[] = " { \"a/b\" : [ 1, \"two\", { \"x~\": true } ], \"c\": { } }";
	struct json *root = json_parse(text_of(text));
	char pointer[128];
	size_t path[SCAN_DEPTH_MAX], n_path;
	struct span name, value;
	const struct json *array = json_member(root, "a/b");
	cr_assert_eq(json_type(array), JSON_ARRAY);
	const struct json *object = json_next(json_next(json_first(array)));
	const struct json *leaf = json_member(object, "x~");
	cr_assert(json_is_true(leaf));
	cr_assert(json_find(root, leaf, path, SCAN_DEPTH_MAX, &n_path, pointer, sizeof pointer));
	cr_expect_str_eq(pointer, "/a~1b/2/x~0");
	cr_assert(locate(text_of(text), path, n_path, &name, &value));
	cr_expect_eq(strncmp(text + name.start, "\"x~\"", name.end - name.start), 0);
	cr_expect_eq(strncmp(text + value.start, "true", value.end - value.start), 0);
	cr_expect_eq(value.end - value.start, 4);
	cr_assert(json_find(root, root, path, SCAN_DEPTH_MAX, &n_path, pointer, sizeof pointer));
	cr_expect_eq(n_path, 0);
	cr_assert(locate(text_of(text), path, 0, &name, &value));
	cr_expect_eq(value.start, 1);
	cr_expect_eq(value.end, sizeof text - 1);
	json_free(root);
}

Test(json, what_is_not_there_is_not_located)
{
	static const char text[] = "{\"a\":[1]}";
	static const size_t beyond[] = { 0, 1 }, deeper[] = { 0, 0, 0 };
	struct span name, value;
	cr_expect_not(locate(text_of(text), beyond, 2, &name, &value));
	cr_expect_not(locate(text_of(text), deeper, 3, &name, &value));
}
