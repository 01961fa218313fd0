#include "config/field.h"

#include "config/address.h"
#include "config/suggest.h"
#include "config/units.h"

#include <stdio.h>
#include <stdlib.h>

#define N_FIELDS_MAX 32 /* members one object can have */
#define SHOWN_MAX    40
#define RATE_MAX     (UINT64_C(128) << 30)
#define NAME_MAX_LEN 63

static void print_found(struct document *document, const struct json *value, char *to, size_t size)
{
	char raw[SHOWN_MAX];
	switch (json_type(value)) {
	case JSON_NULL:
		snprintf(to, size, "null");
		return;
	case JSON_BOOL:
		snprintf(to, size, "%s", json_is_true(value) ? "true" : "false");
		return;
	case JSON_NUMBER:
		snprintf(to, size, "the number %s", document_raw(document, value, raw, sizeof raw));
		return;
	case JSON_STRING:
		if (strlen(json_string(value)) < sizeof raw / 2)
			snprintf(to, size, "the string \"%s\"",
				report_quote(json_string(value), raw, sizeof raw));
		else
			snprintf(to, size, "a string");
		return;
	case JSON_ARRAY:
		snprintf(to, size, "an array");
		return;
	case JSON_OBJECT:
		snprintf(to, size, "an object");
		return;
	}
}

bool field_is(struct document *document, const struct json *value, enum json_type type,
	const char *expected)
{
	char found[2 * SHOWN_MAX];
	if (json_type(value) == type)
		return true;
	print_found(document, value, found, sizeof found);
	document_error(document, value, DOCUMENT_VALUE, "expected %s, found %s", expected, found);
	return false;
}

static void tell_unknown(struct document *document, const struct json *member,
	const struct field *fields, size_t n_fields)
{
	const char *names[N_FIELDS_MAX];
	char shown[64];
	for (size_t i = 0; i < n_fields && i < N_FIELDS_MAX; i++)
		names[i] = fields[i].name;
	const char *meant = suggest(json_name(member), names, n_fields);
	report_quote(json_name(member), shown, sizeof shown);
	if (meant != NULL)
		document_error(document, member, DOCUMENT_NAME,
			"unknown member \"%s\"; did you mean \"%s\"?", shown, meant);
	else
		document_error(document, member, DOCUMENT_NAME, "unknown member \"%s\"", shown);
}

bool field_object(struct document *document, const struct json *object, const struct field *fields,
	size_t n_fields, void *to)
{
	if (!field_is(document, object, JSON_OBJECT, "an object"))
		return false;
	for (const struct json *m = json_first(object); m != NULL; m = json_next(m)) {
		size_t i = 0;
		while (i < n_fields && strcmp(fields[i].name, json_name(m)) != 0)
			i++;
		if (i < n_fields)
			fields[i].read(document, m, to);
		else if (strcmp(json_name(m), "$comment") == 0)
			field_ignore(document, m, NULL);
		else
			tell_unknown(document, m, fields, n_fields);
	}
	for (size_t i = 0; i < n_fields; i++) {
		if (fields[i].is_required && json_member(object, fields[i].name) == NULL)
			document_error(document, object, DOCUMENT_OPENER, "missing \"%s\"",
				fields[i].name);
	}
	return true;
}

bool field_each(struct document *document, const struct json *array, const char *expected,
	size_t n_min, field_fn *read, void *to)
{
	if (!field_is(document, array, JSON_ARRAY, expected))
		return false;
	if (field_count(array) < n_min) {
		document_error(document, array, DOCUMENT_VALUE, "expected %s, found an empty array",
			expected);
		return false;
	}
	for (const struct json *v = json_first(array); v != NULL; v = json_next(v))
		read(document, v, to);
	return true;
}

size_t field_count(const struct json *array)
{
	size_t n = 0;
	if (json_type(array) != JSON_ARRAY)
		return 0;
	for (const struct json *v = json_first(array); v != NULL; v = json_next(v))
		n++;
	return n;
}

bool field_bool(struct document *document, const struct json *value, bool *ret)
{
	if (!field_is(document, value, JSON_BOOL, "true or false"))
		return false;
	*ret = json_is_true(value);
	return true;
}

