#ifndef COMMON_LOG_H
#define COMMON_LOG_H
/*
 * Does: leveled lines of key=value pairs to stderr as text, JSON or journal lines. Knows: sinks,
 * time. Never knows: what is logged. Secrets and payload are never passed here.
 *
 * A .c defines LOG_MODULE before it includes this file: #define LOG_MODULE "hop".
 * A message is `words` and then key=value pairs: LOG_INFO("closed conn=%s up=%" PRIu64, id, n).
 * The words before the first pair become "msg" in JSON; each pair a member; a value with blanks is
 * written in double quotes (log_quote()). Safe from any thread. A line never blocks the caller:
 * lines go to a bounded ring that a writer thread empties; what does not fit is counted and told
 * later.
 */
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

enum log_format {
	LOG_FORMAT_AUTO, /* journal when stderr is $JOURNAL_STREAM, else text */
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,
	LOG_FORMAT_JOURNAL,
};

/* One per call site: at most LOG_BURST lines in 10 s, then a count. Zero-initialised static. */
struct log_limit {
	_Atomic uint64_t window;    /* its start in ms and the lines taken in it */
	_Atomic uint32_t n_skipped; /* not told yet */
};
#define LOG_BURST 10

/** log_start() - starts the writer on descriptor @fd (borrowed). Call once, before threads. */
NODISCARD int log_start(int fd, enum log_level level, enum log_format format);
/** log_stop() - writes what is in the ring and ends the writer; later lines go straight to stderr.
 */
void log_stop(void);
void log_set_level(enum log_level level);
/** log_mute() - no line of any level any more, until log_set_level(): for a library, whose process
 * belongs to somebody else. */
void log_mute(void);
bool log_is_on(enum log_level level);
/** log_level_parse() - "error" … "debug". Return: false if @text is none. */
bool log_level_parse(const char *text, enum log_level *ret);
bool log_format_parse(const char *text, enum log_format *ret);
uint64_t log_n_dropped(void);

/** log_line() - @module is static memory; told on debug lines only. A message is cut at
 * LOG_LINE_MAX bytes. */
#define LOG_LINE_MAX 2048
void log_line(enum log_level level, const char *module, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/** log_limit_take() - whether this call site may log now. */
bool log_limit_take(struct log_limit *limit);
/** log_limit_tell() - a line with the number of lines that were not let through since the last one,
 * if any. */
void log_limit_tell(struct log_limit *limit, enum log_level level, const char *module);
/** log_quote() - @text as a log value: as is if plain, else in double quotes with control
 * characters, quotes, backslashes and what is not UTF-8 escaped; cut at @size. A text that reads as
 * an integer is quoted too: it stays a string in JSON. For anything a peer chose. @text may be NULL
 * ("-"). Returns @to. */
const char *log_quote(const char *text, char *to, size_t size);

#define LOG_AT(level, ...)                                                                         \
	do {                                                                                       \
		if (log_is_on(level))                                                              \
			log_line(level, LOG_MODULE, __VA_ARGS__);                                  \
	} while (0)
#define LOG_ERROR(...)   LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_WARNING(...) LOG_AT(LOG_LEVEL_WARNING, __VA_ARGS__)
#define LOG_NOTICE(...)  LOG_AT(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define LOG_INFO(...)    LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_DEBUG(...)   LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
/* For lines a peer can trigger: at most LOG_BURST per 10 s from this place. */
#define LOG_LIMITED(level, ...)                                                                    \
	do {                                                                                       \
		static struct log_limit log_limit_here;                                            \
		if (log_is_on(level) && log_limit_take(&log_limit_here)) {                         \
			log_limit_tell(&log_limit_here, level, LOG_MODULE);                        \
			log_line(level, LOG_MODULE, __VA_ARGS__);                                  \
		}                                                                                  \
	} while (0)

#endif
