#include "config/read_access.h"

#include "config/address.h"
#include "config/read_chain.h"
#include "config/read_logins.h"
#include "config/suggest.h"

#include <stdlib.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CHAINS_MAX   256
#define FLOWS_LIMIT  1048576

/* What is being filled. */
struct access_file {
	struct access_options *options;
	struct log_options *log;
	const struct json *chains[CHAINS_MAX]; /* the member of options->chains[i] */
	size_t n_chains;
	bool is_open;
};

/* One listener while it is read. */
struct listener_file {
	struct access_file *file;
	struct access_listener *listener;
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

static bool check_chain_name(struct document *d, const struct json *value)
{
	if (field_is_name(json_name(value)))
		return true;
	document_error(d, value, DOCUMENT_NAME,
		"this is not a name; names have up to 63 of a-z, 0-9 and '-' inside");
	return false;
}

/* Before the listeners, which refer to chains wherever in the file they stand. */
static void read_chains(struct document *d, struct access_file *file)
{
	const struct json *chains = json_member(d->root, "chains");
	if (chains == NULL || !field_is(d, chains, JSON_OBJECT, "an object of chains"))
		return;
	file->options->chains = calloc(CHAINS_MAX, sizeof(struct chain_spec *));
	if (file->options->chains == NULL) {
		document_error(d, chains, DOCUMENT_OPENER, "out of memory");
		return;
	}
	for (const struct json *v = json_first(chains); v != NULL; v = json_next(v)) {
		if (file->n_chains == CHAINS_MAX) {
			document_error(d, v, DOCUMENT_NAME, "more than %d chains", CHAINS_MAX);
			return;
		}
		check_chain_name(d, v);
		file->chains[file->n_chains++] = v;
		file->options->chains[file->options->n_chains++] = read_one_chain(d, v);
	}
}

static void tell_no_chain(struct document *d, const struct json *value, struct access_file *file)
{
	const char *names[CHAINS_MAX];
	char shown[64];
	for (size_t i = 0; i < file->n_chains; i++)
		names[i] = json_name(file->chains[i]);
	const char *meant = suggest(json_string(value), names, file->n_chains);
	report_quote(json_string(value), shown, sizeof shown);
	if (meant == NULL) {
		document_error(d, value, DOCUMENT_VALUE, "no chain named \"%s\"", shown);
		return;
	}
	size_t i = 0;
	while (names[i] != meant)
		i++;
	document_error(d, value, DOCUMENT_VALUE,
		"no chain named \"%s\"; did you mean \"%s\"? (defined at line %zu)", shown, meant,
		document_line(d, file->chains[i]));
}

static void read_listen_chain(struct document *d, const struct json *value, void *to)
{
	struct listener_file *l = to;
	const char *name = field_text(d, value, "the name of a chain");
	if (name == NULL)
		return;
	for (size_t i = 0; i < l->file->n_chains; i++) {
		if (strcmp(json_name(l->file->chains[i]), name) == 0) {
			l->listener->chain = l->file->options->chains[i];
			return;
		}
	}
	tell_no_chain(d, value, l->file);
}

static void read_listen_name(struct document *d, const struct json *value, void *to)
{
	field_name(d, value, &((struct listener_file *)to)->listener->name);
}

static void read_listen_addr(struct document *d, const struct json *value, void *to)
{
	field_listen(d, value, &((struct listener_file *)to)->listener->addr);
}

static void read_type(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "auto", "socks5", "http", "tcp", "udp" };
	static const struct {
		unsigned transports, protocols;
	} meant[] = {
		{ ACCESS_TCP, GREETING_SOCKS | GREETING_HTTP },
		{ ACCESS_TCP, GREETING_SOCKS },
		{ ACCESS_TCP, GREETING_HTTP },
		{ ACCESS_TCP, 0 },
		{ ACCESS_UDP, 0 },
	};
	struct access_listener *l = ((struct listener_file *)to)->listener;
	size_t i;
	if (!field_word(d, value, words, COUNT(words), &i))
		return;
	l->transports = meant[i].transports;
	l->protocols = meant[i].protocols;
}

static void read_to(struct document *d, const struct json *value, void *to)
{
	field_target(d, value, &((struct listener_file *)to)->listener->to);
}

static void read_from(struct document *d, const struct json *value, void *to)
{
	field_sources(d, value, &((struct listener_file *)to)->listener->from);
}

static void read_open(struct document *d, const struct json *value, void *to)
{
	field_bool(d, value, &((struct listener_file *)to)->listener->is_open);
}

static void read_users_file(struct document *d, const struct json *value, void *to)
{
	struct access_listener *l = ((struct listener_file *)to)->listener;
	struct report *report = d->report;
	char *path = NULL;
	l->needs_user = true;
	if (!field_path(d, value, &path))
		return;
	if (access(path, R_OK) < 0)
		document_error(
			d, value, DOCUMENT_VALUE, "cannot open %s: %s", path, strerror(errno));
	else if (l->users == NULL && !read_logins_file(path, report, &l->users, &l->n_users))
		l->users = NULL;
	free(path);
}

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

static void read_listen_limits(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "connections", read_connections, false },
		{ "connections_per_source", read_per_source, false },
		{ "flows", read_flows, false },
	};
	struct access_listener *l = ((struct listener_file *)to)->listener;
	struct limits limits = { &l->max_connections, &l->max_connections_per_source,
		&l->max_flows };
	field_object(d, value, fields, COUNT(fields), &limits);
}

