#ifndef CHAIN_CLI_FIT_H
#define CHAIN_CLI_FIT_H
/*
 * Does: text in the columns of a terminal: how wide it is, made to fit. Knows: UTF-8, widths of
 * characters. Never knows: what the text says.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/** cli_fit_start() - takes the characters (and nothing else) of the user's locale. Return: whether
 * they are UTF-8. */
bool cli_fit_start(void);

/** cli_fit_clean() - @text without control characters, and without what the locale cannot show:
 * '?' stands for each. @to is @size > 0 bytes, cut between characters. Returns @to. */
const char *cli_fit_clean(const char *text, bool is_utf8, char *to, size_t size);

/* The rest takes clean texts. */

/** cli_fit_width() - in columns. */
size_t cli_fit_width(const char *text, bool is_utf8);
/** cli_fit_end(), cli_fit_middle() - shortens @text in place to @width columns: an ellipsis stands
 * for what was cut from its end, or its middle. */
void cli_fit_end(char *text, size_t width, bool is_utf8);
void cli_fit_middle(char *text, size_t width, bool is_utf8);
/** cli_fit_wrap() - @text in lines of at most @width columns, broken between words where there are
 * some. The first line begins at column @indent, where the caller has left off; the others with as
 * many spaces. */
void cli_fit_wrap(const char *text, size_t indent, size_t width, bool is_utf8, FILE *to);

#endif
