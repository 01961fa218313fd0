#ifndef CONFIG_READ_HOP_H
#define CONFIG_READ_HOP_H
/*
 * Does: a hop's configuration file → struct hop_options. Knows: the hop schema. Never knows: flags.
 */
#include "config/read_common.h"
#include "hop/options.h"

/** read_hop_file() - fills @options and @log, which hold defaults; the caller deinits @options in
 * any case. Return: false if anything is wrong; the report knows what. */
NODISCARD bool read_hop_file(const char *path, struct report *report, struct hop_options *options,
	struct log_options *log);

#endif
