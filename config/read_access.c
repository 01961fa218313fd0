#include "config/read_access.h"

#include "config/read_chain.h"
#include "config/read_groups.h"
#include "config/read_limits.h"
#include "config/read_listener.h"
#include "config/read_routes.h"

#include <stdlib.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CHAINS_MAX   256

/* What is being filled. */
struct access_file {
	struct access_options *options;
	struct log_options *log;
	struct read_uses uses;
};

static void read_chain_path(struct document *d, const struct json *value, void *to)
{
	char *path = NULL;
	struct chain_spec **spec = to;
	struct report *report = d->report;
	if (!field_path(d, value, &path))
		return;
	if (access(path, R_OK) < 0)
		document_error(
			d, value, DOCUMENT_VALUE, "cannot open %s: %s", path, strerror(errno));
	else
		*spec = read_chain_file(path, report);
	free(path);
}

/* A chain is written here, or names a file. */
static struct chain_spec *read_one_chain(struct document *d, const struct json *value)
{
	static const struct field fields[] = { { "file", read_chain_path, true } };
	struct chain_spec *spec = NULL;
	if (json_type(value) == JSON_OBJECT && json_member(value, "file") == NULL)
		return read_chain(d, value);
	field_object(d, value, fields, COUNT(fields), &spec);
	return spec;
}

/* A chain that is wrong is not added: then the file is not taken either. */
static void add_chain(struct document *d, const struct json *value, struct access_file *file)
{
	struct chain_spec *spec = read_one_chain(d, value);
	if (spec == NULL)
		return;
	const struct chain_upstream_spec **use = &file->uses.upstreams[file->uses.n - 1];
	*use = access_options_add_chain(file->options, spec, json_name(value));
	if (*use != NULL)
		return;
	chain_spec_free(spec);
	document_error(d, value, DOCUMENT_NAME, "out of memory");
}

/* Before the listeners, which refer to chains wherever in the file they stand. */
static void read_chains(struct document *d, struct access_file *file)
{
	const struct json *chains = json_member(d->root, "chains");
	if (chains == NULL || !field_is(d, chains, JSON_OBJECT, "an object of chains"))
		return;
	for (const struct json *v = json_first(chains); v != NULL; v = json_next(v)) {
		if (file->uses.n == CHAINS_MAX) {
			document_error(d, v, DOCUMENT_NAME, "more than %d chains", CHAINS_MAX);
			return;
		}
		read_group_name(d, v, &file->uses);
		file->uses.names[file->uses.n] = json_name(v);
		file->uses.members[file->uses.n++] = v;
		add_chain(d, v, file);
		file->uses.n_chains = file->uses.n;
	}
}

/* After the chains of the file: it is the last one. */
static void add_direct(struct document *d, struct access_file *file)
{
	struct read_uses *uses = &file->uses;
	uses->names[uses->n] = READ_USE_DIRECT;
	uses->upstreams[uses->n] = access_options_add_direct(file->options);
	if (uses->upstreams[uses->n++] == NULL)
		document_error(d, d->root, DOCUMENT_OPENER, "out of memory");
}

static void read_one_listener(struct document *d, const struct json *object, void *to)
{
	struct access_file *file = to;
	read_listener(d, object, &file->uses, file->options);
}

static void read_listen(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of listeners", 1, read_one_listener, to);
}

static void skip(struct document *d, const struct json *value, void *to)
{
	(void)d;
	(void)value;
	(void)to;
}

static void read_admin(struct document *d, const struct json *value, void *to)
{
	read_common_admin(d, value, &((struct access_file *)to)->options->control);
}

static void read_dns(struct document *d, const struct json *value, void *to)
{
	read_common_dns(d, value, &((struct access_file *)to)->options->dns_servers);
}

static void read_log(struct document *d, const struct json *value, void *to)
{
	read_common_log(d, value, ((struct access_file *)to)->log);
}

static void read_all_limits(struct document *d, const struct json *value, void *to)
{
	read_access_limits(d, value, ((struct access_file *)to)->options);
}

static void read_workers(struct document *d, const struct json *value, void *to)
{
	read_common_workers(d, value, &((struct access_file *)to)->options->n_workers);
}

static void read_mark(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, UINT32_MAX, &((struct access_file *)to)->options->mark);
}

static void read_drain(struct document *d, const struct json *value, void *to)
{
	field_duration(d, value, &((struct access_file *)to)->options->drain_ms);
}

static void read_all(struct document *d, struct access_file *file)
{
	static const struct field fields[] = {
		{ "$schema", field_ignore, false },
		{ "version", read_version, false },
		{ "listen", read_listen, true },
		{ "chains", skip, true },
		{ "groups", skip, false },
		{ "routes", skip, false },
		{ "admin", read_admin, false },
		{ "dns", read_dns, false },
		{ "log", read_log, false },
		{ "limits", read_all_limits, false },
		{ "workers", read_workers, false },
		{ "drain", read_drain, false },
		{ "mark", read_mark, false },
	};
	read_chains(d, file);
	add_direct(d, file);
	read_groups(d, &file->uses, file->options);
	field_object(d, d->root, fields, COUNT(fields), file);
	read_routes(d, &file->uses, file->options);
}

bool read_access_file(const char *path, bool is_open, struct report *report,
	struct access_options *options, struct log_options *log)
{
	size_t n_before = report_n_errors(report);
	struct access_file file = { .options = options, .log = log };
	file.uses.is_open = is_open;
	struct document *d = document_open(path, report);
	if (d == NULL)
		return false;
	read_all(d, &file);
	options->logs_connections = log->logs_connections;
	document_free(d);
	return report_n_errors(report) == n_before;
}
