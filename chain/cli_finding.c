#include "chain/cli_finding.h"

#include "chain/cli_fit.h"
#include "chain/cli_json.h"
#include "chain/cli_wrap.h"
#include "config/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SECTION_WIDTH 8
#define LEVEL_WIDTH   9
#define INDENT        "                 "

static const struct {
	const char *name, *color;
} levels[] = {
	[CLI_FINDING_OK] = { "ok", "\033[32m" },
	[CLI_FINDING_WARNING] = { "warning", "\033[33m" },
	[CLI_FINDING_PROBLEM] = { "problem", "\033[31m" },
};

struct item {
	struct cli_finding finding; /* its remedy is owned */
	char *text;                 /* owned */
};

struct cli_findings {
	struct item *items; /* owned */
	size_t n_items;
	bool is_short; /* memory ran out */
};

struct cli_findings *cli_findings_new(void)
{
	return calloc(1, sizeof(struct cli_findings));
}

void cli_findings_free(struct cli_findings *findings)
{
	if (findings == NULL)
		return;
	for (size_t i = 0; i < findings->n_items; i++) {
		free((char *)findings->items[i].finding.remedy);
		free(findings->items[i].text);
	}
	free(findings->items);
	free(findings);
}

void cli_findings_add(
	struct cli_findings *findings, const struct cli_finding *finding, const char *format, ...)
{
	struct item item = { .finding = *finding };
	struct item *items =
		reallocarray(findings->items, findings->n_items + 1, sizeof *findings->items);
	va_list args;
	if (items == NULL) {
		findings->is_short = true;
		return;
	}
	findings->items = items;
	va_start(args, format);
	if (vasprintf(&item.text, format, args) < 0)
		item.text = NULL;
	va_end(args);
	if (finding->remedy != NULL)
		item.finding.remedy = strdup(finding->remedy);
	findings->is_short = findings->is_short || item.text == NULL ||
			     (finding->remedy != NULL && item.finding.remedy == NULL);
	items[findings->n_items++] = item;
}

int cli_findings_exit_code(const struct cli_findings *findings)
{
	for (size_t i = 0; i < findings->n_items; i++) {
		const struct cli_finding *f = &findings->items[i].finding;
		if (f->level == CLI_FINDING_PROBLEM)
			return f->exit_code;
	}
	return findings->is_short ? 1 : 0;
}

static size_t count(const struct cli_findings *findings, enum cli_finding_level level)
{
	size_t n = 0;
	for (size_t i = 0; i < findings->n_items; i++)
		n += findings->items[i].finding.level == level;
	return n;
}

struct look {
	size_t width;
	bool has_color, is_utf8;
};

static void wrap(const char *text, size_t column, const char *indent, const struct look *look)
{
	char *shown = strdup(text != NULL ? text : "");
	if (shown == NULL)
		return;
	report_clean(shown); /* there are paths in it */
	if (!look->is_utf8)
		cli_fit_clean(text != NULL ? text : "", false, shown, strlen(shown) + 1);
	cli_wrap(stdout, shown, column, indent, look->width);
	free(shown);
}

static void print_item(const struct item *item, bool is_first, const struct look *look)
{
	const struct cli_finding *f = &item->finding;
	const char *name = levels[f->level].name;
	printf("%-*s", SECTION_WIDTH, is_first ? f->section : "");
	printf("%s%s%s%*s", look->has_color ? levels[f->level].color : "", name,
		look->has_color ? "\033[0m" : "", (int)(LEVEL_WIDTH - strlen(name)), "");
	wrap(item->text, strlen(INDENT), INDENT, look);
	if (f->remedy == NULL)
		return;
	fputs(look->is_utf8 ? INDENT "\xe2\x86\x92 " : INDENT "-> ", stdout);
	if (look->is_utf8)
		wrap(f->remedy, strlen(INDENT) + 2, INDENT "  ", look);
	else
		wrap(f->remedy, strlen(INDENT) + 3, INDENT "   ", look);
}

void cli_findings_print(const struct cli_findings *findings, size_t width, bool has_color)
{
	const struct look look = { width, has_color, cli_fit_start() };
	const char *section = "";
	size_t n_warnings = count(findings, CLI_FINDING_WARNING);
	size_t n_problems = count(findings, CLI_FINDING_PROBLEM);
	for (size_t i = 0; i < findings->n_items; i++) {
		const struct item *item = &findings->items[i];
		print_item(item, strcmp(section, item->finding.section) != 0, &look);
		section = item->finding.section;
	}
	printf("\n%zu problem%s, %zu warning%s\n", n_problems, n_problems == 1 ? "" : "s",
		n_warnings, n_warnings == 1 ? "" : "s");
}

void cli_findings_print_json(const struct cli_findings *findings)
{
	struct cli_json json;
	cli_json_init(&json, stdout, false);
	cli_json_begin_object(&json, NULL);
	cli_json_integer(&json, "exit_code", cli_findings_exit_code(findings));
	cli_json_unsigned(&json, "problems", count(findings, CLI_FINDING_PROBLEM));
	cli_json_unsigned(&json, "warnings", count(findings, CLI_FINDING_WARNING));
	cli_json_begin_array(&json, "findings");
	for (size_t i = 0; i < findings->n_items; i++) {
		const struct cli_finding *f = &findings->items[i].finding;
		cli_json_begin_object(&json, NULL);
		cli_json_string(&json, "section", f->section);
		cli_json_string(&json, "level", levels[f->level].name);
		if (f->hop > 0)
			cli_json_unsigned(&json, "hop", f->hop);
		else
			cli_json_null(&json, "hop");
		cli_json_string(&json, "slug", f->slug);
		cli_json_string(&json, "found", findings->items[i].text);
		cli_json_string(&json, "remedy", f->remedy);
		cli_json_end_object(&json);
	}
	cli_json_end_array(&json);
	cli_json_end_object(&json);
}
