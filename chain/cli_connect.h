#ifndef CHAIN_CLI_CONNECT_H
#define CHAIN_CLI_CONNECT_H
/*
 * Does: joins standard input and output to a target, as a stream or as datagrams; says on stderr
 * what went wrong, and on demand what goes on. Knows: hopchain.h, cli_session.h. Never knows:
 * flags.
 */
#include "chain/hopchain.h"
#include "config/cli.h"

struct cli_connection {
	const struct hopchain_chain *chain; /* borrowed */
	const char *target;                 /* "HOST:PORT" */
	const char *way;                    /* "HOST:PORT through 3 hops" */
	bool is_verbose, has_progress;
	uint32_t wait_ms; /* datagrams: after the end of input, for an answer; then for more */
	uint32_t first_wait_ms;
};

/* Exit code when nobody reads standard output any more: as if SIGPIPE had ended the program. */
#define CLI_CONNECT_NO_READER 141

/** cli_stream_run() - until both directions have ended, or one of them is broken. Nothing of
 * standard input is read before the target is connected. */
enum cli_exit cli_stream_run(const struct cli_connection *connection);
/** cli_flow_run() - each read of standard input is one datagram; each of the target's is written
 * at once, or dropped while standard output does not take the one before it. */
enum cli_exit cli_flow_run(const struct cli_connection *connection);

#endif
