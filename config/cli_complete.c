#include "config/cli_complete.h"

#include "config/cli_argument.h"
#include "config/cli_program.h"

#include <stdio.h>
#include <string.h>

bool cli_complete_print(const struct cli_program *program, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		cli_complete_bash(program);
	else if (strcmp(shell, "zsh") == 0)
		cli_complete_zsh(program);
	else if (strcmp(shell, "fish") == 0)
		cli_complete_fish(program);
	else
		return false;
	return true;
}

void cli_complete_words(const char *argument)
{
	struct bytes word;
	const char *between = "";
	while (cli_argument_word(&argument, &word)) {
		printf("%s%.*s", between, (int)word.len, (const char *)word.ptr);
		between = " ";
	}
}

void cli_complete_commands(const struct cli_program *program)
{
	for (size_t i = 0; i < cli_program_n_commands(program); i++)
		printf("%s%s", i > 0 ? " " : "", cli_program_command(program, i)->name);
}

void cli_complete_text(const char *text, const char *special, const char *quote)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'') {
			fputs(quote, stdout);
			continue;
		}
		if (strchr(special, *text) != NULL)
			putchar('\\');
		putchar(*text);
	}
}