static void read_all_limits(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "connections", read_connections, false },
		{ "connections_per_source", read_per_source, false },
	};
	struct access_options *o = ((struct access_file *)to)->options;
	struct limits limits = { &o->max_connections, &o->max_connections_per_source, NULL };
	field_object(d, value, fields, COUNT(fields), &limits);
}

/* A target makes it a plain forward; without one, and without a type, the client says where to. */
static void complete_target(
	struct document *d, const struct json *object, struct access_listener *l)
{
	const struct json *own = json_member(object, "to");
	if (l->protocols != 0 && own != NULL) {
		document_error(d, own, DOCUMENT_NAME,
			"the clients of a proxy say where to; \"to\" is for plain forwards");
	} else if (l->protocols != 0 || own != NULL || l->chain == NULL) {
		return;
	} else if (l->chain->has_target) {
		l->to = l->chain->target;
	} else if (json_member(object, "type") != NULL) {
		document_error(d, object, DOCUMENT_OPENER,
			"missing \"to\", and its chain has no \"target\"");
	} else {
		l->transports = ACCESS_TCP;
		l->protocols = GREETING_SOCKS | GREETING_HTTP;
	}
}

/* What a listener does not say, its chain may: the only chain, and the chain's target. */
static void complete(struct document *d, const struct json *object, struct access_listener *l,
	const struct access_file *file)
{
	if (json_member(object, "chain") == NULL) {
		if (file->n_chains == 1)
			l->chain = file->options->chains[0];
		else
			document_error(d, object, DOCUMENT_OPENER, "missing \"chain\"");
	}
	complete_target(d, object, l);
}

static void check_users(
	struct document *d, const struct json *object, const struct access_listener *l)
{
	const struct json *users = json_member(object, "users_file");
	if (users != NULL && l->protocols == 0)
		document_error(d, users, DOCUMENT_NAME,
			"users are for proxies; a plain forward asks nobody");
}

static void check_open(struct document *d, const struct json *object,
	const struct access_listener *l, const struct access_file *file)
{
	char pointer[64];
	const struct json *from = json_member(object, "from");
	if (l->is_open || file->is_open || json_member(object, "users_file") != NULL ||
		from == NULL || !address_is_anybody(&l->from))
		return;
	document_error_bare(d, from, DOCUMENT_VALUE,
		"%s accepts any source without users: anyone who reaches port %u could use your "
		"chain; set %sa narrower \"from\", or \"open\": true, or pass --open",
		document_pointer(d, object, pointer, sizeof pointer), l->addr.port,
		l->protocols != 0 ? "\"users_file\" or " : "");
}

static void read_listener(struct document *d, const struct json *object, void *to)
{
	static const struct field fields[] = {
		{ "name", read_listen_name, false },
		{ "addr", read_listen_addr, true },
		{ "type", read_type, false },
		{ "to", read_to, false },
		{ "chain", read_listen_chain, false },
		{ "from", read_from, false },
		{ "open", read_open, false },
		{ "users_file", read_users_file, false },
		{ "limits", read_listen_limits, false },
	};
	struct access_file *file = to;
	struct access_options *o = file->options;
	struct access_listener *listen = reallocarray(o->listen, o->n_listen + 1, sizeof *listen);
	if (listen == NULL) {
		document_error(d, object, DOCUMENT_OPENER, "out of memory");
		return;
	}
	o->listen = listen;
	listen = &listen[o->n_listen++];
	*listen = (struct access_listener){ .transports = ACCESS_TCP | ACCESS_UDP };
	struct listener_file l = { .file = file, .listener = listen };
	if (!field_object(d, object, fields, COUNT(fields), &l))
		return;
	complete(d, object, listen, file);
	check_users(d, object, listen);
	check_open(d, object, listen, file);
	listen->is_open = listen->is_open || file->is_open;
}

static void read_listen(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of listeners", 1, read_listener, to);
}

static void skip(struct document *d, const struct json *value, void *to)
{
	(void)d;
	(void)value;
	(void)to;
}

static void read_dns(struct document *d, const struct json *value, void *to)
{
	read_common_dns(d, value, &((struct access_file *)to)->options->dns_servers);
}

static void read_log(struct document *d, const struct json *value, void *to)
{
	read_common_log(d, value, ((struct access_file *)to)->log);
}

static void read_workers(struct document *d, const struct json *value, void *to)
{
	read_common_workers(d, value, &((struct access_file *)to)->options->n_workers);
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
		{ "dns", read_dns, false },
		{ "log", read_log, false },
		{ "limits", read_all_limits, false },
		{ "workers", read_workers, false },
		{ "drain", read_drain, false },
	};
	read_chains(d, file);
	field_object(d, d->root, fields, COUNT(fields), file);
}

bool read_access_file(const char *path, bool is_open, struct report *report,
	struct access_options *options, struct log_options *log)
{
	size_t n_before = report_n_errors(report);
	struct access_file file = { .options = options, .log = log, .is_open = is_open };
	struct document *d = document_open(path, report);
	if (d == NULL)
		return false;
	read_all(d, &file);
	options->logs_connections = log->logs_connections;
	document_free(d);
	return report_n_errors(report) == n_before;
}
