#include "config/cli_complete.h"

#include "config/cli_argument.h"
#include "config/cli_program.h"

#include <stdio.h>
#include <string.h>

#define QUOTE "'\\''" /* how a "'" is written inside of '...' */

static void print_action(const struct cli_program *program, const char *argument)
{
	enum cli_argument kind = cli_argument(argument);
	switch (kind) {
	case CLI_ARGUMENT_FILE:
		printf("_files");
		break;
	case CLI_ARGUMENT_DIR:
		printf("_files -/");
		break;
	case CLI_ARGUMENT_PAIR:
		printf("_hopchain_%s_pair", program->name);
		break;
	case CLI_ARGUMENT_SLUG:
		printf("_hopchain_%s_slugs", program->name);
		break;
	case CLI_ARGUMENT_WORDS:
	case CLI_ARGUMENT_COMMAND:
		putchar('(');
		if (kind == CLI_ARGUMENT_WORDS)
			cli_complete_words(argument);
		else
			cli_complete_commands(program);
		putchar(')');
		break;
	case CLI_ARGUMENT_NONE:
	case CLI_ARGUMENT_FREE:
		putchar(' ');
		break;
	}
}

/* One specification of _arguments, without its quotes' beginning. */
static void print_rest(const struct cli_program *program, const struct cli_option *o)
{
	printf("'[");
	cli_complete_text(o->help, "[]:\\", QUOTE);
	putchar(']');
	if (o->argument != NULL) {
		putchar(':');
		cli_complete_text(o->argument, "[]:\\", QUOTE);
		putchar(':');
		print_action(program, o->argument);
	}
	printf("' \\\n");
}

static void print_option(const struct cli_program *program, const struct cli_option *o)
{
	const char *tail = o->argument != NULL ? "=" : "";
	printf("			");
	if (o->argument != NULL)
		printf("'*'");
	else if (o->letter != 0)
		printf("'(-%c --%s)'", o->letter, o->name);
	if (o->letter != 0)
		printf("{-%c%s,--%s%s}", o->letter, o->argument != NULL ? "+" : "", o->name, tail);
	else
		printf("--%s%s", o->name, tail);
	print_rest(program, o);
}

static void print_arguments(
	const struct cli_program *program, const struct cli *cli, const char *operands)
{
	printf("		_arguments -s -S \\\n			'(- *)'{-h,--help}'[how it "
	       "is "
	       "used]' \\\n");
	for (size_t i = 0; i < cli->n_options; i++) {
		if (cli->options[i].help != NULL)
			print_option(program, &cli->options[i]);
	}
	/* One of which nothing is known would keep zsh from completing options. */
	if (operands != NULL && cli_argument(operands) > CLI_ARGUMENT_FREE) {
		printf("			'%s:", strstr(operands, "...") != NULL ? "*" : "1");
		cli_complete_text(operands, "[]:\\", QUOTE);
		putchar(':');
		print_action(program, operands);
		printf("'\n");
	} else {
		printf("			&& return\n");
	}
}

static void print_helpers(const char *name)
{
	printf("_hopchain_%s_pair() {\n"
	       "	if compset -P '*,'; then\n		_files\n	else\n"
	       "		_message 'then a comma and a file'\n	fi\n}\n"
	       "_hopchain_%s_slugs() {\n"
	       "	local -a slugs\n	slugs=(${(f)\"$(%s)\"})\n"
	       "	compadd -a slugs\n}\n",
		name, name, CLI_COMPLETE_SLUGS);
}

static void print_bare(const struct cli_program *program)
{
	printf("	if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
	       "		local -a commands\n		commands=(\n");
	for (size_t i = 0; i < cli_program_n_commands(program); i++) {
		const struct cli_command *command = cli_program_command(program, i);
		printf("			'%s:", command->name);
		cli_complete_text(command->help, ":\\", QUOTE);
		printf("'\n");
	}
	printf("		)\n		_describe -t commands command commands\n	"
	       "	"
	       "return\n"
	       "	fi\n	if [[ $words[2] == -* ]]; then\n");
	print_arguments(program, program->cli, NULL);
	printf("		return\n	fi\n");
}

void cli_complete_zsh(const struct cli_program *program)
{
	const char *name = program->name;
	printf("#compdef %s\n# Completions of %s, made by: %s completion zsh\n", name, name, name);
	print_helpers(name);
	printf("_%s() {\n", name);
	print_bare(program);
	printf("	local command=$words[2]\n	shift words\n	(( CURRENT-- ))\n"
	       "	case $command in\n");
	for (size_t i = 0; i < cli_program_n_commands(program); i++) {
		const struct cli_command *command = cli_program_command(program, i);
		printf("	(%s)\n", command->name);
		print_arguments(program, command->cli, command->operands);
		printf("		;;\n");
	}
	printf("	esac\n}\n"
	       "if [[ ${funcstack[1]} == _%s ]]; then\n	_%s \"$@\"\nelse\n	compdef _%s "
	       "%s\nfi\n",
		name, name, name, name);
}
