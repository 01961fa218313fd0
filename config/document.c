#include "config/document.h"

#include "config/file.h"
#include "config/key_file.h"
#include "config/locate.h"

#include <stdlib.h>
#include <unistd.h>

#define POINTER_MAX 256
#define CREDENTIALS "${CREDENTIALS_DIRECTORY}"

static void on_finding(struct span at, const char *text, void *owner)
{
	struct document *document = owner;
	struct report_place place = { .source = &document->source, .at = at, .slug = "syntax" };
	report_add(document->report, &place, "%s", text);
}

static const char *type_text(const struct json *value)
{
	switch (json_type(value)) {
	case JSON_NULL:
		return "null";
	case JSON_BOOL:
		return json_is_true(value) ? "true" : "false";
	case JSON_NUMBER:
		return "a number";
	case JSON_STRING:
		return "a string";
	case JSON_ARRAY:
		return "an array";
	case JSON_OBJECT:
		break;
	}
	return "an object";
}

static bool parse(struct document *document)
{
	struct bytes text = document->source.text;
	if (!scan_json(text, on_finding, document))
		return false;
	document->root = json_parse(text);
	if (document->root == NULL) {
		report_add_plain(document->report, "%s: out of memory", document->source.path);
		return false;
	}
	if (json_type(document->root) != JSON_OBJECT) {
		document_error(document, document->root, DOCUMENT_VALUE,
			"expected an object, found %s", type_text(document->root));
		return false;
	}
	return true;
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return strndup(path, slash != NULL ? (size_t)(slash - path + 1) : 0);
}

static struct document *document_new(const char *path, struct report *report)
{
	struct document *document = calloc(1, sizeof *document);
	if (document == NULL)
		return NULL;
	document->report = report;
	document->source.path = strdup(strcmp(path, "-") == 0 ? "stdin" : path);
	document->folder = folder_of(path);
	if (document->source.path == NULL || document->folder == NULL) {
		document_free(document);
		return NULL;
	}
	return document;
}

void document_free(struct document *document)
{
	if (document == NULL)
		return;
	json_free(document->root);
	if (document->source.text.ptr != NULL)
		seal_wipe((void *)document->source.text.ptr, document->source.text.len);
	free((void *)document->source.text.ptr);
	free((void *)document->source.path);
	free(document->folder);
	free(document);
}

struct document *document_read(const char *path, struct bytes text, struct report *report)
{
	struct document *document = document_new(path, report);
	uint8_t *copy = malloc(text.len + 1);
	if (document == NULL || copy == NULL) {
		report_add_plain(report, "%s: out of memory", path);
		free(copy);
		document_free(document);
		return NULL;
	}
	if (text.len > 0)
		memcpy(copy, text.ptr, text.len);
	copy[text.len] = 0;
	document->source.text = bytes_of(copy, text.len);
	if (parse(document))
		return document;
	document_free(document);
	return NULL;
}

/* Return: 0 or -errno; *ret is heap, of at most DOCUMENT_SIZE_MAX + 1 bytes. */
static int read_text(int fd, struct bytes *ret)
{
	uint8_t *text = malloc(DOCUMENT_SIZE_MAX + 1);
	size_t len;
	if (text == NULL)
		return -ENOMEM;
	int error = file_read(fd, text, DOCUMENT_SIZE_MAX + 1, &len);
	if (error == 0) {
		*ret = bytes_of(text, len);
		return 0;
	}
	seal_wipe(text, len);
	free(text);
	return error;
}

static bool load(struct document *document, int fd)
{
	const char *path = document->source.path;
	int error = fstat(fd, &document->stat) < 0 ? -errno : 0;
	if (error == 0)
		error = read_text(fd, &document->source.text);
	if (error != 0) {
		report_add_plain(
			document->report, "cannot read %s: %s", path, file_error_text(error));
		return false;
	}
	if (document->source.text.len > DOCUMENT_SIZE_MAX) {
		report_add_plain(document->report, "%s: larger than 1 MiB", path);
		return false;
	}
	return parse(document);
}

