#include "config/read_hop.h"

#include "config/read_user.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FLOWS_LIMIT  1048576

/* What is being filled. */
struct hop_file {
	struct hop_options *options;
	struct log_options *log;
	struct user_reader users;
};

static void read_users(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of users", 1, read_user, &((struct hop_file *)to)->users);
}

static void read_folder(struct document *d, const struct json *value, void *to)
{
	read_users_dir(d, value, &((struct hop_file *)to)->users);
}

static void read_listen_addr(struct document *d, const struct json *value, void *to)
{
	field_listen(d, value, &((struct hop_listener *)to)->addr);
}

static void read_listen_udp(struct document *d, const struct json *value, void *to)
{
	field_bool(d, value, &((struct hop_listener *)to)->takes_udp);
}

static void read_listen_mode(struct document *d, const struct json *value, void *to)
{
	field_mode(d, value, &((struct hop_listener *)to)->mode);
}

static void read_listen_proxies(struct document *d, const struct json *value, void *to)
{
	field_sources(d, value, &((struct hop_listener *)to)->proxies);
}

static void read_listener(struct document *d, const struct json *object, void *to)
{
	static const struct field fields[] = {
		{ "addr", read_listen_addr, true },
		{ "udp", read_listen_udp, false },
		{ "mode", read_listen_mode, false },
		{ "proxy_protocol", read_listen_proxies, false },
	};
	struct hop_options *o = ((struct hop_file *)to)->options;
	struct hop_listener *listen = reallocarray(o->listen, o->n_listen + 1, sizeof *listen);
	if (listen == NULL) {
		document_error(d, object, DOCUMENT_OPENER, "out of memory");
		return;
	}
	o->listen = listen;
	listen[o->n_listen] = (struct hop_listener){ .takes_udp = true };
	field_object(d, object, fields, COUNT(fields), &listen[o->n_listen++]);
}

static void read_listen(struct document *d, const struct json *value, void *to)
{
	field_each(d, value, "an array of listeners", 1, read_listener, to);
}

static void read_allow(struct document *d, const struct json *value, void *to)
{
	field_targets(d, value, &((struct hop_file *)to)->options->allow);
}

static void read_deny(struct document *d, const struct json *value, void *to)
{
	field_targets(d, value, &((struct hop_file *)to)->options->deny);
}

static void read_targets(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "allow", read_allow, false },
		{ "deny", read_deny, false },
	};
	field_object(d, value, fields, COUNT(fields), to);
}

static void read_replay_path(struct document *d, const struct json *value, void *to)
{
	field_path(d, value, &((struct hop_file *)to)->options->replay_file);
}

static void read_strict(struct document *d, const struct json *value, void *to)
{
	field_bool(d, value, &((struct hop_file *)to)->options->is_replay_strict);
}

static void read_replay(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "file", read_replay_path, false },
		{ "strict", read_strict, false },
	};
	field_object(d, value, fields, COUNT(fields), to);
}

static void read_header(struct document *d, const struct json *value, void *to)
{
	field_timeout(d, value, &((struct hop_file *)to)->options->header_timeout_ms);
}

static void read_connect(struct document *d, const struct json *value, void *to)
{
	field_timeout(d, value, &((struct hop_file *)to)->options->dial_timeout_ms);
}

static void read_idle(struct document *d, const struct json *value, void *to)
{
	field_duration(d, value, &((struct hop_file *)to)->options->relay.idle_timeout_ms);
}

static void read_half_close(struct document *d, const struct json *value, void *to)
{
	field_duration(d, value, &((struct hop_file *)to)->options->relay.half_close_timeout_ms);
}

static void read_timeouts(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "header", read_header, false },
		{ "connect", read_connect, false },
		{ "idle", read_idle, false },
		{ "half_close", read_half_close, false },
	};
	field_object(d, value, fields, COUNT(fields), to);
}

static void read_connections(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX, &((struct hop_file *)to)->options->max_connections);
}

static void read_per_source(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX,
		&((struct hop_file *)to)->options->max_connections_per_source);
}

