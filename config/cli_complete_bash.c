#include "config/cli_complete.h"

#include "config/cli_argument.h"
#include "config/cli_program.h"

#include <stdio.h>

/* Bash cuts words at ':' and '=': the option that the present word belongs to is some words back.
 */
static const char before[] = "	local cur=${COMP_WORDS[COMP_CWORD]} i=$((COMP_CWORD - 1))\n"
			     "	local command='' option options='' kind='' words='' is_operand=''\n"
			     "	COMPREPLY=()\n"
			     "	if [[ $cur == [:=]* ]]; then\n"
			     "		cur=''\n"
			     "		i=$COMP_CWORD\n"
			     "	fi\n"
			     "	while ((i > 1)) && [[ ${COMP_WORDS[i]} == :* ]]; do\n"
			     "		i=$((i - 2))\n"
			     "	done\n"
			     "	if ((i > 1)) && [[ ${COMP_WORDS[i]} == = ]]; then\n"
			     "		i=$((i - 1))\n"
			     "	fi\n"
			     "	option=${COMP_WORDS[i]}\n"
			     "	if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} != -* ]]; then\n"
			     "		command=${COMP_WORDS[1]}\n"
			     "	fi\n"
			     "	case $command in\n";

static const char after[] =
	"	esac\n"
	"	if [[ $cur == -* && -n $is_operand ]]; then\n"
	"		kind='words'\n"
	"		words=$options\n"
	"	fi\n"
	"	case $kind in\n"
	"	file)\n"
	"		compopt -o filenames 2>/dev/null\n"
	"		mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"		;;\n"
	"	dir)\n"
	"		compopt -o filenames 2>/dev/null\n"
	"		mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
	"		;;\n"
	"	pair)\n"
	"		if [[ $cur == *,* ]]; then\n"
	"			mapfile -t COMPREPLY < <(compgen -P \"${cur%%,*},\" -f -- "
	"\"${cur#*,}\")\n"
	"		fi\n"
	"		;;\n"
	"	words)\n"
	"		mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	"		;;\n"
	"	esac\n"
	"}\n";

/* What may stand where @argument is written, as assignments. */
static void print_kind(const struct cli_program *program, const char *argument)
{
	enum cli_argument kind = cli_argument(argument);
	switch (kind) {
	case CLI_ARGUMENT_FILE:
		printf("kind='file'");
		break;
	case CLI_ARGUMENT_DIR:
		printf("kind='dir'");
		break;
	case CLI_ARGUMENT_PAIR:
		printf("kind='pair'");
		break;
	case CLI_ARGUMENT_SLUG:
		printf("kind='words' words=$(%s)", CLI_COMPLETE_SLUGS);
		break;
	case CLI_ARGUMENT_WORDS:
	case CLI_ARGUMENT_COMMAND:
		printf("kind='words' words='");
		if (kind == CLI_ARGUMENT_WORDS)
			cli_complete_words(argument);
		else
			cli_complete_commands(program);
		putchar('\'');
		break;
	case CLI_ARGUMENT_NONE:
	case CLI_ARGUMENT_FREE:
		printf("kind=''");
		break;
	}
}

static void print_options(const struct cli *cli, const char *further)
{
	printf("		options='--help%s", further);
	for (size_t i = 0; i < cli->n_options; i++) {
		if (cli->options[i].help != NULL)
			printf(" --%s", cli->options[i].name);
	}
	printf("'\n");
}

/* The options that take an argument, as cases of what stands before the present word. */
static void print_arguments(const struct cli_program *program, const struct cli *cli)
{
	for (size_t i = 0; i < cli->n_options; i++) {
		const struct cli_option *o = &cli->options[i];
		if (o->argument == NULL || o->help == NULL)
			continue;
		printf("		");
		if (o->letter != 0)
			printf("-%c | ", o->letter);
		printf("--%s) ", o->name);
		print_kind(program, o->argument);
		printf(" ;;\n");
	}
}

static void print_command(const struct cli_program *program, const struct cli_command *command)
{
	printf("	%s)\n", command->name);
	print_options(command->cli, "");
	printf("		case $option in\n");
	print_arguments(program, command->cli);
	printf("		*) is_operand=1 ");
	print_kind(program, command->operands);
	printf(" ;;\n		esac\n		;;\n");
}

/* No command so far: one of them, or an option of the program itself. */
static void print_bare(const struct cli_program *program)
{
	printf("	'')\n");
	print_options(program->cli, " --version");
	printf("		case $option in\n");
	print_arguments(program, program->cli);
	printf("		*)\n			is_operand=1\n"
	       "			if ((COMP_CWORD == 1)); then\n"
	       "				kind='words' words='");
	cli_complete_commands(program);
	printf("'\n			fi\n			;;\n		esac\n		"
	       ";;\n");
}

void cli_complete_bash(const struct cli_program *program)
{
	printf("# shellcheck shell=bash\n# Completions of %s, made by: %s completion bash\n"
	       "_hopchain_%s()\n{\n%s",
		program->name, program->name, program->name, before);
	print_bare(program);
	for (size_t i = 0; i < cli_program_n_commands(program); i++)
		print_command(program, cli_program_command(program, i));
	printf("%scomplete -F _hopchain_%s %s\n", after, program->name, program->name);
}
