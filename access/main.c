#include "access/access.h"
#include "access/cli_explain.h"
#include "chain/datagram.h"
#include "config/access_flags.h"
#include "config/address.h"
#include "config/listen_flag.h"
#include "config/port_owner.h"
#include "config/read_access.h"
#include "config/tproxy_rules.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "access"
#include "common/log.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cli_option options[] = {
	{ "listen", 'l', "ADDR", "Where", "address; or tcp, udp, socks5 or http://ADDR", NULL },
	{ "redirect", 0, "ADDR", NULL, "takes connections the kernel redirects", NULL },
	{ "tproxy", 0, "ADDR", NULL, "the same with TPROXY, datagrams too", NULL },
	{ "to", 0, "HOST:PORT", NULL, "target; without one it is a proxy", NULL },
	{ "config", 'c', "FILE", NULL, "JSON configuration; - reads stdin", NULL },
	{ "chain", 0, "FILE", "Through", "the hops; - reads stdin", NULL },
	{ "hop", 0, "ADDR,KEYFILE", NULL, "a hop (repeatable, in order)", NULL },
	{ "from", 0, "CIDR,..", "Who", "sources served", "local" },
	{ "users-file", 0, "FILE", NULL, "names and passwords: chain passwd", NULL },
	{ "open", 0, NULL, NULL, "serve any source", NULL },
	{ "workers", 0, "N|auto", "Operate", "threads", "1" },
	{ "drain", 0, "TIME", NULL, "grace on shutdown", "30s" },
	{ "admin-socket", 0, "PATH", NULL, "where operators ask: reload, status", NULL },
	{ "log-level", 0, "error|warning|notice|info|debug", NULL, "how much", "info" },
	{ "log-format", 0, "auto|text|json|journal", NULL, "how it looks", "auto" },
	{ "verbose", 'v', NULL, NULL, "--log-level debug", NULL },
	{ "quiet", 'q', NULL, NULL, "--log-level warning", NULL },
};

static const struct cli cli = {
	.program = "access",
	.head = "Usage: access [run] [options]\n"
		"Send connections and datagrams through a chain of hops.\n"
		"\n"
		"  access --listen 127.0.0.1:1080 --chain chain.json\n",
	.foot = "See also: access help COMMAND, chain help",
	.options = options,
	.n_options = COUNT(options),
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct access_flags *flags = owner;
	const char *name = options[i].name;
	if (strcmp(name, "listen") == 0)
		return cli_words_add(&cli, &flags->listen, argument);
	if (strcmp(name, "redirect") == 0)
		return cli_words_add(&cli, &flags->redirects, argument);
	if (strcmp(name, "tproxy") == 0)
		return cli_words_add(&cli, &flags->tproxies, argument);
	if (strcmp(name, "hop") == 0)
		return cli_words_add(&cli, &flags->hops, argument);
	if (strcmp(name, "to") == 0)
		flags->listener.to = argument;
	else if (strcmp(name, "chain") == 0)
		flags->chain = argument;
	else if (strcmp(name, "from") == 0)
		flags->listener.from = argument;
	else if (strcmp(name, "users-file") == 0)
		flags->listener.users_file = argument;
	else if (strcmp(name, "open") == 0)
		flags->listener.is_open = true;
	else
		return daemon_flags_take(&flags->daemon, name, argument);
	return true;
}

static const char *name_transports(unsigned transports)
{
	if (transports == ACCESS_UDP)
		return "udp";
	return transports == ACCESS_TCP ? "tcp" : "tcp+udp";
}

/* What fits a datagram, once per chain. */
static void log_room(const struct access_options *o, const struct chain_spec *chain)
{
	size_t first, steady;
	if (chain->n_hops == 0)
		return;
	for (size_t i = 0; i < o->n_listen; i++) {
		const struct access_listener *l = &o->listen[i];
		if (access_options_chain_of(l->use) != chain || (l->transports & ACCESS_UDP) == 0 ||
			l->capture != ACCESS_NO_CAPTURE)
			continue;
		if (chain_datagram_mtu(chain, &l->to, &first, &steady) == 0)
			LOG_NOTICE("udp chain_mtu_f=%zu chain_mtu_s=%zu chain=%s", first, steady,
				chain->name != NULL ? chain->name : "-");
		return;
	}
}

