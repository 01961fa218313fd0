#ifndef CHAIN_CLI_MEASURE_H
#define CHAIN_CLI_MEASURE_H
/*
 * Does: what the commands that measure have in common: loop, client, the signals that end them or
 * ask how far they are, quantities in options. Knows: hopchain.h, libuv. Never knows: what is
 * measured.
 */
#include "chain/cli_chain.h"

#include <stdint.h>
#include <uv.h>

struct cli_measure_events {
	/* SIGINT or SIGTERM has come, once; one that comes a second later or more ends the process.
	 */
	void (*on_signal)(int signum, void *owner);
	void (*on_status)(void *owner); /* SIGUSR1: one line to stderr */
	void *owner;
};

struct cli_measure {
	uv_loop_t loop;
	struct hopchain_client *client;
	uv_signal_t interrupt, terminate, status;
	int signum; /* the first that came, or 0 */
	uint64_t signum_at_ms;
	struct cli_measure_events events;
	bool is_ended;
};

/** cli_measure_open() - borrows @chain until cli_measure_run() has returned; ignores SIGPIPE.
 * Return: CLI_OK, or CLI_FAILED after a message. */
enum cli_exit cli_measure_open(struct cli_measure *measure, const struct hopchain_chain *chain,
	const struct cli_measure_events *events);
/** cli_measure_run() - until cli_measure_end(), and the handles of the caller are closed. */
void cli_measure_run(struct cli_measure *measure);
/** cli_measure_end() - closes client and signals. Idempotent. */
void cli_measure_end(struct cli_measure *measure);
/** cli_measure_flush() - what is on stdout goes out. Return: @result, or CLI_FAILED if it did not.
 */
enum cli_exit cli_measure_flush(enum cli_exit result);

/** cli_measure_duration() - "250ms", "1m30s", not 0. Return: false after cli_wrong(). */
NODISCARD bool cli_measure_duration(
	const struct cli *cli, const char *option, const char *text, uint32_t *ret_ms);
/** cli_measure_count() - 1..@max. Return: false after cli_wrong(). */
NODISCARD bool cli_measure_count(
	const struct cli *cli, const char *option, const char *text, uint32_t max, uint32_t *ret);
/** cli_measure_target() - the operand that may be there, else the chain's own target, else NULL.
 * Return: false after cli_wrong(). */
NODISCARD bool cli_measure_target(const struct cli *cli, const struct hopchain_chain *chain,
	char **operands, int n_operands, const char **ret);

#endif
