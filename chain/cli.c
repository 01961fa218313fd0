#include "chain/cli_commands.h"

static const struct cli cli = {
	.program = "chain",
	.head = "Usage: chain COMMAND [options]\n"
		"Use a chain of hops, see what it does, make its keys.\n"
		"\n"
		"  chain keygen -o hop1.key                      a key for one hop\n"
		"  chain connect --chain chain.json 10.0.0.5 22  netcat through the chain\n"
		"  chain trace --chain chain.json                which hop is slow, or broken\n",
	.foot = "See also: chain help COMMAND, hop --help, access --help",
};

int main(int argc, char **argv)
{
	/* One row a command, in the order of the help. */
	static const struct cli_command *const commands[] = {
		&cli_connect_command,
		&cli_trace_command,
		&cli_ping_command,
		&cli_speed_command,
		&cli_doctor_command,
		&cli_check_command,
		&cli_explain_command,
		&cli_keygen_command,
		&cli_passwd_command,
		&cli_ssh_config_command,
	};
	static const struct cli_program program = {
		.name = "chain",
		.cli = &cli,
		.commands = commands,
		.n_commands = sizeof commands / sizeof commands[0],
	};
	return cli_main(&program, argc, argv);
}
