#include "chain/cli_session.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIGNAL_EXIT 128

static const int signals[] = { SIGINT, SIGTERM, SIGUSR1 };
#define N_SIGNALS (sizeof signals / sizeof signals[0])

struct cli_session {
	uv_loop_t loop;
	uv_signal_t signals[N_SIGNALS];
	struct hopchain_client *client;
	struct cli_pump *pump;
	const struct cli_session_ops *ops;
	void *owner;
	enum cli_exit result;
	bool is_ending;
};

static enum cli_exit tell(const char *what, int error)
{
	fprintf(stderr, "chain: cannot %s: %s\n", what, hopchain_strerror(error));
	return CLI_FAILED;
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct cli_session *session = handle->data;
	if (number == SIGUSR1) {
		session->ops->on_status(session->owner);
		return;
	}
	if (session->is_ending)
		_exit(SIGNAL_EXIT + number);
	session->ops->on_interrupt((enum cli_exit)(SIGNAL_EXIT + number), session->owner);
}

static void on_pump(enum cli_pump_event event, const void *data, size_t len, int error, void *owner)
{
	struct cli_session *session = owner;
	if (event == CLI_PUMP_CLOSED)
		session->pump = NULL;
	else if (!session->is_ending)
		session->ops->on_pump(event, data, len, error, session->owner);
}

/* As a shell does for a command in its background: then it is not for us. */
static bool is_ignored(int number)
{
	struct sigaction action;
	return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static int start_signals(struct cli_session *session)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	for (size_t i = 0; i < N_SIGNALS; i++) {
		uv_signal_t *handle = &session->signals[i];
		int error = uv_signal_init(&session->loop, handle);
		if (error != 0)
			return error;
		handle->data = session;
		error = is_ignored(signals[i]) ? 0 : uv_signal_start(handle, on_signal, signals[i]);
		if (error != 0)
			return error;
	}
	return 0;
}

static int start(struct cli_session *session, const struct cli_session_options *options)
{
	int error = start_signals(session);
	if (error == 0)
		error = cli_pump_open(&session->loop, STDIN_FILENO, STDOUT_FILENO,
			options->read_size, on_pump, session, &session->pump);
	if (error == 0)
		error = hopchain_client_open(&session->loop, options->chain, &session->client);
	return error;
}

enum cli_exit cli_session_open(const struct cli_session_options *options, struct cli_session **ret)
{
	struct cli_session *session = calloc(1, sizeof *session);
	if (session == NULL)
		return tell("begin", UV_ENOMEM);
	session->ops = options->ops;
	session->owner = options->owner;
	int error = uv_loop_init(&session->loop);
	if (error != 0) {
		free(session);
		return tell("begin", error);
	}
	error = start(session, options);
	if (error == 0) {
		*ret = session;
		return CLI_OK;
	}
	tell("begin", error);
	cli_session_end(session, CLI_FAILED);
	return cli_session_run(session);
}

static void on_client_closed(void *owner)
{
	struct cli_session *session = owner;
	session->client = NULL;
	for (size_t i = 0; i < N_SIGNALS; i++) {
		uv_handle_t *handle = (uv_handle_t *)&session->signals[i];
		if (handle->data != NULL && !uv_is_closing(handle))
			uv_close(handle, NULL);
	}
}

void cli_session_end(struct cli_session *session, enum cli_exit result)
{
	if (session->is_ending)
		return;
	session->is_ending = true;
	session->result = result;
	if (session->pump != NULL)
		cli_pump_close(session->pump);
	if (session->client != NULL)
		hopchain_client_close(session->client, on_client_closed, session);
	else
		on_client_closed(session);
}

enum cli_exit cli_session_run(struct cli_session *session)
{
	(void)uv_run(&session->loop, UV_RUN_DEFAULT);
	enum cli_exit result = session->result;
	(void)uv_loop_close(&session->loop);
	free(session);
	return result;
}

uv_loop_t *cli_session_loop(struct cli_session *session)
{
	return &session->loop;
}

struct hopchain_client *cli_session_client(struct cli_session *session)
{
	return session->client;
}

struct cli_pump *cli_session_pump(struct cli_session *session)
{
	return session->pump;
}
