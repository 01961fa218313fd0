#ifndef CONFIG_REPORT_H
#define CONFIG_REPORT_H
/*
 * Does: gathers everything that is wrong in one run and prints it: place, sentence, source line
 * with a caret. Knows: texts and positions. Never knows: how a file is read. Keys in a source line
 * are not shown.
 */
#include "config/scan.h"

#include <stdarg.h>
#include <stdbool.h>
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
/* Where an error is. */
struct report_place {
	const struct source *source;
	struct span at;
	const char *slug;    /* what kind it is, for programs: "syntax", "value". Static */
	const char *pointer; /* JSON pointer, or NULL */
	bool is_subject;     /* the sentence itself names the pointer */
};

/** report_add() - "PATH:LINE:COLUMN: error: POINTER: SENTENCE", the line, and a caret under the
 * place. */
void report_add(struct report *report, const struct report_place *place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void report_add_list(struct report *report, const struct report_place *place, const char *format,
	va_list args) __attribute__((format(printf, 3, 0)));
/** report_add_plain() - "PROGRAM: SENTENCE". */
void report_add_plain(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
size_t report_n_errors(const struct report *report);
/** report_print() - in the order of the text, file by file; at most REPORT_SHOWN_MAX, then a count.
 */
void report_print(struct report *report, FILE *to);

/* One error in parts, for programs. Texts may be NULL. */
struct report_finding {
	const char *file; /* NULL: of no file that could be read; then line is 0 */
	size_t line, column;
	const char *pointer, *slug, *message, *hint;
};
/** report_findings() - all of them, in the order of the text; valid until the next call for this
 * report. Return: how many. */
size_t report_findings(struct report *report, const struct report_finding **ret);
/** report_print_json() - the findings as elements of a JSON array, without its brackets; @file is
 * what those of no file belong to. *n_before: how many elements the array has, for the commas. */
void report_print_json(struct report *report, const char *file, size_t *n_before, FILE *to);

/** report_clean() - replaces control characters: they would reach a terminal. */
void report_clean(char *text);
/** report_quote() - @text without control characters, cut at @size - 1 bytes. Returns @to. */
const char *report_quote(const char *text, char *to, size_t size);
/** report_line() - the line of position @at, from 1. */
size_t report_line(struct bytes text, size_t at);

#endif
