#include "chain/cli_commands.h"
#include "chain/cli_measure.h"
#include "chain/cli_speed_format.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIME_MS     10000
#define STREAMS_MAX 128
#define LIVE_MS     200
#define SUMS_MAX    2
#define LABEL_MAX   400

struct flags {
	struct cli_chain_flags chain;
	uint32_t time_ms, n_streams;
	bool is_up_only, is_down_only, is_json;
};

struct run {
	struct cli_measure measure;
	const struct flags *flags;
	unsigned hop;
	struct cli_speed *speed; /* NULL: done */
	uv_timer_t live;
	bool has_heading;
	bool has_line; /* one that is not yet ended is on the terminal */
	struct cli_json json;
	struct cli_speed_span sums[SUMS_MAX];
	size_t n_sums;
	const char *slug; /* of the failure, or NULL */
	char *text;
	enum cli_exit result;
};

static const struct cli_option options[] = {
	CLI_CHAIN_OPTIONS,
	{ "time", 't', "TIME", "Measure", "of each direction", "10s" },
	{ "up", 0, NULL, NULL, "only to the last hop", NULL },
	{ "reverse", 'R', NULL, NULL, "only from the last hop", NULL },
	{ "parallel", 'P', "N", NULL, "streams at once", "1" },
	{ "json", 0, NULL, "Show", "one JSON document", NULL },
};

static const struct cli cli = {
	.program = "chain speed",
	.head = "Usage: chain speed [options]\n"
		"Measure how fast a chain moves bytes to its last hop, then back.\n"
		"\n"
		"  chain speed -t 5s -P 4 --chain chain.json\n",
	.foot = "See also: chain trace, chain ping",
	.options = options,
	.n_options = sizeof options / sizeof options[0],
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	const char *name = options[i].name;
	bool is_good = true;
	if (cli_chain_take(&cli, &flags->chain, name, argument, &is_good))
		return is_good;
	if (strcmp(name, "time") == 0)
		return cli_measure_duration(&cli, name, argument, &flags->time_ms);
	if (strcmp(name, "parallel") == 0)
		return cli_measure_count(&cli, name, argument, STREAMS_MAX, &flags->n_streams);
	flags->is_up_only = flags->is_up_only || strcmp(name, "up") == 0;
	flags->is_down_only = flags->is_down_only || strcmp(name, "reverse") == 0;
	flags->is_json = flags->is_json || strcmp(name, "json") == 0;
	if (flags->is_up_only && flags->is_down_only)
		return cli_wrong(&cli, "--up and --reverse exclude each other");
	return true;
}

static void wipe_line(struct run *run)
{
	if (run->has_line)
		fputs("\r\x1b[K", stdout);
	run->has_line = false;
}

static void on_live(uv_timer_t *timer)
{
	struct run *run = timer->data;
	struct cli_speed_span span;
	if (run->speed == NULL || !cli_speed_now(run->speed, &span))
		return;
	wipe_line(run);
	cli_speed_line(&span, stdout);
	fputs("  so far", stdout);
	fflush(stdout);
	run->has_line = true;
}

static void on_second(const struct cli_speed_span *span, void *owner)
{
	struct run *run = owner;
	if (run->flags->is_json) {
		cli_speed_json(&run->json, span);
		return;
	}
	wipe_line(run);
	if (!run->has_heading)
		fputs(cli_speed_heading(), stdout);
	run->has_heading = true;
	cli_speed_line(span, stdout);
	putchar('\n');
	fflush(stdout);
}

static void on_sum(const struct cli_speed_span *span, void *owner)
{
	struct run *run = owner;
	if (run->n_sums < SUMS_MAX)
		run->sums[run->n_sums++] = *span;
}

static const char *hint_of(const char *slug)
{
	if (strcmp(slug, "unsupported") == 0)
		return "that hop's version has no measuring service";
	if (strcmp(slug, "denied-cmd") == 0)
		return "that hop is run with --no-measure";
	return NULL;
}

static void on_failed(const struct hopchain_error *error, void *owner)
{
	struct run *run = owner;
	const char *hint = hint_of(error->slug);
	wipe_line(run);
	fflush(stdout);
	run->slug = error->slug;
	run->text = strdup(error->text);
	run->result = cli_chain_fail(error);
	if (hint != NULL)
		fprintf(stderr, "chain: hint: %s\n", hint);
}

static void end_document(struct run *run)
{
	struct cli_json *json = &run->json;
	cli_json_end_array(json);
	cli_json_begin_array(json, "sums");
	for (size_t i = 0; i < run->n_sums; i++)
		cli_speed_json(json, &run->sums[i]);
	cli_json_end_array(json);
	if (run->slug == NULL) {
		cli_json_null(json, "error");
	} else {
		cli_json_begin_object(json, "error");
		cli_json_string(json, "slug", run->slug);
		cli_json_string(json, "text", run->text);
		cli_json_end_object(json);
	}
	cli_json_end_object(json);
}

