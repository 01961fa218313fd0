#include "chain/cli_fit.h"
#include "chain/cli_table.h"
#include "chain/cli_trace_format.h"

#include <criterion/criterion.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static void start_utf8(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
}

TestSuite(table, .init = start_utf8);
TestSuite(fit, .init = start_utf8);
TestSuite(trace_format, .init = start_utf8);

static const struct hopchain_error no_answer = {
	.stage = HOPCHAIN_ANSWER,
	.hop = 3,
	.n_hops = 3,
	.slug = "no-answer",
	.exit_code = 7,
	.text = "hop 3 (office-nas.example.net:7000): no-answer: hop 2 connected in 12.3 ms, but "
		"hop 3 "
		"did not answer: wrong key, clock more than 30 s off, or not one of ours",
};
static const struct hopchain_error no_answer_behind = {
	.stage = HOPCHAIN_ANSWER,
	.hop = 3,
	.n_hops = 3,
	.slug = "no-answer",
	.exit_code = 7,
	.text = "the same again",
};

static struct hopchain_row row(unsigned hop, const char *address, double ms, double own_ms)
{
	return (struct hopchain_row){
		.hop = hop,
		.address = address,
		.n_sent = 10,
		.has_times = true,
		.last_us = (uint64_t)(ms * 1000),
		.best_us = (uint64_t)(ms * 900),
		.worst_us = (uint64_t)(ms * 1100),
		.avg_us = ms * 1000,
		.stddev_us = ms * 50,
		.has_own = true,
		.own_last_us = own_ms * 1000,
		.own_avg_us = own_ms * 1000,
		.connect_us = (uint32_t)(own_ms * 500),
		.n_tries = 1,
	};
}

struct sample {
	struct hopchain_row rows[4];
	struct cli_table table;
};

static void make_sample(struct sample *sample)
{
	struct hopchain_row *rows = sample->rows;
	rows[0] = row(1, "fra.example.net:7000", 12.4, 12.4);
	rows[0].dialled = "203.0.113.7:7000";
	rows[0].resolve_us = 3400;
	rows[0].software = "hopchain 0.1.0";
	rows[0].has_clock = true;
	rows[0].clock_offset_ms = -2140;
	rows[1] = row(2, "10.0.0.9:7000", 13.2, 0.8);
	rows[1].dialled = "10.0.0.9:7000";
	rows[1].software = "hopchain 0.1.0";
	rows[1].has_clock = true;
	rows[1].n_lost = 1;
	rows[2] = row(3, "office-nas.example.net:7000", 32, 18.8);
	rows[2].name = "office-nas";
	rows[2].software = "hopchain 0.1.0";
	rows[3] = row(4, "example.org:443", 42.6, 10.6);
	rows[3].dialled = "93.184.215.14:443";
	rows[3].cipher = "aes-256-gcm";
	sample->table = (struct cli_table){
		.name = "office",
		.n_hops = 3,
		.target = "example.org:443",
		.n_rounds = 10,
		.interval_ms = 1000,
		.rows = rows,
		.n_rows = 4,
	};
}

static void fail_rows(struct sample *sample)
{
	for (size_t i = 2; i < 4; i++) {
		sample->rows[i].has_times = sample->rows[i].has_own = false;
		sample->rows[i].n_lost = 10;
		sample->rows[i].software = sample->rows[i].cipher = NULL;
		sample->rows[i].dialled = NULL;
	}
	sample->rows[2].error = &no_answer;
	sample->rows[3].error = &no_answer_behind;
}

/* The caller's to free. */
static char *print(const struct cli_table *table, unsigned width, bool is_utf8, bool has_color)
{
	char *text = NULL;
	size_t len = 0;
	struct cli_style style = { .width = width, .is_utf8 = is_utf8, .has_color = has_color };
	FILE *to = open_memstream(&text, &len);
	cr_assert(cli_table_print(table, &style, to));
	fclose(to);
	return text;
}

static void expect_no_line_wider(const char *text, unsigned width, bool is_utf8)
{
	char *copy = strdup(text), *rest = copy, *line;
	while ((line = strsep(&rest, "\n")) != NULL) {
		cr_expect_leq(
			cli_fit_width(line, is_utf8), width, "%u columns: \"%s\"", width, line);
		size_t len = strlen(line);
		cr_expect(len == 0 || line[len - 1] != ' ', "ends in a space: \"%s\"", line);
	}
	free(copy);
}

static bool is_ascii(const char *text)
{
	while (*text != '\0' && (unsigned char)*text < 0x80)
		text++;
	return *text == '\0';
}

