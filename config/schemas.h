#ifndef CONFIG_SCHEMAS_H
#define CONFIG_SCHEMAS_H
/*
 * Does: holds the JSON schemas of the configuration files, byte for byte. Knows: their names. Never
 * knows: what they say. (The .c is made by embed.py in the build.)
 */
#include <stdbool.h>

/** schemas_print() - "hop": hop.schema.json, to stdout. Return: false if it is not to be written or
 * not known. */
bool schemas_print(const char *name);

#endif
