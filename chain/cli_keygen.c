#include "chain/cli_commands.h"
#include "chain/cli_file.h"
#include "chain/hopchain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cli_option options[] = {
	{ "output", 'o', "FILE", "Where", "the key's file, mode 0600", "stdout" },
	{ "force", 'f', NULL, NULL, "replace the file if it exists", NULL },
	{ "mask-of", 0, "KEYFILE", "Which", "a further user of this key's hop", NULL },
};

static const struct cli cli = {
	.program = "chain keygen",
	.head = "Usage: chain keygen [-o FILE] [--force] [--mask-of KEYFILE]\n"
		"Make a key: 64 random bytes for one user at one hop.\n"
		"\n"
		"  chain keygen -o hop1.key                       the first user of a hop\n"
		"  chain keygen -o ann.key --mask-of hop1.key     another user of that hop\n"
		"\n"
		"A key has two halves. One is secret to the user. The other, the mask key, only\n"
		"hides from observers which user connects; all users of a hop share it, and a\n"
		"hop accepts at most two (the old and the new one while it is changed). So each\n"
		"further user's key is made from a key of that hop, with --mask-of.\n",
	.foot = "See also: chain check, hop --user",
	.options = options,
	.n_options = COUNT(options),
};

struct flags {
	const char *output, *mask_of;
	bool is_forced;
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	if (strcmp(options[i].name, "output") == 0)
		flags->output = argument;
	else if (strcmp(options[i].name, "mask-of") == 0)
		flags->mask_of = argument;
	else
		flags->is_forced = true;
	return true;
}

static enum cli_exit write_key(const struct flags *flags, const char *text, size_t len)
{
	if (flags->output != NULL && strcmp(flags->output, "-") != 0)
		return flags->is_forced ? cli_file_replace(flags->output, text, len, NULL)
					: cli_file_create(flags->output, text, len,
						  "a key that is replaced is lost: --force");
	if (cli_file_write(STDOUT_FILENO, text, len))
		return CLI_OK;
	fprintf(stderr, "chain: cannot write to stdout: %s\n", strerror(errno));
	return CLI_FAILED;
}

static enum cli_exit generate(const struct flags *flags)
{
	char text[HOPCHAIN_KEY_TEXT], *report = NULL;
	enum cli_exit result;
	int error = hopchain_key_generate(flags->mask_of, text, &report);
	if (error == 0) {
		text[HOPCHAIN_KEY_TEXT - 1] = '\n'; /* where its NUL was */
		result = write_key(flags, text, HOPCHAIN_KEY_TEXT);
	} else if (report != NULL) {
		fputs(report, stderr);
		result = CLI_CONFIG;
	} else {
		fprintf(stderr, "chain: %s\n", hopchain_strerror(error));
		result = CLI_FAILED;
	}
	hopchain_text_free(report);
	explicit_bzero(text, sizeof text);
	return result;
}

static enum cli_exit run(int argc, char **argv)
{
	struct flags flags = { 0 };
	int n_rest = 0;
	enum cli_result parsed = cli_parse(&cli, argc, argv, on_option, &flags, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (n_rest > 0) {
		cli_wrong(&cli, "unexpected argument \"%.60s\"; the file is named with -o",
			argv[argc - n_rest]);
		return CLI_USAGE;
	}
	return generate(&flags);
}

const struct cli_command cli_keygen_command = {
	.name = "keygen",
	.help = "make a key for one user at one hop",
	.cli = &cli,
	.operands = NULL,
	.run = run,
};
