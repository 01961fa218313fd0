#ifndef CHAIN_CLI_TABLE_H
#define CHAIN_CLI_TABLE_H
/*
 * Does: lays the rows of a trace out as a table that is at most as wide as asked, and tells below
 * it why and where the chain stops. Knows: rows, columns. Never knows: terminals, measuring.
 *
 * Times are ms. "dial" is what the hop before needed to resolve and connect to this one, "auth" the
 * rest of what the row adds to the row before it; both of the last round.
 */
#include "chain/hopchain.h"

#include <stdio.h>

struct cli_table {
	const char *name; /* of the chain, or NULL */
	size_t n_hops;
	const char *target; /* or NULL: hops only */
	bool is_udp, is_paused;
	uint64_t n_rounds;
	uint32_t interval_ms;
	const struct hopchain_row *rows;
	size_t n_rows;
};

struct cli_style {
	unsigned width; /* columns, 20 or more */
	bool is_utf8, has_color;
};

/** cli_table_print() - lines that end in '\n'. Return: false without memory. */
bool cli_table_print(const struct cli_table *table, const struct cli_style *style, FILE *to)
	__attribute__((warn_unused_result));

#endif
