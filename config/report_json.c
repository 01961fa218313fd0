#include "common/json_text.h"
#include "config/report.h"

static void put_member(FILE *to, const char *name, const char *text)
{
	fprintf(to, ", \"%s\": ", name);
	json_text_put(to, text);
}

static void put_number(FILE *to, const char *name, size_t number)
{
	if (number > 0)
		fprintf(to, ", \"%s\": %zu", name, number);
	else
		fprintf(to, ", \"%s\": null", name);
}

void report_print_json(struct report *report, const char *file, size_t *n_before, FILE *to)
{
	const struct report_finding *findings;
	size_t n = report_findings(report, &findings);
	for (size_t i = 0; i < n; i++) {
		const struct report_finding *f = &findings[i];
		fputs((*n_before)++ > 0 ? ",\n  {\"file\": " : "\n  {\"file\": ", to);
		json_text_put(to, f->file != NULL ? f->file : file);
		put_number(to, "line", f->line);
		put_number(to, "column", f->column);
		put_member(to, "pointer", f->pointer);
		put_member(to, "slug", f->slug);
		put_member(to, "message", f->message);
		put_member(to, "hint", f->hint);
		fputc('}', to);
	}
}
