#ifndef CONFIG_REPORT_H
#define CONFIG_REPORT_H
/*
 * Does: gathers everything that is wrong in one run and prints it: place, sentence, source line
 * with a caret. Knows: texts and positions. Never knows: JSON. Keys in a source line are not shown.
 */
#include "config/scan.h"

#include <stdarg.h>
#include <stdio.h>

#define REPORT_SHOWN_MAX 20

struct report;

/* A text that errors point into. Borrowed while an error is added. */
struct source {
	const char *path; /* as shown */
	struct bytes text;
};

/** report_new() - @program begins lines that belong to no file; borrowed. Return: NULL without
 * memory. */
NODISCARD struct report *report_new(const char *program);
void report_free(struct report *report); /* NULL ok */
/** report_add() - "PATH:LINE:COLUMN: error: SENTENCE", the line, and a caret under @at. */
void report_add(struct report *report, const struct source *source, struct span at,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
void report_add_list(struct report *report, const struct source *source, struct span at,
	const char *format, va_list args) __attribute__((format(printf, 4, 0)));
/** report_add_plain() - "PROGRAM: SENTENCE". */
void report_add_plain(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
size_t report_n_errors(const struct report *report);
/** report_print() - in the order of the text, file by file; at most REPORT_SHOWN_MAX, then a count.
 */
void report_print(struct report *report, FILE *to);

/** report_clean() - replaces control characters: they would reach a terminal. */
void report_clean(char *text);
/** report_quote() - @text without control characters, cut at @size - 1 bytes. Returns @to. */
const char *report_quote(const char *text, char *to, size_t size);
/** report_line() - the line of position @at, from 1. */
size_t report_line(struct bytes text, size_t at);

#endif
