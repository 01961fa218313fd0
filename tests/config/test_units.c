#include "config/units.h"

#include <criterion/criterion.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *text;
	uint32_t ms;
} durations[] = {
	{ "250ms", 250 },
	{ "30s", 30000 },
	{ "1m", 60000 },
	{ "1m30s", 90000 },
	{ "1h30m", 5400000 },
	{ "1h2m3s4ms", 3723004 },
	{ "0s", 0 },
	{ "00090s", 90000 },
	{ "4294967295ms", UINT32_MAX },
	{ "1193h", 4294800000u },
};

Test(units, durations_are_read)
{
	for (size_t i = 0; i < N(durations); i++) {
		uint32_t ms = 1;
		cr_expect_eq(units_parse_duration(durations[i].text, &ms), UNITS_OK, "%s",
			durations[i].text);
		cr_expect_eq(ms, durations[i].ms, "%s: %u", durations[i].text, ms);
	}
}

static const struct {
	const char *text;
	enum units_error error;
	const char *why;
} bad_durations[] = {
	{ "", UNITS_EMPTY, "\"\" is not a duration like \"1m30s\"" },
	{ "30", UNITS_NO_UNIT, "\"30\" has no unit; did you mean \"30s\"?" },
	{ "1m30", UNITS_NO_UNIT, "\"1m30\" has no unit; did you mean \"1m30s\"?" },
	{ "30sec", UNITS_BAD_UNIT, "\"30sec\" has an unknown unit; use ms, s, m or h" },
	{ "1d", UNITS_BAD_UNIT, "\"1d\" has an unknown unit; use ms, s, m or h" },
	{ "30S", UNITS_BAD_UNIT, "\"30S\" has an unknown unit; use ms, s, m or h" },
	{ "1s1m", UNITS_ORDER, "\"1s1m\": each unit once, the largest first, like \"1m30s\"" },
	{ "1s1s", UNITS_ORDER, "\"1s1s\": each unit once, the largest first, like \"1m30s\"" },
	{ "-1s", UNITS_MALFORMED, "\"-1s\" is not a duration like \"1m30s\"" },
	{ "1.5s", UNITS_MALFORMED, "\"1.5s\" is not a duration like \"1m30s\"" },
	{ " 1s", UNITS_MALFORMED, "\" 1s\" is not a duration like \"1m30s\"" },
	{ "1 s", UNITS_MALFORMED, "\"1 s\" is not a duration like \"1m30s\"" },
	{ "s", UNITS_MALFORMED, "\"s\" is not a duration like \"1m30s\"" },
	{ "4294967296ms", UNITS_RANGE,
		"the duration \"4294967296ms\" is too large (at most 1193h)" },
	{ "99999999999999999999s", UNITS_RANGE,
		"the duration \"99999999999999999999s\" is too large (at most 1193h)" },
	{ "1193h9999m", UNITS_RANGE, "the duration \"1193h9999m\" is too large (at most 1193h)" },
};

Test(units, bad_durations_are_explained_and_write_nothing)
{
	for (size_t i = 0; i < N(bad_durations); i++) {
		uint32_t ms = 77;
		char why[200];
		enum units_error error = units_parse_duration(bad_durations[i].text, &ms);
		cr_expect_eq(
			error, bad_durations[i].error, "%s: %d", bad_durations[i].text, (int)error);
		units_explain(error, UNITS_DURATION, bad_durations[i].text, why, sizeof why);
		cr_expect_str_eq(why, bad_durations[i].why, "%s", why);
		cr_expect_eq(ms, 77);
	}
}

Test(units, sizes_and_rates_are_read)
{
	uint64_t n = 0;
	cr_expect_eq(units_parse_size("64KiB", &n), UNITS_OK);
	cr_expect_eq(n, 65536);
	cr_expect_eq(units_parse_size("1MiB", &n), UNITS_OK);
	cr_expect_eq(n, 1 << 20);
	cr_expect_eq(units_parse_size("2GiB", &n), UNITS_OK);
	cr_expect_eq(n, UINT64_C(2) << 30);
	cr_expect_eq(units_parse_size("0B", &n), UNITS_OK);
	cr_expect_eq(n, 0);
	cr_expect_eq(units_parse_rate("10MiB/s", &n), UNITS_OK);
	cr_expect_eq(n, 10 << 20);
}

Test(units, bad_sizes_and_rates_are_explained)
{
	uint64_t n = 5;
	char why[200];
	cr_expect_eq(units_parse_size("64", &n), UNITS_NO_UNIT);
	cr_expect_str_eq(units_explain(UNITS_NO_UNIT, UNITS_SIZE, "64", why, sizeof why),
		"\"64\" has no unit; did you mean \"64B\"?");
	cr_expect_eq(units_parse_size("64KB", &n), UNITS_BAD_UNIT);
	cr_expect_eq(units_parse_size("64KiB/s", &n), UNITS_MALFORMED);
	cr_expect_eq(units_parse_size("1KiB1B", &n), UNITS_MALFORMED);
	cr_expect_eq(units_parse_size("9223372036854775807GiB", &n), UNITS_RANGE);
	cr_expect_eq(units_parse_rate("10MiB", &n), UNITS_NO_UNIT);
	cr_expect_str_eq(units_explain(UNITS_NO_UNIT, UNITS_RATE, "10MiB", why, sizeof why),
		"\"10MiB\" has no unit; did you mean \"10MiB/s\"?");
	cr_expect_eq(units_parse_rate("10", &n), UNITS_NO_UNIT);
	cr_expect_str_eq(units_explain(UNITS_NO_UNIT, UNITS_RATE, "10", why, sizeof why),
		"\"10\" has no unit; did you mean \"10B/s\"?");
	cr_expect_eq(n, 5);
}

static const struct {
	const char *text;
	uint64_t ms;
} times[] = {
	{ "1970-01-01T00:00:00Z", 0 },
	{ "2027-06-30T00:00:00Z", UINT64_C(1814313600000) },
	{ "2027-06-30T02:00:00+02:00", UINT64_C(1814313600000) },
	{ "2027-06-29t23:30:00.25-00:30", UINT64_C(1814313600250) },
	{ "2028-02-29T00:00:00z", UINT64_C(1835395200000) },
	{ "2026-12-31T23:59:60Z", UINT64_C(1798761600000) },
};

Test(units, times_are_read)
{
	for (size_t i = 0; i < N(times); i++) {
		uint64_t ms = 1;
		cr_expect(units_parse_time(times[i].text, &ms), "%s", times[i].text);
		cr_expect_eq(ms, times[i].ms, "%s: %lu", times[i].text, (unsigned long)ms);
	}
}

static const char *const bad_times[] = { "", "2027", "2027-06-30", "2027-06-30T00:00:00",
	"2027-06-31T00:00:00Z", "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z",
	"2027-06-30T24:00:00Z", "2027-06-30 00:00:00Z", "1969-12-31T23:59:59Z",
	"1970-01-01T00:00:00+00:01", "2027-06-30T00:00:00+0200", "2027-06-30T00:00:00.Z",
	"2027-06-30T00:00:00Zx", "+027-06-30T00:00:00Z" };

Test(units, bad_times_are_refused)
{
	for (size_t i = 0; i < N(bad_times); i++) {
		uint64_t ms;
		cr_expect_not(units_parse_time(bad_times[i], &ms), "%s", bad_times[i]);
	}
}
