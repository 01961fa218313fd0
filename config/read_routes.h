#ifndef CONFIG_READ_ROUTES_H
#define CONFIG_READ_ROUTES_H
/*
 * Does: "routes" of an access server's file → rules. Knows: the schema of a rule, and which
 * listeners and users there are. Never knows: how a rule is matched.
 */
#include "config/read_listener.h"

#define READ_ROUTES_MAX 1000
#define READ_PORTS_MAX  256  /* of one rule */
#define READ_NAMES_MAX  1000 /* users, and listeners, of one rule */
#define READ_LISTS_MAX  64   /* list files of one rule, of each kind */

/** read_routes() - adds the rules of the file to @options, which has its listeners already. */
void read_routes(struct document *d, const struct read_uses *uses, struct access_options *options);

#endif