/* Where what comes in here goes, if no rule sends it elsewhere. */
static const char *print_use(const struct chain_upstream_spec *use, char *to, size_t size)
{
	const struct chain_spec *chain = access_options_chain_of(use);
	if (use->n_members > 1)
		snprintf(to, size, "group=%s chains=%zu", use->name, use->n_members);
	else if (chain->n_hops == 0)
		snprintf(to, size, "hops=0 chain=%s", use->name);
	else
		snprintf(to, size, "hops=%zu payload=%s chain=%s", chain->n_hops,
			chain->is_header_only ? "header-only" : "encrypted", use->name);
	return to;
}

static void log_listening(const struct access_listener *l, uint16_t port)
{
	char text[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], use[128];
	struct addr addr = l->addr;
	addr.port = port;
	address_print(&addr, text);
	if (l->capture != ACCESS_NO_CAPTURE)
		LOG_NOTICE("listening addr=%s transport=%s capture=%s %s", text,
			name_transports(l->transports),
			l->capture == ACCESS_TPROXY ? "tproxy" : "redirect",
			print_use(l->use, use, sizeof use));
	else if (l->protocols != 0)
		LOG_NOTICE("listening addr=%s proxy=%s users=%s %s", text,
			listen_flag_proxy_name(l->protocols), l->needs_user ? "yes" : "no",
			print_use(l->use, use, sizeof use));
	else
		LOG_NOTICE("listening addr=%s transport=%s to=%s %s", text,
			name_transports(l->transports), addr_print(&l->to, to),
			print_use(l->use, use, sizeof use));
}

static void on_ready(const struct access_options *o, const uint16_t *ports, void *owner)
{
	(void)owner;
	for (size_t i = 0; i < o->n_listen; i++)
		log_listening(&o->listen[i], ports[i]);
	for (size_t i = 0; i < o->n_chains; i++)
		log_room(o, o->chains[i]);
}

/* ---- Reload ---- */

struct running {
	const struct access_flags *flags;
	const struct systemd_sockets *passed;
	struct daemon_reload log;
};

static bool load(void *owner, struct access_options *ret, struct reload_report *to)
{
	struct running *running = owner;
	struct access_options o = ACCESS_OPTIONS_DEFAULT;
	struct report *report = report_new("access");
	char *path = NULL;
	if (report == NULL)
		return daemon_reload_tell(NULL, NULL, to);
	running->log.next = (struct log_options)LOG_OPTIONS_DEFAULT;
	o.passed = running->passed;
	enum cli_exit result = access_flags_reads_once(running->flags)
				       ? daemon_reload_stdin(report)
				       : access_flags_configure(running->flags, &cli, &o,
						 &running->log.next, report, &path);
	bool is_good = result == CLI_OK;
	if (is_good) {
		*ret = o;
		daemon_reload_compare(&running->log, to);
	} else {
		access_options_deinit(&o);
		daemon_reload_tell(report, path, to);
	}
	report_free(report);
	free(path);
	return is_good;
}

static void on_reloaded(
	const struct access_options *o, const uint16_t *ports, const bool *is_new, void *owner)
{
	struct running *running = owner;
	daemon_reload_use(&running->log);
	for (size_t i = 0; i < o->n_listen; i++) {
		if (is_new[i])
			log_listening(&o->listen[i], ports[i]);
	}
}

static enum cli_exit serve(struct access_options *o, struct running *running, const char *path)
{
	static const struct access_hooks hooks = {
		.on_ready = on_ready, .load = load, .on_reloaded = on_reloaded
	};
	char quoted[256];
	int i_failed = -1;
	if (!daemon_start_log("access", &running->log.now))
		return CLI_FAILED;
	LOG_NOTICE("configuration file=%s",
		path != NULL ? log_quote(path, quoted, sizeof quoted) : "none");
	int error = access_run(o, &hooks, running, &i_failed);
	log_stop();
	if (error == 0)
		return CLI_OK;
	if (error > 0)
		return CLI_FAILED; /* of stdio: the log has said it */
	if (i_failed >= 0 && (size_t)i_failed < o->n_listen) {
		if (error == -EPERM && o->listen[i_failed].capture == ACCESS_TPROXY)
			port_owner_explain_tproxy(stderr, "access", i_failed);
		else
			port_owner_explain(
				stderr, "access", &o->listen[i_failed].addr, o->passed, error);
		return CLI_LISTEN;
	}
	fprintf(stderr, "access: %s\n", err_text(error));
	return CLI_FAILED;
}

