#include "access/http_text.h"

#include <strings.h>

bool http_is_word(struct bytes text, const char *word)
{
	return text.len == strlen(word) && strncasecmp((const char *)text.ptr, word, text.len) == 0;
}

bool http_is_one_of(struct bytes text, const char *const *words, size_t n_words)
{
	for (size_t i = 0; i < n_words; i++) {
		if (http_is_word(text, words[i]))
			return true;
	}
	return false;
}

static bool is_token_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool http_is_token(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!is_token_byte(text.ptr[i]))
			return false;
	}
	return text.len > 0;
}

static bool is_white(uint8_t c)
{
	return c == ' ' || c == '\t';
}

struct bytes http_trim(struct bytes text)
{
	while (text.len > 0 && is_white(text.ptr[text.len - 1]))
		text.len--;
	while (text.len > 0 && is_white(text.ptr[0]))
		text = bytes_of(text.ptr + 1, text.len - 1);
	return text;
}

bool http_list_next(struct bytes *list, struct bytes *ret)
{
	if (list->ptr == NULL)
		return false;
	const uint8_t *comma = list->len > 0 ? memchr(list->ptr, ',', list->len) : NULL;
	size_t len = comma != NULL ? (size_t)(comma - list->ptr) : list->len;
	*ret = http_trim(bytes_of(list->ptr, len));
	*list = comma != NULL ? bytes_of(comma + 1, list->len - len - 1) : bytes_of(NULL, 0);
	return true;
}

size_t http_line_ends(struct bytes text)
{
	size_t n = 0;
	while (n < text.len && (text.ptr[n] == '\r' || text.ptr[n] == '\n'))
		n++;
	return n;
}
