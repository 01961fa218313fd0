#include "chain/cli_quote.h"

#include <stdlib.h>
#include <string.h>

static const char plain[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./,:=@+-";

static bool is_plain(char c)
{
	return (unsigned char)c >= 0x80 || strchr(plain, c) != NULL;
}

char *cli_quote_word(const char *text)
{
	char *quoted = malloc(2 * strlen(text) + 1), *to = quoted;
	if (quoted == NULL)
		return NULL;
	if (strpbrk(text, "\r\n") != NULL) {
		free(quoted);
		return NULL;
	}
	for (; *text != '\0'; text++) {
		if (*text == '%')
			*to++ = '%';
		else if (!is_plain(*text))
			*to++ = '\\';
		*to++ = *text;
	}
	*to = '\0';
	return quoted;
}

bool cli_quote_is_pattern(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c <= 0x20 || c == 0x7f || strchr("\"'#\\", c) != NULL)
			return false;
	}
	return true;
}
