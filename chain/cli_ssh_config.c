#include "chain/cli_chain.h"
#include "chain/cli_commands.h"
#include "chain/cli_quote.h"
#include "config/report.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option options[] = {
	{ "chain", 0, "FILE", "Chain", "chain file; its path is written in full", NULL },
};

static const struct cli cli = {
	.program = "chain ssh-config",
	.head = "Usage: chain ssh-config --chain FILE HOST-PATTERN...\n"
		"Print lines for ~/.ssh/config: ssh to these hosts goes through the chain.\n"
		"\n"
		"  chain ssh-config --chain office.json '*.corp.example' >> ~/.ssh/config\n",
	.foot = "See also: chain connect, man ssh_config",
	.options = options,
	.n_options = sizeof options / sizeof options[0],
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct cli_chain_flags *flags = owner;
	bool is_good = true;
	return !cli_chain_take(&cli, flags, options[i].name, argument, &is_good) || is_good;
}

static bool check(const char *file, int n_patterns, char **patterns)
{
	char shown[80];
	if (file == NULL)
		return cli_wrong(&cli, "needs --chain FILE");
	if (strcmp(file, "-") == 0)
		return cli_wrong(&cli, "--chain needs a file that ssh can read again, not -");
	if (n_patterns == 0)
		return cli_wrong(&cli, "needs a HOST-PATTERN, as ssh_config(5) has them: "
				       "'*.corp.example'");
	for (int i = 0; i < n_patterns; i++) {
		if (!cli_quote_is_pattern(patterns[i]))
			return cli_wrong(&cli,
				"\"%s\" is no host pattern: expected a name with * and ? in it, "
				"without blanks, quotes, # and \\",
				report_quote(patterns[i], shown, sizeof shown));
	}
	return true;
}

/* Return: the caller's; NULL with errno. Not resolved: a link may point elsewhere tomorrow. */
static char *make_absolute(const char *path)
{
	char *absolute = NULL;
	if (path[0] == '/')
		return strdup(path);
	char *folder = getcwd(NULL, 0);
	if (folder != NULL && asprintf(&absolute, "%s/%s", folder, path) < 0)
		absolute = NULL;
	free(folder);
	return absolute;
}

static char *find_program(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	if (n < 0)
		return NULL;
	path[n] = '\0';
	return strdup(path);
}

static enum cli_exit fail(const char *what)
{
	fprintf(stderr, "chain: cannot find out %s: %s\n", what, strerror(errno));
	return CLI_FAILED;
}

/* @path as a word of ProxyCommand. Return: NULL after a message. */
static char *quote(const char *path)
{
	char shown[80];
	char *quoted = cli_quote_word(path);
	const char *wrong = strpbrk(path, "\r\n");
	if (quoted == NULL && wrong == NULL)
		fprintf(stderr, "chain: out of memory\n");
	else if (quoted == NULL)
		fprintf(stderr, "chain: %s has a %s in it: no line of ssh_config can name it\n",
			report_quote(path, shown, sizeof shown),
			*wrong == '\n' ? "line feed" : "carriage return");
	return quoted;
}

static enum cli_exit print(
	const struct hopchain_chain *chain, const char *file, int n_patterns, char **patterns)
{
	char *program = find_program();
	char *absolute = make_absolute(file);
	char *command = program != NULL ? quote(program) : NULL;
	char *argument = absolute != NULL ? quote(absolute) : NULL;
	size_t n = hopchain_chain_n_hops(chain);
	enum cli_exit result = CLI_FAILED;
	if (program == NULL) {
		result = fail("where this program is");
	} else if (absolute == NULL) {
		result = fail("the working directory");
	} else if (command != NULL && argument != NULL) {
		printf("# Through %zu hop%s, the last is %s (chain ssh-config).\nHost", n,
			n == 1 ? "" : "s", hopchain_chain_hop_address(chain, n));
		for (int i = 0; i < n_patterns; i++)
			printf(" %s", patterns[i]);
		printf("\n    ProxyCommand %s connect --chain %s %%h %%p\n", command, argument);
		result = CLI_OK;
	}
	free(argument);
	free(command);
	free(absolute);
	free(program);
	return result;
}

static enum cli_exit run(int argc, char **argv)
{
	struct cli_chain_flags flags = { 0 };
	struct hopchain_chain *chain = NULL;
	int n_rest = 0;
	enum cli_result parsed = cli_parse(&cli, argc, argv, on_option, &flags, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (!check(flags.file, n_rest, argv + argc - n_rest))
		return CLI_USAGE;
	enum cli_exit result = cli_chain_read(&cli, &flags, &chain);
	if (result == CLI_OK)
		result = print(chain, flags.file, n_rest, argv + argc - n_rest);
	hopchain_chain_free(chain);
	cli_chain_flags_deinit(&flags);
	return result;
}

const struct cli_command cli_ssh_config_command = {
	.name = "ssh-config",
	.help = "lines for ~/.ssh/config: ssh through a chain",
	.cli = &cli,
	.operands = "HOST-PATTERN...",
	.run = run,
};
