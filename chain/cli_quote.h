#ifndef CHAIN_CLI_QUOTE_H
#define CHAIN_CLI_QUOTE_H
/*
 * Does: words of a line in ssh_config. Knows: how ssh splits it, expands % in it and hands it to
 * the shell. Never knows: what the words mean.
 */
#include <stdbool.h>

/** cli_quote_word() - @text as one word of a ProxyCommand: what ssh or a shell would take apart has
 * a backslash, % is doubled. Heap. Return: NULL if it has a line break, or without memory. */
char *cli_quote_word(const char *text);
/** cli_quote_is_pattern() - whether @text can stand after Host as it is. */
bool cli_quote_is_pattern(const char *text);

#endif
