#include "chain/cli_commands.h"
#include "chain/cli_fit.h"
#include "chain/cli_measure.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_MS  1000
#define INTERVAL_MIN 10
#define LABEL_MAX    512

struct flags {
	struct cli_chain_flags chain;
	uint32_t n_probes, interval_ms, timeout_ms; /* 0 probes: no end */
	bool is_quiet, is_udp;
};

struct run {
	struct cli_measure measure;
	const struct flags *flags;
	unsigned hop;
	char label[LABEL_MAX]; /* "hop 3 (127.0.0.1:7003)" */
	uv_timer_t timer;
	struct hopchain_probe *probe; /* NULL: none under way */
	uint64_t start_ms, asked_at_ms, n_sent, n_heard;
	double least_us, sum_us, square_us, most_us;
	bool is_utf8, has_warned, is_over;
	enum cli_exit result; /* of the last failure, until an answer comes */
};

static const struct cli_option options[] = {
	CLI_CHAIN_OPTIONS,
	{ "count", 'c', "N", "Measure", "probes", "no end" },
	{ "interval", 'i', "TIME", NULL, "from probe to probe", "1s" },
	{ "timeout", 0, "TIME", NULL, "of one probe", "10s a hop, and 2s" },
	{ "udp", 'u', NULL, NULL, "in datagrams", NULL },
	{ "quiet", 'q', NULL, "Show", "only the summary", NULL },
};

static const struct cli cli = {
	.program = "chain ping",
	.head = "Usage: chain ping [options]\n"
		"Ask the last hop of a chain for an answer, through all hops before it.\n"
		"\n"
		"  chain ping -c 5 --chain chain.json\n",
	.foot = "See also: chain trace, chain speed",
	.options = options,
	.n_options = sizeof options / sizeof options[0],
};

static bool set_interval(struct flags *flags, const char *argument)
{
	if (!cli_measure_duration(&cli, "interval", argument, &flags->interval_ms))
		return false;
	return flags->interval_ms >= INTERVAL_MIN ||
	       cli_wrong(&cli, "--interval must be %d ms or more", INTERVAL_MIN);
}

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	const char *name = options[i].name;
	bool is_good = true;
	if (cli_chain_take(&cli, &flags->chain, name, argument, &is_good))
		return is_good;
	if (strcmp(name, "count") == 0)
		return cli_measure_count(&cli, name, argument, UINT32_MAX, &flags->n_probes);
	if (strcmp(name, "interval") == 0)
		return set_interval(flags, argument);
	if (strcmp(name, "timeout") == 0)
		return cli_measure_duration(&cli, name, argument, &flags->timeout_ms);
	flags->is_udp = flags->is_udp || strcmp(name, "udp") == 0;
	flags->is_quiet = flags->is_quiet || strcmp(name, "quiet") == 0;
	return true;
}

static void print_summary(const struct run *run)
{
	double n = (double)run->n_heard, mean = run->sum_us / n;
	double variance = run->square_us / n - mean * mean;
	uint64_t n_lost = run->n_sent - run->n_heard;
	uint64_t elapsed_ms = uv_now(&run->measure.loop) - run->start_ms;
	printf("%s--- %s ---\n", run->flags->is_quiet ? "" : "\n", run->label);
	printf("%" PRIu64 " sent, %" PRIu64 " received, %.1f%% loss, time %" PRIu64 " ms\n",
		run->n_sent, run->n_heard,
		run->n_sent > 0 ? 100.0 * (double)n_lost / (double)run->n_sent : 0, elapsed_ms);
	if (run->n_heard > 0)
		printf("rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", run->least_us / 1000,
			mean / 1000, run->most_us / 1000, variance > 0 ? sqrt(variance) / 1000 : 0);
}

static void finish(struct run *run)
{
	if (run->is_over)
		return;
	run->is_over = true;
	if (run->probe != NULL) { /* its answer is not awaited any more: it does not count */
		hopchain_probe_cancel(run->probe);
		run->n_sent--;
	}
	print_summary(run);
	if (run->n_heard > 0)
		run->result = CLI_OK;
	run->result = cli_measure_flush(run->result);
	uv_close((uv_handle_t *)&run->timer, NULL);
	cli_measure_end(&run->measure);
}

static void count(struct run *run, double us)
{
	run->least_us = run->n_heard == 0 || us < run->least_us ? us : run->least_us;
	run->most_us = us > run->most_us ? us : run->most_us;
	run->sum_us += us;
	run->square_us += us * us;
	run->n_heard++;
}

