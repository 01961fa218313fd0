#include "chain/cli_commands.h"
#include "chain/cli_fit.h"
#include "chain/cli_measure.h"
#include "chain/cli_screen.h"
#include "chain/cli_trace_format.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define REPORT_ROUNDS 10
#define INTERVAL_MS   1000
#define INTERVAL_MIN  10
#define HELP_LINE     "q quit   p pause   r reset"

enum form {
	FORM_TABLE,
	FORM_JSON,
	FORM_CSV,
};

struct flags {
	struct cli_chain_flags chain;
	uint32_t n_rounds, interval_ms, timeout_ms;
	bool is_report, is_udp, is_strict;
	enum form form;
	const char *color;
};

struct run {
	struct cli_measure measure;
	const struct flags *flags;
	const struct hopchain_chain *chain;
	const char *target;
	struct hopchain_trace *trace; /* NULL: done */
	struct cli_screen *screen;    /* NULL: not live */
	time_t start;
	uint32_t n_rounds; /* to do; 0: no end */
	uint64_t n_done;   /* rounds */
	bool is_paused, is_utf8;
	enum cli_exit result;
};

static const struct cli_option options[] = {
	CLI_CHAIN_OPTIONS,
	{ "count", 'c', "N", "Measure", "rounds", "no end; 10 in a report" },
	{ "interval", 'i', "TIME", NULL, "from round to round", "1s" },
	{ "timeout", 0, "TIME", NULL, "of one probe", "10s" },
	{ "udp", 'u', NULL, NULL, "in datagrams", NULL },
	{ "report", 'r', NULL, "Show", "no live screen: the table at the end", NULL },
	{ "json", 0, NULL, NULL, "one JSON document, as mtr's and more", NULL },
	{ "csv", 0, NULL, NULL, "a line of names, and one a row", NULL },
	{ "strict", 0, NULL, NULL, "exit with 5 to 9 if a row fails", NULL },
	CLI_COLOR_OPTION,
};

static const struct cli cli = {
	.program = "chain trace",
	.head = "Usage: chain trace [options] [HOST:PORT]\n"
		"Measure every hop of a chain again and again: loss, time, and which hop adds it.\n"
		"\n"
		"  chain trace --chain chain.json                   live; q quits\n"
		"  chain trace -r -c 3 --chain chain.json web:443   three rounds, and the target\n"
		"\n"
		"Times are ms to the answer of each row. dial: the hop before resolves and\n"
		"connects; auth: the rest of what the row adds. Both of the last round.\n",
	.foot = "See also: chain ping, chain doctor, chain explain",
	.options = options,
	.n_options = sizeof options / sizeof options[0],
};

static bool set_form(struct flags *flags, enum form form)
{
	if (flags->form != FORM_TABLE && flags->form != form)
		return cli_wrong(&cli, "--json and --csv exclude each other");
	flags->form = form;
	return true;
}

static bool set_interval(struct flags *flags, const char *argument)
{
	if (!cli_measure_duration(&cli, "interval", argument, &flags->interval_ms))
		return false;
	return flags->interval_ms >= INTERVAL_MIN ||
	       cli_wrong(&cli, "--interval must be %d ms or more", INTERVAL_MIN);
}

static bool set_color(struct flags *flags, const char *argument)
{
	flags->color = argument;
	return strcmp(argument, "always") == 0 || strcmp(argument, "never") == 0 ||
	       strcmp(argument, "auto") == 0 ||
	       cli_wrong(&cli, "--color: \"%.40s\" is none of always, never, auto", argument);
}

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	const char *name = options[i].name;
	bool is_good = true;
	if (cli_chain_take(&cli, &flags->chain, name, argument, &is_good))
		return is_good;
	if (strcmp(name, "count") == 0)
		return cli_measure_count(&cli, name, argument, UINT32_MAX, &flags->n_rounds);
	if (strcmp(name, "interval") == 0)
		return set_interval(flags, argument);
	if (strcmp(name, "timeout") == 0)
		return cli_measure_duration(&cli, name, argument, &flags->timeout_ms);
	if (strcmp(name, "json") == 0)
		return set_form(flags, FORM_JSON);
	if (strcmp(name, "csv") == 0)
		return set_form(flags, FORM_CSV);
	if (strcmp(name, "color") == 0)
		return set_color(flags, argument);
	flags->is_udp = flags->is_udp || strcmp(name, "udp") == 0;
	flags->is_report = flags->is_report || strcmp(name, "report") == 0;
	flags->is_strict = flags->is_strict || strcmp(name, "strict") == 0;
	return true;
}

static struct cli_table table_of(const struct run *run)
{
	struct cli_table table = {
		.name = hopchain_chain_name(run->chain),
		.n_hops = hopchain_chain_n_hops(run->chain),
		.target = run->target,
		.is_udp = run->flags->is_udp,
		.is_paused = run->is_paused,
		.n_rounds = hopchain_trace_n_rounds(run->trace),
		.interval_ms = run->flags->interval_ms,
	};
	table.rows = hopchain_trace_rows(run->trace, &table.n_rows);
	return table;
}

static struct cli_style style_of(const struct run *run, unsigned width)
{
	return (struct cli_style){
		.width = width,
		.is_utf8 = run->is_utf8,
		.has_color = cli_wants_color(STDOUT_FILENO, run->flags->color),
	};
}

static void draw(unsigned width, FILE *to, void *owner)
{
	struct run *run = owner;
	if (run->trace == NULL)
		return;
	struct cli_table table = table_of(run);
	struct cli_style style = style_of(run, width);
	if (!cli_table_print(&table, &style, to))
		run->result = CLI_FAILED;
}

