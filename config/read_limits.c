#include "config/read_limits.h"

#include "config/field.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FLOWS_LIMIT  1048576

struct limits {
	uint32_t *connections, *per_source, *flows;
};

static void read_connections(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX, ((struct limits *)to)->connections);
}

static void read_per_source(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX, ((struct limits *)to)->per_source);
}

static void read_flows(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, FLOWS_LIMIT, ((struct limits *)to)->flows);
}

void read_listener_limits(struct document *d, const struct json *value, struct access_listener *l)
{
	static const struct field fields[] = {
		{ "connections", read_connections, false },
		{ "connections_per_source", read_per_source, false },
		{ "flows", read_flows, false },
	};
	struct limits limits = { &l->max_connections, &l->max_connections_per_source,
		&l->max_flows };
	field_object(d, value, fields, COUNT(fields), &limits);
}

void read_access_limits(struct document *d, const struct json *value, struct access_options *o)
{
	static const struct field fields[] = {
		{ "connections", read_connections, false },
		{ "connections_per_source", read_per_source, false },
	};
	struct limits limits = { &o->max_connections, &o->max_connections_per_source, NULL };
	field_object(d, value, fields, COUNT(fields), &limits);
}
