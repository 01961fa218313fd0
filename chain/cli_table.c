#include "chain/cli_table.h"

#include "chain/cli_fit.h"
#include "chain/cli_table_cells.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HOP_MIN      12 /* columns before another column gives way */
#define HOP_MIN_MIN  4
#define TIME_WIDTH   5
#define HEAD_MAX     512
#define PAINT_BOLD   "\x1b[1m"
#define PAINT_RED    "\x1b[31m"
#define PAINT_YELLOW "\x1b[33m"
#define PAINT_OFF    "\x1b[0m"

static const struct {
	const char *heading;
	size_t gap; /* columns before it */
	size_t min; /* columns */
	bool is_left;
} columns[CLI_N_COLUMNS] = {
	[CLI_NUMBER] = { "#", 0, 2, false },
	[CLI_HOP] = { "hop", 2, HOP_MIN_MIN, true },
	[CLI_LOSS] = { "Loss%", 2, 6, false },
	[CLI_SENT] = { "Snt", 1, 4, false },
	[CLI_LAST] = { "Last", 1, TIME_WIDTH, false },
	[CLI_AVERAGE] = { "Avg", 1, TIME_WIDTH, false },
	[CLI_BEST] = { "Best", 1, TIME_WIDTH, false },
	[CLI_WORST] = { "Wrst", 1, TIME_WIDTH, false },
	[CLI_DEVIATION] = { "StDev", 1, TIME_WIDTH, false },
	[CLI_OWN] = { "own", 2, TIME_WIDTH, false },
	[CLI_RESOLVE] = { "rslv", 1, TIME_WIDTH, false },
	[CLI_CONNECT] = { "conn", 1, TIME_WIDTH, false },
	[CLI_DIAL] = { "dial", 1, TIME_WIDTH, false },
	[CLI_AUTH] = { "auth", 1, TIME_WIDTH, false },
	[CLI_CLOCK] = { "clock", 1, 7, false },
	[CLI_ADDRESS] = { "address", 2, 9, true },
	[CLI_SOFTWARE] = { "software", 2, 9, true },
	[CLI_NOTE] = { "note", 2, 4, true },
};

/* What gives way to a narrow screen, first to last; and what a wide one has besides. */
static const enum cli_column dropped[] = { CLI_DEVIATION, CLI_BEST, CLI_WORST, CLI_AUTH, CLI_LAST,
	CLI_DIAL, CLI_SENT, CLI_AVERAGE, CLI_NUMBER };
static const enum cli_column added[] = { CLI_OWN, CLI_SOFTWARE, CLI_ADDRESS, CLI_CLOCK, CLI_CONNECT,
	CLI_RESOLVE };

struct layout {
	const struct cli_table *table;
	const struct cli_style *style;
	unsigned columns; /* bits */
	size_t widths[CLI_N_COLUMNS];
};

static size_t content_width(const struct layout *layout, enum cli_column column)
{
	char cell[CLI_CELL_MAX];
	size_t width = 0;
	for (size_t i = 0; i < layout->table->n_rows; i++) {
		cli_table_cell(
			layout->table, i, column, layout->columns, layout->style->is_utf8, cell);
		size_t w = cli_fit_width(cell, layout->style->is_utf8);
		width = w > width ? w : width;
	}
	return width;
}

/* Of the columns so far. */
static size_t total_width(const struct layout *layout)
{
	size_t total = 0;
	for (unsigned c = 0; c < CLI_N_COLUMNS; c++) {
		if (layout->columns & CLI_COLUMN_BIT(c))
			total += columns[c].gap + layout->widths[c];
	}
	return total;
}

static bool note_fits(const struct layout *layout)
{
	size_t width = content_width(layout, CLI_NOTE);
	return total_width(layout) + columns[CLI_NOTE].gap + width <= layout->style->width;
}

static void drop_columns(struct layout *layout)
{
	size_t hop = layout->widths[CLI_HOP];
	layout->widths[CLI_HOP] = hop < HOP_MIN ? hop : HOP_MIN;
	for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
		if (total_width(layout) <= layout->style->width)
			break;
		layout->columns &= ~CLI_COLUMN_BIT(dropped[i]);
	}
	layout->widths[CLI_HOP] = HOP_MIN_MIN;
	size_t used = total_width(layout), free_width = HOP_MIN_MIN;
	if (used < layout->style->width)
		free_width += layout->style->width - used;
	layout->widths[CLI_HOP] = hop < free_width ? hop : free_width;
}

