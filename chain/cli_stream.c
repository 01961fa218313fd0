#include "chain/cli_connect.h"

#include "chain/cli_chain.h"
#include "chain/cli_progress.h"
#include "chain/cli_session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define READ_SIZE (64 * 1024)
#define HOPS_TEXT 1024

struct joint {
	const struct cli_connection *connection;
	struct cli_session *session;
	struct hopchain_stream *stream; /* NULL once it is gone */
	struct cli_progress *progress;
	struct cli_transfer transfer;
	uint64_t begin_ns;
	bool is_connected;
	bool is_shut;      /* our direction: asked for */
	bool is_sent;      /* our direction: all out, with its end */
	bool is_received;  /* the other one: its end came */
	bool is_delivered; /* and its reader knows */
	bool is_over;
	enum cli_exit lost; /* the failure that ends this after what is queued; or CLI_OK */
};

/* The last words. */
static void conclude(struct joint *j)
{
	char text[CLI_TRANSFER_TEXT];
	cli_progress_close(j->progress);
	j->progress = NULL;
	if (j->connection->is_verbose && j->is_connected)
		fprintf(stderr, "chain: %s: %s\n", j->connection->way,
			cli_transfer_print(&j->transfer, text));
}

static void end(struct joint *j, enum cli_exit result)
{
	if (j->is_over)
		return;
	j->is_over = true;
	conclude(j);
	cli_session_end(j->session, result);
}

static void print_hops(const struct joint *j)
{
	char text[HOPS_TEXT] = "", time[CLI_SECONDS_TEXT];
	size_t n, len = 0;
	const struct hopchain_answer *answers = hopchain_stream_answers(j->stream, &n);
	for (size_t i = 0; i < n && len < sizeof text; i++) {
		int more = snprintf(text + len, sizeof text - len, "%shop %u %s", i > 0 ? ", " : "",
			answers[i].hop, cli_print_seconds(answers[i].at_us * 1000, time));
		len += more > 0 ? (size_t)more : 0;
	}
	const char *cipher = n > 0 ? answers[n - 1].cipher : NULL;
	fprintf(stderr, "chain: connected to %s in %s (%s%s%s)\n", j->connection->way,
		cli_print_seconds(uv_hrtime() - j->begin_ns, time), text,
		cipher != NULL ? "; " : "", cipher != NULL ? cipher : "");
}

static void on_connected(struct joint *j)
{
	size_t n;
	const struct hopchain_answer *answers = hopchain_stream_answers(j->stream, &n);
	j->is_connected = true;
	j->transfer.start_ns = uv_hrtime();
	cli_chain_warn_clocks(answers, n);
	if (j->connection->is_verbose)
		print_hops(j);
	if (j->connection->has_progress)
		j->progress = cli_progress_open(cli_session_loop(j->session), &j->transfer);
	hopchain_read_start(j->stream);
	cli_pump_read_start(cli_session_pump(j->session));
}

static void close_if_over(struct joint *j)
{
	if (j->is_sent && j->is_delivered)
		hopchain_close(j->stream);
}

/* What came before the failure was authentic: it still goes out. */
static void on_failed(struct joint *j)
{
	struct cli_pump *pump = cli_session_pump(j->session);
	cli_progress_erase(j->progress);
	enum cli_exit code = cli_chain_fail(hopchain_stream_error(j->stream));
	cli_pump_read_stop(pump);
	if (cli_pump_n_queued(pump) > 0)
		j->lost = code;
	else
		end(j, code);
}