Test(table, no_line_is_wider_than_the_screen)
{
	for (unsigned width = 20; width <= 240; width++) {
		for (int variant = 0; variant < 8; variant++) {
			struct sample sample;
			make_sample(&sample);
			bool is_utf8 = variant & 1;
			if (variant & 2)
				fail_rows(&sample);
			if (variant & 4) {
				sample.rows[0].address =
					"a-very-long-name-of-a-hop.with-a-very-long-domain."
					"in-a-country-far-away.example.net:65535";
				sample.rows[1].name =
					"h\xc3\xb6rt-\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e-\x1b[31m";
				sample.rows[1].last_us = 123456789;
				sample.rows[1].worst_us = 123456789;
				sample.rows[1].n_sent = 12345678;
			}
			char *text = print(&sample.table, width, is_utf8, false);
			expect_no_line_wider(text, width, is_utf8);
			cr_expect(is_utf8 || is_ascii(text));
			cr_expect_null(strchr(text, '\x1b'));
			free(text);
		}
	}
}

static void expect_has(const char *text, const char *word)
{
	cr_expect_not_null(strstr(text, word), "no \"%s\" in\n%s", word, text);
}

static void expect_has_not(const char *text, const char *word)
{
	cr_expect_null(strstr(text, word), "\"%s\" in\n%s", word, text);
}

Test(table, columns_at_80_are_mtrs_and_dial_and_auth)
{
	struct sample sample;
	make_sample(&sample);
	char *text = print(&sample.table, 80, false, false);
	expect_has(text, " #  hop                    Loss%  Snt  Last   Avg  Best  Wrst StDev  "
			 "dial  auth\n");
	expect_has(text, " 1  fra.example.net:7000    0.0%   10  12.4  12.4  11.2  13.6   0.6   "
			 "9.6   2.8\n");
	expect_has(text, "chain office > example.org:443");
	expect_has(text, "10 rounds, 1 s apart\n");
	free(text);
}

Test(table, notes_without_a_column_stand_below)
{
	struct sample sample;
	make_sample(&sample);
	char *text = print(&sample.table, 80, false, false);
	expect_has(
		text, "\n 1  203.0.113.7:7000, resolved in 3.4 ms, clock -2.1 s, hopchain 0.1.0\n");
	expect_has(text, "\n 2  hopchain 0.1.0\n");
	expect_has(text, "\n 3  office-nas.example.net:7000, hopchain 0.1.0\n");
	expect_has(text, "\n >  93.184.215.14:443, aes-256-gcm, connect only\n");
	free(text);
}

Test(table, a_wide_screen_has_more_columns)
{
	struct sample sample;
	make_sample(&sample);
	char *text = print(&sample.table, 200, false, false);
	static const char *const headings[] = { "own", "rslv", "conn", "dial", "auth", "clock",
		"address", "software", "note" };
	for (size_t i = 0; i < sizeof headings / sizeof headings[0]; i++)
		expect_has(text, headings[i]);
	expect_has(text, "203.0.113.7:7000");
	expect_has(text, "-2.1 s");
	expect_has(text, "aes-256-gcm, connect only\n");
	expect_has_not(text, "resolved in");
	free(text);
}

Test(table, a_narrow_screen_keeps_hop_and_loss)
{
	struct sample sample;
	make_sample(&sample);
	char *text = print(&sample.table, 40, false, false);
	expect_has(text, "hop");
	expect_has(text, "Loss%");
	expect_has(text, "Avg");
	expect_has_not(text, "StDev");
	expect_has_not(text, "Best");
	free(text);
	text = print(&sample.table, 20, false, false);
	expect_has(text, "Loss%");
	free(text);
}

Test(table, a_failure_is_told_once)
{
	struct sample sample;
	make_sample(&sample);
	fail_rows(&sample);
	char *text = print(&sample.table, 80, true, false);
	expect_has(text, "\n!  hop 3 (office-nas.example.net:7000): no-answer: hop 2 connected");
	expect_has(text, "or not one of\n   ours\n");
	expect_has_not(text, "the same again");
	expect_has(text, "100.0%   10     -     -     -     -     -     -     -\n");
	free(text);
}

Test(table, colours_do_not_change_places)
{
	struct sample sample;
	make_sample(&sample);
	fail_rows(&sample);
	char *plain = print(&sample.table, 100, true, false),
	     *painted = print(&sample.table, 100, true, true);
	expect_has(painted, "\x1b[33m10.0%\x1b[0m");
	expect_has(painted, "\x1b[31m100.0%\x1b[0m");
	expect_has(painted, "\x1b[1mLoss%\x1b[0m");
	char *to = painted;
	for (const char *from = painted; *from != '\0';) {
		if (*from == '\x1b')
			from += strcspn(from, "m") + 1;
		else
			*to++ = *from++;
	}
	*to = '\0';
	cr_expect_str_eq(painted, plain);
	free(plain);
	free(painted);
}

