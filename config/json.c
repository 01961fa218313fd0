#include "config/json.h"

#include <cjson/cJSON.h>
#include <stdio.h>

static const cJSON *item_of(const struct json *value)
{
	return (const cJSON *)value;
}

struct json *json_parse(struct bytes text)
{
	return (struct json *)cJSON_ParseWithLength((const char *)text.ptr, text.len);
}

/* A plain memset before a free is optimised away; this store is not. */
static void wipe(char *text)
{
	for (volatile char *p = text; p != NULL && *p != '\0'; p++)
		*p = '\0';
}

static void wipe_strings(cJSON *item)
{
	for (; item != NULL; item = item->next) {
		wipe(item->valuestring);
		wipe_strings(item->child);
	}
}

void json_free(struct json *root)
{
	wipe_strings((cJSON *)root);
	cJSON_Delete((cJSON *)root);
}

enum json_type json_type(const struct json *value)
{
	const cJSON *item = item_of(value);
	if (cJSON_IsObject(item))
		return JSON_OBJECT;
	if (cJSON_IsArray(item))
		return JSON_ARRAY;
	if (cJSON_IsString(item))
		return JSON_STRING;
	if (cJSON_IsNumber(item))
		return JSON_NUMBER;
	return cJSON_IsBool(item) ? JSON_BOOL : JSON_NULL;
}

const char *json_name(const struct json *value)
{
	return item_of(value)->string;
}

const char *json_string(const struct json *value)
{
	return item_of(value)->valuestring;
}

double json_number(const struct json *value)
{
	return item_of(value)->valuedouble;
}

bool json_is_true(const struct json *value)
{
	return cJSON_IsTrue(item_of(value));
}

const struct json *json_first(const struct json *container)
{
	return (const struct json *)item_of(container)->child;
}

const struct json *json_next(const struct json *value)
{
	return (const struct json *)item_of(value)->next;
}

const struct json *json_member(const struct json *object, const char *name)
{
	return (const struct json *)cJSON_GetObjectItemCaseSensitive(item_of(object), name);
}

/* One reference token: "~" and "/" are escaped. Return: bytes written. */
static size_t put_token(const char *name, char *to, size_t size)
{
	size_t len = 0;
	for (; *name != '\0' && len + 3 < size; name++) {
		if (*name == '~' || *name == '/') {
			to[len++] = '~';
			to[len++] = *name == '~' ? '0' : '1';
		} else {
			to[len++] = *name;
		}
	}
	to[len] = '\0';
	return len;
}

static size_t put_step(const cJSON *item, size_t position, char *to, size_t size)
{
	if (size < 32)
		return 0;
	if (item->string == NULL)
		return (size_t)snprintf(to, size, "/%zu", position);
	to[0] = '/';
	return 1 + put_token(item->string, to + 1, size - 1);
}

bool json_find(const struct json *root, const struct json *value, size_t *path, size_t n_max,
	size_t *ret_n_path, char *pointer, size_t size)
{
	if (root == value) {
		pointer[0] = '\0';
		*ret_n_path = 0;
		return true;
	}
	size_t position = 0;
	for (const cJSON *item = item_of(root)->child; item != NULL && n_max > 0;
		item = item->next, position++) {
		size_t len = put_step(item, position, pointer, size);
		if (!json_find((const struct json *)item, value, path + 1, n_max - 1, ret_n_path,
			    pointer + len, size - len))
			continue;
		path[0] = position;
		++*ret_n_path;
		return true;
	}
	return false;
}

const char *json_library(void)
{
	return cJSON_Version();
}
