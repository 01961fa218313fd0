#include "access/cli_explain.h"

#include "access/explain_format.h"
#include "common/admin_query.h"
#include "config/address.h"
#include "config/admin_client.h"
#include "config/daemon.h"
#include "config/read_access.h"
#include "config/suggest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cli_option options[] = {
	{ "config", 'c', "FILE", "Which", "JSON configuration; - reads stdin", NULL },
	{ "running", 0, NULL, NULL, "ask the access that runs", NULL },
	{ "admin-socket", 0, "PATH", NULL, "where it listens for operators", NULL },
	{ "listener", 0, "NAME", "Assume", "it came in here", "the first" },
	{ "from", 0, "ADDR", NULL, "its source", NULL },
	{ "user", 0, "NAME", NULL, "who was let in", NULL },
	{ "protocol", 0, "tcp|udp|socks|http", NULL, "spoken", "what it takes" },
	{ "json", 0, NULL, "How", "an object, for programs", NULL },
};
static const struct cli cli = {
	.program = "access explain",
	.head = "Usage: access explain [options] HOST:PORT\n"
		"Say which rule of a configuration a target meets, and why not those before it;\n"
		"with --running also which hops it would get now. Nothing is connected.\n",
	.foot = "See also: access check, man access.json",
	.options = options,
	.n_options = COUNT(options),
};

struct flags {
	const char *config, *admin_socket, *listener, *from, *user, *protocol, *target;
	bool is_json, is_running;
};

/* What the flags say, beside the file. */
struct question {
	struct addr target;
	union addr_sock source;
	enum route_protocol protocol;
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	const char **const texts[] = { &flags->config, NULL, &flags->admin_socket, &flags->listener,
		&flags->from, &flags->user, &flags->protocol, NULL };
	if (texts[i] != NULL)
		*texts[i] = argument;
	else if (strcmp(options[i].name, "json") == 0)
		flags->is_json = true;
	else
		flags->is_running = true;
	return true;
}

static bool parse_source(const char *text, union addr_sock *ret)
{
	char why[ADDRESS_WHY_MAX];
	struct netset set;
	netset_init(&set);
	bool is_good =
		address_add_source(text, &set, why) && set.n_rules == 1 &&
		set.rules[0].kind == NET_CIDR &&
		set.rules[0].prefix_bits == (set.rules[0].net.any.sa_family == AF_INET ? 32 : 128);
	if (is_good)
		*ret = set.rules[0].net;
	netset_deinit(&set);
	return is_good || cli_wrong(&cli, "--from: \"%.60s\" is not an IP address", text);
}

static bool parse_protocol(const char *text, enum route_protocol *ret)
{
	static const enum route_protocol all[] = { ROUTE_TCP, ROUTE_UDP, ROUTE_SOCKS, ROUTE_HTTP };
	for (size_t i = 0; i < COUNT(all); i++) {
		if (strcmp(text, route_protocol_name(all[i])) != 0)
			continue;
		*ret = all[i];
		return true;
	}
	return cli_wrong(&cli, "--protocol: \"%.60s\" is none of tcp, udp, socks, http", text);
}

static bool parse(const struct flags *flags, struct question *ret)
{
	char why[ADDRESS_WHY_MAX];
	if (!address_parse(flags->target, ADDRESS_TARGET, &ret->target, why))
		return cli_wrong(&cli, "%s", why);
	if (flags->from != NULL && !parse_source(flags->from, &ret->source))
		return false;
	return flags->protocol == NULL || parse_protocol(flags->protocol, &ret->protocol);
}

static const struct access_listener *find_listener(const struct access_options *o, const char *name)
{
	const char **names = calloc(o->n_listen, sizeof *names);
	size_t n = 0;
	if (name == NULL || names == NULL) {
		free(names);
		return &o->listen[0];
	}
	for (size_t i = 0; i < o->n_listen; i++) {
		if (o->listen[i].name == NULL)
			continue;
		if (strcmp(o->listen[i].name, name) == 0) {
			free(names);
			return &o->listen[i];
		}
		names[n++] = o->listen[i].name;
	}
	const char *meant = suggest(name, names, n);
	if (meant != NULL)
		cli_wrong(&cli, "no listener named \"%.60s\"; did you mean \"%s\"?", name, meant);
	else
		cli_wrong(&cli, "no listener named \"%.60s\"", name);
	free(names);
	return NULL;
}

