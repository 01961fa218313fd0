#ifndef ACCESS_HTTP_TEXT_H
#define ACCESS_HTTP_TEXT_H
/*
 * Does: words, tokens and lists of HTTP fields. Knows: RFC 9110 5.6. Never knows: which fields.
 */
#include "common/wire.h"

/** http_is_word() - @text is @word in any case. */
bool http_is_word(struct bytes text, const char *word);
/** http_is_one_of() - @text is one of @words in any case. */
bool http_is_one_of(struct bytes text, const char *const *words, size_t n_words);
/** http_is_token() - RFC 9110 5.6.2: one byte or more of a name or a method. */
bool http_is_token(struct bytes text);
/** http_trim() - @text without spaces and tabs around it. */
struct bytes http_trim(struct bytes text);
/** http_list_next() - takes the next element off @list, which is separated by commas, without white
 * space around it; elements may be empty. Return: false at its end, at first for an empty list. */
bool http_list_next(struct bytes *list, struct bytes *ret);
/** http_line_ends() - how many CR and LF @text begins with. RFC 9112 2.2: some clients say a CR LF
 * too many behind a body. */
size_t http_line_ends(struct bytes text);

#endif