bool field_integer(struct document *document, const struct json *value, uint32_t min, uint32_t max,
	uint32_t *ret)
{
	char raw[SHOWN_MAX];
	if (!field_is(document, value, JSON_NUMBER, "a whole number"))
		return false;
	double number = json_number(value);
	document_raw(document, value, raw, sizeof raw);
	if (number < min || number > max) {
		document_error(document, value, DOCUMENT_VALUE, "%s is out of range (%u to %u)",
			raw, min, max);
		return false;
	}
	uint32_t whole = (uint32_t)number;
	if ((double)whole < number) {
		document_error(document, value, DOCUMENT_VALUE,
			"expected a whole number, found the number %s", raw);
		return false;
	}
	*ret = whole;
	return true;
}

const char *field_text(struct document *document, const struct json *value, const char *expected)
{
	return field_is(document, value, JSON_STRING, expected) ? json_string(value) : NULL;
}

bool field_is_name(const char *text)
{
	size_t len = strlen(text);
	return len >= 1 && len <= NAME_MAX_LEN &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && text[0] != '-' &&
	       text[len - 1] != '-';
}

static bool replace(struct document *document, const struct json *value, char *text, char **ret)
{
	if (text == NULL) {
		document_error(document, value, DOCUMENT_VALUE, "out of memory");
		return false;
	}
	free(*ret);
	*ret = text;
	return true;
}

bool field_name(struct document *document, const struct json *value, char **ret)
{
	char shown[SHOWN_MAX];
	const char *text = field_text(document, value, "a name like \"office\"");
	if (text == NULL)
		return false;
	if (!field_is_name(text)) {
		document_error(document, value, DOCUMENT_VALUE,
			"\"%s\" is not a name; names have up to %d of a-z, 0-9 and '-' inside",
			report_quote(text, shown, sizeof shown), NAME_MAX_LEN);
		return false;
	}
	return replace(document, value, strdup(text), ret);
}

bool field_duration(struct document *document, const struct json *value, uint32_t *ret_ms)
{
	char why[160];
	if (json_type(value) == JSON_NUMBER) {
		char raw[SHOWN_MAX];
		document_raw(document, value, raw, sizeof raw);
		document_error(document, value, DOCUMENT_VALUE,
			"expected a duration like \"30s\", found the number %s; did you mean "
			"\"%ss\"?",
			raw, raw);
		return false;
	}
	const char *text = field_text(document, value, "a duration like \"30s\"");
	if (text == NULL)
		return false;
	enum units_error error = units_parse_duration(text, ret_ms);
	if (error == UNITS_OK)
		return true;
	char shown[SHOWN_MAX];
	report_quote(text, shown, sizeof shown);
	document_error(document, value, DOCUMENT_VALUE, "%s",
		units_explain(error, UNITS_DURATION, shown, why, sizeof why));
	return false;
}

bool field_rate(struct document *document, const struct json *value, uint64_t *ret)
{
	char why[160];
	uint64_t rate;
	const char *text = field_text(document, value, "a rate like \"10MiB/s\"");
	if (text == NULL)
		return false;
	enum units_error error = units_parse_rate(text, &rate);
	if (error != UNITS_OK) {
		document_error(document, value, DOCUMENT_VALUE, "%s",
			units_explain(error, UNITS_RATE, text, why, sizeof why));
		return false;
	}
	if (rate == 0 || rate > RATE_MAX) {
		document_error(document, value, DOCUMENT_VALUE,
			"a rate is at least 1B/s and at most 128GiB/s; without a limit, leave it "
			"out");
		return false;
	}
	*ret = rate;
	return true;
}

bool field_timeout(struct document *document, const struct json *value, uint32_t *ret_ms)
{
	uint32_t ms;
	if (!field_duration(document, value, &ms))
		return false;
	if (ms == 0) {
		document_error(document, value, DOCUMENT_VALUE, "this time limit cannot be 0");
		return false;
	}
	*ret_ms = ms;
	return true;
}

bool field_time(struct document *document, const struct json *value, uint64_t *ret_unix_ms)
{
	static const char expected[] = "a time like \"2027-06-30T00:00:00Z\"";
	char shown[SHOWN_MAX];
	const char *text = field_text(document, value, expected);
	if (text == NULL)
		return false;
	if (units_parse_time(text, ret_unix_ms))
		return true;
	document_error(document, value, DOCUMENT_VALUE, "\"%s\" is not %s",
		report_quote(text, shown, sizeof shown), expected);
	return false;
}

