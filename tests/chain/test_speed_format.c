#include "chain/cli_speed_format.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_speed_span second = {
	.is_up = true, .from_s = 1, .to_s = 2, .n_bytes = 131072000
};
static const struct cli_speed_span sum = {
	.is_up = true, .to_s = 10, .n_bytes = 3000000000, .has_count = true, .n_counted = 2000000000
};

struct text {
	char *text;
	size_t len;
	FILE *to;
};

static void open_text(struct text *text)
{
	text->to = open_memstream(&text->text, &text->len);
	cr_assert_not_null(text->to);
}

static void expect(struct text *text, const char *expected)
{
	fclose(text->to);
	cr_expect_str_eq(text->text, expected);
	free(text->text);
}

static void expect_status(const struct cli_speed_span *span, const char *expected)
{
	struct text text;
	open_text(&text);
	cli_speed_status(span, text.to);
	expect(&text, expected);
}

Test(speed_format, a_status_is_one_line)
{
	const struct cli_speed_span up = { .is_up = true, .to_s = 3, .n_bytes = 2254857830 };
	const struct cli_speed_span down = { .to_s = 0.5, .n_bytes = 200 };
	const struct cli_speed_span nothing = { .is_up = true };
	expect_status(&up, "chain: up 3.0 s, 2.10 GiB, 717 MiB/s\n");
	expect_status(&down, "chain: down 0.5 s, 200 B, 400 B/s\n");
	expect_status(&nothing, "chain: up 0.0 s, 0 B, 0 B/s\n");
}

static void expect_line(const struct cli_speed_span *span, const char *expected)
{
	struct text text;
	open_text(&text);
	cli_speed_line(span, text.to);
	expect(&text, expected);
}

Test(speed_format, a_line_has_seconds_bytes_and_both_rates)
{
	expect_line(&second, "up      1.0 -   2.0    125 MiB     125.0    1048.6");
	struct cli_speed_span down = second;
	down.is_up = false;
	expect_line(&down, "down    1.0 -   2.0    125 MiB     125.0    1048.6");
}

Test(speed_format, what_the_hop_counted_is_what_counts)
{
	expect_line(&sum, "up      0.0 -  10.0   1.86 GiB     190.7    1600.0");
}

Test(speed_format, sizes_keep_their_columns)
{
	static const struct {
		uint64_t n_bytes;
		const char *size;
	} cases[] = {
		{ 0, "    0 B  " },
		{ 999, "  999 B  " },
		{ 1000, " 0.98 KiB" },
		{ 10239, " 10.0 KiB" },
		{ 1023487, "  999 KiB" },
		{ 1023488, " 0.98 MiB" },
		{ 1048576, " 1.00 MiB" },
		{ 107374182400, "  100 GiB" },
		{ UINT64_MAX, "16384 PiB" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct cli_speed_span span = { .to_s = 1, .n_bytes = cases[i].n_bytes };
		struct text text;
		open_text(&text);
		cli_speed_line(&span, text.to);
		fclose(text.to);
		cr_expect(strstr(text.text, cases[i].size) == text.text + 21, "\"%s\" in \"%s\"",
			cases[i].size, text.text);
		free(text.text);
	}
}

Test(speed_format, an_empty_span_has_no_rate)
{
	struct cli_speed_span none = { .is_up = true };
	expect_line(&none, "up      0.0 -   0.0      0 B         0.0       0.0");
}

Test(speed_format, a_verdict_says_whether_all_arrived)
{
	struct text text;
	open_text(&text);
	cli_speed_verdict(&sum, 3, text.to);
	expect(&text, "      hop 3 counted 2000000000 of 3000000000 bytes\n");
	struct cli_speed_span good = sum;
	good.n_bytes = good.n_counted;
	open_text(&text);
	cli_speed_verdict(&good, 3, text.to);
	expect(&text, "      hop 3 counted every one of 2000000000 bytes\n");
}

Test(speed_format, json_tells_counted_bytes_only_where_there_are)
{
	struct cli_json json;
	struct text text;
	open_text(&text);
	cli_json_init(&json, text.to, true);
	cli_json_begin_array(&json, NULL);
	cli_speed_json(&json, &second);
	cli_speed_json(&json, &sum);
	cli_json_end_array(&json);
	expect(&text, "[{\"direction\":\"up\",\"start_s\":1.0,\"end_s\":2.0,\"bytes\":131072000,"
		      "\"bits_per_second\":1048576000.0},"
		      "{\"direction\":\"up\",\"start_s\":0.0,\"end_s\":10.0,\"bytes\":3000000000,"
		      "\"bits_per_second\":1600000000.0,\"counted_bytes\":2000000000}]\n");
}