static void read_handshakes(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, INT32_MAX,
		&((struct hop_file *)to)->options->max_handshakes_per_second);
}

static void read_flows(struct document *d, const struct json *value, void *to)
{
	field_integer(d, value, 1, FLOWS_LIMIT, &((struct hop_file *)to)->options->max_flows);
}

static void read_rate(struct document *d, const struct json *value, void *to)
{
	field_rate(d, value, &((struct hop_file *)to)->options->rate);
}

static void read_limits(struct document *d, const struct json *value, void *to)
{
	static const struct field fields[] = {
		{ "connections", read_connections, false },
		{ "connections_per_source", read_per_source, false },
		{ "handshakes_per_second", read_handshakes, false },
		{ "flows", read_flows, false },
		{ "rate", read_rate, false },
	};
	field_object(d, value, fields, COUNT(fields), to);
}

static void read_on_bad(struct document *d, const struct json *value, void *to)
{
	static const char *const words[] = { "drain", "reset" };
	size_t i;
	if (field_word(d, value, words, COUNT(words), &i))
		((struct hop_file *)to)->options->on_bad = (enum hop_on_bad)i;
}

static void read_measure(struct document *d, const struct json *value, void *to)
{
	bool serves;
	if (field_bool(d, value, &serves))
		((struct hop_file *)to)->options->refuses_measure = !serves;
}

static void read_window(struct document *d, const struct json *value, void *to)
{
	field_duration(d, value, &((struct hop_file *)to)->options->ephemeral_window_ms);
}

static void read_drain(struct document *d, const struct json *value, void *to)
{
	field_duration(d, value, &((struct hop_file *)to)->options->drain_ms);
}

static void read_admin(struct document *d, const struct json *value, void *to)
{
	read_common_admin(d, value, &((struct hop_file *)to)->options->control);
}

static void read_dns(struct document *d, const struct json *value, void *to)
{
	read_common_dns(d, value, &((struct hop_file *)to)->options->dns_servers);
}

static void read_log(struct document *d, const struct json *value, void *to)
{
	read_common_log(d, value, ((struct hop_file *)to)->log);
}

static void read_workers(struct document *d, const struct json *value, void *to)
{
	read_common_workers(d, value, &((struct hop_file *)to)->options->n_workers);
}

static void read_all(struct document *d, struct hop_file *file)
{
	static const struct field fields[] = {
		{ "$schema", field_ignore, false },
		{ "version", read_version, false },
		{ "listen", read_listen, true },
		{ "users", read_users, false },
		{ "users_dir", read_folder, false },
		{ "targets", read_targets, false },
		{ "replay", read_replay, false },
		{ "admin", read_admin, false },
		{ "dns", read_dns, false },
		{ "timeouts", read_timeouts, false },
		{ "limits", read_limits, false },
		{ "on_bad", read_on_bad, false },
		{ "measure", read_measure, false },
		{ "forward_secrecy_window", read_window, false },
		{ "log", read_log, false },
		{ "workers", read_workers, false },
		{ "drain", read_drain, false },
	};
	field_object(d, d->root, fields, COUNT(fields), file);
	if (json_member(d->root, "users") == NULL && json_member(d->root, "users_dir") == NULL)
		document_error(d, d->root, DOCUMENT_OPENER, "missing \"users\" or \"users_dir\"");
}

bool read_hop_file(const char *path, struct report *report, struct hop_options *options,
	struct log_options *log)
{
	size_t n_before = report_n_errors(report);
	char why[256];
	struct hop_file file = { .options = options, .log = log, .users = { .options = options } };
	struct document *d = document_open(path, report);
	if (d == NULL)
		return false;
	read_all(d, &file);
	options->logs_connections = log->logs_connections;
	if (report_n_errors(report) == n_before) {
		const char *wrong = hop_options_check(options, why, sizeof why);
		if (wrong != NULL)
			document_error(d, d->root, DOCUMENT_OPENER, "%s", wrong);
	}
	user_reader_deinit(&file.users);
	document_free(d);
	return report_n_errors(report) == n_before;
}