static enum cli_exit run(struct access_flags *flags)
{
	struct access_options o = ACCESS_OPTIONS_DEFAULT;
	struct running running = { .flags = flags, .log.now = LOG_OPTIONS_DEFAULT };
	struct systemd_sockets *passed;
	char *path = NULL;
	if (!daemon_start("access"))
		return CLI_FAILED;
	struct report *report = report_new("access");
	if (report == NULL || systemd_take(&passed) != 0) {
		report_free(report);
		return CLI_FAILED;
	}
	o.passed = running.passed = passed;
	enum cli_exit result =
		access_flags_configure(flags, &cli, &o, &running.log.now, report, &path);
	report_print(report, stderr);
	report_free(report);
	if (path != NULL)
		flags->daemon.config = path; /* the same one at each reload */
	if (result == CLI_OK)
		result = serve(&o, &running, path != NULL ? path : flags->chain);
	access_options_deinit(&o);
	systemd_free(passed);
	free(path);
	return result;
}

static void check_file(const char *path, struct report *report, char *text, size_t size)
{
	struct access_options o = ACCESS_OPTIONS_DEFAULT;
	struct log_options log = LOG_OPTIONS_DEFAULT;
	if (read_access_file(path, false, report, &o, &log)) {
		size_t n = o.n_chains - 1; /* "direct" is no chain of the file */
		snprintf(text, size, "%zu listener%s, %zu chain%s", o.n_listen,
			o.n_listen == 1 ? "" : "s", n, n == 1 ? "" : "s");
	}
	access_options_deinit(&o);
}

static enum cli_exit run_command(int argc, char **argv)
{
	struct access_flags flags = { 0 };
	int n_rest = 0;
	enum cli_exit result = CLI_USAGE;
	switch (cli_parse(&cli, argc, argv, on_option, &flags, &n_rest)) {
	case CLI_GOOD:
		if (n_rest > 0) {
			cli_wrong(&cli, "unexpected argument \"%.60s\"", argv[argc - n_rest]);
		} else {
			result = run(&flags);
		}
		break;
	case CLI_WRONG:
		break;
	case CLI_HELPED:
		result = CLI_OK;
		break;
	}
	access_flags_deinit(&flags);
	return result;
}

static const struct cli_option check_options[] = { DAEMON_CHECK_OPTIONS };
static const struct cli check_cli = {
	.program = "access check",
	.head = "Usage: access check [--json] [FILE...]\n"
		"Say what is wrong in a configuration and the files it names; - reads stdin.\n"
		"Without FILE it is the one that access itself would take.\n",
	.foot = "See also: access schema, man access.json",
	.options = check_options,
	.n_options = COUNT(check_options),
};

static enum cli_exit check_command(int argc, char **argv)
{
	return daemon_check(&check_cli, "access", argc, argv, check_file);
}

static const struct cli_option reload_options[] = { DAEMON_SOCKET_OPTIONS };
static const struct cli reload_cli = {
	.program = "access reload",
	.head = "Usage: access reload [--admin-socket PATH]\n"
		"Let the access that runs read its configuration again, and say what changed.\n"
		"What is wrong changes nothing.\n",
	.foot = "See also: access check, man access",
	.options = reload_options,
	.n_options = COUNT(reload_options),
};

static enum cli_exit reload_command(int argc, char **argv)
{
	return daemon_reload_command(&reload_cli, "access", argc, argv);
}

static const struct cli_command reload_row = {
	"reload",
	"read the configuration again",
	&reload_cli,
	NULL,
	reload_command,
};
static const struct cli_command serve_row = {
	"run",
	"serve; the same as no command",
	&cli,
	NULL,
	run_command,
};
static const struct cli_command check_row = {
	"check",
	"is the configuration right?",
	&check_cli,
	"[FILE...]",
	check_command,
};

int main(int argc, char **argv)
{
	static const struct cli_command *const commands[] = { &serve_row, &check_row, &reload_row,
		&cli_explain_row, &tproxy_rules_row };
	static const struct cli_program program = {
		.name = "access",
		.cli = &cli,
		.commands = commands,
		.n_commands = COUNT(commands),
		.run = run_command,
	};
	return cli_main(&program, argc, argv);
}