Test(table, a_row_nothing_was_sent_to_has_no_loss)
{
	struct sample sample;
	make_sample(&sample);
	memset(&sample.rows[0].n_sent, 0, 2 * sizeof(uint64_t));
	sample.rows[0].has_times = false;
	char *text = print(&sample.table, 80, false, false);
	expect_has(text, " 1  fra.example.net:7000       -    0     -");
	free(text);
}

static void expect_middle(const char *text, size_t width, bool is_utf8, const char *expected)
{
	char copy[64];
	snprintf(copy, sizeof copy, "%s", text);
	cli_fit_middle(copy, width, is_utf8);
	cr_expect_str_eq(copy, expected);
}

Test(fit, shortens_in_the_middle)
{
	expect_middle("fra.example.net:7000", 20, true, "fra.example.net:7000");
	expect_middle("fra.example.net:7000", 13, true, "fra.ex\xe2\x80\xa6t:7000");
	expect_middle("fra.example.net:7000", 13, false, "fra.ex..:7000");
	expect_middle("abcdef", 2, false, "ab");
	expect_middle("abcdef", 0, true, "");
	expect_middle("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5, true,
		"\xe6\x97\xa5\xe2\x80\xa6\xe8\xaa\x9e");
}

Test(fit, cleans_what_a_terminal_must_not_get)
{
	char to[16];
	cr_expect_str_eq(cli_fit_clean("a\x1b[2Jb\x7f", true, to, sizeof to), "a?[2Jb?");
	cr_expect_str_eq(cli_fit_clean("\xc3\xa9", true, to, sizeof to), "\xc3\xa9");
	cr_expect_str_eq(cli_fit_clean("\xc3\xa9", false, to, sizeof to), "?");
	cr_expect_str_eq(cli_fit_clean("\xff\xc3", true, to, sizeof to), "??");
	cr_expect_str_eq(cli_fit_clean("\xc2\x9b", true, to, sizeof to), "?");
	cr_expect_str_eq(
		cli_fit_clean("0123456789abcd\xc3\xa9", true, to, sizeof to), "0123456789abcd");
}

static char *format(
	void (*print_document)(const struct cli_trace_document *, FILE *), bool is_failing)
{
	struct sample sample;
	char *text = NULL;
	size_t len = 0;
	make_sample(&sample);
	if (is_failing)
		fail_rows(&sample);
	sample.rows[0].address = "a,\"b\"\n";
	if (is_failing)
		sample.rows[0].software = "=cmd|' /c \"x\",1";
	FILE *to = open_memstream(&text, &len);
	print_document(
		&(struct cli_trace_document){
			.table = &sample.table, .source = "me", .start = 1795276613 },
		to);
	fclose(to);
	return text;
}

Test(trace_format, json_has_mtrs_members_and_ours)
{
	char *text = format(cli_trace_json, true);
	expect_has(text, "\"src\": \"me\"");
	expect_has(text, "\"dst\": \"example.org:443\"");
	expect_has(text, "\"tests\": 10");
	expect_has(text, "\"psize\": \"0\"");
	expect_has(text, "\"host\": \"a,\\\"b\\\"\\n\"");
	expect_has(text, "\"Loss%\": 100.0");
	expect_has(text, "\"StDev\": 0.62");
	expect_has(text, "\"clock_offset_ms\": -2140");
	expect_has(text, "\"slug\": \"no-answer\"");
	expect_has(text, "\"stage\": \"answer\"");
	free(text);
}

Test(trace_format, csv_quotes_what_it_must)
{
	char *text = format(cli_trace_csv, false);
	expect_has(
		text, "Version,Start_Time,Status,Host,Hop,Ip,Loss%,Snt,Last,Avg,Best,Wrst,StDev,");
	expect_has(text, "\r\nhopchain "
			 "0.1.0,1795276613,OK,example.org:443,1,\"a,\"\"b\"\"\n\",0.00,10,12.400,");
	expect_has(text, ",office-nas,,hopchain 0.1.0,,,\r\n");
	free(text);
	text = format(cli_trace_csv, true);
	expect_has(text, ",FAILED,");
	expect_has(text, ",100.00,10,,,,,,,,,,");
	expect_has(text, ",\"'=cmd|' /c \"\"x\"\",1\",");
	expect_has(text,
		",no-answer,\"hop 3 (office-nas.example.net:7000): no-answer: hop 2 connected in");
	free(text);
}