/* "a", "b" or "c" */
static void print_words(const char *const *words, size_t n, char *to, size_t size)
{
	size_t len = 0;
	to[0] = '\0';
	for (size_t i = 0; i < n && len < size; i++) {
		const char *before = i == 0 ? "" : i + 1 == n ? " or " : ", ";
		len += (size_t)snprintf(to + len, size - len, "%s\"%s\"", before, words[i]);
	}
}

bool field_word(struct document *document, const struct json *value, const char *const *words,
	size_t n_words, size_t *ret)
{
	char expected[160], shown[SHOWN_MAX];
	print_words(words, n_words, expected, sizeof expected);
	const char *text = field_text(document, value, expected);
	if (text == NULL)
		return false;
	for (size_t i = 0; i < n_words; i++) {
		if (strcmp(words[i], text) == 0) {
			*ret = i;
			return true;
		}
	}
	const char *meant = suggest(text, words, n_words);
	report_quote(text, shown, sizeof shown);
	if (meant != NULL)
		document_error(document, value, DOCUMENT_VALUE,
			"expected %s, found \"%s\"; did you mean \"%s\"?", expected, shown, meant);
	else
		document_error(document, value, DOCUMENT_VALUE, "expected %s, found \"%s\"",
			expected, shown);
	return false;
}

static bool read_address(struct document *document, const struct json *value,
	enum address_role role, const char *expected, struct addr *ret)
{
	char why[ADDRESS_WHY_MAX];
	const char *text = field_text(document, value, expected);
	if (text == NULL)
		return false;
	if (address_parse(text, role, ret, why))
		return true;
	document_error(document, value, DOCUMENT_VALUE, "%s", why);
	return false;
}

bool field_hop(struct document *document, const struct json *value, struct addr *ret)
{
	return read_address(
		document, value, ADDRESS_HOP, "a string like \"hop1.example.net:7000\"", ret);
}

bool field_target(struct document *document, const struct json *value, struct addr *ret)
{
	return read_address(document, value, ADDRESS_TARGET, "a string like \"10.0.0.5:22\"", ret);
}

bool field_listen(struct document *document, const struct json *value, struct addr *ret)
{
	return read_address(document, value, ADDRESS_LISTEN, "a string like \":8080\"", ret);
}

static void read_target_rule(struct document *document, const struct json *value, void *to)
{
	char why[ADDRESS_WHY_MAX];
	const char *text = field_text(document, value, "a target like \"10.0.0.0/8\"");
	if (text != NULL && !address_add_target(text, to, why))
		document_error(document, value, DOCUMENT_VALUE, "%s", why);
}

static void read_source_rule(struct document *document, const struct json *value, void *to)
{
	char why[ADDRESS_WHY_MAX];
	const char *text = field_text(document, value, "a source like \"10.0.0.0/8\"");
	if (text != NULL && !address_add_source(text, to, why))
		document_error(document, value, DOCUMENT_VALUE, "%s", why);
}

bool field_targets(struct document *document, const struct json *value, struct netset *set)
{
	return field_each(document, value, "an array of targets", 0, read_target_rule, set);
}

bool field_sources(struct document *document, const struct json *value, struct netset *set)
{
	return field_each(document, value, "an array of sources", 1, read_source_rule, set);
}

bool field_mode(struct document *document, const struct json *value, uint32_t *ret)
{
	const char *text = field_text(document, value, "a file mode like \"0660\"");
	char shown[32];
	if (text == NULL)
		return false;
	if (strlen(text) != 4 || *text != '0' || strspn(text, "01234567") != 4) {
		report_quote(text, shown, sizeof shown);
		document_error(document, value, DOCUMENT_VALUE,
			"\"%s\" is not a file mode; expected 0 and three octal digits like "
			"\"0660\"",
			shown);
		return false;
	}
	*ret = (uint32_t)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
	return true;
}

bool field_path(struct document *document, const struct json *value, char **ret)
{
	const char *text = field_text(document, value, "a path");
	if (text == NULL)
		return false;
	if (*text == '\0') {
		document_error(document, value, DOCUMENT_VALUE, "the path is empty");
		return false;
	}
	char *path = document_path(document, value);
	return path != NULL && replace(document, value, path, ret);
}

void field_ignore(struct document *document, const struct json *value, void *to)
{
	(void)to;
	field_is(document, value, JSON_STRING, "a string");
}
