#include "common/admin_query.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static int hex_of(char c)
{
	const char *digits = "0123456789abcdef";
	const char *found =
		c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
	return found != NULL ? (int)(found - digits) : -1;
}

static bool decode(const char *text, size_t len, char *to, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++, n++) {
		int c = text[i] == '+' ? ' ' : (unsigned char)text[i];
		if (n + 1 >= size)
			return false;
		if (text[i] == '%') {
			int high = i + 2 < len ? hex_of(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_of(text[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = high * 16 + low;
			i += 2;
		}
		if (c < ' ' || c == 0x7f)
			return false;
		to[n] = (char)c;
	}
	to[n] = '\0';
	return true;
}

enum admin_value admin_query(const char *query, const char *name, char *to, size_t size)
{
	size_t n_name = strlen(name);
	*to = '\0';
	while (*query != '\0') {
		size_t len = strcspn(query, "&");
		if (len > n_name && query[n_name] == '=' && strncmp(query, name, n_name) == 0) {
			if (decode(query + n_name + 1, len - n_name - 1, to, size))
				return ADMIN_VALUE_GOOD;
			*to = '\0';
			return ADMIN_VALUE_BAD;
		}
		query += len + (query[len] == '&');
	}
	return ADMIN_VALUE_NONE;
}

void admin_put_query(FILE *to, char before, const char *name, const char *value)
{
	fprintf(to, "%c%s=", before, name);
	for (; *value != '\0'; value++) {
		unsigned char c = (unsigned char)*value;
		if (c < 0x80 && (isalnum(c) || strchr("-._~:", c) != NULL))
			fputc(c, to);
		else
			fprintf(to, "%%%02X", c);
	}
}
