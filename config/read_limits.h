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
/** read_listener_limits_check() - once the whole @listener was read: limits per user need users. */
void read_listener_limits_check(
	struct document *d, const struct json *listener, const struct access_listener *options);
void read_access_limits(
	struct document *d, const struct json *value, struct access_options *options);

#endif
