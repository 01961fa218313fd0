#ifndef CHAIN_CLI_WRAP_H
#define CHAIN_CLI_WRAP_H
/*
 * Does: sentences in lines of a width. Knows: terminals. Never knows: what is said.
 */
#include <stddef.h>
#include <stdio.h>

/** cli_wrap_width() - of the terminal at stdout, at most 100; 80 for anything else. */
size_t cli_wrap_width(void);
/** cli_wrap() - @column columns of the first line are taken already; the others begin with @indent.
 */
void cli_wrap(FILE *to, const char *text, size_t column, const char *indent, size_t width);

#endif
