#include "chain/cli_table_cells.h"

#include "chain/cli_fit.h"

#include <inttypes.h>
#include <string.h>

#define CLOCK_TELL_MS   1000
#define RESOLVE_TELL_US 1000

int cli_table_decimals(const struct cli_table *table)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		if (table->rows[i].has_times && table->rows[i].worst_us >= 10000)
			return 1;
	}
	return 2;
}

static bool is_target(const struct cli_table *table, size_t i)
{
	return table->rows[i].hop > table->n_hops;
}

static void print_none(char *to)
{
	to[0] = '-';
	to[1] = '\0';
}

/* At most five columns up to 99,999 ms. */
static void print_ms(const struct cli_table *table, double us, char *to)
{
	double ms = us / 1000;
	snprintf(to, CLI_CELL_MAX, "%.*f", ms < 999.95 ? cli_table_decimals(table) : 0, ms);
}

static void print_clock(int64_t offset_ms, char *to, size_t size)
{
	int64_t whole = offset_ms < 0 ? -offset_ms : offset_ms;
	if (whole < CLOCK_TELL_MS)
		snprintf(to, size, "%+" PRId64 " ms", offset_ms);
	else
		snprintf(to, size, "%+.1f s", (double)offset_ms / 1000);
}

bool cli_table_is_told(const struct cli_table *table, size_t i)
{
	const struct hopchain_error *error = table->rows[i].error;
	if (error == NULL)
		return false;
	for (size_t before = 0; before < i; before++) {
		const struct hopchain_error *known = table->rows[before].error;
		if (known != NULL &&
			(known->hop == error->hop || strcmp(known->slug, error->slug) == 0))
			return false;
	}
	return true;
}

/* Adds to a list with commas. */
static void add(char *to, const char *text)
{
	size_t len = strlen(to);
	snprintf(to + len, CLI_CELL_MAX - len, "%s%s", len > 0 ? ", " : "", text);
}

static const char *address_of(const struct hopchain_row *row)
{
	if (row->dialled != NULL)
		return row->dialled;
	return row->name != NULL ? row->address : NULL;
}

/* Of an address that the hop's column does not show. */
static const char *hidden_address(const struct hopchain_row *row)
{
	const char *address = address_of(row);
	const char *shown = row->name != NULL ? row->name : row->address;
	return address != NULL && strcmp(address, shown) != 0 ? address : NULL;
}

static void note_way(const struct hopchain_row *row, unsigned columns, char *to)
{
	char text[64];
	if (!(columns & CLI_COLUMN_BIT(CLI_ADDRESS)) && hidden_address(row) != NULL)
		add(to, hidden_address(row));
	if (!(columns & CLI_COLUMN_BIT(CLI_RESOLVE)) && row->resolve_us > RESOLVE_TELL_US) {
		snprintf(text, sizeof text, "resolved in %.1f ms", row->resolve_us / 1000.0);
		add(to, text);
	}
	if (row->n_tries > 1) {
		snprintf(text, sizeof text, "%u addresses tried", row->n_tries);
		add(to, text);
	}
}

static void note_hop(const struct hopchain_row *row, unsigned columns, char *to)
{
	int64_t offset = row->clock_offset_ms;
	if (row->has_clock && !(columns & CLI_COLUMN_BIT(CLI_CLOCK)) &&
		(offset >= CLOCK_TELL_MS || offset <= -CLOCK_TELL_MS)) {
		add(to, "clock ");
		print_clock(offset, to + strlen(to), CLI_CELL_MAX - strlen(to));
	}
	if (row->software != NULL && !(columns & CLI_COLUMN_BIT(CLI_SOFTWARE)))
		add(to, row->software);
}

static void note(const struct cli_table *table, size_t i, unsigned columns, char *to)
{
	const struct hopchain_row *row = &table->rows[i];
	if (cli_table_is_told(table, i))
		add(to, row->error->slug);
	note_way(row, columns, to);
	if (!is_target(table, i)) {
		note_hop(row, columns, to);
		return;
	}
	if (row->cipher != NULL)
		add(to, row->cipher);
	if (row->error == NULL)
		add(to, "connect only");
}

/* Columns whose text is a time of all rounds. */
static void print_time(
	const struct cli_table *table, const struct hopchain_row *row, enum cli_column c, char *to)
{
	const double values[CLI_N_COLUMNS] = {
		[CLI_LAST] = (double)row->last_us,
		[CLI_AVERAGE] = row->avg_us,
		[CLI_BEST] = (double)row->best_us,
		[CLI_WORST] = (double)row->worst_us,
		[CLI_DEVIATION] = row->stddev_us,
	};
	if (row->has_times)
		print_ms(table, values[c], to);
	else
		print_none(to);
}

/* Columns whose text is a time of the row's own share. */
static void print_own(const struct cli_table *table, size_t i, enum cli_column c, char *to)
{
	const struct hopchain_row *row = &table->rows[i];
	double dial = (double)row->resolve_us + row->connect_us;
	print_none(to);
	if (!row->has_times)
		return;
	if (c == CLI_OWN && row->has_own)
		print_ms(table, row->own_avg_us, to);
	else if (c == CLI_RESOLVE)
		print_ms(table, row->resolve_us, to);
	else if (c == CLI_CONNECT)
		print_ms(table, row->connect_us, to);
	else if (c == CLI_DIAL)
		print_ms(table, dial, to);
	else if (c == CLI_AUTH && row->has_own && !is_target(table, i))
		print_ms(table, row->own_last_us > dial ? row->own_last_us - dial : 0, to);
}

static void print_number(const struct cli_table *table, size_t i, bool is_utf8, char *to)
{
	if (is_target(table, i))
		snprintf(to, CLI_CELL_MAX, "%s", is_utf8 ? "\xe2\x86\x92" : ">");
	else
		snprintf(to, CLI_CELL_MAX, "%u", table->rows[i].hop);
}

static void print_loss(const struct hopchain_row *row, char *to)
{
	double loss = row->n_sent > 0 ? 100.0 * (double)row->n_lost / (double)row->n_sent : 0;
	if (row->n_sent == 0)
		print_none(to);
	else
		snprintf(to, CLI_CELL_MAX, "%.1f%%", loss);
}

void cli_table_cell(const struct cli_table *table, size_t i, enum cli_column column,
	unsigned columns, bool is_utf8, char to[CLI_CELL_MAX])
{
	const struct hopchain_row *row = &table->rows[i];
	char text[CLI_CELL_MAX] = "";
	if (column == CLI_NUMBER)
		print_number(table, i, is_utf8, text);
	else if (column == CLI_HOP)
		snprintf(text, sizeof text, "%s", row->name != NULL ? row->name : row->address);
	else if (column == CLI_LOSS)
		print_loss(row, text);
	else if (column == CLI_SENT)
		snprintf(text, sizeof text, "%" PRIu64, row->n_sent);
	else if (column <= CLI_DEVIATION)
		print_time(table, row, column, text);
	else if (column <= CLI_AUTH)
		print_own(table, i, column, text);
	else if (column == CLI_CLOCK && row->has_clock && !is_target(table, i))
		print_clock(row->clock_offset_ms, text, sizeof text);
	else if (column == CLI_ADDRESS && address_of(row) != NULL)
		snprintf(text, sizeof text, "%s", address_of(row));
	else if (column == CLI_SOFTWARE && row->software != NULL && !is_target(table, i))
		snprintf(text, sizeof text, "%s", row->software);
	else if (column == CLI_NOTE)
		note(table, i, columns, text);
	cli_fit_clean(text, is_utf8, to, CLI_CELL_MAX);
}
