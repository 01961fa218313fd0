#include "access/access.h"
#include "chain/datagram.h"
#include "config/address.h"
#include "config/daemon.h"
#include "config/key_file.h"
#include "config/listen_flag.h"
#include "config/port_owner.h"
#include "config/read_access.h"
#include "config/read_chain.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "access"
#include "common/log.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cli_option options[] = {
	{ "listen", 'l', "ADDR", "Where", "address; or tcp, udp, socks5 or http://ADDR", NULL },
	{ "to", 0, "HOST:PORT", NULL, "target; without one it is a proxy", NULL },
	{ "config", 'c', "FILE", NULL, "JSON configuration; - reads stdin", NULL },
	{ "chain", 0, "FILE", "Through", "the hops; - reads stdin", NULL },
	{ "hop", 0, "ADDR,KEYFILE", NULL, "a hop (repeatable, in order)", NULL },
	{ "from", 0, "CIDR,..", "Who", "sources served", "local" },
	{ "users-file", 0, "FILE", NULL, "names and passwords: chain passwd", NULL },
	{ "open", 0, NULL, NULL, "serve any source", NULL },
	{ "workers", 0, "N|auto", "Operate", "threads", "1" },
	{ "drain", 0, "TIME", NULL, "grace on shutdown", "30s" },
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
		"  access --listen 127.0.0.1:1080 --chain chain.json\n"
		"  access --listen :8080 --to 10.0.0.5:22 --chain chain.json\n"
		"  access --listen udp://127.0.0.1:5353 --to 9.9.9.9:53 --chain chain.json\n"
		"  access --config /etc/hopchain/access.json\n",
	.foot = "See also: access help COMMAND, chain help",
	.options = options,
	.n_options = COUNT(options),
};