/* In order, as long as there is room. A column that leaves none for notes that had some is not
 * worth it. */
static void add_columns(struct layout *layout)
{
	bool fitted = note_fits(layout), has_room = true;
	for (size_t i = 0; i < sizeof added / sizeof added[0] && has_room; i++) {
		if (content_width(layout, added[i]) == 0)
			continue;
		layout->columns |= CLI_COLUMN_BIT(added[i]);
		bool fits = note_fits(layout);
		has_room = total_width(layout) <= layout->style->width && (fits || !fitted);
		if (has_room)
			fitted = fits;
		else
			layout->columns &= ~CLI_COLUMN_BIT(added[i]);
	}
	layout->widths[CLI_NOTE] = content_width(layout, CLI_NOTE);
	if (fitted && layout->widths[CLI_NOTE] > 0)
		layout->columns |= CLI_COLUMN_BIT(CLI_NOTE);
}

static void lay_out(struct layout *layout)
{
	layout->columns = CLI_COLUMN_BIT(CLI_DIAL) | CLI_COLUMN_BIT(CLI_AUTH);
	for (unsigned c = 0; c <= CLI_DEVIATION; c++)
		layout->columns |= CLI_COLUMN_BIT(c);
	for (unsigned c = 0; c < CLI_NOTE; c++) {
		size_t width = content_width(layout, c);
		layout->widths[c] = width > columns[c].min ? width : columns[c].min;
	}
	drop_columns(layout);
	if (layout->columns & CLI_COLUMN_BIT(CLI_DEVIATION))
		add_columns(layout);
}

/* Pads to the column; @paint or NULL. @owed: spaces that are printed once something follows. */
static void put(const struct layout *layout, enum cli_column c, char *text, const char *paint,
	size_t *owed, FILE *to)
{
	bool is_utf8 = layout->style->is_utf8;
	size_t width = layout->widths[c];
	if (columns[c].is_left)
		cli_fit_middle(text, width, is_utf8);
	else
		cli_fit_end(text, width, is_utf8);
	size_t pad = width - cli_fit_width(text, is_utf8);
	bool is_painted = paint != NULL && layout->style->has_color;
	*owed += columns[c].gap + (columns[c].is_left ? 0 : pad);
	if (text[0] != '\0') {
		fprintf(to, "%*s%s%s%s", (int)*owed, "", is_painted ? paint : "", text,
			is_painted ? PAINT_OFF : "");
		*owed = 0;
	}
	*owed += columns[c].is_left ? pad : 0;
}

static void put_headings(const struct layout *layout, FILE *to)
{
	char text[CLI_CELL_MAX];
	size_t owed = 0;
	for (unsigned c = 0; c < CLI_N_COLUMNS; c++) {
		if (!(layout->columns & CLI_COLUMN_BIT(c)))
			continue;
		snprintf(text, sizeof text, "%s", columns[c].heading);
		put(layout, c, text, PAINT_BOLD, &owed, to);
	}
	fputc('\n', to);
}

static const char *paint_of(const struct hopchain_row *row, enum cli_column c)
{
	if (c != CLI_LOSS || row->n_lost == 0)
		return NULL;
	return row->n_lost == row->n_sent ? PAINT_RED : PAINT_YELLOW;
}

static void put_row(const struct layout *layout, size_t i, FILE *to)
{
	char text[CLI_CELL_MAX];
	size_t owed = 0;
	for (unsigned c = 0; c < CLI_N_COLUMNS; c++) {
		if (!(layout->columns & CLI_COLUMN_BIT(c)))
			continue;
		cli_table_cell(layout->table, i, c, layout->columns, layout->style->is_utf8, text);
		put(layout, c, text, paint_of(&layout->table->rows[i], c), &owed, to);
	}
	fputc('\n', to);
}

/* "chain office → example.org:443" */
static void print_title(const struct layout *layout, char *to, size_t size)
{
	const struct cli_table *table = layout->table;
	char text[HEAD_MAX], many[32] = "chain of 1 hop";
	if (table->n_hops != 1)
		snprintf(many, sizeof many, "chain of %zu hops", table->n_hops);
	snprintf(text, sizeof text, "%s%s%s%s", table->name != NULL ? "chain " : many,
		table->name != NULL ? table->name : "",
		table->target == NULL    ? ""
		: layout->style->is_utf8 ? " \xe2\x86\x92 "
					 : " > ",
		table->target != NULL ? table->target : "");
	cli_fit_clean(text, layout->style->is_utf8, to, size);
}

