#include "chain/cli_connect.h"

#include "chain/cli_chain.h"
#include "chain/cli_progress.h"
#include "chain/cli_session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DATAGRAM_MAX 65507
#define HINT_NS      UINT64_C(1000000000) /* the same hint is told once in that time */

struct exchange {
	const struct cli_connection *connection;
	struct cli_session *session;
	struct hopchain_flow *flow; /* NULL once it is gone */
	struct cli_progress *progress;
	struct cli_transfer transfer;
	uint64_t n_out, n_back, n_dropped; /* datagrams; DROPPED: stdout did not take them */
	bool has_too_long;
	bool is_input_over, is_over;
	uv_timer_t wait; /* after the end of input */
	uint64_t hint_ns;
	const char *hint; /* a slug, static */
};

static void print_numbers(const struct exchange *x)
{
	char text[CLI_TRANSFER_TEXT];
	fprintf(stderr, "chain: %s: %s; datagrams: %llu sent, %llu received, %llu dropped\n",
		x->connection->way, cli_transfer_print(&x->transfer, text),
		(unsigned long long)x->n_out, (unsigned long long)x->n_back,
		(unsigned long long)x->n_dropped);
}

static void end(struct exchange *x, enum cli_exit result)
{
	if (x->is_over)
		return;
	x->is_over = true;
	cli_progress_close(x->progress);
	uv_close((uv_handle_t *)&x->wait, NULL);
	if (x->connection->is_verbose)
		print_numbers(x);
	cli_session_end(x->session, result);
}

static void fail(struct exchange *x, const char *what, int error)
{
	cli_progress_erase(x->progress);
	fprintf(stderr, "chain: cannot %s: %s\n", what, strerror(-error));
	end(x, CLI_FAILED);
}

static enum cli_exit result_of(const struct exchange *x)
{
	return x->has_too_long ? CLI_FAILED : CLI_OK;
}

/* No more answers are awaited; what came is still written. */
static void on_wait_over(uv_timer_t *timer)
{
	struct exchange *x = timer->data;
	cli_pump_end(cli_session_pump(x->session));
}

static void wait_on(struct exchange *x)
{
	uint32_t ms = x->n_back > 0 ? x->connection->wait_ms : x->connection->first_wait_ms;
	if (x->is_input_over && !x->is_over)
		(void)uv_timer_start(&x->wait, on_wait_over, ms, 0);
}

static void on_datagram(struct exchange *x, const void *data, size_t len)
{
	char time[CLI_SECONDS_TEXT];
	struct cli_pump *pump = cli_session_pump(x->session);
	x->transfer.n_received += len;
	if (x->n_back++ == 0 && x->connection->is_verbose) {
		cli_progress_erase(x->progress);
		fprintf(stderr, "chain: %s: first answer after %s, %s\n", x->connection->way,
			cli_print_seconds(uv_hrtime() - x->transfer.start_ns, time),
			hopchain_flow_is_stream(x->flow) ? "in a stream" : "in datagrams");
	}
	if (cli_pump_n_queued(pump) > 0)
		x->n_dropped++;
	else
		(void)cli_pump_write(pump, data, len);
	wait_on(x);
}

static void on_hint(struct exchange *x, const char *slug)
{
	const struct hopchain_status *status = hopchain_status_find(slug);
	uint64_t now = uv_hrtime();
	if (!x->connection->is_verbose || status == NULL ||
		(status->slug == x->hint && now - x->hint_ns < HINT_NS))
		return;
	x->hint = status->slug;
	x->hint_ns = now;
	cli_progress_erase(x->progress);
	fprintf(stderr, "chain: %s: %s: %s\n", x->connection->target, status->slug,
		status->summary);
}

static void on_flow(struct hopchain_flow *flow, enum hopchain_flow_event event, const void *data,
	size_t len, void *owner)
{
	struct exchange *x = owner;
	switch (event) {
	case HOPCHAIN_FLOW_DATAGRAM:
		on_datagram(x, data, len);
		break;
	case HOPCHAIN_FLOW_STATUS:
		on_hint(x, data);
		break;
	case HOPCHAIN_FLOW_FAILED:
		cli_progress_erase(x->progress);
		end(x, cli_chain_fail(hopchain_flow_error(flow)));
		break;
	case HOPCHAIN_FLOW_CLOSED:
		x->flow = NULL;
		break;
	}
}

static void send_one(struct exchange *x, const void *data, size_t len)
{
	int error = hopchain_flow_send(x->flow, data, len);
	if (error == 0) {
		x->transfer.n_sent += len;
		x->n_out++;
	} else if (error == -EMSGSIZE && !x->has_too_long) {
		x->has_too_long = true;
		cli_progress_erase(x->progress);
		fprintf(stderr,
			"chain: a datagram of %zu bytes is longer than this chain carries: it and "
			"its like are dropped\n",
			len);
	}
}

static void on_pump(enum cli_pump_event event, const void *data, size_t len, int error, void *owner)
{
	struct exchange *x = owner;
	switch (event) {
	case CLI_PUMP_INPUT:
		if (x->flow != NULL)
			send_one(x, data, len);
		break;
	case CLI_PUMP_END:
		x->is_input_over = true;
		wait_on(x);
		break;
	case CLI_PUMP_DRAINED:
		if (x->is_input_over && !uv_is_active((uv_handle_t *)&x->wait))
			end(x, result_of(x));
		break;
	case CLI_PUMP_INPUT_FAILED:
		fail(x, "read standard input", error);
		break;
	case CLI_PUMP_OUTPUT_FAILED:
		if (error == -EPIPE)
			end(x, (enum cli_exit)CLI_CONNECT_NO_READER);
		else
			fail(x, "write standard output", error);
		break;
	case CLI_PUMP_CLOSED:
		break;
	}
}

static void on_status(void *owner)
{
	struct exchange *x = owner;
	cli_progress_erase(x->progress);
	print_numbers(x);
}

static void on_interrupt(enum cli_exit result, void *owner)
{
	end(owner, result);
}

enum cli_exit cli_flow_run(const struct cli_connection *connection)
{
	static const struct cli_session_ops ops = { on_pump, on_status, on_interrupt };
	struct exchange x = { .connection = connection };
	const struct cli_session_options options = { connection->chain, DATAGRAM_MAX, &ops, &x };
	enum cli_exit result = cli_session_open(&options, &x.session);
	if (result != CLI_OK)
		return result;
	x.transfer.start_ns = uv_hrtime();
	(void)uv_timer_init(cli_session_loop(x.session), &x.wait);
	x.wait.data = &x;
	int error = hopchain_flow_open(
		cli_session_client(x.session), connection->target, on_flow, &x, &x.flow);
	if (error != 0) {
		fprintf(stderr, "chain: %s\n", hopchain_strerror(error));
		end(&x, CLI_FAILED);
		return cli_session_run(x.session);
	}
	if (connection->has_progress)
		x.progress = cli_progress_open(cli_session_loop(x.session), &x.transfer);
	cli_pump_read_start(cli_session_pump(x.session));
	return cli_session_run(x.session);
}
