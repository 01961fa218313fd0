#include "chain/cli_fit.h"

#include "common/utf8.h"

#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <wchar.h>

bool cli_fit_start(void)
{
	return setlocale(LC_CTYPE, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* A valid character of @n bytes. */
static wchar_t decode(const unsigned char *at, size_t n)
{
	static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	wchar_t c = at[0] & masks[n];
	for (size_t i = 1; i < n; i++)
		c = (wchar_t)(c << 6) | (at[i] & 0x3f);
	return c;
}

/* The character at @text, which is not at its end: bytes, and columns, < 0 if it cannot be shown.
 */
static size_t measure(const char *text, bool is_utf8, int *ret_columns)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t n = utf8_length(at, strlen(text));
	if (n == 1)
		*ret_columns = *at < 0x20 || *at == 0x7f ? -1 : 1;
	else if (n == 0 || !is_utf8)
		*ret_columns = -1;
	else
		*ret_columns = wcwidth(decode(at, n));
	return n == 0 ? 1 : n;
}

const char *cli_fit_clean(const char *text, bool is_utf8, char *to, size_t size)
{
	size_t len = 0;
	while (*text != '\0') {
		int columns;
		size_t n = measure(text, is_utf8, &columns);
		if (len + n >= size)
			break;
		if (columns < 0)
			to[len++] = '?';
		else
			memcpy(to + len, text, n);
		len += columns < 0 ? 0 : n;
		text += n;
	}
	to[len] = '\0';
	return to;
}

size_t cli_fit_width(const char *text, bool is_utf8)
{
	size_t width = 0;
	while (*text != '\0') {
		int columns;
		text += measure(text, is_utf8, &columns);
		width += columns > 0 ? (size_t)columns : 0;
	}
	return width;
}

/* How many bytes of @text fill at most @width columns. */
static size_t prefix(const char *text, size_t width, bool is_utf8)
{
	size_t len = 0, used = 0;
	while (text[len] != '\0') {
		int columns;
		size_t n = measure(text + len, is_utf8, &columns);
		used += columns > 0 ? (size_t)columns : 0;
		if (used > width)
			break;
		len += n;
	}
	return len;
}

/* Replaces what is between the first @left columns and the last of @text. */
static void shorten(char *text, size_t left, size_t width, bool is_utf8)
{
	const char *ellipsis = is_utf8 ? "\xe2\x80\xa6" : "..";
	size_t mark = is_utf8 ? 1 : 2, total = cli_fit_width(text, is_utf8);
	char *tail = text;
	if (total <= width)
		return;
	if (width <= mark) {
		text[prefix(text, width, is_utf8)] = '\0';
		return;
	}
	left = left > width - mark ? width - mark : left;
	while (cli_fit_width(tail, is_utf8) > width - mark - left)
		tail += prefix(tail, 1, is_utf8) > 0 ? prefix(tail, 1, is_utf8)
						     : prefix(tail, 2, is_utf8);
	size_t at = prefix(text, left, is_utf8), len = strlen(ellipsis), rest = strlen(tail);
	if (at + len + rest > strlen(text)) { /* narrow bytes gave way to a wider mark */
		text[prefix(text, width, is_utf8)] = '\0';
		return;
	}
	memmove(text + at + len, tail, rest + 1);
	memcpy(text + at, ellipsis, len);
}

void cli_fit_end(char *text, size_t width, bool is_utf8)
{
	shorten(text, width, width, is_utf8);
}

void cli_fit_middle(char *text, size_t width, bool is_utf8)
{
	shorten(text, width > 2 ? (width - 1) / 2 : 0, width, is_utf8);
}

/* Bytes of @text for one line of @width columns: up to a space if there is one. */
static size_t line_of(const char *text, size_t width, bool is_utf8)
{
	size_t len = prefix(text, width, is_utf8), at = len;
	if (text[len] == '\0' || text[len] == ' ')
		return len;
	while (at > 0 && text[at] != ' ')
		at--;
	return at > 0 ? at : len;
}

void cli_fit_wrap(const char *text, size_t indent, size_t width, bool is_utf8, FILE *to)
{
	size_t inner = width > indent + 8 ? width - indent : 8;
	for (;;) {
		size_t len = line_of(text, inner, is_utf8);
		fprintf(to, "%.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
		if (*text == '\0' || len == 0)
			return;
		fprintf(to, "%*s", (int)indent, "");
	}
}
