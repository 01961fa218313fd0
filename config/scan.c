#include "config/scan.h"

#include "common/utf8.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define NUMBER_MAX 64 /* longest number in text */
#define SHOWN_MAX  40 /* of a wrong token, in a message */

struct name {
	char *text;      /* decoded; owned */
	size_t n_before; /* names of the same object before it */
	struct span at;
};

struct level {
	size_t opener;  /* position of its bracket */
	size_t i_value; /* arrays: which value is read */
	bool is_object;
	struct name *names; /* objects: so far; owned */
	size_t n_names, n_space;
};

struct scanner {
	const char *text;
	size_t len, pos;
	size_t last_end; /* end of the previous token */
	struct level levels[SCAN_DEPTH_MAX];
	size_t depth;
	scan_finding_fn *on_finding;
	void *owner;
};

static bool value(struct scanner *s);

__attribute__((format(printf, 4, 5))) static bool fail(
	struct scanner *s, size_t start, size_t end, const char *format, ...)
{
	char text[256];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	s->on_finding((struct span){ start, end }, text, s->owner);
	return false;
}

static bool fail_never_closed(struct scanner *s, size_t opener)
{
	return fail(s, opener, opener + 1, "'%c' opened here is never closed", s->text[opener]);
}

/* The character at the position, or -1 at the end. */
static int peek(const struct scanner *s)
{
	return s->pos < s->len ? (unsigned char)s->text[s->pos] : -1;
}

static bool is_word(int c)
{
	return c >= 0 && (isalnum(c) || c == '_' || c == '.' || c == '+' || c == '-');
}

static size_t word_end(const struct scanner *s)
{
	size_t end = s->pos;
	while (end < s->len && is_word((unsigned char)s->text[end]))
		end++;
	return end;
}

/* Skips white space. Return: false at a comment. */
static bool blank(struct scanner *s)
{
	while (s->pos < s->len && strchr(" \t\r\n", s->text[s->pos]) != NULL)
		s->pos++;
	if (peek(s) != '/' && peek(s) != '#')
		return true;
	size_t end = s->pos;
	while (end < s->len && s->text[end] != '\n' && s->text[end] != '\r')
		end++;
	return fail(s, s->pos, end, "JSON has no comments (use a \"$comment\" member)");
}

