#ifndef CONFIG_DOCUMENT_H
#define CONFIG_DOCUMENT_H
/*
 * Does: one configuration file: its text, its tree, its folder; errors about its values.
 * Knows: files, JSON. Never knows: what a member means.
 */
#include "config/json.h"
#include "config/report.h"

#include <sys/stat.h>

#define DOCUMENT_SIZE_MAX (1u << 20)

struct document {
	struct source source;  /* path as shown, and text; owned */
	char *folder;          /* paths in it begin here: "" or "dir/"; owned */
	struct json *root;     /* an object */
	struct report *report; /* borrowed */
	struct stat stat;
	bool is_mode_told;
};

enum document_part {
	DOCUMENT_NAME,
	DOCUMENT_VALUE,
	DOCUMENT_OPENER, /* the first character of the value: something is missing in there */
};

/** document_open() - reads and checks the file, "-" is stdin. Return: NULL; the report knows why.
 */
NODISCARD struct document *document_open(const char *path, struct report *report);
/** document_read() - the same from a text that is copied; @path is what errors show. */
NODISCARD struct document *document_read(
	const char *path, struct bytes text, struct report *report);
/** document_free() - wipes. NULL ok. */
void document_free(struct document *document);

/** document_error() - one error about @value of this document: "POINTER: SENTENCE". */
void document_error(struct document *document, const struct json *value, enum document_part part,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/** document_error_bare() - the same without "POINTER: ". */
void document_error_bare(struct document *document, const struct json *value,
	enum document_part part, const char *format, ...) __attribute__((format(printf, 4, 5)));
/** document_pointer() - the JSON pointer of @value. Returns @to. */
const char *document_pointer(
	const struct document *document, const struct json *value, char *to, size_t size);
/** document_line() - the line of @value's name. */
size_t document_line(const struct document *document, const struct json *value);
/** document_raw() - the text of @value as written, cut. Returns @to. */
const char *document_raw(
	const struct document *document, const struct json *value, char *to, size_t size);
/** document_path() - @value, a string, as a path: relative to the file, ${CREDENTIALS_DIRECTORY}
 * expanded. Heap. Return: NULL; the report knows why. */
NODISCARD char *document_path(struct document *document, const struct json *value);
/** document_require_private() - there is a key in the file: it must have mode 0600. Tells it once.
 */
void document_require_private(struct document *document);

#endif