static void on_answer(struct run *run, const struct hopchain_probe_result *result)
{
	const char *software = NULL;
	char text[LABEL_MAX];
	count(run, (double)result->total_us);
	if (result->n_answers > 0)
		software = result->answers[result->n_answers - 1].software;
	if (!run->has_warned)
		cli_chain_warn_clocks(result->answers, result->n_answers);
	run->has_warned = true;
	if (run->flags->is_quiet)
		return;
	double ms = (double)result->total_us / 1000;
	printf("%s: seq=%" PRIu64 " time=%.*f ms", run->label, run->n_sent, ms < 100 ? 2 : 1, ms);
	if (software != NULL)
		printf(" software=%s", cli_fit_clean(software, run->is_utf8, text, sizeof text));
	putchar('\n');
}

static void on_failure(struct run *run, const struct hopchain_error *error)
{
	char text[2 * LABEL_MAX];
	run->result = (enum cli_exit)error->exit_code;
	if (!run->flags->is_quiet)
		printf("seq=%" PRIu64 " %s\n", run->n_sent,
			cli_fit_clean(error->text, run->is_utf8, text, sizeof text));
}

static void on_timer(uv_timer_t *timer);

static void on_probe(const struct hopchain_probe_result *result, void *owner)
{
	struct run *run = owner;
	run->probe = NULL;
	if (result->error != NULL)
		on_failure(run, result->error);
	else
		on_answer(run, result);
	if (fflush(stdout) != 0 || run->n_sent == run->flags->n_probes) {
		finish(run);
		return;
	}
	uv_update_time(&run->measure.loop);
	uint64_t next = run->asked_at_ms + run->flags->interval_ms;
	uint64_t now = uv_now(&run->measure.loop);
	uv_timer_start(&run->timer, on_timer, next > now ? next - now : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct run *run = timer->data;
	const struct hopchain_probe_options probe = {
		.size = sizeof probe,
		.hop = run->hop,
		.is_udp = run->flags->is_udp,
		.timeout_ms = run->flags->timeout_ms,
	};
	run->asked_at_ms = uv_now(&run->measure.loop);
	int error = hopchain_probe_start(run->measure.client, &probe, on_probe, run, &run->probe);
	if (error == 0) {
		run->n_sent++;
		return;
	}
	fprintf(stderr, "chain: cannot probe: %s\n", hopchain_strerror(error));
	run->result = CLI_FAILED;
	finish(run);
}

static void on_signal(int signum, void *owner)
{
	(void)signum;
	finish(owner);
}

/* What is under way is neither received nor lost. */
static void on_status(void *owner)
{
	const struct run *run = owner;
	uint64_t n_sent = run->n_sent - (run->probe != NULL), n_lost = n_sent - run->n_heard;
	if (run->is_over)
		return;
	fprintf(stderr, "chain: %" PRIu64 " sent, %" PRIu64 " received, %.1f%% loss", n_sent,
		run->n_heard, n_sent > 0 ? 100.0 * (double)n_lost / (double)n_sent : 0);
	if (run->n_heard > 0)
		fprintf(stderr, ", avg %.1f ms", run->sum_us / (double)run->n_heard / 1000);
	fputc('\n', stderr);
}

static enum cli_exit run_ping(
	const struct hopchain_chain *chain, char **operands, int n_operands, void *owner)
{
	const struct flags *flags = owner;
	(void)operands, (void)n_operands;
	struct run run = { .flags = flags,
		.hop = (unsigned)hopchain_chain_n_hops(chain),
		.is_utf8 = cli_fit_start() };
	snprintf(run.label, sizeof run.label, "hop %u (%s)", run.hop,
		hopchain_chain_hop_address(chain, run.hop));
	const struct cli_measure_events events = { on_signal, on_status, &run };
	enum cli_exit result = cli_measure_open(&run.measure, chain, &events);
	if (result != CLI_OK)
		return result;
	uv_timer_init(&run.measure.loop, &run.timer);
	run.timer.data = &run;
	run.start_ms = uv_now(&run.measure.loop);
	uv_timer_start(&run.timer, on_timer, 0, 0);
	cli_measure_run(&run.measure);
	if (run.n_sent == 0 && run.measure.signum != 0)
		return (enum cli_exit)(128 + run.measure.signum);
	return run.result;
}

static enum cli_exit ping(int argc, char **argv)
{
	struct flags flags = { .interval_ms = INTERVAL_MS };
	const struct cli_chain_command command = {
		.cli = &cli,
		.on_option = on_option,
		.flags = &flags.chain,
		.max_operands = 0,
		.run = run_ping,
	};
	return cli_chain_run(&command, argc, argv, &flags);
}

const struct cli_command cli_ping_command = {
	.name = "ping",
	.help = "ask the last hop for an answer, again and again",
	.cli = &cli,
	.run = ping,
};
