#ifndef CONFIG_READ_COMMON_H
#define CONFIG_READ_COMMON_H
/*
 * Does: the members that several files have: version, log, dns, workers. Knows: fields.
 * Never knows: which file it is.
 */
#include "common/control.h"
#include "common/log.h"
#include "config/field.h"

#define READ_WORKERS_MAX 256

struct log_options {
	enum log_level level;
	enum log_format format;
	bool logs_connections;
};
#define LOG_OPTIONS_DEFAULT                                                                        \
	{                                                                                          \
		.level = LOG_LEVEL_INFO, .format = LOG_FORMAT_AUTO, .logs_connections = true       \
	}

/** read_version() - "version": 1. */
field_fn read_version;
/** read_common_log() - "log"; @to: struct log_options. */
field_fn read_common_log;
/** read_common_admin() - "admin"; @to: struct control_options. */
field_fn read_common_admin;
/** read_common_dns() - "dns": {"servers"}; @to: char *, comma-separated, heap. */
field_fn read_common_dns;
/** read_common_workers() - 1..256 or "auto"; @to: unsigned. */
field_fn read_common_workers;
/** read_workers_auto() - the number of CPUs this process may use. */
unsigned read_workers_auto(void);

#endif
