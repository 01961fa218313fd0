#include "config/cli_complete.h"

#include "config/cli_argument.h"
#include "config/cli_program.h"

#include <stdio.h>

#define QUOTE "\\'"

/* %s: the program. */
static void print_helpers(const char *name)
{
	printf("function __hopchain_%s_first\n	test (count (commandline -opc)) -eq 1\nend\n",
		name);
	printf("function __hopchain_%s_using\n"
	       "	set -l words (commandline -opc)\n"
	       "	set -l command ''\n"
	       "	if set -q words[2]; and not string match -q -- '-*' $words[2]\n"
	       "		set command $words[2]\n"
	       "	end\n"
	       "	test \"$command\" = \"$argv[1]\"\nend\n",
		name);
	printf("function __hopchain_%s_pair\n"
	       "	set -l word (string replace -r -- '^--[^=]*=' '' (commandline -ct))\n"
	       "	string match -q -- '*,*' $word; or return\n"
	       "	set -l first (string replace -r -- ',.*' ',' $word)\n"
	       "	for file in (__fish_complete_path (string replace -r -- '^[^,]*,' '' "
	       "$word))\n"
	       "		echo $first$file\n	end\nend\n",
		name);
	printf("complete -c %s -f\n", name);
}

/* What may stand where @argument is written. @is_option: it must be there. */
static void print_kind(const struct cli_program *program, const char *argument, bool is_option)
{
	enum cli_argument kind = cli_argument(argument);
	const char *taken = is_option ? " -x" : "";
	switch (kind) {
	case CLI_ARGUMENT_FILE:
		printf("%s -F", is_option ? " -r" : "");
		break;
	case CLI_ARGUMENT_DIR:
		printf("%s -a '(__fish_complete_directories)'", taken);
		break;
	case CLI_ARGUMENT_PAIR:
		printf("%s -a '(__hopchain_%s_pair)'", taken, program->name);
		break;
	case CLI_ARGUMENT_SLUG:
		printf("%s -a \"(%s)\"", taken, CLI_COMPLETE_SLUGS);
		break;
	case CLI_ARGUMENT_WORDS:
	case CLI_ARGUMENT_COMMAND:
		printf("%s -a '", taken);
		if (kind == CLI_ARGUMENT_WORDS)
			cli_complete_words(argument);
		else
			cli_complete_commands(program);
		putchar('\'');
		break;
	case CLI_ARGUMENT_NONE:
		break;
	case CLI_ARGUMENT_FREE:
		printf("%s", taken);
		break;
	}
}

static void begin(const struct cli_program *program, const char *command)
{
	printf("complete -c %s -n '__hopchain_%s_using \"%s\"'", program->name, program->name,
		command);
}

static void print_options(
	const struct cli_program *program, const char *command, const struct cli *cli)
{
	begin(program, command);
	printf(" -s h -l help -d 'how it is used'\n");
	for (size_t i = 0; i < cli->n_options; i++) {
		const struct cli_option *o = &cli->options[i];
		if (o->help == NULL)
			continue;
		begin(program, command);
		if (o->letter != 0)
			printf(" -s %c", o->letter);
		printf(" -l %s", o->name);
		print_kind(program, o->argument, true);
		printf(" -d '");
		cli_complete_text(o->help, "\\", QUOTE);
		printf("'\n");
	}
}

void cli_complete_fish(const struct cli_program *program)
{
	const char *name = program->name;
	printf("# Completions of %s, made by: %s completion fish\n", name, name);
	print_helpers(name);
	print_options(program, "", program->cli);
	printf("complete -c %s -n __hopchain_%s_first -l version -d 'which version this is'\n",
		name, name);
	for (size_t i = 0; i < cli_program_n_commands(program); i++) {
		const struct cli_command *command = cli_program_command(program, i);
		printf("complete -c %s -n __hopchain_%s_first -a %s -d '", name, name,
			command->name);
		cli_complete_text(command->help, "\\", QUOTE);
		printf("'\n");
		print_options(program, command->name, command->cli);
		if (cli_argument(command->operands) <= CLI_ARGUMENT_FREE)
			continue;
		begin(program, command->name);
		print_kind(program, command->operands, false);
		putchar('\n');
	}
}
