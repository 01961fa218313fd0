#include "config/locate.h"

#include <string.h>

/* Of a number or a word. */
static bool is_scalar(char c)
{
	return strchr(" \t\r\n,:{}[]\"", c) == NULL;
}

static size_t skip_blank(const char *text, size_t len, size_t pos)
{
	while (pos < len && strchr(" \t\r\n,:", text[pos]) != NULL)
		pos++;
	return pos;
}

static size_t skip_string(const char *text, size_t len, size_t pos)
{
	for (pos++; pos < len && text[pos] != '"'; pos++)
		pos += text[pos] == '\\';
	return pos + 1;
}

static size_t skip_value(const char *text, size_t len, size_t pos)
{
	size_t depth = 0;
	do {
		char c = text[pos];
		if (c == '"') {
			pos = skip_string(text, len, pos);
		} else if (c == '{' || c == '[') {
			depth++;
			pos++;
		} else if (c == '}' || c == ']') {
			depth--;
			pos++;
		} else {
			while (pos < len && is_scalar(text[pos]))
				pos++;
		}
		if (depth > 0)
			pos = skip_blank(text, len, pos);
	} while (depth > 0 && pos < len);
	return pos;
}

bool locate(struct bytes bytes, const size_t *path, size_t n_path, struct span *ret_name,
	struct span *ret_value)
{
	const char *text = (const char *)bytes.ptr;
	size_t pos = skip_blank(text, bytes.len, 0), name = pos, name_end = 0;
	for (size_t i = 0; i < n_path; i++) {
		bool is_object = text[pos] == '{';
		if (!is_object && text[pos] != '[')
			return false;
		pos++;
		for (size_t n = 0;; n++) {
			name = pos = skip_blank(text, bytes.len, pos);
			if (pos >= bytes.len || text[pos] == '}' || text[pos] == ']')
				return false;
			if (is_object) {
				name_end = skip_string(text, bytes.len, pos);
				pos = skip_blank(text, bytes.len, name_end);
			}
			if (n == path[i])
				break;
			pos = skip_value(text, bytes.len, pos);
		}
	}
	*ret_value = (struct span){ pos, skip_value(text, bytes.len, pos) };
	*ret_name = name < pos ? (struct span){ name, name_end } : *ret_value;
	return true;
}
