#ifndef CHAIN_CLI_TRACE_FORMAT_H
#define CHAIN_CLI_TRACE_FORMAT_H
/*
 * Does: the rows of a trace for programs: JSON as mtr's with more members, and CSV (RFC 4180).
 * Knows: rows. Never knows: screens, measuring. Times are ms.
 */
#include "chain/cli_table.h"

#include <time.h>

struct cli_trace_document {
	const struct cli_table *table;
	const char *source; /* name of this host */
	time_t start;
};

/** cli_trace_json() - one document: "report", "mtr" and "hubs" as "mtr --json" of 0.95 has them. */
void cli_trace_json(const struct cli_trace_document *document, FILE *to);
/** cli_trace_csv() - a line of names, and one a row. */
void cli_trace_csv(const struct cli_trace_document *document, FILE *to);

#endif
