#include "config/cli_program.h"

#include "config/cli_complete.h"
#include "config/cli_version.h"
#include "config/schemas.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define COMMANDS_MAX 32

static const struct cli_option version_options[] = {
	{ "json", 0, NULL, NULL, "also the libraries, as JSON", NULL },
};

/* Their program and head depend on who is asked: see name_builtin(). */
static const struct cli version_cli = {
	.foot = "See also: help", .options = version_options, .n_options = COUNT(version_options)
};
static const struct cli completion_cli = { .foot = "See also: the manual page" };
static const struct cli help_cli = { .foot = "See also: the manual page" };
static const struct cli schema_cli = { .foot = "See also: check" };

static const struct cli_command builtins[] = {
	{ "schema", "print the JSON schema of its file", &schema_cli, NULL, NULL },
	{ "completion", "print completions for a shell", &completion_cli, CLI_COMPLETE_SHELLS,
		NULL },
	{ "help", "print how a command is used", &help_cli, "[COMMAND]", NULL },
	{ "version", "print which version this is", &version_cli, NULL, NULL },
};

size_t cli_program_n_commands(const struct cli_program *program)
{
	return program->n_commands + COUNT(builtins);
}

const struct cli_command *cli_program_command(const struct cli_program *program, size_t i)
{
	return i < program->n_commands ? program->commands[i] : &builtins[i - program->n_commands];
}

/* A builtin's cli as one of @program's. */
struct named {
	struct cli cli;
	char program[64], head[256];
};

static const struct cli *name_builtin(
	struct named *named, const struct cli_program *program, const struct cli_command *command)
{
	named->cli = *command->cli;
	snprintf(named->program, sizeof named->program, "%s %s", program->name, command->name);
	snprintf(named->head, sizeof named->head, "Usage: %s%s%s%s\n%c%s.\n", named->program,
		command->cli->n_options > 0 ? " [options]" : "",
		command->operands != NULL ? " " : "",
		command->operands != NULL ? command->operands : "", toupper(command->help[0]),
		command->help + 1);
	named->cli.program = named->program;
	named->cli.head = named->head;
	return &named->cli;
}

static const struct cli_command *find(const struct cli_program *program, const char *name)
{
	for (size_t i = 0; i < cli_program_n_commands(program); i++) {
		const struct cli_command *command = cli_program_command(program, i);
		if (strcmp(command->name, name) == 0)
			return command;
	}
	return NULL;
}

static enum cli_exit tell_unknown(const struct cli_program *program, const char *name)
{
	const char *names[COMMANDS_MAX];
	size_t n = cli_program_n_commands(program);
	for (size_t i = 0; i < n && i < COMMANDS_MAX; i++)
		names[i] = cli_program_command(program, i)->name;
	cli_unknown_command(program->cli, name, names, n < COMMANDS_MAX ? n : COMMANDS_MAX);
	return CLI_USAGE;
}

/* A program with options of its own has little room: its commands are one line. */
static void print_commands(const struct cli_program *program)
{
	bool is_short = program->cli->n_options > 0;
	fputs(is_short ? "Commands:" : "Commands:\n", stdout);
	for (size_t i = 0; i < cli_program_n_commands(program); i++) {
		const struct cli_command *command = cli_program_command(program, i);
		if (is_short)
			printf(" %s", command->name);
		else
			printf("  %-12s %s\n", command->name, command->help);
	}
	if (is_short)
		putchar('\n');
}

static enum cli_exit print_program(const struct cli_program *program)
{
	printf("%s\n", program->cli->head);
	cli_print_options(program->cli);
	print_commands(program);
	printf("%s\n", program->cli->foot);
	return CLI_OK;
}

static enum cli_exit print_command(
	const struct cli_program *program, const struct cli_command *command)
{
	struct named named;
	cli_print_help(
		command->run != NULL ? command->cli : name_builtin(&named, program, command));
	return CLI_OK;
}

static bool on_json(size_t i, const char *argument, void *owner)
{
	(void)i;
	(void)argument;
	*(bool *)owner = true;
	return true;
}

static enum cli_exit complete(
	const struct cli_program *program, const struct cli *cli, const char *shell)
{
	if (shell != NULL && cli_complete_print(program, shell))
		return CLI_OK;
	cli_wrong(cli, "needs a shell: bash, zsh or fish");
	return CLI_USAGE;
}

static enum cli_exit help(const struct cli_program *program, const char *name)
{
	const struct cli_command *command = name != NULL ? find(program, name) : NULL;
	if (name == NULL)
		return print_program(program);
	return command != NULL ? print_command(program, command) : tell_unknown(program, name);
}

static enum cli_exit run_builtin(
	const struct cli_program *program, const struct cli_command *command, int argc, char **argv)
{
	struct named named;
	const struct cli *cli = name_builtin(&named, program, command);
	bool is_json = false;
	int n_rest = 0;
	enum cli_result parsed = cli_parse(cli, argc, argv, on_json, &is_json, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	const char *operand = n_rest > 0 ? argv[argc - n_rest] : NULL;
	if (n_rest > (command->operands != NULL ? 1 : 0)) {
		cli_wrong(cli, "unexpected argument \"%.60s\"", argv[argc - 1]);
		return CLI_USAGE;
	}
	if (strcmp(command->name, "version") == 0)
		return cli_version_print(program->name, is_json);
	if (strcmp(command->name, "schema") == 0)
		return schemas_print(program->name) || ferror(stdout) ? CLI_OK : CLI_FAILED;
	if (strcmp(command->name, "completion") == 0)
		return complete(program, cli, operand);
	return help(program, operand);
}

/* The first argument is no command. */
static enum cli_exit run_bare(const struct cli_program *program, int argc, char **argv)
{
	int n_rest = 0;
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return print_program(program);
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return cli_version_print(program->name, false);
	if (program->run != NULL)
		return program->run(argc, argv);
	if (argc < 2 || cli_parse(program->cli, argc, argv, NULL, NULL, &n_rest) == CLI_GOOD)
		cli_wrong(program->cli, "needs a command");
	return CLI_USAGE;
}

static enum cli_exit run(const struct cli_program *program, int argc, char **argv)
{
	if (argc < 2 || argv[1][0] == '-')
		return run_bare(program, argc, argv);
	const struct cli_command *command = find(program, argv[1]);
	if (command == NULL)
		return tell_unknown(program, argv[1]);
	if (command->run == NULL)
		return run_builtin(program, command, argc - 1, argv + 1);
	return command->run(argc - 1, argv + 1);
}

void cli_guard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", O_RDONLY);
	}
}

enum cli_exit cli_main(const struct cli_program *program, int argc, char **argv)
{
	cli_guard_descriptors();
	enum cli_exit result = run(program, argc, argv);
	const char *why = fflush(stdout) != 0 ? strerror(errno) : NULL;
	if (why == NULL && ferror(stdout))
		why = "not all was taken"; /* the reason was one call's, before this one */
	if (result != CLI_OK || why == NULL)
		return result; /* else it is told already */
	fprintf(stderr, "%s: cannot write to stdout: %s\n", program->name, why);
	return CLI_FAILED;
}
