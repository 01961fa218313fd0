#ifndef CONFIG_READ_LIMITS_H
#define CONFIG_READ_LIMITS_H
/*
 * Does: the member "limits" of an access server's file and of its listeners. Knows: their schema.
 * Never knows: the rest of the file.
 */
#include "access/options.h"
#include "config/document.h"

void read_listener_limits(
	struct document *d, const struct json *value, struct access_listener *listener);
void read_access_limits(
	struct document *d, const struct json *value, struct access_options *options);

#endif
