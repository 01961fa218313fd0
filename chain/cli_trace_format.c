#include "chain/cli_trace_format.h"

#include "chain/cli_json.h"

#include <inttypes.h>
#include <string.h>

#define MS_DECIMALS 3

static double loss_of(const struct hopchain_row *row)
{
	return row->n_sent > 0 ? 100.0 * (double)row->n_lost / (double)row->n_sent : 0;
}

static void json_ms(struct cli_json *json, const char *key, bool is_known, double us)
{
	if (is_known)
		cli_json_number(json, key, us / 1000, MS_DECIMALS);
	else
		cli_json_null(json, key);
}

static const char *stage_name(enum hopchain_stage stage)
{
	static const char *const names[] = {
		[HOPCHAIN_RESOLVE] = "resolve",
		[HOPCHAIN_DIAL] = "dial",
		[HOPCHAIN_ANSWER] = "answer",
		[HOPCHAIN_STATUS] = "status",
		[HOPCHAIN_PAYLOAD] = "payload",
		[HOPCHAIN_SETUP] = "setup",
	};
	return stage < sizeof names / sizeof names[0] ? names[stage] : NULL;
}

static void json_error(struct cli_json *json, const struct hopchain_error *error)
{
	if (error == NULL) {
		cli_json_null(json, "error");
		return;
	}
	cli_json_begin_object(json, "error");
	cli_json_string(json, "slug", error->slug);
	cli_json_unsigned(json, "hop", error->hop);
	cli_json_string(json, "stage", stage_name(error->stage));
	cli_json_string(json, "text", error->text);
	cli_json_unsigned(json, "exit_code", (unsigned)error->exit_code);
	cli_json_end_object(json);
}

/* What mtr has: numbers where it has numbers, 0 where nothing answered. */
static void json_mtr(struct cli_json *json, size_t i, const struct hopchain_row *row)
{
	bool has = row->has_times;
	cli_json_unsigned(json, "count", i + 1);
	cli_json_string(json, "host", row->address);
	cli_json_number(json, "Loss%", loss_of(row), MS_DECIMALS);
	cli_json_unsigned(json, "Snt", row->n_sent);
	cli_json_number(json, "Last", has ? (double)row->last_us / 1000 : 0, MS_DECIMALS);
	cli_json_number(json, "Avg", has ? row->avg_us / 1000 : 0, MS_DECIMALS);
	cli_json_number(json, "Best", has ? (double)row->best_us / 1000 : 0, MS_DECIMALS);
	cli_json_number(json, "Wrst", has ? (double)row->worst_us / 1000 : 0, MS_DECIMALS);
	cli_json_number(json, "StDev", has ? row->stddev_us / 1000 : 0, MS_DECIMALS);
}

static void json_row(struct cli_json *json, const struct cli_table *table, size_t i,
	const struct hopchain_row *row)
{
	cli_json_begin_object(json, NULL);
	json_mtr(json, i, row);
	cli_json_string(json, "kind", row->hop > table->n_hops ? "target" : "hop");
	cli_json_string(json, "name", row->name);
	cli_json_string(json, "address", row->address);
	cli_json_string(json, "dialled", row->dialled);
	cli_json_unsigned(json, "lost", row->n_lost);
	json_ms(json, "own_avg_ms", row->has_own, row->own_avg_us);
	json_ms(json, "own_last_ms", row->has_own, row->own_last_us);
	json_ms(json, "resolve_ms", row->has_times, row->resolve_us);
	json_ms(json, "connect_ms", row->has_times, row->connect_us);
	cli_json_unsigned(json, "tries", row->n_tries);
	if (row->has_clock)
		cli_json_integer(json, "clock_offset_ms", row->clock_offset_ms);
	else
		cli_json_null(json, "clock_offset_ms");
	cli_json_string(json, "software", row->software);
	cli_json_string(json, "cipher", row->cipher);
	json_error(json, row->error);
	cli_json_end_object(json);
}

/* What the chain leads to: its target, else its last hop. */
static const char *destination(const struct cli_table *table)
{
	if (table->target != NULL)
		return table->target;
	return table->n_rows > 0 ? table->rows[table->n_rows - 1].address : "";
}

