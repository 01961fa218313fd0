#ifndef CHAIN_CLI_CHAIN_H
#define CHAIN_CLI_CHAIN_H
/*
 * Does: what the commands that use a chain have in common: --chain and --hop, where the file is
 * looked for, the loop with its signals, warnings about clocks, the sentence of a failure. Knows:
 * flags, hopchain.h. Never knows: what is done with the chain.
 */
#include "chain/hopchain.h"
#include "config/cli.h"

/* Rows for an option table. --chain FILE ("-": stdin) or --hop ADDR,KEYFILE in order; without both
 * $HOPCHAIN_CHAIN, else $XDG_CONFIG_HOME/hopchain/chain.json, else ~/.config/hopchain/chain.json,
 * else /etc/hopchain/chain.json. */
#define CLI_CHAIN_OPTIONS                                                                          \
	{ "chain", 0, "FILE", "Chain", "chain file; - reads stdin", "$HOPCHAIN_CHAIN" },           \
	{                                                                                          \
		"hop", 0, "ADDR,KEYFILE", NULL, "instead: a hop (repeatable, in order)", NULL      \
	}

struct cli_chain_flags {
	const char *file;
	struct cli_words hops;
};
/** cli_chain_take() - the option @name if it is one of these. *ret_is_good: what on_option returns.
 * Return: false if it is none. */
NODISCARD bool cli_chain_take(const struct cli *cli, struct cli_chain_flags *flags,
	const char *name, const char *argument, bool *ret_is_good);
/** cli_chain_read() - the chain these flags mean. Return: CLI_OK, or CLI_USAGE or CLI_CONFIG after
 * a message. Also makes the process undumpable: it holds keys. */
enum cli_exit cli_chain_read(
	const struct cli *cli, const struct cli_chain_flags *flags, struct hopchain_chain **ret);
void cli_chain_flags_deinit(struct cli_chain_flags *flags);

/* What a command does with its chain; @owner: as given to cli_chain_run(). */
typedef enum cli_exit cli_chain_fn(
	const struct hopchain_chain *chain, char **operands, int n_operands, void *owner);
struct cli_chain_command {
	const struct cli *cli;
	cli_option_fn *on_option;
	struct cli_chain_flags *flags; /* filled by on_option */
	int max_operands;
	cli_chain_fn *run;
};
/** cli_chain_run() - options, the chain they mean, the command; then frees chain and flags. */
enum cli_exit cli_chain_run(
	const struct cli_chain_command *command, int argc, char **argv, void *owner);

/** cli_chain_fail() - "chain: SENTENCE" to stderr. Return: the error's exit code. */
enum cli_exit cli_chain_fail(const struct hopchain_error *error);
/** cli_chain_warn_clocks() - a line to stderr for each hop whose clock differs by 5 s or more
 * (interface.md 2.6, 23). */
void cli_chain_warn_clocks(const struct hopchain_answer *answers, size_t n);

/* Colours and live output: only where @fd is a terminal, NO_COLOR is not set and TERM is not dumb;
 * --color always|never|auto overrides (row below). */
#define CLI_COLOR_OPTION                                                                           \
	{                                                                                          \
		"color", 0, "always|never|auto", NULL, "colours", "auto"                           \
	}
bool cli_wants_color(int fd, const char *flag);

#endif
