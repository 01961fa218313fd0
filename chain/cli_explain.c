#include "chain/cli_commands.h"
#include "chain/cli_json.h"
#include "chain/cli_wrap.h"
#include "chain/hopchain.h"
#include "config/report.h"
#include "config/suggest.h"

#include <stdlib.h>

#define CODE_TEXT 16

static const struct cli_option options[] = {
	{ "json", 0, NULL, NULL, "the whole table as one JSON document", NULL },
	{ "scdoc", 0, NULL, NULL, NULL, NULL },
};

static const struct cli cli = {
	.program = "chain explain",
	.head = "Usage: chain explain [SLUG...]\n"
		"Say what a word like no-answer means, and what to do about it.\n"
		"\n"
		"  chain explain               all of them, one a line\n"
		"  chain explain no-answer     its page; its number does as well: 0x20\n",
	.foot = "See also: man 7 hopchain-status, chain doctor",
	.options = options,
	.n_options = sizeof options / sizeof options[0],
};

struct flags {
	bool is_json, is_scdoc;
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	(void)argument;
	if (i == 0)
		flags->is_json = true;
	else
		flags->is_scdoc = true;
	return true;
}

static const char *code_text(const struct hopchain_status *status, char to[CODE_TEXT])
{
	if (status->code < 0)
		return "-";
	snprintf(to, CODE_TEXT, "0x%02x", (unsigned)status->code);
	return to;
}

static void print_list(void)
{
	char code[CODE_TEXT];
	printf("%-16s %-5s %-4s %s\n", "word", "code", "exit", "meaning");
	for (size_t i = 0; i < hopchain_n_statuses(); i++) {
		const struct hopchain_status *s = hopchain_status_at(i);
		printf("%-16s %-5s %-4d %s\n", s->slug, code_text(s, code), s->exit_code,
			s->summary);
	}
}

/* Steps of a remedy, one a line of @text. */
static void print_steps(const char *text, size_t width)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		char *step = strndup(text, len);
		if (step == NULL)
			return;
		printf("  - ");
		cli_wrap(stdout, step, 4, "    ", width);
		free(step);
		text += len + (text[len] == '\n');
	}
}

static void print_page(const struct hopchain_status *s, size_t width)
{
	char code[CODE_TEXT];
	printf("%s: %s\n", s->slug, s->summary);
	if (s->code >= 0)
		printf("code %s, ", code_text(s, code));
	printf("exit code %d\n\nWhat it means\n  ", s->exit_code);
	cli_wrap(stdout, s->meaning, 2, "  ", width);
	printf("\nWhat to do\n");
	print_steps(s->remedy, width);
}

static void print_json(void)
{
	struct cli_json json;
	cli_json_init(&json, stdout, false);
	cli_json_begin_array(&json, NULL);
	for (size_t i = 0; i < hopchain_n_statuses(); i++) {
		const struct hopchain_status *s = hopchain_status_at(i);
		cli_json_begin_object(&json, NULL);
		cli_json_string(&json, "slug", s->slug);
		if (s->code >= 0)
			cli_json_integer(&json, "code", s->code);
		else
			cli_json_null(&json, "code");
		cli_json_integer(&json, "exit_code", s->exit_code);
		cli_json_string(&json, "summary", s->summary);
		cli_json_string(&json, "meaning", s->meaning);
		cli_json_string(&json, "remedy", s->remedy);
		cli_json_end_object(&json);
	}
	cli_json_end_array(&json);
}

/* scdoc(5): what would be markup is escaped; a line break is one between steps. */
static void put_scdoc(const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("\\*_`#[]|", *text) != NULL)
			putchar('\\');
		putchar(*text);
	}
}

static void print_scdoc_steps(const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		char *step = strndup(text, len);
		if (step == NULL)
			return;
		printf("- ");
		put_scdoc(step);
		putchar('\n');
		free(step);
		text += len + (text[len] == '\n');
	}
}

static void print_scdoc(void)
{
	char code[CODE_TEXT];
	printf("hopchain-status(7)\n\n# NAME\n\n"
	       "hopchain-status - what hops answer, why a chain fails, and what to do\n\n"
	       "# DESCRIPTION\n\n"
	       "Every failure of a chain has one word. It stands in the sentence a program prints, "
	       "in the logs of *access*(1) and *hop*(1), and in the JSON of *chain*(1). Codes are "
	       "those of the protocol; words without a code are said by the client alone. Exit "
	       "codes are those of *chain*(1) when the last hop says the word, or when it happens "
	       "here; said by an earlier hop, a status ends with 6, and what fails on the way to "
	       "the first hop ends with 5.\n\n"
	       "*chain explain* _WORD_ shows one page.\n\n# STATUSES\n\n");
	for (size_t i = 0; i < hopchain_n_statuses(); i++) {
		const struct hopchain_status *s = hopchain_status_at(i);
		printf("## %s\n\n", s->slug);
		put_scdoc(s->summary);
		printf(". ");
		if (s->code >= 0)
			printf("Code %s, exit code %d.\n\n", code_text(s, code), s->exit_code);
		else
			printf("Exit code %d.\n\n", s->exit_code);
		put_scdoc(s->meaning);
		printf("\n\n");
		print_scdoc_steps(s->remedy);
		printf("\n");
	}
	printf("# SEE ALSO\n\n*chain*(1), *access*(1), *hop*(1)\n");
}

static enum cli_exit tell_unknown(const char *slug)
{
	char shown[64];
	size_t n = hopchain_n_statuses();
	const char **slugs = calloc(n, sizeof *slugs);
	for (size_t i = 0; slugs != NULL && i < n; i++)
		slugs[i] = hopchain_status_at(i)->slug;
	const char *meant = slugs != NULL ? suggest(slug, slugs, n) : NULL;
	report_quote(slug, shown, sizeof shown);
	if (meant != NULL)
		cli_wrong(&cli, "no status \"%s\"; did you mean \"%s\"?", shown, meant);
	else
		cli_wrong(&cli, "no status \"%s\"; chain explain lists all", shown);
	free(slugs);
	return CLI_USAGE;
}

static enum cli_exit print_pages(int n, char **slugs)
{
	size_t width = cli_wrap_width();
	for (int i = 0; i < n; i++) {
		if (hopchain_status_find(slugs[i]) == NULL)
			return tell_unknown(slugs[i]);
	}
	for (int i = 0; i < n; i++) {
		printf("%s", i > 0 ? "\n" : "");
		print_page(hopchain_status_find(slugs[i]), width);
	}
	return CLI_OK;
}

static enum cli_exit run(int argc, char **argv)
{
	struct flags flags = { 0 };
	int n_rest = 0;
	enum cli_result parsed = cli_parse(&cli, argc, argv, on_option, &flags, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (n_rest > 0 && (flags.is_json || flags.is_scdoc)) {
		cli_wrong(&cli, "--json prints the whole table: it takes no SLUG");
		return CLI_USAGE;
	}
	if (flags.is_json)
		print_json();
	else if (flags.is_scdoc)
		print_scdoc();
	else if (n_rest == 0)
		print_list();
	else
		return print_pages(n_rest, argv + argc - n_rest);
	return CLI_OK;
}

const struct cli_command cli_explain_command = {
	.name = "explain",
	.help = "what a word like no-answer means, and what to do",
	.cli = &cli,
	.operands = "[SLUG...]",
	.run = run,
};
