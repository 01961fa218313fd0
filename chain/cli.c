#include "chain/cli_commands.h"
#include "common/seal.h"

#include <stdio.h>

static const struct cli cli = {
	.program = "chain",
	.head = "Usage: chain COMMAND [options]\n"
		"Make keys for the hops of a chain, and check chain files.\n"
		"\n"
		"  chain keygen -o hop1.key     a new key, mode 0600; one per user and hop\n"
		"  chain check chain.json       is the file right?\n"
		"  chain version\n",
	.foot = "See also: chain COMMAND --help, hop --help, access --help",
};

int main(int argc, char **argv)
{
	static const char *const commands[] = { "keygen", "check", "version", "help" };
	int n_rest = 0;
	if (argc < 2) {
		cli_wrong(&cli, "needs a command: keygen, check, version or help");
		return CLI_USAGE;
	}
	const char *command = argv[1];
	if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
		cli_print_version("chain");
		return CLI_OK;
	}
	if (strcmp(command, "help") == 0) {
		cli_print_help(&cli);
		return CLI_OK;
	}
	if (command[0] == '-')
		return cli_parse(&cli, argc, argv, NULL, NULL, &n_rest) == CLI_HELPED ? CLI_OK
										      : CLI_USAGE;
	if (seal_start() != 0) {
		fprintf(stderr, "chain: cannot start the cryptographic library\n");
		return CLI_FAILED;
	}
	if (strcmp(command, "keygen") == 0)
		return cli_keygen(argc - 1, argv + 1);
	if (strcmp(command, "check") == 0)
		return cli_check(argc - 1, argv + 1);
	cli_unknown_command(&cli, command, commands, sizeof commands / sizeof commands[0]);
	return CLI_USAGE;
}
