#include "chain/cli_speed_format.h"

#include <inttypes.h>

#define KIB 1024.0

static double per_second(const struct cli_speed_span *span)
{
	double time_s = span->to_s - span->from_s;
	uint64_t n = span->has_count ? span->n_counted : span->n_bytes;
	return time_s > 0 ? (double)n / time_s : 0;
}

/* Three digits in at least @width columns, and a unit. */
static void print_size(double size, int width, FILE *to)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	size_t unit = 0;
	while (size >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
		size /= KIB;
		unit++;
	}
	fprintf(to, "%*.*f %s", width,
		unit == 0 || size >= 99.95 ? 0
		: size >= 9.995            ? 1
					   : 2,
		size, units[unit]);
	if (unit == 0 && width > 0)
		fputs("  ", to);
}

const char *cli_speed_heading(void)
{
	return "            seconds      bytes     MiB/s    Mbit/s\n";
}

void cli_speed_line(const struct cli_speed_span *span, FILE *to)
{
	double rate = per_second(span);
	fprintf(to, "%-5s %5.1f - %5.1f  ", span->is_up ? "up" : "down", span->from_s, span->to_s);
	print_size((double)(span->has_count ? span->n_counted : span->n_bytes), 5, to);
	fprintf(to, " %9.1f %9.1f", rate / KIB / KIB, rate * 8 / 1e6);
}

void cli_speed_status(const struct cli_speed_span *span, FILE *to)
{
	fprintf(to, "chain: %s %.1f s, ", span->is_up ? "up" : "down", span->to_s);
	print_size((double)span->n_bytes, 0, to);
	fputs(", ", to);
	print_size(per_second(span), 0, to);
	fputs("/s\n", to);
}

void cli_speed_verdict(const struct cli_speed_span *sum, unsigned hop, FILE *to)
{
	if (sum->n_counted == sum->n_bytes)
		fprintf(to, "      hop %u counted every one of %" PRIu64 " bytes\n", hop,
			sum->n_counted);
	else
		fprintf(to, "      hop %u counted %" PRIu64 " of %" PRIu64 " bytes\n", hop,
			sum->n_counted, sum->n_bytes);
}

void cli_speed_json(struct cli_json *json, const struct cli_speed_span *span)
{
	cli_json_begin_object(json, NULL);
	cli_json_string(json, "direction", span->is_up ? "up" : "down");
	cli_json_number(json, "start_s", span->from_s, 6);
	cli_json_number(json, "end_s", span->to_s, 6);
	cli_json_unsigned(json, "bytes", span->n_bytes);
	cli_json_number(json, "bits_per_second", per_second(span) * 8, 1);
	if (span->has_count)
		cli_json_unsigned(json, "counted_bytes", span->n_counted);
	cli_json_end_object(json);
}
