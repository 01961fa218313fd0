#include "chain/cli_measure.h"

#include "config/units.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SAME_SIGNAL_MS 1000

/* timeout(1) sends its signal twice, to us and to our group: the second one is not impatience. */
static void on_signal(uv_signal_t *handle, int signum)
{
	struct cli_measure *measure = handle->data;
	uint64_t now = uv_now(&measure->loop);
	if (measure->signum == 0) {
		measure->signum = signum;
		measure->signum_at_ms = now;
		measure->events.on_signal(signum, measure->events.owner);
	} else if (now - measure->signum_at_ms >= SAME_SIGNAL_MS) {
		uv_signal_stop(handle);
		raise(signum);
	}
}

static void on_status(uv_signal_t *handle, int signum)
{
	struct cli_measure *measure = handle->data;
	(void)signum;
	measure->events.on_status(measure->events.owner);
}

static int listen_for(struct cli_measure *measure, uv_signal_t *handle, uv_signal_cb fn, int signum)
{
	int error = uv_signal_init(&measure->loop, handle);
	handle->data = measure;
	return error == 0 ? uv_signal_start(handle, fn, signum) : error;
}

static int start(struct cli_measure *measure, const struct hopchain_chain *chain)
{
	int error = listen_for(measure, &measure->interrupt, on_signal, SIGINT);
	if (error == 0)
		error = listen_for(measure, &measure->terminate, on_signal, SIGTERM);
	if (error == 0)
		error = listen_for(measure, &measure->status, on_status, SIGUSR1);
	if (error == 0)
		error = hopchain_client_open(&measure->loop, chain, &measure->client);
	return error;
}

enum cli_exit cli_measure_open(struct cli_measure *measure, const struct hopchain_chain *chain,
	const struct cli_measure_events *events)
{
	*measure = (struct cli_measure){ .events = *events };
	signal(SIGPIPE, SIG_IGN);
	int error = uv_loop_init(&measure->loop);
	if (error == 0)
		error = start(measure, chain);
	if (error == 0)
		return CLI_OK;
	fprintf(stderr, "chain: cannot start: %s\n", hopchain_strerror(error));
	return CLI_FAILED; /* the process ends: nothing is taken apart */
}

void cli_measure_run(struct cli_measure *measure)
{
	uv_run(&measure->loop, UV_RUN_DEFAULT);
	uv_loop_close(&measure->loop);
}

void cli_measure_end(struct cli_measure *measure)
{
	if (measure->is_ended)
		return;
	measure->is_ended = true;
	hopchain_client_close(measure->client, NULL, NULL);
	uv_close((uv_handle_t *)&measure->interrupt, NULL);
	uv_close((uv_handle_t *)&measure->terminate, NULL);
	uv_close((uv_handle_t *)&measure->status, NULL);
}

enum cli_exit cli_measure_flush(enum cli_exit result)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return result;
	fprintf(stderr, "chain: cannot write to stdout: %s\n", strerror(errno));
	return CLI_FAILED;
}

bool cli_measure_duration(
	const struct cli *cli, const char *option, const char *text, uint32_t *ret_ms)
{
	char why[160];
	uint32_t ms = 0;
	enum units_error error = units_parse_duration(text, &ms);
	if (error != UNITS_OK)
		return cli_wrong(cli, "--%s: %s", option,
			units_explain(error, UNITS_DURATION, text, why, sizeof why));
	if (ms == 0)
		return cli_wrong(cli, "--%s must be longer than nothing", option);
	*ret_ms = ms;
	return true;
}

bool cli_measure_count(
	const struct cli *cli, const char *option, const char *text, uint32_t max, uint32_t *ret)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value == 0 || value > max)
		return cli_wrong(cli, "--%s: \"%.40s\" is not a number from 1 to %u", option, text,
			(unsigned)max);
	*ret = (uint32_t)value;
	return true;
}

bool cli_measure_target(const struct cli *cli, const struct hopchain_chain *chain, char **operands,
	int n_operands, const char **ret)
{
	const char *wrong = n_operands > 0 ? hopchain_target_check(operands[0]) : NULL;
	if (n_operands > 1)
		return cli_wrong(cli, "unexpected argument \"%.60s\"", operands[1]);
	if (wrong != NULL)
		return cli_wrong(cli, "\"%.60s\" %s", operands[0], wrong);
	*ret = n_operands > 0 ? operands[0] : hopchain_chain_target(chain);
	return true;
}