static void on_stream(struct hopchain_stream *stream, enum hopchain_event event, const void *data,
	size_t len, void *owner)
{
	struct joint *j = owner;
	struct cli_pump *pump = cli_session_pump(j->session);
	switch (event) {
	case HOPCHAIN_CONNECTED:
		on_connected(j);
		break;
	case HOPCHAIN_DATA:
		j->transfer.n_received += len;
		if (cli_pump_write(pump, data, len))
			hopchain_read_stop(stream);
		break;
	case HOPCHAIN_DRAINED:
		j->is_sent = j->is_shut;
		if (j->is_sent)
			close_if_over(j);
		else
			cli_pump_read_start(pump);
		break;
	case HOPCHAIN_EOF:
		j->is_received = true;
		cli_pump_end(pump);
		break;
	case HOPCHAIN_FAILED:
		on_failed(j);
		break;
	case HOPCHAIN_CLOSED:
		j->stream = NULL;
		if (j->is_sent && j->is_delivered)
			end(j, CLI_OK);
		break;
	}
}

static void on_output_drained(struct joint *j)
{
	if (j->lost != CLI_OK) {
		end(j, j->lost);
	} else if (j->is_received) {
		j->is_delivered = true;
		close_if_over(j);
	} else {
		hopchain_read_start(j->stream);
	}
}

static void on_input_ended(struct joint *j)
{
	j->is_shut = true;
	j->is_sent = !hopchain_shutdown(j->stream);
	close_if_over(j);
}

/* Half of the work has become impossible: the other end shall not take it for done. */
static void break_off(struct joint *j, enum cli_exit result)
{
	if (j->stream != NULL)
		hopchain_abort(j->stream);
	end(j, result);
}

static void fail(struct joint *j, const char *what, int error)
{
	cli_progress_erase(j->progress);
	fprintf(stderr, "chain: cannot %s: %s\n", what, strerror(-error));
	break_off(j, CLI_FAILED);
}

static void on_pump(enum cli_pump_event event, const void *data, size_t len, int error, void *owner)
{
	struct joint *j = owner;
	switch (event) {
	case CLI_PUMP_INPUT:
		j->transfer.n_sent += len;
		if (hopchain_write(j->stream, data, len))
			cli_pump_read_stop(cli_session_pump(j->session));
		break;
	case CLI_PUMP_END:
		on_input_ended(j);
		break;
	case CLI_PUMP_DRAINED:
		on_output_drained(j);
		break;
	case CLI_PUMP_INPUT_FAILED:
		fail(j, "read standard input", error);
		break;
	case CLI_PUMP_OUTPUT_FAILED:
		if (error == -EPIPE)
			break_off(j, (enum cli_exit)CLI_CONNECT_NO_READER);
		else
			fail(j, "write standard output", error);
		break;
	case CLI_PUMP_CLOSED:
		break;
	}
}

static void on_status(void *owner)
{
	struct joint *j = owner;
	char text[CLI_TRANSFER_TEXT], time[CLI_SECONDS_TEXT];
	size_t n_answers = 0;
	cli_progress_erase(j->progress);
	if (j->is_connected) {
		fprintf(stderr, "chain: %s: %s\n", j->connection->way,
			cli_transfer_print(&j->transfer, text));
		return;
	}
	if (j->stream != NULL)
		(void)hopchain_stream_answers(j->stream, &n_answers);
	fprintf(stderr, "chain: %s: connecting for %s, %zu answered\n", j->connection->way,
		cli_print_seconds(uv_hrtime() - j->begin_ns, time), n_answers);
}

static void on_interrupt(enum cli_exit result, void *owner)
{
	break_off(owner, result);
}

enum cli_exit cli_stream_run(const struct cli_connection *connection)
{
	static const struct cli_session_ops ops = { on_pump, on_status, on_interrupt };
	struct joint j = { .connection = connection, .begin_ns = uv_hrtime() };
	const struct cli_session_options options = { connection->chain, READ_SIZE, &ops, &j };
	enum cli_exit result = cli_session_open(&options, &j.session);
	if (result != CLI_OK)
		return result;
	int error = hopchain_connect(
		cli_session_client(j.session), connection->target, on_stream, &j, &j.stream);
	if (error != 0) {
		fprintf(stderr, "chain: %s\n", hopchain_strerror(error));
		end(&j, CLI_FAILED);
	}
	return cli_session_run(j.session);
}
