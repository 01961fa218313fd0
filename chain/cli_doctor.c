#include "chain/cli_doctor.h"

#include "chain/cli_commands.h"
#include "chain/cli_fit.h"
#include "chain/cli_wrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option options[] = {
	CLI_CHAIN_OPTIONS,
	{ "json", 0, NULL, "Output", "one JSON document", NULL },
	CLI_COLOR_OPTION,
};

static const struct cli cli = {
	.program = "chain doctor",
	.head = "Usage: chain doctor [--chain FILE | --hop ADDR,KEYFILE...] [--json]\n"
		"Look at all that a chain needs, and say what to do: files, clock, names, hops.\n",
	.foot = "See also: chain explain, chain trace, chain check",
	.options = options,
	.n_options = sizeof options / sizeof options[0],
};

struct doctor {
	struct cli_chain_flags flags;
	const char *color;
	bool is_json;
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct doctor *doctor = owner;
	const char *name = options[i].name;
	bool is_good = true;
	if (cli_chain_take(&cli, &doctor->flags, name, argument, &is_good))
		return is_good;
	if (strcmp(name, "json") == 0)
		doctor->is_json = true;
	else
		doctor->color = argument;
	return true;
}

/* The file that is named, if one is: what is wrong with it are findings, not messages. */
static const char *file_of(const struct cli_chain_flags *flags)
{
	const char *path = flags->file;
	if (path == NULL && flags->hops.n_words == 0)
		path = getenv("HOPCHAIN_CHAIN");
	return path != NULL && *path != '\0' && strcmp(path, "-") != 0 ? path : NULL;
}

/* Return: false if there is no chain to look at; *ret_code: what to end with if nothing is to be
 * shown either, else CLI_OK. */
static bool read_chain(struct doctor *doctor, struct cli_findings *findings,
	struct hopchain_chain **ret, enum cli_exit *ret_code)
{
	const char *path = file_of(&doctor->flags);
	char *report = NULL;
	*ret_code = CLI_OK;
	if (path != NULL && doctor->flags.hops.n_words == 0) {
		int error = hopchain_chain_read(path, ret, &report);
		if (error == HOPCHAIN_INVALID && report != NULL) {
			cli_doctor_chain_file(findings, path, report);
			hopchain_text_free(report);
			return false;
		}
		hopchain_text_free(report);
		if (error == 0)
			hopchain_chain_free(*ret);
	}
	*ret_code = cli_chain_read(&cli, &doctor->flags, ret);
	if (*ret_code != CLI_OK)
		return false;
	if (path != NULL)
		cli_doctor_chain_file(findings, path, NULL);
	else if (doctor->flags.hops.n_words > 0)
		cli_doctor_key_files(findings, &doctor->flags.hops);
	return true;
}

/* Silent hops take their time: who watches shall know. */
static void ask_hops(struct cli_findings *findings, const struct hopchain_chain *chain)
{
	bool is_watched = isatty(STDERR_FILENO);
	if (is_watched)
		fputs(cli_fit_start() ? "asking the hops \xe2\x80\xa6" : "asking the hops ...",
			stderr);
	cli_doctor_way(findings, chain);
	if (is_watched)
		fprintf(stderr, "\r\033[K");
}

static enum cli_exit examine(struct doctor *doctor, struct cli_findings *findings)
{
	struct hopchain_chain *chain = NULL;
	enum cli_exit code;
	bool has_chain = read_chain(doctor, findings, &chain, &code);
	if (code != CLI_OK)
		return code;
	cli_doctor_limits(findings);
	if (has_chain) {
		cli_doctor_cpu(findings, chain);
		cli_doctor_names(findings, chain);
	}
	cli_doctor_synchronised(findings);
	if (has_chain)
		ask_hops(findings, chain);
	hopchain_chain_free(chain);
	if (doctor->is_json)
		cli_findings_print_json(findings);
	else
		cli_findings_print(
			findings, cli_wrap_width(), cli_wants_color(STDOUT_FILENO, doctor->color));
	return (enum cli_exit)cli_findings_exit_code(findings);
}

static enum cli_exit run(int argc, char **argv)
{
	struct doctor doctor = { 0 };
	int n_rest = 0;
	enum cli_exit result = CLI_USAGE;
	enum cli_result parsed = cli_parse(&cli, argc, argv, on_option, &doctor, &n_rest);
	if (parsed == CLI_HELPED) {
		result = CLI_OK;
	} else if (parsed == CLI_GOOD && n_rest > 0) {
		cli_wrong(&cli, "unexpected argument \"%.60s\"", argv[argc - n_rest]);
	} else if (parsed == CLI_GOOD) {
		struct cli_findings *findings = cli_findings_new();
		result = findings != NULL ? examine(&doctor, findings) : CLI_FAILED;
		cli_findings_free(findings);
	}
	cli_chain_flags_deinit(&doctor.flags);
	return result;
}

const struct cli_command cli_doctor_command = {
	.name = "doctor",
	.help = "what is wrong with a chain, and what to do",
	.cli = &cli,
	.operands = NULL,
	.run = run,
};
