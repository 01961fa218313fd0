#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H
/*
 * Does: which known word was meant by a mistyped one. Knows: letters. Never knows: what they mean.
 */
#include <stddef.h>

/** suggest() - the nearest of @among, if it is near enough to be a slip; else NULL. */
const char *suggest(const char *word, const char *const *among, size_t n);

#endif
