#include "config/units.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SHOWN_MAX 40

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first. */
static const struct unit durations[] = {
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
};
static const struct unit sizes[] = {
	{ "GiB", UINT64_C(1) << 30 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "B", 1 },
};

#define N_UNITS 4

/* Digits. Return: false if there are none or the value is beyond 2^63. */
static enum units_error parse_number(const char **text, uint64_t *ret)
{
	uint64_t value = 0;
	const char *p = *text;
	if (!isdigit((unsigned char)*p))
		return UNITS_MALFORMED;
	for (; isdigit((unsigned char)*p); p++) {
		if (value > (UINT64_MAX >> 1) / 10)
			return UNITS_RANGE;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	*text = p;
	*ret = value;
	return UNITS_OK;
}

/* The unit at @text. Return: its position among @units, or N_UNITS. */
static size_t find_unit(const struct unit *units, const char *text, size_t len)
{
	size_t i = 0;
	while (i < N_UNITS &&
		(strlen(units[i].name) != len || memcmp(units[i].name, text, len) != 0))
		i++;
	return i;
}

static size_t letters(const char *text)
{
	size_t len = 0;
	while (isalpha((unsigned char)text[len]))
		len++;
	return len;
}

/* One number and its unit; *i_unit is the first unit allowed, and then the one that was read. */
static enum units_error parse_part(
	const char **text, const struct unit *units, size_t *i_unit, uint64_t *ret)
{
	uint64_t value;
	enum units_error error = parse_number(text, &value);
	if (error != UNITS_OK)
		return error;
	size_t len = letters(*text), i = find_unit(units, *text, len);
	if (**text == '\0')
		return UNITS_NO_UNIT;
	if (len == 0)
		return UNITS_MALFORMED;
	if (i == N_UNITS)
		return UNITS_BAD_UNIT;
	if (i < *i_unit)
		return UNITS_ORDER;
	if (value > (UINT64_MAX >> 1) / units[i].factor)
		return UNITS_RANGE;
	*text += len;
	*i_unit = i;
	*ret = value * units[i].factor;
	return UNITS_OK;
}

enum units_error units_parse_duration(const char *text, uint32_t *ret_ms)
{
	uint64_t sum = 0, part;
	if (*text == '\0')
		return UNITS_EMPTY;
	for (size_t i_unit = 0; *text != '\0'; i_unit++) {
		enum units_error error = parse_part(&text, durations, &i_unit, &part);
		if (error != UNITS_OK)
			return error;
		sum += part;
		if (sum > UINT32_MAX)
			return UNITS_RANGE;
	}
	*ret_ms = (uint32_t)sum;
	return UNITS_OK;
}

static enum units_error parse_size(const char *text, const char *end, uint64_t *ret)
{
	uint64_t value;
	size_t i_unit = 0;
	if (*text == '\0')
		return UNITS_EMPTY;
	enum units_error error = parse_part(&text, sizes, &i_unit, &value);
	if (error != UNITS_OK)
		return error;
	if (strcmp(text, end) != 0)
		return *text == '\0' ? UNITS_NO_UNIT : UNITS_MALFORMED;
	*ret = value;
	return UNITS_OK;
}

enum units_error units_parse_size(const char *text, uint64_t *ret_bytes)
{
	return parse_size(text, "", ret_bytes);
}

enum units_error units_parse_rate(const char *text, uint64_t *ret_bytes_per_second)
{
	return parse_size(text, "/s", ret_bytes_per_second);
}

static const struct {
	const char *name, *units, *example, *usual;
} kinds[] = {
	[UNITS_DURATION] = { "duration", "ms, s, m or h", "1m30s", "s" },
	[UNITS_SIZE] = { "size", "B, KiB, MiB or GiB", "64KiB", "B" },
	[UNITS_RATE] = { "rate", "B/s, KiB/s, MiB/s or GiB/s", "10MiB/s", "B/s" },
};

const char *units_explain(
	enum units_error error, enum units_kind kind, const char *text, char *to, size_t size)
{
	const char *name = kinds[kind].name, *units = kinds[kind].units;
	int len = (int)strnlen(text, SHOWN_MAX);
	switch (error) {
	case UNITS_OK:
	case UNITS_EMPTY:
	case UNITS_MALFORMED:
		snprintf(to, size, "\"%.*s\" is not a %s like \"%s\"", len, text, name,
			kinds[kind].example);
		break;
	case UNITS_NO_UNIT: {
		size_t n_digits = strspn(text, "0123456789");
		const char *usual = text[n_digits] == '\0' ? kinds[kind].usual
				    : kind == UNITS_RATE   ? "/s"
							   : "s";
		snprintf(to, size, "\"%.*s\" has no unit; did you mean \"%.*s%s\"?", len, text, len,
			text, usual);
		break;
	}
	case UNITS_BAD_UNIT:
		snprintf(to, size, "\"%.*s\" has an unknown unit; use %s", len, text, units);
		break;
	case UNITS_ORDER:
		snprintf(to, size, "\"%.*s\": each unit once, the largest first, like \"%s\"", len,
			text, kinds[kind].example);
		break;
	case UNITS_RANGE:
		snprintf(to, size, "the %s \"%.*s\" is too large%s", name, len, text,
			kind == UNITS_DURATION ? " (at most 1193h)" : "");
		break;
	}
	return to;
}

/* Exactly @n digits within low..high. */
static bool parse_field(const char **text, size_t n, int low, int high, int *ret)
{
	int value = 0;
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)(*text)[i]))
			return false;
		value = value * 10 + ((*text)[i] - '0');
	}
	*text += n;
	*ret = value;
	return value >= low && value <= high;
}