struct flags {
	struct daemon_flags daemon;
	struct cli_words listen, hops;
	struct listen_flags listener;
	const char *chain;
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	const char *name = options[i].name;
	if (strcmp(name, "listen") == 0)
		return cli_words_add(&cli, &flags->listen, argument);
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

/* Whether flags say what to serve, instead of a file. */
static bool has_own(const struct flags *flags)
{
	const struct listen_flags *l = &flags->listener;
	return flags->listen.n_words > 0 || flags->hops.n_words > 0 || flags->chain != NULL ||
	       l->to != NULL || l->from != NULL || l->users_file != NULL;
}

/* What is wrong with the combination, as a sentence, or NULL. */
static const char *check_flags(const struct flags *flags)
{
	if (flags->daemon.config != NULL && has_own(flags))
		return "--config excludes --listen, --to, --chain, --hop, --from and --users-file";
	if (flags->daemon.config != NULL || !has_own(flags))
		return NULL;
	if (flags->listen.n_words == 0)
		return "needs --listen ADDR";
	if (flags->chain != NULL && flags->hops.n_words > 0)
		return "--chain and --hop exclude each other";
	if (flags->chain == NULL && flags->hops.n_words == 0)
		return "needs --chain FILE, or --hop ADDR,KEYFILE for each hop";
	if (flags->hops.n_words > CHAIN_HOPS_MAX)
		return "a chain has at most 16 hops";
	return NULL;
}

static enum cli_exit add_hop(struct chain_spec *spec, const char *text, struct report *report)
{
	char why[KEY_WHY_MAX];
	struct chain_hop *hop = &spec->hops[spec->n_hops];
	const char *path = NULL;
	char *addr = cli_split(text, &path);
	bool is_good = addr != NULL && address_parse(addr, ADDRESS_HOP, &hop->addr, why);
	if (addr == NULL)
		cli_wrong(&cli, "--hop needs ADDR,KEYFILE");
	else if (!is_good)
		cli_wrong(&cli, "--hop: %s", why);
	free(addr);
	if (!is_good)
		return CLI_USAGE;
	spec->n_hops++;
	hop->key = key_file_read(path, why);
	if (hop->key == NULL)
		report_add_plain(report, "%s", why);
	return CLI_OK;
}

/* A chain from --hop flags; *ret is the caller's in any case. */
static enum cli_exit make_chain(
	const struct flags *flags, struct report *report, struct chain_spec **ret)
{
	static const struct chain_spec standard = CHAIN_SPEC_DEFAULT;
	const char *reason;
	struct chain_spec *spec = *ret = malloc(sizeof *spec);
	if (spec == NULL)
		return CLI_FAILED;
	*spec = standard;
	spec->hops = calloc(flags->hops.n_words, sizeof *spec->hops);
	if (spec->hops == NULL)
		return CLI_FAILED;
	for (size_t i = 0; i < flags->hops.n_words; i++) {
		enum cli_exit result = add_hop(spec, flags->hops.words[i], report);
		if (result != CLI_OK)
			return result;
	}
	size_t position = report_n_errors(report) > 0 ? 0 : chain_spec_check(spec, &reason);
	if (position > 0)
		report_add_plain(report, "--hop %zu: %s", position, reason);
	return report_n_errors(report) > 0 ? CLI_CONFIG : CLI_OK;
}

static enum cli_exit load_chain(
	const struct flags *flags, struct access_options *o, struct report *report)
{
	struct chain_spec *spec = NULL;
	enum cli_exit result = CLI_CONFIG;
	if (flags->chain == NULL)
		result = make_chain(flags, report, &spec);
	else if ((spec = read_chain_file(flags->chain, report)) != NULL)
		result = CLI_OK;
	if (result == CLI_OK && access_options_add_chain(
					o, spec, spec->name != NULL ? spec->name : "chain") != NULL)
		return CLI_OK;
	chain_spec_free(spec);
	return result == CLI_OK ? CLI_FAILED : result;
}

static enum cli_exit configure_from_flags(
	const struct flags *flags, struct access_options *o, struct report *report)
{
	enum cli_exit result = load_chain(flags, o, report);
	if (result != CLI_OK)
		return result;
	o->listen = calloc(flags->listen.n_words, sizeof *o->listen);
	if (o->listen == NULL)
		return CLI_FAILED;
	for (size_t i = 0; i < flags->listen.n_words; i++) {
		result = listen_flag_read(&cli, &flags->listener, flags->listen.words[i],
			o->upstreams[0], report, &o->listen[o->n_listen++]);
		if (result != CLI_OK)
			return result;
	}
	return report_n_errors(report) > 0 ? CLI_CONFIG : CLI_OK;
}

static enum cli_exit configure(const struct flags *flags, struct access_options *o,
	struct log_options *log, struct report *report, char **ret_path)
{
	enum cli_exit result = CLI_OK;
	const char *wrong = check_flags(flags);
	if (wrong != NULL) {
		cli_wrong(&cli, "%s", wrong);
		return CLI_USAGE;
	}
	if (has_own(flags)) {
		result = configure_from_flags(flags, o, report);
	} else {
		*ret_path = daemon_find_config(flags->daemon.config, "access.json");
		if (*ret_path == NULL) {
			cli_wrong(&cli, "no configuration: give --listen ADDR and --chain FILE, or "
					"--config "
					"FILE");
			return CLI_USAGE;
		}
		if (!read_access_file(*ret_path, flags->listener.is_open, report, o, log))
			result = CLI_CONFIG;
	}
	if (result == CLI_OK &&
		!daemon_flags_apply(&flags->daemon, &cli, &o->n_workers, &o->drain_ms, log))
		result = CLI_USAGE;
	return result;
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
		if (access_options_chain_of(l->use) != chain || (l->transports & ACCESS_UDP) == 0)
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

static void on_ready(const uint16_t *ports, unsigned n_ports, void *owner)
{
	const struct access_options *o = owner;
	char text[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], use[128];
	for (unsigned i = 0; i < n_ports; i++) {
		const struct access_listener *l = &o->listen[i];
		struct addr addr = l->addr;
		addr.port = ports[i];
		address_print(&addr, text);
		if (l->protocols != 0)
			LOG_NOTICE("listening addr=%s proxy=%s users=%s %s", text,
				listen_flag_proxy_name(l->protocols), l->needs_user ? "yes" : "no",
				print_use(l->use, use, sizeof use));
		else
			LOG_NOTICE("listening addr=%s transport=%s to=%s %s", text,
				name_transports(l->transports), addr_print(&l->to, to),
				print_use(l->use, use, sizeof use));
	}
	for (size_t i = 0; i < o->n_chains; i++)
		log_room(o, o->chains[i]);
}

static enum cli_exit serve(
	struct access_options *o, const struct log_options *log, const char *path)
{
	char quoted[256];
	int i_failed = -1;
	if (!daemon_start_log("access", log))
		return CLI_FAILED;
	LOG_NOTICE("configuration file=%s",
		path != NULL ? log_quote(path, quoted, sizeof quoted) : "none");
	int error = access_run(o, on_ready, o, &i_failed);
	log_stop();
	if (error == 0)
		return CLI_OK;
	if (i_failed >= 0 && (size_t)i_failed < o->n_listen) {
		port_owner_explain(stderr, "access", &o->listen[i_failed].addr, o->passed, error);
		return CLI_LISTEN;
	}
	fprintf(stderr, "access: %s\n", err_text(error));
	return CLI_FAILED;
}

static enum cli_exit run(const struct flags *flags)
{
	struct access_options o = ACCESS_OPTIONS_DEFAULT;
	struct log_options log = LOG_OPTIONS_DEFAULT;
	char *path = NULL;
	if (!daemon_start("access"))
		return CLI_FAILED;
	struct systemd_sockets *passed;
	struct report *report = report_new("access");
	if (report == NULL || systemd_take(&passed) != 0) {
		report_free(report);
		return CLI_FAILED;
	}
	o.passed = passed;
	enum cli_exit result = configure(flags, &o, &log, report, &path);
	report_print(report, stderr);
	report_free(report);
	if (result == CLI_OK)
		result = serve(&o, &log, path != NULL ? path : flags->chain);
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
	struct flags flags = { 0 };
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
	cli_words_deinit(&flags.listen);
	cli_words_deinit(&flags.hops);
	return result;
}

static const struct cli_option check_options[] = { DAEMON_CHECK_OPTIONS };
static const struct cli check_cli = {
	.program = "access check",
	.head = "Usage: access check [--json] [FILE]\n"
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
	"[FILE]",
	check_command,
};

int main(int argc, char **argv)
{
	static const struct cli_command *const commands[] = { &serve_row, &check_row };
	static const struct cli_program program = {
		.name = "access",
		.cli = &cli,
		.commands = commands,
		.n_commands = COUNT(commands),
		.run = run_command,
	};
	return cli_main(&program, argc, argv);
}
