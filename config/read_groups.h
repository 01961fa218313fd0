#ifndef CONFIG_READ_GROUPS_H
#define CONFIG_READ_GROUPS_H
/*
 * Does: "groups" of an access server's file → upstreams of several chains. Knows: the schema of a
 * group. Never knows: how one of a group is chosen.
 */
#include "config/read_listener.h"

#define READ_GROUPS_MAX 128

/** read_groups() - adds each group of the file to @options and to @uses, whose first members are
 * all that a group may name. */
void read_groups(struct document *d, struct read_uses *uses, struct access_options *options);
/** read_group_name() - checks the name of a chain or group: the grammar, that it is not reserved,
 * and that no member of @uses has it. */
bool read_group_name(struct document *d, const struct json *value, const struct read_uses *uses);

#endif
