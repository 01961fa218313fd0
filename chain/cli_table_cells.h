#ifndef CHAIN_CLI_TABLE_CELLS_H
#define CHAIN_CLI_TABLE_CELLS_H
/*
 * Does: what each cell of a trace's table says. Knows: rows, units. Never knows: widths, places.
 */
#include "chain/cli_table.h"

enum cli_column {
	CLI_NUMBER,
	CLI_HOP,
	CLI_LOSS,
	CLI_SENT,
	CLI_LAST,
	CLI_AVERAGE,
	CLI_BEST,
	CLI_WORST,
	CLI_DEVIATION,
	CLI_OWN,
	CLI_RESOLVE,
	CLI_CONNECT,
	CLI_DIAL,
	CLI_AUTH,
	CLI_CLOCK,
	CLI_ADDRESS,
	CLI_SOFTWARE,
	CLI_NOTE,
	CLI_N_COLUMNS,
};
#define CLI_COLUMN_BIT(column) (1u << (column))
#define CLI_CELL_MAX           512 /* bytes, with the NUL */

/** cli_table_decimals() - how many digits after the point the times of this table have. */
int cli_table_decimals(const struct cli_table *table);
/** cli_table_cell() - the text of @column in row @i, clean, "" if there is nothing to say.
 * @columns: bits of those the table has: the note says what the others would. */
void cli_table_cell(const struct cli_table *table, size_t i, enum cli_column column,
	unsigned columns, bool is_utf8, char to[CLI_CELL_MAX]);
/** cli_table_is_told() - whether the failure of row @i is not one that a row before it tells. */
bool cli_table_is_told(const struct cli_table *table, size_t i);

#endif
