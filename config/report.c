#include "config/report.h"

#include "common/utf8.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

#define ITEMS_MAX    1000 /* beyond, errors are only counted */
#define WINDOW       100  /* columns shown of a long line */
#define CARET_MAX    60
#define SENTENCE_MAX 512
#define POINTER_MAX  256

/* One error in parts; texts are owned, and each may be NULL. */
struct finding {
	char *pointer, *message, *hint;
	const char *slug; /* static */
	size_t line, column;
};

struct item {
	char *text; /* owned */
	struct finding finding;
	size_t i_file; /* files in the order of their first error */
	size_t at;
	size_t n_before;
};

struct report {
	const char *program;
	struct item *items; /* owned */
	size_t n_items, n_errors;
	char **files; /* owned */
	size_t n_files;
	struct report_finding *findings; /* owned; what was last given out */
};

struct report *report_new(const char *program)
{
	struct report *report = calloc(1, sizeof *report);
	if (report != NULL)
		report->program = program;
	return report;
}

static void item_deinit(struct item *item)
{
	free(item->text);
	free(item->finding.pointer);
	free(item->finding.message);
	free(item->finding.hint);
}

void report_free(struct report *report)
{
	if (report == NULL)
		return;
	for (size_t i = 0; i < report->n_items; i++)
		item_deinit(&report->items[i]);
	for (size_t i = 0; i < report->n_files; i++)
		free(report->files[i]);
	free(report->items);
	free(report->files);
	free(report->findings);
	free(report);
}

size_t report_n_errors(const struct report *report)
{
	return report->n_errors;
}

/* C0 and C1 alike reach a terminal, and a byte that is not UTF-8 may be C1 to it. @ret_len: bytes
 * of the character at @p. */
static bool is_shown(const char *p, size_t *ret_len)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t len = utf8_length(u, strnlen(p, 4));
	*ret_len = len > 0 ? len : 1;
	return len > 0 && u[0] >= 0x20 && u[0] != 0x7f && (u[0] != 0xc2 || u[1] >= 0xa0);
}

void report_clean(char *text)
{
	char *to = text;
	for (size_t len; *text != '\0'; text += len) {
		if (is_shown(text, &len))
			to = (char *)memmove(to, text, len) + len;
		else
			*to++ = '?';
	}
	*to = '\0';
}

const char *report_quote(const char *text, char *to, size_t size)
{
	size_t len = strnlen(text, size - 1);
	/* A cut inside of a character would not be UTF-8 any more. */
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	memcpy(to, text, len);
	to[len] = '\0';
	report_clean(to);
	return to;
}

size_t report_line(struct bytes text, size_t at)
{
	size_t line = 1;
	for (size_t i = 0; i < at && i < text.len; i++)
		line += text.ptr[i] == '\n';
	return line;
}

/* Takes @item's texts. Without memory the error still counts. */
static void add_item(struct report *report, struct item item)
{
	item.n_before = report->n_items;
	report->n_errors++;
	struct item *items = NULL;
	if (item.text != NULL && report->n_items < ITEMS_MAX)
		items = reallocarray(report->items, report->n_items + 1, sizeof *items);
	if (items == NULL) {
		item_deinit(&item);
		return;
	}
	report->items = items;
	items[report->n_items++] = item;
}

/* "MESSAGE; hint: HINT" */
static struct finding split(const char *sentence, const char *pointer, const char *slug)
{
	static const char mark[] = "; hint: ";
	const char *hint = strstr(sentence, mark);
	size_t len = hint != NULL ? (size_t)(hint - sentence) : strlen(sentence);
	return (struct finding){
		.slug = slug,
		.pointer = pointer != NULL && *pointer != '\0' ? strdup(pointer) : NULL,
		.message = strndup(sentence, len),
		.hint = hint != NULL ? strdup(hint + strlen(mark)) : NULL,
	};
}

static size_t find_file(struct report *report, const char *path)
{
	for (size_t i = 0; i < report->n_files; i++) {
		if (strcmp(report->files[i], path) == 0)
			return i + 1;
	}
	char **files = reallocarray(report->files, report->n_files + 1, sizeof *files);
	if (files == NULL)
		return report->n_files;
	report->files = files;
	files[report->n_files] = strdup(path);
	if (files[report->n_files] != NULL)
		report->n_files++;
	return report->n_files;
}

static bool is_base64(char c)
{
	return isalnum((unsigned char)c) || c == '+' || c == '/' || c == '=';
}

/* "key": "…": the value. */
static void mask_member(char *line)
{
	for (char *p = line; (p = strstr(p, "\"key\"")) != NULL;) {
		p += strlen("\"key\"");
		p += strspn(p, " \t");
		if (*p != ':')
			continue;
		p++;
		p += strspn(p, " \t");
		if (*p != '"')
			continue;
		for (p++; *p != '\0' && *p != '"'; p++)
			*p = '*';
	}
}

/* A source line may hold a key beside what is wrong; whoever sees the message shall not see it. */
static void mask_keys(char *line)
{
	mask_member(line);
	for (char *p = line; (p = strstr(p, "hc1:")) != NULL;) {
		for (p += strlen("hc1:"); is_base64(*p); p++)
			*p = '*';
	}
}

struct line {
	char *text;   /* masked copy; owned */
	size_t start; /* its position in the source */
	size_t number, column;
};