static void json_head(struct cli_json *json, const struct cli_trace_document *document)
{
	const struct cli_table *table = document->table;
	cli_json_begin_object(json, "mtr");
	cli_json_string(json, "src", document->source);
	cli_json_string(json, "dst", destination(table));
	cli_json_integer(json, "tos", 0);
	cli_json_unsigned(json, "tests", table->n_rounds);
	cli_json_string(json, "psize", "0");
	cli_json_string(json, "bitpattern", "0x00");
	cli_json_end_object(json);
	cli_json_begin_object(json, "hopchain");
	cli_json_integer(json, "version", 1);
	cli_json_string(json, "software", hopchain_version());
	cli_json_string(json, "chain", table->name);
	cli_json_unsigned(json, "hops", table->n_hops);
	cli_json_string(json, "target", table->target);
	cli_json_string(json, "protocol", table->is_udp ? "udp" : "tcp");
	cli_json_integer(json, "start_unix_s", document->start);
	cli_json_unsigned(json, "rounds", table->n_rounds);
	cli_json_unsigned(json, "interval_ms", table->interval_ms);
	cli_json_end_object(json);
}

void cli_trace_json(const struct cli_trace_document *document, FILE *to)
{
	const struct cli_table *table = document->table;
	struct cli_json json;
	cli_json_init(&json, to, false);
	cli_json_begin_object(&json, NULL);
	cli_json_begin_object(&json, "report");
	json_head(&json, document);
	cli_json_begin_array(&json, "hubs");
	for (size_t i = 0; i < table->n_rows; i++)
		json_row(&json, table, i, &table->rows[i]);
	cli_json_end_array(&json);
	cli_json_end_object(&json);
	cli_json_end_object(&json);
}

/* A field, with quotes where RFC 4180 wants them. What a spreadsheet would run as a formula, a
 * hop's word for its software for one, is made text by an apostrophe. */
static void csv_text(const char *text, FILE *to)
{
	if (text == NULL || *text == '\0')
		return;
	bool is_quoted = strpbrk(text, ",\"\r\n") != NULL;
	if (is_quoted)
		fputc('"', to);
	if (strchr("=+-@", *text) != NULL)
		fputc('\'', to);
	for (; *text != '\0'; text++) {
		if (*text == '"')
			fputc('"', to);
		fputc(*text, to);
	}
	if (is_quoted)
		fputc('"', to);
}

static void csv_ms(bool is_known, double us, FILE *to)
{
	if (is_known)
		fprintf(to, ",%.3f", us / 1000);
	else
		fputc(',', to);
}

static void csv_times(const struct hopchain_row *row, FILE *to)
{
	csv_ms(row->has_times, (double)row->last_us, to);
	csv_ms(row->has_times, row->avg_us, to);
	csv_ms(row->has_times, (double)row->best_us, to);
	csv_ms(row->has_times, (double)row->worst_us, to);
	csv_ms(row->has_times, row->stddev_us, to);
	csv_ms(row->has_own, row->own_last_us, to);
	csv_ms(row->has_own, row->own_avg_us, to);
	csv_ms(row->has_times, row->resolve_us, to);
	csv_ms(row->has_times, row->connect_us, to);
}

static void csv_row(const struct cli_trace_document *document, size_t i, FILE *to)
{
	const struct hopchain_row *row = &document->table->rows[i];
	fprintf(to, "hopchain %s,%lld,%s,", hopchain_version(), (long long)document->start,
		row->error == NULL ? "OK" : "FAILED");
	csv_text(destination(document->table), to);
	fprintf(to, ",%zu,", i + 1);
	csv_text(row->address, to);
	fprintf(to, ",%.2f,%" PRIu64, loss_of(row), row->n_sent);
	csv_times(row, to);
	if (row->has_clock)
		fprintf(to, ",%" PRId64, row->clock_offset_ms);
	else
		fputc(',', to);
	const char *const texts[] = { row->name, row->dialled, row->software, row->cipher,
		row->error != NULL ? row->error->slug : NULL,
		row->error != NULL ? row->error->text : NULL };
	for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
		fputc(',', to);
		csv_text(texts[t], to);
	}
	fputs("\r\n", to);
}

void cli_trace_csv(const struct cli_trace_document *document, FILE *to)
{
	fputs("Version,Start_Time,Status,Host,Hop,Ip,Loss%,Snt,Last,Avg,Best,Wrst,StDev,Own_Last,"
	      "Own_Avg,Resolve,Connect,Clock_Offset,Name,Dialled,Software,Cipher,Error,"
	      "Error_Text\r\n",
		to);
	for (size_t i = 0; i < document->table->n_rows; i++)
		csv_row(document, i, to);
}
