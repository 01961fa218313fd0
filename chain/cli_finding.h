#ifndef CHAIN_CLI_FINDING_H
#define CHAIN_CLI_FINDING_H
/*
 * Does: gathers what was found, good and bad, with what to do about it; prints it for people and
 * for programs. Knows: words. Never knows: how it was found.
 */
#include <stdbool.h>
#include <stddef.h>

enum cli_finding_level {
	CLI_FINDING_OK,
	CLI_FINDING_WARNING,
	CLI_FINDING_PROBLEM,
};

struct cli_finding {
	enum cli_finding_level level;
	const char *section; /* "clock": one word. Static */
	unsigned hop;        /* 1..n, or 0: of no hop */
	const char *slug;    /* of hopchain-status(7), or NULL. Static */
	int exit_code;       /* of a problem */
	const char *remedy;  /* what to do, or NULL. Copied */
};

struct cli_findings;
/** cli_findings_new() - Return: NULL without memory. */
struct cli_findings *cli_findings_new(void);
void cli_findings_free(struct cli_findings *findings); /* NULL ok */
/** cli_findings_add() - the sentence is what was found. */
void cli_findings_add(struct cli_findings *findings, const struct cli_finding *finding,
	const char *format, ...) __attribute__((format(printf, 3, 4)));
/** cli_findings_exit_code() - of the first problem; 0: there is none. 1: memory ran out. */
int cli_findings_exit_code(const struct cli_findings *findings);
/** cli_findings_print() - to stdout, in lines of @width columns and letters of the locale. */
void cli_findings_print(const struct cli_findings *findings, size_t width, bool has_color);
/** cli_findings_print_json() - one document. */
void cli_findings_print_json(const struct cli_findings *findings);

#endif
