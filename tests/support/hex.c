#include "tests/support/hex.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void fail(const char *what, const char *which)
{
	fprintf(stderr, "hex: %s: %s\n", what, which);
	abort();
}

static uint8_t digit(char c, const char *text)
{
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (uint8_t)(c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (uint8_t)(c - 'A' + 10);
	fail("not hexadecimal", text);
}

struct hex hex_of(const char *text)
{
	struct hex h = { .len = 0 };
	for (const char *c = text; *c != '\0'; c++) {
		if (isspace((unsigned char)*c))
			continue;
		if (h.len == sizeof h.data || c[1] == '\0')
			fail("too long, or an odd number of digits", text);
		h.data[h.len++] = (uint8_t)(digit(c[0], text) << 4 | digit(c[1], text));
		c++;
	}
	return h;
}

struct bytes hex_bytes(const struct hex *hex)
{
	return bytes_of(hex->data, hex->len);
}

bool hex_is(const void *data, size_t len, const char *text)
{
	struct hex h = hex_of(text);
	if (h.len == len && memcmp(h.data, data, len) == 0)
		return true;
	fprintf(stderr, "expected %s\nbut was  ", text);
	for (size_t i = 0; i < len; i++)
		fprintf(stderr, "%02x", ((const uint8_t *)data)[i]);
	fputc('\n', stderr);
	return false;
}

struct cJSON *vectors_load(void)
{
	static char text[256 * 1024];
	char path[4096];
	const char *source = getenv("HOPCHAIN_SOURCE");
	snprintf(path, sizeof path, "%s/tests/vectors/hc1.json", source != NULL ? source : ".");
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		fail("cannot open", path);
	size_t len = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[len] = '\0';
	struct cJSON *root = cJSON_Parse(text);
	if (root == NULL)
		fail("no JSON, or longer than the buffer", path);
	return root;
}

bool vectors_has(const struct cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name) != NULL;
}

const struct cJSON *vectors_get(const struct cJSON *object, const char *name)
{
	const struct cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	if (item == NULL)
		fail("no member", name);
	return item;
}

const char *vectors_text(const struct cJSON *object, const char *name)
{
	const struct cJSON *item = vectors_get(object, name);
	if (!cJSON_IsString(item))
		fail("no text", name);
	return item->valuestring;
}

struct hex vectors_hex(const struct cJSON *object, const char *name)
{
	return hex_of(vectors_text(object, name));
}

uint64_t vectors_number(const struct cJSON *object, const char *name, uint64_t missing)
{
	const struct cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	if (item == NULL)
		return missing;
	if (cJSON_IsNumber(item))
		return (uint64_t)item->valuedouble;
	if (cJSON_IsString(item))
		return strtoull(item->valuestring, NULL, 0);
	fail("no number", name);
}