static enum cli_exit explain(const struct flags *flags, const struct question *question,
	const struct access_options *o, const char *path)
{
	const struct access_listener *listener = find_listener(o, flags->listener);
	if (listener == NULL)
		return CLI_USAGE;
	struct route_query query = {
		.target = &question->target,
		.source = flags->from != NULL ? &question->source : NULL,
		.user = flags->user,
		.listener = listener->name,
		.protocol = question->protocol != 0 ? question->protocol
						    : access_explain_protocol(listener),
	};
	struct access_explain e = {
		.options = o,
		.listener = listener,
		.query = &query,
		.file = strcmp(path, "-") == 0 ? "stdin" : path,
	};
	if (flags->is_json)
		access_explain_json(&e, stdout);
	else
		access_explain_text(&e, stdout);
	return CLI_OK;
}

static enum cli_exit explain_file(
	const struct flags *flags, const struct question *question, const char *path)
{
	struct access_options o = ACCESS_OPTIONS_DEFAULT;
	struct log_options log = LOG_OPTIONS_DEFAULT;
	struct report *report = report_new("access");
	if (report == NULL)
		return CLI_FAILED;
	enum cli_exit result = CLI_CONFIG;
	if (read_access_file(path, true, report, &o, &log))
		result = explain(flags, question, &o, path);
	report_print(report, stderr);
	report_free(report);
	access_options_deinit(&o);
	return result;
}

static enum cli_exit explain_found(const struct flags *flags, const struct question *question)
{
	if (!daemon_start("access"))
		return CLI_FAILED;
	char *path = daemon_find_config(flags->config, "access.json");
	if (path == NULL) {
		cli_wrong(&cli, "no configuration file found; name one: --config FILE");
		return CLI_USAGE;
	}
	enum cli_exit result = explain_file(flags, question, path);
	free(path);
	return result;
}

/* ---- What runs ---- */

/* Heap; NULL: no memory. */
static char *make_request(const struct flags *flags)
{
	const struct {
		const char *name, *value;
	} values[] = { { "from", flags->from }, { "user", flags->user },
		{ "listener", flags->listener }, { "protocol", flags->protocol },
		{ "format", flags->is_json ? "json" : "text" } };
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return NULL;
	fputs("GET /v1/explain", to);
	admin_put_query(to, '?', "target", flags->target);
	for (size_t i = 0; i < COUNT(values); i++) {
		if (values[i].value != NULL)
			admin_put_query(to, '&', values[i].name, values[i].value);
	}
	fputs(" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", to);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

/* What is wrong with the question is 400 or, of a listener, 404. */
static enum cli_exit tell(const struct flags *flags, const struct admin_reply *reply)
{
	const struct json *error = json_member(reply->root, "error");
	if (reply->status == 200) {
		fputs(flags->is_json ? reply->body : admin_reply_text(reply->root, "text"), stdout);
		return CLI_OK;
	}
	const char *what = admin_reply_text(error, "message");
	const char *slug = admin_reply_text(error, "slug");
	if (strcmp(slug, "listener") == 0)
		cli_wrong(&cli, "no listener named \"%.60s\"", flags->listener);
	else if (reply->status == 400)
		cli_wrong(&cli, "%s: %s", slug, what);
	else
		fprintf(stderr, "access: not explained: %s\n", *what != '\0' ? what : slug);
	return reply->status == 400 || strcmp(slug, "listener") == 0 ? CLI_USAGE : CLI_FAILED;
}

static enum cli_exit explain_running(const struct flags *flags)
{
	enum cli_exit result = CLI_FAILED;
	struct admin_reply reply;
	if (flags->config != NULL) {
		cli_wrong(&cli, "--running and --config exclude each other");
		return CLI_USAGE;
	}
	char *path = daemon_admin_find(&cli, "access", flags->admin_socket);
	if (path == NULL)
		return CLI_USAGE;
	char *request = make_request(flags);
	if (request != NULL && admin_client_ask("access", path, request, &reply)) {
		result = tell(flags, &reply);
		admin_reply_deinit(&reply);
	}
	free(request);
	free(path);
	return result;
}

static enum cli_exit run(int argc, char **argv)
{
	struct flags flags = { 0 };
	struct question question = { 0 };
	int n_rest = 0;
	enum cli_result parsed = cli_parse(&cli, argc, argv, on_option, &flags, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (n_rest != 1) {
		cli_wrong(&cli, n_rest == 0 ? "needs HOST:PORT" : "takes one HOST:PORT");
		return CLI_USAGE;
	}
	flags.target = argv[argc - 1];
	if (!parse(&flags, &question))
		return CLI_USAGE;
	if (flags.admin_socket != NULL && !flags.is_running) {
		cli_wrong(&cli, "--admin-socket needs --running");
		return CLI_USAGE;
	}
	return flags.is_running ? explain_running(&flags) : explain_found(&flags, &question);
}

const struct cli_command cli_explain_row = {
	"explain",
	"which rule a target meets",
	&cli,
	"HOST:PORT",
	run,
};
