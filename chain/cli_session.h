#ifndef CHAIN_CLI_SESSION_H
#define CHAIN_CLI_SESSION_H
/*
 * Does: a loop of our own with a client of the library, standard input and output, signals, and one
 * orderly end. Knows: hopchain.h, cli_pump.h. Never knows: what is sent.
 */
#include "chain/cli_pump.h"
#include "chain/hopchain.h"
#include "config/cli.h"

struct cli_session;
struct cli_session_ops {
	cli_pump_fn *on_pump;           /* but for CLOSED */
	void (*on_status)(void *owner); /* SIGUSR1: one line to stderr */
	/* SIGINT, SIGTERM: the owner ends the session with @result. */
	void (*on_interrupt)(enum cli_exit result, void *owner);
};
struct cli_session_options {
	const struct hopchain_chain *chain; /* borrowed */
	size_t read_size;                   /* of standard input, at once */
	const struct cli_session_ops *ops;  /* borrowed */
	void *owner;
};

/** cli_session_open() - Return: CLI_OK, or CLI_FAILED after a message. */
enum cli_exit cli_session_open(const struct cli_session_options *options, struct cli_session **ret);
/** cli_session_run() - until cli_session_end(); frees. Return: what that said. A second SIGINT or
 * SIGTERM ends the process at once. */
enum cli_exit cli_session_run(struct cli_session *session);
/** cli_session_end() - closes everything; the first one's @result counts. From callbacks. */
void cli_session_end(struct cli_session *session, enum cli_exit result);

uv_loop_t *cli_session_loop(struct cli_session *session);
struct hopchain_client *cli_session_client(struct cli_session *session);
struct cli_pump *cli_session_pump(struct cli_session *session);

#endif
