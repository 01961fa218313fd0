#include "config/read_common.h"

#include "config/address.h"
#include "config/field.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void read_version(struct document *document, const struct json *value, void *to)
{
	uint32_t version;
	(void)to;
	field_integer(document, value, 1, 1, &version);
}

static const char *const log_levels[] = { "error", "warning", "notice", "info", "debug" };
static const char *const log_formats[] = { "auto", "text", "json", "journal" };

static void read_log_level(struct document *document, const struct json *value, void *to)
{
	struct log_options *log = to;
	size_t i;
	if (field_word(document, value, log_levels, 5, &i))
		log->level = (enum log_level)i;
}

static void read_log_format(struct document *document, const struct json *value, void *to)
{
	struct log_options *log = to;
	size_t i;
	if (field_word(document, value, log_formats, 4, &i))
		log->format = (enum log_format)i;
}

static void read_log_connections(struct document *document, const struct json *value, void *to)
{
	struct log_options *log = to;
	field_bool(document, value, &log->logs_connections);
}

void read_common_log(struct document *document, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "level", read_log_level, false },
		{ "format", read_log_format, false },
		{ "connections", read_log_connections, false },
	};
	field_object(document, value, fields, sizeof fields / sizeof fields[0], to);
}

static void read_admin_socket(struct document *document, const struct json *value, void *to)
{
	struct control_options *control = to;
	if (!field_path(document, value, &control->path))
		return;
	control->is_named = true;
	if (strlen(control->path) > ADDR_PATH_MAX)
		document_error(document, value, DOCUMENT_VALUE,
			"the path of a socket has at most %d bytes", ADDR_PATH_MAX);
}

static void read_admin_mode(struct document *document, const struct json *value, void *to)
{
	field_mode(document, value, &((struct control_options *)to)->mode);
}

void read_common_admin(struct document *document, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "socket", read_admin_socket, true },
		{ "mode", read_admin_mode, false },
	};
	field_object(document, value, fields, sizeof fields / sizeof fields[0], to);
}

static void read_dns_server(struct document *document, const struct json *value, void *to)
{
	char why[ADDRESS_WHY_MAX], **list = to, *longer = NULL;
	const char *text = field_text(document, value, "an address like \"127.0.0.1:53\"");
	if (text == NULL)
		return;
	if (!address_check_server(text, why)) {
		document_error(document, value, DOCUMENT_VALUE, "%s", why);
		return;
	}
	if (asprintf(&longer, "%s%s%s", *list != NULL ? *list : "", *list != NULL ? "," : "",
		    text) < 0)
		longer = NULL;
	if (longer == NULL) {
		document_error(document, value, DOCUMENT_VALUE, "out of memory");
		return;
	}
	free(*list);
	*list = longer;
}

static void read_dns_servers(struct document *document, const struct json *value, void *to)
{
	field_each(document, value, "an array of addresses", 1, read_dns_server, to);
}

void read_common_dns(struct document *document, const struct json *value, void *to)
{
	static const struct field fields[] = { { "servers", read_dns_servers, false } };
	field_object(document, value, fields, 1, to);
}

unsigned read_workers_auto(void)
{
	cpu_set_t cpus;
	if (sched_getaffinity(0, sizeof cpus, &cpus) < 0)
		return 1;
	int n = CPU_COUNT(&cpus);
	return n < 1 ? 1 : n > READ_WORKERS_MAX ? READ_WORKERS_MAX : (unsigned)n;
}

void read_common_workers(struct document *document, const struct json *value, void *to)
{
	static const char *const words[] = { "auto" };
	size_t i;
	uint32_t n;
	unsigned *ret = to;
	if (json_type(value) == JSON_STRING) {
		if (field_word(document, value, words, 1, &i))
			*ret = read_workers_auto();
		return;
	}
	if (field_is(document, value, JSON_NUMBER, "a whole number or \"auto\"") &&
		field_integer(document, value, 1, READ_WORKERS_MAX, &n))
		*ret = n;
}
