#include "config/cli.h"

#include "config/report.h"
#include "config/suggest.h"

#include <getopt.h>
#include <stdlib.h>

#define OPTIONS_MAX  40
#define LONG_BASE    256 /* what getopt_long() returns for option i */
#define HELP_VALUE   (LONG_BASE + OPTIONS_MAX)
#define GROUP_WIDTH  10
#define OPTION_WIDTH 25

bool cli_wrong(const struct cli *cli, const char *format, ...)
{
	char sentence[512];
	va_list args;
	va_start(args, format);
	vsnprintf(sentence, sizeof sentence, format, args);
	report_clean(sentence);
	va_end(args);
	fprintf(stderr, "%s: %s\nTry '%s --help'.\n", cli->program, sentence, cli->program);
	return false;
}

static void print_option(const struct cli_option *o)
{
	char left[64], letter[8] = "    ";
	if (o->letter != 0)
		snprintf(letter, sizeof letter, "-%c, ", o->letter);
	snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument != NULL ? " " : "",
		o->argument != NULL ? o->argument : "");
	printf("%-*s%-*s%s%s", GROUP_WIDTH, o->group != NULL ? o->group : "", OPTION_WIDTH - 1,
		left, strlen(left) < OPTION_WIDTH ? " " : "  ", o->help);
	if (o->standard != NULL)
		printf(" [%s]", o->standard);
	putchar('\n');
}

void cli_print_options(const struct cli *cli)
{
	for (size_t i = 0; i < cli->n_options; i++) {
		if (cli->options[i].help != NULL)
			print_option(&cli->options[i]);
	}
}

void cli_print_help(const struct cli *cli)
{
	printf("%s\n", cli->head);
	cli_print_options(cli);
	printf("%s\n", cli->foot);
}

/* What getopt_long() wants, made from the table. */
struct getopt_table {
	struct option longs[OPTIONS_MAX + 2];
	char shorts[2 * OPTIONS_MAX + 4];
};

static void make_table(const struct cli *cli, struct getopt_table *table)
{
	char *s = table->shorts;
	*s++ = ':';
	*s++ = 'h';
	for (size_t i = 0; i < cli->n_options; i++) {
		const struct cli_option *o = &cli->options[i];
		table->longs[i] = (struct option){ o->name,
			o->argument != NULL ? required_argument : no_argument, NULL,
			(int)(LONG_BASE + i) };
		if (o->letter == 0)
			continue;
		*s++ = o->letter;
		if (o->argument != NULL)
			*s++ = ':';
	}
	*s = '\0';
	table->longs[cli->n_options] = (struct option){ "help", no_argument, NULL, HELP_VALUE };
	table->longs[cli->n_options + 1] = (struct option){ 0 };
}

/* The option getopt_long() means by @value, or n_options. */
static size_t find_option(const struct cli *cli, int value)
{
	size_t i = 0;
	if (value >= LONG_BASE && value < LONG_BASE + (int)cli->n_options)
		return (size_t)(value - LONG_BASE);
	while (i < cli->n_options && (value == 0 || cli->options[i].letter != value))
		i++;
	return i;
}

static bool tell_no_argument(const struct cli *cli, int value)
{
	size_t i = find_option(cli, value);
	if (i == cli->n_options)
		return cli_wrong(cli, "an option needs an argument");
	return cli_wrong(cli, "--%s needs %s", cli->options[i].name, cli->options[i].argument);
}

static bool tell_unknown_long(const struct cli *cli, const char *text)
{
	const char *names[OPTIONS_MAX + 1];
	char name[64];
	report_quote(text, name, sizeof name);
	name[strcspn(name, "=")] = '\0';
	for (size_t i = 0; i < cli->n_options; i++)
		names[i] = cli->options[i].name;
	names[cli->n_options] = "help";
	const char *meant = suggest(name + 2, names, cli->n_options + 1);
	if (meant != NULL)
		return cli_wrong(cli, "unknown option %s; did you mean --%s?", name, meant);
	return cli_wrong(cli, "unknown option %s", name);
}

/* @text: the argument getopt_long() was at; @value: its optopt. */
static bool tell_unknown(const struct cli *cli, const char *text, int value)
{
	if (value == 0)
		return tell_unknown_long(cli, text);
	size_t i = find_option(cli, value);
	if (i < cli->n_options)
		return cli_wrong(cli, "--%s takes no argument", cli->options[i].name);
	if (value == HELP_VALUE)
		return cli_wrong(cli, "--help takes no argument");
	if (value < 0x20 || value > 0x7e)
		return cli_wrong(cli, "unknown option");
	return cli_wrong(cli, "unknown option -%c", value);
}

enum cli_result cli_parse(const struct cli *cli, int argc, char **argv, cli_option_fn *on_option,
	void *owner, int *ret_n_rest)
{
	struct getopt_table table = { 0 };
	make_table(cli, &table);
	optind = 0; /* glibc: begin anew */
	opterr = 0;
	for (;;) {
		int value = getopt_long(argc, argv, table.shorts, table.longs, NULL);
		if (value == -1)
			break;
		if (value == 'h' || value == HELP_VALUE) {
			cli_print_help(cli);
			return CLI_HELPED;
		}
		bool is_good = value == ':'   ? tell_no_argument(cli, optopt)
			       : value == '?' ? tell_unknown(cli, argv[optind - 1], optopt)
					      : on_option(find_option(cli, value), optarg, owner);
		if (!is_good)
			return CLI_WRONG;
	}
	*ret_n_rest = argc - optind;
	return CLI_GOOD;
}

void cli_unknown_command(
	const struct cli *cli, const char *command, const char *const *commands, size_t n)
{
	char shown[64];
	const char *meant = suggest(command, commands, n);
	report_quote(command, shown, sizeof shown);
	if (meant != NULL)
		cli_wrong(cli, "unknown command \"%s\"; did you mean \"%s\"?", shown, meant);
	else
		cli_wrong(cli, "unknown command \"%s\"", shown);
}

bool cli_words_add(const struct cli *cli, struct cli_words *words, const char *word)
{
	const char **longer = reallocarray(words->words, words->n_words + 1, sizeof *words->words);
	if (longer == NULL)
		return cli_wrong(cli, "out of memory");
	words->words = longer;
	longer[words->n_words++] = word;
	return true;
}

void cli_words_deinit(struct cli_words *words)
{
	free(words->words);
	*words = (struct cli_words){ 0 };
}

char *cli_split(const char *text, const char **ret_second)
{
	const char *comma = strchr(text, ',');
	if (comma == NULL || comma == text || comma[1] == '\0')
		return NULL;
	*ret_second = comma + 1;
	return strndup(text, (size_t)(comma - text));
}