static bool parse_char(const char **text, const char *among)
{
	if (**text == '\0' || strchr(among, **text) == NULL)
		return false;
	++*text;
	return true;
}

static bool parse_date(const char **text, struct tm *tm)
{
	bool is_good = parse_field(text, 4, 1970, 9999, &tm->tm_year) && parse_char(text, "-") &&
		       parse_field(text, 2, 1, 12, &tm->tm_mon) && parse_char(text, "-") &&
		       parse_field(text, 2, 1, 31, &tm->tm_mday) && parse_char(text, "Tt") &&
		       parse_field(text, 2, 0, 23, &tm->tm_hour) && parse_char(text, ":") &&
		       parse_field(text, 2, 0, 59, &tm->tm_min) && parse_char(text, ":") &&
		       parse_field(text, 2, 0, 60, &tm->tm_sec);
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return is_good;
}

/* ".123" or nothing; digits beyond the third are read and dropped. */
static bool parse_fraction(const char **text, uint64_t *ret_ms)
{
	uint64_t ms = 0, scale = 100;
	*ret_ms = 0;
	if (**text != '.')
		return true;
	++*text;
	if (!isdigit((unsigned char)**text))
		return false;
	for (; isdigit((unsigned char)**text); ++*text, scale /= 10)
		ms += scale * (uint64_t)(**text - '0');
	*ret_ms = ms;
	return true;
}

/* "Z" or "+02:00". */
static bool parse_zone(const char **text, int64_t *ret_seconds)
{
	int hours = 0, minutes = 0;
	char sign = **text;
	*ret_seconds = 0;
	if (!parse_char(text, "Zz+-"))
		return false;
	if (sign == 'Z' || sign == 'z')
		return true;
	if (!parse_field(text, 2, 0, 23, &hours) || !parse_char(text, ":") ||
		!parse_field(text, 2, 0, 59, &minutes))
		return false;
	*ret_seconds = (hours * 60 + minutes) * 60;
	if (sign == '-')
		*ret_seconds = -*ret_seconds;
	return true;
}

static int days_in_month(const struct tm *tm)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = tm->tm_year + 1900;
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[tm->tm_mon] + (tm->tm_mon == 1 && is_leap);
}

bool units_parse_time(const char *text, uint64_t *ret_unix_ms)
{
	struct tm tm = { 0 };
	uint64_t ms;
	int64_t zone_s;
	if (!parse_date(&text, &tm) || !parse_fraction(&text, &ms) || !parse_zone(&text, &zone_s) ||
		*text != '\0')
		return false;
	if (tm.tm_mday > days_in_month(&tm))
		return false;
	int64_t s = (int64_t)timegm(&tm);
	if (s < zone_s)
		return false;
	*ret_unix_ms = (uint64_t)(s - zone_s) * 1000 + ms;
	return true;
}
