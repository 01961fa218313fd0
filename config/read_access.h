#ifndef CONFIG_READ_ACCESS_H
#define CONFIG_READ_ACCESS_H
/*
 * Does: an access server's configuration file → struct access_options. Knows: the access schema.
 * Never knows: flags.
 */
#include "access/options.h"
#include "config/read_common.h"

/** read_access_file() - fills @options and @log, which hold defaults; the caller deinits @options
 * in any case. @is_open: every listener may serve any source. Return: false if anything is wrong;
 * the report knows what. */
NODISCARD bool read_access_file(const char *path, bool is_open, struct report *report,
	struct access_options *options, struct log_options *log);

#endif
