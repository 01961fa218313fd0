#ifndef CONFIG_UNITS_H
#define CONFIG_UNITS_H
/*
 * Does: quantities as people write them: durations, sizes, rates, points in time. Knows: units.
 * Never knows: what is measured. A number without a unit is an error, and the error says what was
 * probably meant.
 */
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum units_error {
	UNITS_OK,
	UNITS_EMPTY,
	UNITS_NO_UNIT,  /* "30" */
	UNITS_BAD_UNIT, /* "30sec" */
	UNITS_MALFORMED,
	UNITS_ORDER, /* "1s30m": units must get smaller */
	UNITS_RANGE,
};

enum units_kind {
	UNITS_DURATION,
	UNITS_SIZE,
	UNITS_RATE,
};

/** units_parse_duration() - "250ms", "30s", "1h30m": whole numbers of h, m, s, ms, largest first.
 */
enum units_error units_parse_duration(const char *text, uint32_t *ret_ms);
/** units_parse_size() - "512B", "64KiB", "1MiB", "2GiB". */
enum units_error units_parse_size(const char *text, uint64_t *ret_bytes);
/** units_parse_rate() - a size per second: "10MiB/s". */
enum units_error units_parse_rate(const char *text, uint64_t *ret_bytes_per_second);
/** units_explain() - what is wrong with @text, as one sentence with @text in it. Returns @to. */
const char *units_explain(
	enum units_error error, enum units_kind kind, const char *text, char *to, size_t size);

/** units_parse_time() - RFC 3339, "2027-06-30T00:00:00Z", as unix milliseconds from 1970 on. */
NODISCARD bool units_parse_time(const char *text, uint64_t *ret_unix_ms);

#endif
