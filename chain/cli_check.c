#include "chain/cli_commands.h"
#include "config/read_chain.h"

#include <stdio.h>

static const struct cli cli = {
	.program = "chain check",
	.head = "Usage: chain check FILE...\n"
		"Say what is wrong in chain files and the key files they name; - reads stdin.\n",
	.foot = "See also: hop check, access check",
};

static void print_good(const char *path, const struct chain_spec *spec)
{
	char target[ADDR_TEXT_MAX];
	printf("%s: ok: %zu hop%s", path, spec->n_hops, spec->n_hops == 1 ? "" : "s");
	if (spec->has_target)
		printf(", target %s", addr_print(&spec->target, target));
	printf("%s\n", spec->is_header_only ? ", payload header-only" : "");
}

static bool check_file(const char *path)
{
	struct report *report = report_new("chain");
	struct chain_spec *spec = report != NULL ? read_chain_file(path, report) : NULL;
	bool is_good = spec != NULL;
	if (is_good)
		print_good(path, spec);
	else if (report != NULL)
		report_print(report, stderr);
	chain_spec_free(spec);
	report_free(report);
	return is_good;
}

static enum cli_exit run(int argc, char **argv)
{
	int n_rest = 0;
	bool is_good = true;
	enum cli_result parsed = cli_parse(&cli, argc, argv, NULL, NULL, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (n_rest == 0) {
		cli_wrong(&cli, "needs a FILE");
		return CLI_USAGE;
	}
	if (seal_start() != 0) {
		fprintf(stderr, "chain: cannot start the cryptographic library\n");
		return CLI_FAILED;
	}
	for (int i = argc - n_rest; i < argc; i++)
		is_good = check_file(argv[i]) && is_good;
	return is_good ? CLI_OK : CLI_CONFIG;
}

const struct cli_command cli_check_command = {
	.name = "check",
	.help = "are these chain files right?",
	.cli = &cli,
	.operands = "FILE...",
	.run = run,
};