struct document *document_open(const char *path, struct report *report)
{
	int fd = file_open(path);
	if (fd < 0) {
		report_add_plain(report, "cannot open %s: %s", path, file_error_text(fd));
		return NULL;
	}
	struct document *document = document_new(path, report);
	bool is_good = document != NULL && load(document, fd);
	if (document == NULL)
		report_add_plain(report, "%s: out of memory", path);
	close(fd);
	if (is_good)
		return document;
	document_free(document);
	return NULL;
}

static struct span place_of(const struct document *document, const struct json *value,
	enum document_part part, char *pointer, size_t size)
{
	size_t path[SCAN_DEPTH_MAX], n_path = 0;
	struct span name = { 0, 0 }, at = { 0, 0 };
	if (!json_find(document->root, value, path, SCAN_DEPTH_MAX, &n_path, pointer, size) ||
		!locate(document->source.text, path, n_path, &name, &at))
		pointer[0] = '\0';
	if (part == DOCUMENT_NAME)
		return name;
	return part == DOCUMENT_VALUE ? at : (struct span){ at.start, at.start + 1 };
}

__attribute__((format(printf, 5, 0))) static void add_error(struct document *document,
	const struct json *value, enum document_part part, bool is_subject, const char *format,
	va_list args)
{
	char pointer[POINTER_MAX];
	struct report_place place = {
		.source = &document->source,
		.at = place_of(document, value, part, pointer, sizeof pointer),
		.slug = "value",
		.pointer = pointer,
		.is_subject = is_subject,
	};
	report_add_list(document->report, &place, format, args);
}

void document_error(struct document *document, const struct json *value, enum document_part part,
	const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add_error(document, value, part, false, format, args);
	va_end(args);
}

void document_error_bare(struct document *document, const struct json *value,
	enum document_part part, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add_error(document, value, part, true, format, args);
	va_end(args);
}

const char *document_pointer(
	const struct document *document, const struct json *value, char *to, size_t size)
{
	place_of(document, value, DOCUMENT_VALUE, to, size);
	return to;
}

size_t document_line(const struct document *document, const struct json *value)
{
	char pointer[POINTER_MAX];
	struct span at = place_of(document, value, DOCUMENT_NAME, pointer, sizeof pointer);
	return report_line(document->source.text, at.start);
}

const char *document_raw(
	const struct document *document, const struct json *value, char *to, size_t size)
{
	char pointer[POINTER_MAX];
	struct span at = place_of(document, value, DOCUMENT_VALUE, pointer, sizeof pointer);
	snprintf(to, size, "%.*s", (int)(at.end - at.start),
		(const char *)document->source.text.ptr + at.start);
	return to;
}

char *document_path(struct document *document, const struct json *value)
{
	const char *text = json_string(value), *folder = document->folder, *prefix = "";
	char *path = NULL;
	if (strncmp(text, CREDENTIALS, strlen(CREDENTIALS)) == 0) {
		prefix = getenv("CREDENTIALS_DIRECTORY");
		text += strlen(CREDENTIALS);
		if (prefix == NULL || *prefix == '\0') {
			document_error(document, value, DOCUMENT_VALUE,
				"%s is not set; hint: systemd sets it for a unit with "
				"LoadCredential=",
				CREDENTIALS);
			return NULL;
		}
	}
	if (strstr(text, "${") != NULL) {
		document_error(document, value, DOCUMENT_VALUE,
			"only %s, at the beginning, is expanded in a path", CREDENTIALS);
		return NULL;
	}
	if (*prefix != '\0' || *text == '/')
		folder = "";
	else if (*folder == '\0' && strcmp(text, "-") == 0)
		folder = "./"; /* a file of that name; not stdin */
	if (asprintf(&path, "%s%s%s", folder, prefix, text) < 0) {
		document_error(document, value, DOCUMENT_VALUE, "out of memory");
		return NULL;
	}
	return path;
}

void document_require_private(struct document *document)
{
	char why[KEY_WHY_MAX];
	if (document->is_mode_told)
		return;
	document->is_mode_told = true;
	if (!key_file_is_private(document->source.path, &document->stat, why))
		report_add_plain(document->report, "%s", why);
}
