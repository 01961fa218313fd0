#include "chain/cli_json.h"

#include "common/json_text.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

#define INDENT 2

void cli_json_init(struct cli_json *json, FILE *to, bool is_compact)
{
	*json = (struct cli_json){ .to = to, .is_compact = is_compact };
}

static void begin_line(const struct cli_json *json)
{
	if (!json->is_compact)
		fprintf(json->to, "\n%*s", (int)json->depth * INDENT, "");
}

/* The comma after the value before this one, and the key. */
static void begin_value(struct cli_json *json, const char *key)
{
	if (json->depth > 0) {
		if (json->has_members[json->depth - 1])
			fputc(',', json->to);
		json->has_members[json->depth - 1] = true;
		begin_line(json);
	}
	if (key != NULL)
		fprintf(json->to, json->is_compact ? "\"%s\":" : "\"%s\": ", key);
}

static void begin(struct cli_json *json, const char *key, char opener)
{
	assert(json->depth < CLI_JSON_DEPTH);
	begin_value(json, key);
	fputc(opener, json->to);
	json->has_members[json->depth++] = false;
}

static void end(struct cli_json *json, char closer)
{
	assert(json->depth > 0);
	if (json->has_members[--json->depth])
		begin_line(json);
	fputc(closer, json->to);
	if (json->depth == 0)
		fputc('\n', json->to);
}

void cli_json_begin_object(struct cli_json *json, const char *key)
{
	begin(json, key, '{');
}

void cli_json_begin_array(struct cli_json *json, const char *key)
{
	begin(json, key, '[');
}

void cli_json_end_object(struct cli_json *json)
{
	end(json, '}');
}

void cli_json_end_array(struct cli_json *json)
{
	end(json, ']');
}

void cli_json_string(struct cli_json *json, const char *key, const char *text)
{
	begin_value(json, key);
	json_text_put(json->to, text);
}

void cli_json_integer(struct cli_json *json, const char *key, int64_t value)
{
	begin_value(json, key);
	fprintf(json->to, "%" PRId64, value);
}

void cli_json_unsigned(struct cli_json *json, const char *key, uint64_t value)
{
	begin_value(json, key);
	fprintf(json->to, "%" PRIu64, value);
}

void cli_json_number(struct cli_json *json, const char *key, double value, int decimals)
{
	char text[352]; /* the largest double has 309 digits before its point */
	if (!isfinite(value)) {
		cli_json_null(json, key);
		return;
	}
	int len = snprintf(text, sizeof text, "%.*f", decimals, value);
	while (decimals > 1 && text[len - 1] == '0' && text[len - 2] != '.')
		text[--len] = '\0';
	begin_value(json, key);
	fputs(text, json->to);
}

void cli_json_boolean(struct cli_json *json, const char *key, bool value)
{
	begin_value(json, key);
	fputs(value ? "true" : "false", json->to);
}

void cli_json_null(struct cli_json *json, const char *key)
{
	begin_value(json, key);
	fputs("null", json->to);
}
