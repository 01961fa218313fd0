#ifndef COMMON_LOG_RENDER_H
#define COMMON_LOG_RENDER_H
/*
 * Does: what a line of the log looks like, as text, JSON or for the journal. Knows: levels, pairs
 * key=value, what a terminal obeys. Never knows: sinks, threads.
 */
#include "common/log.h"

/* What the caller stores; log_render() makes a line of it. The message follows. */
struct log_entry {
	uint64_t wall_ms;
	const char *module;
	uint16_t len;
	uint8_t level;
};

#define LOG_OUT_MAX (16 * 1024) /* each byte becomes six at most in JSON, and 128 are added */
struct log_out {
	size_t len;
	char data[LOG_OUT_MAX];
};
/** log_out_put() - appends, as far as there is room. */
void log_out_put(struct log_out *out, const char *from, size_t len);
/** log_render() - appends one line for the sink. @is_tty: in local time. */
void log_render(struct log_out *out, enum log_format format, bool is_tty,
	const struct log_entry *entry, const char *message);

#endif