/* "10 rounds, 1 s apart" */
static void print_rounds(const struct cli_table *table, char *to, size_t size)
{
	char apart[32];
	if (table->interval_ms % 1000 == 0)
		snprintf(apart, sizeof apart, "%" PRIu32 " s", table->interval_ms / 1000);
	else if (table->interval_ms > 1000)
		snprintf(apart, sizeof apart, "%g s", table->interval_ms / 1000.0);
	else
		snprintf(apart, sizeof apart, "%" PRIu32 " ms", table->interval_ms);
	snprintf(to, size, "%s%s%" PRIu64 " round%s, %s apart", table->is_paused ? "paused, " : "",
		table->is_udp ? "UDP, " : "", table->n_rounds, table->n_rounds == 1 ? "" : "s",
		apart);
}

static void put_title(const struct layout *layout, FILE *to)
{
	char left[HEAD_MAX], right[96];
	size_t width = total_width(layout);
	bool is_utf8 = layout->style->is_utf8, is_painted = layout->style->has_color;
	print_title(layout, left, sizeof left);
	print_rounds(layout->table, right, sizeof right);
	width = width < 60 ? 60 : width;
	width = width > layout->style->width ? layout->style->width : width;
	size_t right_width = strlen(right);
	if (right_width + 3 + 12 > width) {
		right[0] = '\0';
		right_width = 0;
	}
	cli_fit_middle(left, width - (right_width > 0 ? right_width + 3 : 0), is_utf8);
	int pad = (int)(width - right_width - cli_fit_width(left, is_utf8));
	fprintf(to, "%s%s%s%*s%s\n", is_painted ? PAINT_BOLD : "", left,
		is_painted ? PAINT_OFF : "", right_width > 0 ? pad : 0, "", right);
}

/* Notes that have no column stand below the table. */
static void put_notes(const struct layout *layout, FILE *to)
{
	char text[CLI_CELL_MAX], number[CLI_CELL_MAX], first[CLI_CELL_MAX];
	bool is_utf8 = layout->style->is_utf8, has_some = false;
	if (layout->columns & CLI_COLUMN_BIT(CLI_NOTE))
		return;
	for (size_t i = 0; i < layout->table->n_rows; i++) {
		cli_table_cell(layout->table, i, CLI_NOTE, layout->columns, is_utf8, text);
		cli_table_cell(layout->table, i, CLI_NUMBER, 0, is_utf8, number);
		int pad = 2 - (int)cli_fit_width(number, is_utf8);
		snprintf(first, sizeof first, "%*s%.8s  ", pad > 0 ? pad : 0, "", number);
		cli_fit_end(text, layout->style->width - 4, is_utf8);
		if (text[0] == '\0')
			continue;
		fprintf(to, "%s%s%s\n", has_some ? "" : "\n", first, text);
		has_some = true;
	}
}

static void put_failures(const struct layout *layout, FILE *to)
{
	const struct cli_table *table = layout->table;
	bool is_painted = layout->style->has_color, has_some = false;
	char text[2 * CLI_CELL_MAX];
	for (size_t i = 0; i < table->n_rows; i++) {
		if (!cli_table_is_told(table, i))
			continue;
		cli_fit_clean(
			table->rows[i].error->text, layout->style->is_utf8, text, sizeof text);
		fprintf(to, "%s%s!%s  ", has_some ? "" : "\n", is_painted ? PAINT_RED : "",
			is_painted ? PAINT_OFF : "");
		cli_fit_wrap(text, 3, layout->style->width, layout->style->is_utf8, to);
		has_some = true;
	}
}

bool cli_table_print(const struct cli_table *table, const struct cli_style *style, FILE *to)
{
	struct layout layout = { .table = table, .style = style };
	lay_out(&layout);
	put_title(&layout, to);
	put_headings(&layout, to);
	for (size_t i = 0; i < table->n_rows; i++)
		put_row(&layout, i, to);
	put_failures(&layout, to);
	put_notes(&layout, to);
	return !ferror(to);
}