static void on_done(void *owner)
{
	struct run *run = owner;
	run->speed = NULL;
	wipe_line(run);
	if (run->flags->is_json)
		end_document(run);
	else if (run->n_sums > 0)
		putchar('\n');
	for (size_t i = 0; i < run->n_sums && !run->flags->is_json; i++) {
		cli_speed_line(&run->sums[i], stdout);
		puts("  in all");
		if (run->sums[i].has_count)
			cli_speed_verdict(&run->sums[i], run->hop, stdout);
	}
	run->result = cli_measure_flush(run->result);
	uv_close((uv_handle_t *)&run->live, NULL);
	cli_measure_end(&run->measure);
}

static void on_signal(int signum, void *owner)
{
	struct run *run = owner;
	(void)signum;
	if (run->speed != NULL)
		cli_speed_stop(run->speed);
}

static void on_status(void *owner)
{
	struct run *run = owner;
	struct cli_speed_span span;
	if (run->speed == NULL)
		return;
	wipe_line(run);
	fflush(stdout);
	if (cli_speed_now(run->speed, &span))
		cli_speed_status(&span, stderr);
	else
		fprintf(stderr, "chain: %s\n", cli_speed_phase(run->speed));
}

static void begin_document(struct run *run, const struct hopchain_chain *chain)
{
	struct cli_json *json = &run->json;
	cli_json_init(json, stdout, false);
	cli_json_begin_object(json, NULL);
	cli_json_begin_object(json, "hopchain");
	cli_json_integer(json, "version", 1);
	cli_json_string(json, "software", hopchain_version());
	cli_json_string(json, "chain", hopchain_chain_name(chain));
	cli_json_unsigned(json, "hops", run->hop);
	cli_json_string(json, "address", hopchain_chain_hop_address(chain, run->hop));
	cli_json_unsigned(json, "streams", run->flags->n_streams);
	cli_json_unsigned(json, "time_ms", run->flags->time_ms);
	cli_json_boolean(json, "is_sealed", !hopchain_chain_is_header_only(chain));
	cli_json_end_object(json);
	cli_json_begin_array(json, "intervals");
}

static void print_head(const struct run *run, const struct hopchain_chain *chain)
{
	printf("hop %u (%s), %u stream%s, %s\n", run->hop,
		hopchain_chain_hop_address(chain, run->hop), (unsigned)run->flags->n_streams,
		run->flags->n_streams == 1 ? "" : "s",
		hopchain_chain_is_header_only(chain) ? "header-only" : "sealed");
	fflush(stdout);
}

static enum cli_exit run_speed(
	const struct hopchain_chain *chain, char **operands, int n_operands, void *owner)
{
	const struct flags *flags = owner;
	(void)operands, (void)n_operands;
	struct run run = { .flags = flags, .hop = (unsigned)hopchain_chain_n_hops(chain) };
	char label[LABEL_MAX];
	const struct cli_speed_options speed = { flags->time_ms, flags->n_streams,
		!flags->is_down_only, !flags->is_up_only, run.hop, label };
	const struct cli_measure_events signals = { on_signal, on_status, &run };
	const struct cli_speed_events events = { on_second, on_sum, on_failed, on_done, &run };
	snprintf(label, sizeof label, "hop %u (%s)", run.hop,
		hopchain_chain_hop_address(chain, run.hop));
	enum cli_exit result = cli_measure_open(&run.measure, chain, &signals);
	if (result != CLI_OK)
		return result;
	if (flags->is_json)
		begin_document(&run, chain);
	else
		print_head(&run, chain);
	uv_timer_init(&run.measure.loop, &run.live);
	run.live.data = &run;
	if (!flags->is_json && isatty(STDOUT_FILENO))
		uv_timer_start(&run.live, on_live, LIVE_MS, LIVE_MS);
	if (cli_speed_start(&run.measure.loop, run.measure.client, &speed, &events, &run.speed) !=
		0) {
		fprintf(stderr, "chain: out of memory\n");
		run.result = CLI_FAILED;
		on_done(&run);
	}
	cli_measure_run(&run.measure);
	free(run.text);
	return run.measure.signum != 0 ? (enum cli_exit)(128 + run.measure.signum) : run.result;
}

static enum cli_exit speed(int argc, char **argv)
{
	struct flags flags = { .time_ms = TIME_MS, .n_streams = 1 };
	const struct cli_chain_command command = {
		.cli = &cli,
		.on_option = on_option,
		.flags = &flags.chain,
		.max_operands = 0,
		.run = run_speed,
	};
	return cli_chain_run(&command, argc, argv, &flags);
}

const struct cli_command cli_speed_command = {
	.name = "speed",
	.help = "measure how fast a chain moves bytes",
	.cli = &cli,
	.run = speed,
};