static void on_key(int key, void *owner)
{
	struct run *run = owner;
	if (run->trace == NULL)
		return;
	if (key == 'q' || key == 'Q') {
		hopchain_trace_stop(run->trace);
	} else if (key == 'p' || key == ' ') {
		run->is_paused = !run->is_paused;
		hopchain_trace_pause(run->trace, run->is_paused);
	} else if (key == 'r') {
		hopchain_trace_reset(run->trace);
	}
	cli_screen_change(run->screen);
}

static void print_document(const struct run *run, const struct cli_table *table)
{
	char source[HOST_NAME_MAX + 1] = "localhost";
	struct cli_trace_document document = { table, source, run->start };
	(void)gethostname(source, sizeof source - 1);
	if (run->flags->form == FORM_JSON)
		cli_trace_json(&document, stdout);
	else
		cli_trace_csv(&document, stdout);
}

/* Of the first row whose last probe failed. */
static enum cli_exit strict_exit(const struct cli_table *table)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		if (table->rows[i].error != NULL)
			return (enum cli_exit)table->rows[i].error->exit_code;
	}
	return CLI_OK;
}

static void finish(struct run *run)
{
	struct cli_table table = table_of(run);
	struct cli_style style = style_of(run, cli_screen_width());
	cli_screen_close(run->screen);
	run->screen = NULL;
	table.is_paused = false;
	if (run->flags->form != FORM_TABLE)
		print_document(run, &table);
	else if (!cli_table_print(&table, &style, stdout))
		run->result = CLI_FAILED;
	run->result = cli_measure_flush(run->result);
	if (run->result == CLI_OK && run->flags->is_strict)
		run->result = strict_exit(&table);
}

static void on_trace(struct hopchain_trace *trace, enum hopchain_trace_event event, void *owner)
{
	struct run *run = owner;
	(void)trace;
	run->n_done += event == HOPCHAIN_TRACE_ROUND;
	if (event != HOPCHAIN_TRACE_DONE) {
		if (run->screen != NULL)
			cli_screen_change(run->screen);
		return;
	}
	finish(run);
	run->trace = NULL;
	cli_measure_end(&run->measure);
}

static void on_signal(int signum, void *owner)
{
	struct run *run = owner;
	(void)signum;
	if (run->trace != NULL)
		hopchain_trace_stop(run->trace);
}

static void on_status(void *owner)
{
	struct run *run = owner;
	size_t n_rows, n_answer = 0;
	if (run->screen != NULL)
		cli_screen_change(run->screen);
	if (run->screen != NULL || run->trace == NULL)
		return;
	const struct hopchain_row *rows = hopchain_trace_rows(run->trace, &n_rows);
	for (size_t i = 0; i < n_rows; i++)
		n_answer += rows[i].has_times && rows[i].error == NULL;
	fprintf(stderr, "chain: round %" PRIu64 " of %" PRIu32 ", %zu row%s of %zu answer%s\n",
		hopchain_trace_n_rounds(run->trace), run->n_rounds, n_answer,
		n_answer == 1 ? "" : "s", n_rows, n_answer == 1 ? "s" : "");
}

/* The screen, if there shall be one, and the first round. */
static int start(struct run *run)
{
	const struct flags *flags = run->flags;
	const struct cli_screen_events events = { draw, on_key, run };
	bool is_live = isatty(STDOUT_FILENO) && !flags->is_report && flags->form == FORM_TABLE;
	run->n_rounds = flags->n_rounds > 0 || is_live ? flags->n_rounds : REPORT_ROUNDS;
	struct hopchain_trace_options trace = {
		.size = sizeof trace,
		.target = run->target,
		.is_udp = flags->is_udp,
		.n_rounds = run->n_rounds,
		.interval_ms = flags->interval_ms,
		.timeout_ms = flags->timeout_ms,
	};
	int error = hopchain_trace_start(run->measure.client, &trace, on_trace, run, &run->trace);
	if (error != 0 || !is_live)
		return error;
	error = cli_screen_open(&run->measure.loop, HELP_LINE, &events, &run->screen);
	if (error != 0)
		hopchain_trace_stop(run->trace);
	return 0;
}

static enum cli_exit run_trace(
	const struct hopchain_chain *chain, char **operands, int n_operands, void *owner)
{
	const struct flags *flags = owner;
	struct run run = {
		.flags = flags, .chain = chain, .start = time(NULL), .is_utf8 = cli_fit_start()
	};
	if (!cli_measure_target(&cli, chain, operands, n_operands, &run.target))
		return CLI_USAGE;
	const struct cli_measure_events events = { on_signal, on_status, &run };
	enum cli_exit result = cli_measure_open(&run.measure, chain, &events);
	if (result != CLI_OK)
		return result;
	int error = start(&run);
	if (error != 0) {
		fprintf(stderr, "chain: cannot trace: %s\n", hopchain_strerror(error));
		run.result = CLI_FAILED;
		cli_measure_end(&run.measure);
	}
	cli_measure_run(&run.measure);
	int signum = run.measure.signum;
	if (signum == SIGTERM || (signum == SIGINT && run.n_done == 0))
		return (enum cli_exit)(128 + signum);
	return run.result;
}

static enum cli_exit trace(int argc, char **argv)
{
	struct flags flags = { .interval_ms = INTERVAL_MS };
	const struct cli_chain_command command = {
		.cli = &cli,
		.on_option = on_option,
		.flags = &flags.chain,
		.max_operands = 1,
		.run = run_trace,
	};
	return cli_chain_run(&command, argc, argv, &flags);
}

const struct cli_command cli_trace_command = {
	.name = "trace",
	.help = "measure every hop of a chain, live",
	.cli = &cli,
	.operands = "[HOST:PORT]",
	.run = trace,
};
