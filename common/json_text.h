#ifndef COMMON_JSON_TEXT_H
#define COMMON_JSON_TEXT_H
/*
 * Does: writes texts as JSON strings (RFC 8259, 7). Knows: escapes. Never knows: what is written.
 */
#include <stdio.h>

/** json_text_put() - @text in quotes; bytes that are no UTF-8 become U+FFFD. NULL: null. */
void json_text_put(FILE *to, const char *text);

#endif