/* Columns count characters, not bytes. */
static size_t n_characters(const char *text, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

static struct line find_line(struct bytes source, size_t at)
{
	struct line line = { .number = report_line(source, at) };
	const char *text = (const char *)source.ptr;
	size_t end = at;
	if (at > source.len)
		end = at = source.len;
	line.start = at;
	while (line.start > 0 && text[line.start - 1] != '\n')
		line.start--;
	while (end < source.len && text[end] != '\n' && text[end] != '\r')
		end++;
	line.column = 1 + n_characters(text + line.start, at - line.start);
	line.text = strndup(text + line.start, end - line.start);
	if (line.text != NULL)
		mask_keys(line.text);
	return line;
}

/* Steps over @n characters. */
static const char *step(const char *text, size_t n)
{
	for (; n > 0 && *text != '\0'; n--) {
		text++;
		while (((unsigned char)*text & 0xc0) == 0x80)
			text++;
	}
	return text;
}

/* The part of the line around the caret, fit for a terminal. */
static void print_source(FILE *to, const struct line *line, size_t n_marked)
{
	size_t first = line->column > WINDOW - CARET_MAX / 2 ? line->column - WINDOW / 2 : 1;
	const char *from = step(line->text, first - 1), *end = step(from, WINDOW);
	const char *mark = step(from, line->column - first);
	fprintf(to, "%5zu | %s", line->number, first > 1 ? "…" : "");
	for (const char *p = from, *next; p < end; p = next) {
		size_t len;
		next = step(p, 1);
		if (*p == '\t' && next == p + 1)
			fputc('\t', to);
		else if (is_shown(p, &len) && len == (size_t)(next - p))
			(void)fwrite(p, 1, len, to);
		else
			fputc('?', to);
	}
	fprintf(to, "%s\n      | %s", *end != '\0' ? "…" : "", first > 1 ? " " : "");
	for (const char *p = from; p < mark; p = step(p, 1))
		fputc(*p == '\t' ? '\t' : ' ', to);
	fputc('^', to);
	for (size_t i = 1; i < n_marked && i < CARET_MAX; i++)
		fputc('~', to);
	fputc('\n', to);
}

static size_t n_marked(struct bytes source, struct span at)
{
	size_t end = at.start;
	while (end < at.end && end < source.len && source.ptr[end] != '\n')
		end++;
	return end > at.start ? n_characters((const char *)source.ptr + at.start, end - at.start)
			      : 1;
}

/* The whole error as it is printed; heap. Return: NULL without memory. */
static char *print_error(const struct report_place *place, const struct line *line,
	const char *pointer, const char *sentence)
{
	char *text = NULL;
	size_t size = 0;
	char path[PATH_MAX];
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return NULL;
	fprintf(to, "%s:%zu:%zu: error: %s%s%s\n",
		report_quote(place->source->path, path, sizeof path), line->number, line->column,
		pointer, *pointer != '\0' ? ": " : "", sentence);
	if (line->text != NULL)
		print_source(to, line, n_marked(place->source->text, place->at));
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

void report_add_list(
	struct report *report, const struct report_place *place, const char *format, va_list args)
{
	char sentence[SENTENCE_MAX], pointer[POINTER_MAX];
	const struct source *source = place->source;
	struct line line = find_line(source->text, place->at.start);
	vsnprintf(sentence, sizeof sentence, format, args);
	report_clean(sentence);
	report_quote(place->pointer != NULL ? place->pointer : "", pointer, sizeof pointer);
	struct item item = {
		.text = print_error(place, &line, place->is_subject ? "" : pointer, sentence),
		.finding = split(sentence, pointer, place->slug),
		.i_file = find_file(report, source->path),
		.at = place->at.start,
	};
	item.finding.line = line.number;
	item.finding.column = line.column;
	free(line.text);
	add_item(report, item);
}

void report_add(struct report *report, const struct report_place *place, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report_add_list(report, place, format, args);
	va_end(args);
}

void report_add_plain(struct report *report, const char *format, ...)
{
	char sentence[SENTENCE_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(sentence, sizeof sentence, format, args);
	report_clean(sentence);
	va_end(args);
	struct item item = {
		.finding = split(sentence, NULL, "file"), .i_file = report->n_files, .at = SIZE_MAX
	};
	if (asprintf(&item.text, "%s: %s\n", report->program, sentence) < 0)
		item.text = NULL;
	add_item(report, item);
}

static int by_place(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	if (x->i_file != y->i_file)
		return x->i_file < y->i_file ? -1 : 1;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->n_before < y->n_before ? -1 : 1;
}

static void sort(struct report *report)
{
	if (report->n_items > 0)
		qsort(report->items, report->n_items, sizeof *report->items, by_place);
}

void report_print(struct report *report, FILE *to)
{
	size_t n = report->n_items < REPORT_SHOWN_MAX ? report->n_items : REPORT_SHOWN_MAX;
	sort(report);
	for (size_t i = 0; i < n; i++)
		fputs(report->items[i].text, to);
	if (report->n_errors > n)
		fprintf(to, "%s: %zu more error%s\n", report->program, report->n_errors - n,
			report->n_errors - n == 1 ? "" : "s");
	fflush(to);
}

size_t report_findings(struct report *report, const struct report_finding **ret)
{
	free(report->findings);
	report->findings = calloc(report->n_items, sizeof *report->findings);
	*ret = report->findings;
	if (report->findings == NULL)
		return 0;
	sort(report);
	for (size_t i = 0; i < report->n_items; i++) {
		const struct item *item = &report->items[i];
		const struct finding *f = &item->finding;
		report->findings[i] = (struct report_finding){
			.file = f->line > 0 && item->i_file > 0 ? report->files[item->i_file - 1]
								: NULL,
			.line = f->line,
			.column = f->column,
			.pointer = f->pointer,
			.slug = f->slug,
			.message = f->message,
			.hint = f->hint,
		};
	}
	return report->n_items;
}
