#include "chain/cli_progress.h"

#include <criterion/criterion.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(cli_progress, an_amount_has_one_digit_after_the_point_and_never_four_before_it)
{
	static const struct {
		double bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 bytes" },
		{ 1, "1 byte" },
		{ 2, "2 bytes" },
		{ 1023, "1023 bytes" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 1024.0 * 1023.9, "1023.9 KiB" },
		{ 1024.0 * 1024 - 1, "1.0 MiB" },
		{ 1024.0 * 1024, "1.0 MiB" },
		{ 100.0 * 1024 * 1024, "100.0 MiB" },
		{ 1024.0 * 1024 * 1024 * 1024 * 1024 * 5000, "5000.0 PiB" },
	};
	char text[CLI_AMOUNT_TEXT];
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_assert_str_eq(cli_print_amount(cases[i].bytes, text), cases[i].text,
			"%s, not %s", text, cases[i].text);
}

Test(cli_progress, a_time_has_the_unit_that_fits)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0.0 ms" },
		{ 1234567, "1.2 ms" },
		{ 999949999, "999.9 ms" },
		{ 1000000000, "1.0 s" },
		{ 59900000000, "59.9 s" },
		{ 60000000000, "0:01:00" },
		{ UINT64_C(3661000000000), "1:01:01" },
	};
	char text[CLI_SECONDS_TEXT];
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_assert_str_eq(cli_print_seconds(cases[i].ns, text), cases[i].text, "%s, not %s",
			text, cases[i].text);
}

Test(cli_progress, a_transfer_that_has_not_begun_has_no_rate)
{
	char text[CLI_TRANSFER_TEXT];
	const struct cli_transfer transfer = { 0 };
	cr_assert_str_eq(cli_transfer_print(&transfer, text),
		"sent 0 bytes, received 0 bytes in 0.0 ms, 0 bytes/s");
}
