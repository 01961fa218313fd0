#include "config/read_limits.h"

#include "config/field.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FLOWS_LIMIT  1048576

struct limits {
	uint32_t *connections, *per_source, *flows;
	struct access_caps_options *caps;
};

static void read_connections(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX, ((struct limits *)to)->connections);
}

static void read_per_source(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX, ((struct limits *)to)->per_source);
}

static void read_per_user(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX, &((struct limits *)to)->caps->connections_per_user);
}

static void read_connects(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX, &((struct limits *)to)->caps->connects_per_second);
}

static void read_connects_per_source(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX,
		&((struct limits *)to)->caps->connects_per_second_per_source);
}

static void read_rate(struct document *d, const struct json *value, void *to)
{
	field_rate(d, value, &((struct limits *)to)->caps->rate);
}

static void read_rate_per_source(struct document *d, const struct json *value, void *to)
{
	field_rate(d, value, &((struct limits *)to)->caps->rate_per_source);
}

static void read_rate_per_user(struct document *d, const struct json *value, void *to)
{
	field_rate(d, value, &((struct limits *)to)->caps->rate_per_user);
}

static void read_flows(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, FLOWS_LIMIT, ((struct limits *)to)->flows);
}

/* A plain forward asks nobody for a name. */
static void check_per_user(
	struct document *d, const struct json *limits, const struct access_listener *l)
{
	static const char *const names[] = { "connections_per_user", "rate_per_user" };
	for (size_t i = 0; i < COUNT(names) && !l->needs_user; i++) {
		const struct json *member = json_member(limits, names[i]);
		if (member != NULL)
			document_error(d, member, DOCUMENT_NAME,
				"\"%s\" needs users; this listener has no \"users_file\"",
				names[i]);
	}
}

void read_listener_limits(struct document *d, const struct json *value, struct access_listener *l)
{
	static const struct field fields[] = {
		{ "connections", read_connections, false },
		{ "connections_per_source", read_per_source, false },
		{ "connections_per_user", read_per_user, false },
		{ "connects_per_second", read_connects, false },
		{ "connects_per_second_per_source", read_connects_per_source, false },
		{ "rate", read_rate, false },
		{ "rate_per_source", read_rate_per_source, false },
		{ "rate_per_user", read_rate_per_user, false },
		{ "flows", read_flows, false },
	};
	struct limits limits = { &l->max_connections, &l->max_connections_per_source, &l->max_flows,
		&l->caps };
	field_object(d, value, fields, COUNT(fields), &limits);
}

void read_listener_limits_check(
	struct document *d, const struct json *listener, const struct access_listener *l)
{
	const struct json *limits = json_member(listener, "limits");
	if (limits != NULL && json_type(limits) == JSON_OBJECT)
		check_per_user(d, limits, l);
}

void read_access_limits(struct document *d, const struct json *value, struct access_options *o)
{
	static const struct field fields[] = {
		{ "connections", read_connections, false },
		{ "connections_per_source", read_per_source, false },
		{ "connects_per_second", read_connects, false },
		{ "rate", read_rate, false },
	};
	struct limits limits = { &o->max_connections, &o->max_connections_per_source, NULL,
		&o->caps };
	field_object(d, value, fields, COUNT(fields), &limits);
}