/* Four hexadecimal digits at @pos. Return: their value, or -1. */
static int hex4(const struct scanner *s, size_t pos)
{
	int code = 0;
	if (pos + 4 > s->len)
		return -1;
	for (size_t i = pos; i < pos + 4; i++) {
		int c = (unsigned char)s->text[i];
		if (!isxdigit(c))
			return -1;
		code = code * 16 + (isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	return code;
}

static bool is_high(int code)
{
	return code >= 0xd800 && code <= 0xdbff;
}

static bool is_low(int code)
{
	return code >= 0xdc00 && code <= 0xdfff;
}

/* At the 'u' of "\uXXXX", or of the first of a pair. */
static bool unicode_escape(struct scanner *s)
{
	size_t start = s->pos - 1;
	int code = hex4(s, s->pos + 1);
	if (code < 0)
		return fail(s, start, start + 2, "'\\u' needs four hexadecimal digits");
	if (code == 0)
		return fail(s, start, start + 6, "\\u0000 is not allowed in a string");
	s->pos += 5;
	if (!is_high(code) && !is_low(code))
		return true;
	bool has_second = is_high(code) && s->pos + 2 <= s->len && s->text[s->pos] == '\\' &&
			  s->text[s->pos + 1] == 'u' && is_low(hex4(s, s->pos + 2));
	if (!has_second)
		return fail(s, start, start + 6, "half of a surrogate pair");
	s->pos += 6;
	return true;
}

static bool escape(struct scanner *s)
{
	s->pos++;
	int c = peek(s);
	if (c == 'u')
		return unicode_escape(s);
	if (c > 0 && strchr("\"\\/bfnrt", c) != NULL) {
		s->pos++;
		return true;
	}
	return fail(s, s->pos - 1, s->pos + (c >= 0),
		"unknown escape in a string; a backslash is written \"\\\\\"");
}

static bool string(struct scanner *s)
{
	size_t opener = s->pos++;
	for (;;) {
		int c = peek(s);
		if (c < 0 || c == '\n' || c == '\r')
			return fail_never_closed(s, opener);
		if (c == '"')
			break;
		if (c < 0x20)
			return fail(s, s->pos, s->pos + 1,
				"control character in a string; write \"\\u%04x\"", (unsigned)c);
		if (c != '\\')
			s->pos++;
		else if (!escape(s))
			return false;
	}
	s->last_end = ++s->pos;
	return true;
}

static size_t put_utf8(char *to, unsigned code)
{
	if (code < 0x80) {
		to[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		to[0] = (char)(0xc0 | code >> 6);
		to[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		to[0] = (char)(0xe0 | code >> 12);
		to[1] = (char)(0x80 | (code >> 6 & 0x3f));
		to[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | code >> 18);
	to[1] = (char)(0x80 | (code >> 12 & 0x3f));
	to[2] = (char)(0x80 | (code >> 6 & 0x3f));
	to[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* Decodes the valid escape whose backslash is at *@pos, and steps over it. */
static size_t decode_escape(const struct scanner *s, size_t *pos, char *to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	char c = s->text[*pos + 1];
	if (c != 'u') {
		*pos += 2;
		to[0] = into[strchr(from, c) - from];
		return 1;
	}
	unsigned code = (unsigned)hex4(s, *pos + 2);
	*pos += 6;
	if (is_high((int)code)) {
		code = 0x10000 + ((code - 0xd800) << 10) + ((unsigned)hex4(s, *pos + 2) - 0xdc00);
		*pos += 6;
	}
	return put_utf8(to, code);
}

/* The text of the valid string @at; heap, or NULL without memory. */
static char *decode(const struct scanner *s, struct span at)
{
	char *to = malloc(at.end - at.start);
	size_t len = 0;
	if (to == NULL)
		return NULL;
	for (size_t pos = at.start + 1; pos < at.end - 1;) {
		if (s->text[pos] == '\\')
			len += decode_escape(s, &pos, to + len);
		else
			to[len++] = s->text[pos++];
	}
	to[len] = '\0';
	return to;
}

static bool digits(const char *text, size_t *pos)
{
	size_t start = *pos;
	while (isdigit((unsigned char)text[*pos]))
		(*pos)++;
	return *pos > start;
}

/* RFC 8259 6, over a whole token. */
static bool is_number(const char *text)
{
	size_t pos = text[0] == '-';
	if (text[pos] == '0')
		pos++;
	else if (!digits(text, &pos))
		return false;
	if (text[pos] == '.') {
		pos++;
		if (!digits(text, &pos))
			return false;
	}
	if (text[pos] == 'e' || text[pos] == 'E') {
		pos++;
		if (text[pos] == '+' || text[pos] == '-')
			pos++;
		if (!digits(text, &pos))
			return false;
	}
	return text[pos] == '\0';
}

static bool number(struct scanner *s)
{
	char text[NUMBER_MAX + 1];
	size_t end = word_end(s), len = end - s->pos;
	if (len > NUMBER_MAX)
		return fail(s, s->pos, end, "a number of %zu characters is too long", len);
	memcpy(text, s->text + s->pos, len);
	text[len] = '\0';
	if (!is_number(text))
		return fail(s, s->pos, end, "malformed number \"%.*s\"", SHOWN_MAX, text);
	if (!isfinite(strtod(text, NULL)))
		return fail(s, s->pos, end, "the number %.*s is out of range", SHOWN_MAX, text);
	s->last_end = s->pos = end;
	return true;
}

static bool word(struct scanner *s)
{
	static const char *const words[] = { "true", "false", "null" };
	size_t end = word_end(s), len = end - s->pos;
	const char *at = s->text + s->pos;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (len != strlen(words[i]) || strncasecmp(at, words[i], len) != 0)
			continue;
		if (memcmp(at, words[i], len) != 0)
			return fail(s, s->pos, end, "unknown word \"%.*s\"; did you mean \"%s\"?",
				(int)len, at, words[i]);
		s->last_end = s->pos = end;
		return true;
	}
	int shown = len > SHOWN_MAX ? SHOWN_MAX : (int)len;
	return fail(s, s->pos, end, "unknown word \"%.*s\"; strings need double quotes", shown, at);
}

/* The end came too early, or something that cannot stand here. */
static bool unexpected(struct scanner *s, const char *wanted)
{
	int c = peek(s);
	if (c < 0 && s->depth > 0)
		return fail_never_closed(s, s->levels[s->depth - 1].opener);
	if (c < 0)
		return fail(s, s->pos, s->pos + 1, "the file is empty; expected %s", wanted);
	if (c == '\'')
		return fail(s, s->pos, s->pos + 1, "strings need double quotes");
	if (c > 0x20 && c < 0x7f)
		return fail(s, s->pos, s->pos + 1, "expected %s, found '%c'", wanted, c);
	return fail(
		s, s->pos, s->pos + 1, "expected %s, found the byte 0x%02x", wanted, (unsigned)c);
}

static struct level *push(struct scanner *s, bool is_object)
{
	if (s->depth == SCAN_DEPTH_MAX) {
		fail(s, s->pos, s->pos + 1, "more than %d levels deep", SCAN_DEPTH_MAX);
		return NULL;
	}
	struct level *l = &s->levels[s->depth++];
	*l = (struct level){ .opener = s->pos, .is_object = is_object };
	s->last_end = ++s->pos;
	return l;
}

/* JSON pointer of the member @name of the innermost object. */
static void print_pointer(const struct scanner *s, const char *name, char *to, size_t size)
{
	size_t len = 0;
	for (size_t i = 0; i + 1 < s->depth && len < size; i++) {
		const struct level *l = &s->levels[i];
		if (l->is_object && l->n_names > 0)
			len += (size_t)snprintf(
				to + len, size - len, "/%s", l->names[l->n_names - 1].text);
		else
			len += (size_t)snprintf(to + len, size - len, "/%zu", l->i_value);
	}
	if (len < size)
		snprintf(to + len, size - len, "/%s", name);
}

static int by_text(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int order = strcmp(x->text, y->text);
	if (order != 0)
		return order;
	return x->n_before < y->n_before ? -1 : 1;
}

static size_t line_of(const struct scanner *s, size_t pos)
{
	size_t line = 1;
	for (size_t i = 0; i < pos; i++)
		line += s->text[i] == '\n';
	return line;
}

static void tell_duplicate(struct scanner *s, const struct name *first, const struct name *again)
{
	char pointer[128], name[64];
	snprintf(name, sizeof name, "%s", again->text);
	print_pointer(s, again->text, pointer, sizeof pointer);
	fail(s, again->at.start, again->at.end, "%s: duplicate member \"%s\" (first at line %zu)",
		pointer, name, line_of(s, first->at.start));
}

static void find_duplicates(struct scanner *s, struct level *l)
{
	if (l->n_names < 2)
		return;
	qsort(l->names, l->n_names, sizeof *l->names, by_text);
	const struct name *first = &l->names[0];
	for (size_t i = 1; i < l->n_names; i++) {
		if (strcmp(first->text, l->names[i].text) == 0)
			tell_duplicate(s, first, &l->names[i]);
		else
			first = &l->names[i];
	}
}

static void level_deinit(struct level *l)
{
	for (size_t i = 0; i < l->n_names; i++)
		free(l->names[i].text);
	free(l->names);
	*l = (struct level){ 0 };
}

static bool pop(struct scanner *s)
{
	struct level *l = &s->levels[s->depth - 1];
	find_duplicates(s, l);
	level_deinit(l);
	s->depth--;
	s->last_end = ++s->pos;
	return true;
}

static bool add_name(struct scanner *s, struct level *l, struct span at)
{
	if (l->n_names == l->n_space) {
		size_t n = l->n_space == 0 ? 8 : 2 * l->n_space;
		struct name *names = reallocarray(l->names, n, sizeof *names);
		if (names == NULL)
			return fail(s, at.start, at.end, "out of memory");
		l->names = names;
		l->n_space = n;
	}
	char *text = decode(s, at);
	if (text == NULL)
		return fail(s, at.start, at.end, "out of memory");
	l->names[l->n_names] = (struct name){ .text = text, .n_before = l->n_names, .at = at };
	l->n_names++;
	return true;
}

/* After a value: steps over the comma. Return: false if something is wrong. *ret_is_last: it was
 * the closing bracket, still to be read. */
static bool separator(struct scanner *s, struct level *l, bool *ret_is_last)
{
	char closer = l->is_object ? '}' : ']';
	if (!blank(s))
		return false;
	int c = peek(s);
	*ret_is_last = c == closer;
	if (c == closer)
		return true;
	if (c < 0 || c == '}' || c == ']')
		return fail_never_closed(s, l->opener);
	if (c != ',' && (is_word(c) || strchr("\"'{[", c) != NULL))
		return fail(s, s->last_end, s->last_end + 1, "missing ',' here");
	if (c != ',')
		return unexpected(s, l->is_object ? "',' or '}'" : "',' or ']'");
	size_t comma = s->pos;
	s->last_end = ++s->pos;
	if (!blank(s))
		return false;
	if (peek(s) == closer)
		return fail(s, comma, comma + 1, "trailing comma before '%c'", closer);
	return true;
}

static bool member(struct scanner *s, struct level *l)
{
	size_t start = s->pos, end = word_end(s);
	if (peek(s) != '"' && end > start)
		return fail(s, start, end, "member names need double quotes: \"%.*s\"",
			end - start > SHOWN_MAX ? SHOWN_MAX : (int)(end - start), s->text + start);
	if (peek(s) != '"')
		return unexpected(s, "a member name");
	if (!string(s) || !add_name(s, l, (struct span){ start, s->pos }) || !blank(s))
		return false;
	if (peek(s) != ':')
		return fail(s, s->last_end, s->last_end + 1, "missing ':' after the member name");
	s->last_end = ++s->pos;
	return blank(s) && value(s);
}

static bool container(struct scanner *s, bool is_object)
{
	struct level *l = push(s, is_object);
	if (l == NULL || !blank(s))
		return false;
	if (peek(s) == (is_object ? '}' : ']'))
		return pop(s);
	for (bool is_last = false; !is_last; l->i_value++) {
		bool is_good = is_object ? member(s, l) : value(s);
		if (!is_good || !separator(s, l, &is_last))
			return false;
	}
	return pop(s);
}

static bool value(struct scanner *s)
{
	int c = peek(s);
	if (c == '{' || c == '[')
		return container(s, c == '{');
	if (c == '"')
		return string(s);
	if (c >= 0 && (isdigit(c) || c == '-' || c == '+' || c == '.'))
		return number(s);
	if (is_word(c))
		return word(s);
	return unexpected(s, "a value");
}

static bool check_encoding(struct scanner *s)
{
	const unsigned char *text = (const unsigned char *)s->text;
	if (s->len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return fail(s, 0, 3, "byte order mark; save the file as UTF-8 without one");
	for (size_t i = 0; i < s->len;) {
		size_t len = utf8_length(text + i, s->len - i);
		if (len == 0 || text[i] == 0)
			return fail(s, i, i + 1, "the byte 0x%02x is not UTF-8 text", text[i]);
		i += len;
	}
	return true;
}

static bool whole(struct scanner *s)
{
	if (!check_encoding(s) || !blank(s) || !value(s) || !blank(s))
		return false;
	if (s->pos < s->len)
		return fail(s, s->pos, s->pos + 1, "unexpected text after the end of the document");
	return true;
}

bool scan_json(struct bytes text, scan_finding_fn *on_finding, void *owner)
{
	struct scanner s = { .text = (const char *)text.ptr,
		.len = text.len,
		.on_finding = on_finding,
		.owner = owner };
	bool is_good = whole(&s);
	while (s.depth > 0)
		level_deinit(&s.levels[--s.depth]);
	return is_good;
}
