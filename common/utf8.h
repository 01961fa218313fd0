#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H
/*
 * Does: checks UTF-8 (RFC 3629). Knows: bytes. Never knows: what the text means.
 */
#include <stdbool.h>
#include <stddef.h>

/** utf8_length() - of the character at @at, of which @left ≥ 1 bytes are there; 0 if it is none. */
size_t utf8_length(const unsigned char *at, size_t left);

#endif
