#ifndef CONFIG_READ_CHAIN_H
#define CONFIG_READ_CHAIN_H
/*
 * Does: chain files and chains inside of other files → struct chain_spec. Knows: the chain schema.
 * Never knows: who uses the chain.
 */
#include "chain/spec.h"
#include "config/document.h"

/** read_chain_file() - Return: NULL, if anything is wrong; the report knows what. */
NODISCARD struct chain_spec *read_chain_file(const char *path, struct report *report);
/** read_chain() - the same from an object of @document. */
NODISCARD struct chain_spec *read_chain(struct document *document, const struct json *object);

#endif
