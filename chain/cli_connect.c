#include "chain/cli_connect.h"

#include "chain/cli_chain.h"
#include "chain/cli_commands.h"
#include "config/address.h"
#include "config/report.h"
#include "config/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS       1000
#define FIRST_WAIT_MS 5000

static const struct cli_option options[] = {
	CLI_CHAIN_OPTIONS,
	{ "udp", 'u', NULL, "What", "datagrams: each read of stdin is one", NULL },
	{ "wait", 'w', "TIME", NULL, "-u: for answers, after stdin", "5s, then 1s" },
	{ "progress", 0, NULL, "Tell", "a live line, if stderr is a terminal", NULL },
	{ "verbose", 'v', NULL, NULL, "a line when connected, one at the end", NULL },
};

static const struct cli cli = {
	.program = "chain connect",
	.head = "Usage: chain connect [options] [HOST PORT | HOST:PORT]\n"
		"Join standard input and output to a target through a chain of hops.\n"
		"\n"
		"  chain connect --chain office.json 10.0.0.5 22\n"
		"  ssh -o ProxyCommand='chain connect --chain office.json %h %p' 10.0.0.5\n"
		"  chain connect --hop hop1.example.net:7000,hop1.key example.org:80 < request\n"
		"\n"
		"Without a target: the chain file's. Silent unless it fails; SIGUSR1: a line.\n"
		"Exit: 0 when both directions have ended; 5 first hop, 6 later hop, 7 no answer,\n"
		"8 target, 9 timed out or lost; 141 when nobody reads standard output.\n",
	.foot = "See also: chain ssh-config, chain trace, chain explain, man chain",
	.options = options,
	.n_options = sizeof options / sizeof options[0],
};

struct flags {
	struct cli_chain_flags chain;
	const char *wait;
	bool is_udp, has_progress, is_verbose;
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	const char *name = options[i].name;
	bool is_good = true;
	if (cli_chain_take(&cli, &flags->chain, name, argument, &is_good))
		return is_good;
	if (strcmp(name, "udp") == 0)
		flags->is_udp = true;
	else if (strcmp(name, "wait") == 0)
		flags->wait = argument;
	else if (strcmp(name, "progress") == 0)
		flags->has_progress = true;
	else
		flags->is_verbose = true;
	return true;
}

/* "HOST" and "PORT" as one: "HOST:PORT", "[IPV6]:PORT". Return: NULL after a message. */
static char *join(const char *host, const char *port)
{
	char shown[80], *joined = NULL;
	const char *colon = strchr(host, ':');
	if (host[0] != '[' && colon != NULL && strchr(colon + 1, ':') == NULL) {
		cli_wrong(&cli, "\"%s\" has a port already: write HOST PORT or HOST:PORT, not both",
			report_quote(host, shown, sizeof shown));
		return NULL;
	}
	bool is_bare = host[0] != '[' && colon != NULL;
	if (asprintf(&joined, is_bare ? "[%s]:%s" : "%s:%s", host, port) >= 0)
		return joined;
	cli_wrong(&cli, "out of memory");
	return NULL;
}

static bool check_target(const char *text)
{
	struct addr addr;
	char why[ADDRESS_WHY_MAX];
	if (strncmp(text, "unix:", 5) == 0)
		return cli_wrong(&cli,
			"a chain ends at HOST:PORT; sockets of the file system (unix:) are no "
			"targets");
	return address_parse(text, ADDRESS_TARGET, &addr, why) || cli_wrong(&cli, "%s", why);
}

/* Return: what was named, the caller's; NULL if nothing was, or after a message (not *is_good). */
static char *parse_target(int n, char **words, bool *is_good)
{
	char shown[80], *target = NULL;
	*is_good = n <= 2;
	if (n == 0)
		return NULL;
	if (n > 2)
		cli_wrong(&cli, "unexpected argument \"%s\" after HOST PORT",
			report_quote(words[2], shown, sizeof shown));
	else if (strncmp(words[0], "unix:", 5) == 0 || n == 1)
		target = strdup(words[0]);
	else
		target = join(words[0], words[1]);
	*is_good = target != NULL && check_target(target);
	if (*is_good)
		return target;
	free(target);
	return NULL;
}

static bool apply_wait(const struct flags *flags, struct cli_connection *c)
{
	char why[160], shown[48];
	c->wait_ms = WAIT_MS;
	c->first_wait_ms = FIRST_WAIT_MS;
	if (flags->wait == NULL)
		return true;
	if (!flags->is_udp)
		return cli_wrong(&cli, "--wait is for --udp: a stream ends by itself");
	enum units_error error = units_parse_duration(flags->wait, &c->wait_ms);
	c->first_wait_ms = c->wait_ms;
	if (error == UNITS_OK)
		return true;
	report_quote(flags->wait, shown, sizeof shown);
	return cli_wrong(
		&cli, "--wait: %s", units_explain(error, UNITS_DURATION, shown, why, sizeof why));
}

static enum cli_exit join_to_target(const struct flags *flags, struct cli_connection *c)
{
	char *way = NULL;
	size_t n = hopchain_chain_n_hops(c->chain);
	if (asprintf(&way, "%s through %zu hop%s", c->target, n, n == 1 ? "" : "s") < 0) {
		fprintf(stderr, "chain: out of memory\n");
		return CLI_FAILED;
	}
	c->way = way;
	enum cli_exit result = flags->is_udp ? cli_flow_run(c) : cli_stream_run(c);
	free(way);
	return result;
}

static enum cli_exit use(const struct flags *flags, struct cli_connection *c)
{
	struct hopchain_chain *chain = NULL;
	if (flags->chain.file != NULL && strcmp(flags->chain.file, "-") == 0) {
		cli_wrong(&cli, "standard input goes to the target: --chain needs a file, like "
				"/dev/fd/3 with 3< in the shell");
		return CLI_USAGE;
	}
	enum cli_exit result = cli_chain_read(&cli, &flags->chain, &chain);
	if (result != CLI_OK)
		return result;
	c->chain = chain;
	if (c->target == NULL)
		c->target = hopchain_chain_target(chain);
	if (c->target == NULL) {
		cli_wrong(&cli, "needs HOST:PORT, or a \"target\" in the chain file");
		result = CLI_USAGE;
	} else {
		result = join_to_target(flags, c);
	}
	hopchain_chain_free(chain);
	return result;
}

static enum cli_exit run(int argc, char **argv)
{
	struct flags flags = { 0 };
	struct cli_connection c = { 0 };
	int n_rest = 0;
	bool is_good = false;
	char *target = NULL;
	enum cli_result parsed = cli_parse(&cli, argc, argv, on_option, &flags, &n_rest);
	if (parsed == CLI_GOOD)
		target = parse_target(n_rest, argv + argc - n_rest, &is_good);
	enum cli_exit result = parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (is_good && apply_wait(&flags, &c)) {
		c.target = target;
		c.is_verbose = flags.is_verbose;
		c.has_progress = flags.has_progress;
		result = use(&flags, &c);
	}
	free(target);
	cli_chain_flags_deinit(&flags.chain);
	return result;
}

const struct cli_command cli_connect_command = {
	.name = "connect",
	.help = "standard input and output to a target: netcat, for ssh",
	.cli = &cli,
	.operands = "[HOST PORT | HOST:PORT]",
	.run = run,
};
