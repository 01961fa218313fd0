#include "config/address.h"
#include "config/daemon.h"
#include "config/file.h"
#include "config/port_owner.h"
#include "config/read_hop.h"
#include "config/users.h"
#include "hop/hop.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_MODULE "hop"
#include "common/log.h"

#define DEFAULT_LISTEN ":7000"
#define COUNT(array)   (sizeof(array) / sizeof((array)[0]))

static const struct cli_option options[] = {
	{ "listen", 'l', "ADDR", "Where", "address to accept on (repeatable)", DEFAULT_LISTEN },
	{ "config", 'c', "FILE", NULL, "JSON configuration; - reads stdin", NULL },
	{ "user", 'u', "NAME,KEYFILE", "Who", "accept this user (repeatable)", NULL },
	{ "users-dir", 0, "DIR", NULL, "a user NAME for each file NAME.key", NULL },
	{ "allow", 0, "TARGET", "What", "where users may go (repeatable)", "*" },
	{ "deny", 0, "TARGET", NULL, "never; loopback only if --allow names it", NULL },
	{ "no-measure", 0, NULL, NULL, "refuse what users measure up to here", NULL },
	{ "replay-file", 0, "FILE", "Operate", "remembers headers over a restart", "memory" },
	{ "workers", 0, "N|auto", NULL, "threads", "1" },
	{ "drain", 0, "TIME", NULL, "grace on shutdown", "30s" },
	{ "admin-socket", 0, "PATH", NULL, "where operators ask: reload, status", NULL },
	{ "log-level", 0, "error|warning|notice|info|debug", NULL, "how much", "info" },
	{ "log-format", 0, "auto|text|json|journal", NULL, "how it looks", "auto" },
	{ "verbose", 'v', NULL, NULL, "--log-level debug", NULL },
	{ "quiet", 'q', NULL, NULL, "--log-level warning", NULL },
};

static const struct cli cli = {
	.program = "hop",
	.head = "Usage: hop [run] [options]\n"
		"Relay one step of a chain: accept sealed streams, connect them on.\n"
		"\n"
		"  hop --user me,me.key                   listen on :7000 for one user\n"
		"  hop --config /etc/hopchain/hop.json    everything from a file\n",
	.foot = "See also: hop help COMMAND, chain keygen",
	.options = options,
	.n_options = COUNT(options),
};

struct flags {
	struct daemon_flags daemon;
	struct cli_words listen, users, users_dirs, allow, deny;
	const char *replay_file;
	bool refuses_measure;
};

static void flags_deinit(struct flags *flags)
{
	cli_words_deinit(&flags->listen);
	cli_words_deinit(&flags->users);
	cli_words_deinit(&flags->users_dirs);
	cli_words_deinit(&flags->allow);
	cli_words_deinit(&flags->deny);
}

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct flags *flags = owner;
	const char *name = options[i].name;
	const struct {
		const char *name;
		struct cli_words *words;
	} lists[] = {
		{ "listen", &flags->listen },
		{ "user", &flags->users },
		{ "users-dir", &flags->users_dirs },
		{ "allow", &flags->allow },
		{ "deny", &flags->deny },
	};
	for (size_t n = 0; n < COUNT(lists); n++) {
		if (strcmp(lists[n].name, name) == 0)
			return cli_words_add(&cli, lists[n].words, argument);
	}
	if (strcmp(name, "replay-file") == 0)
		flags->replay_file = argument;
	else if (strcmp(name, "no-measure") == 0)
		flags->refuses_measure = true;
	else
		return daemon_flags_take(&flags->daemon, name, argument);
	return true;
}

/* Flags that say where or who replace the search for a configuration file. */
static bool needs_file(const struct flags *flags)
{
	return flags->daemon.config != NULL ||
	       (flags->listen.n_words == 0 && flags->users.n_words == 0 &&
		       flags->users_dirs.n_words == 0);
}

/* Listeners of flags replace those of the file. */
static bool apply_listen(const struct flags *flags, struct hop_options *o)
{
	char why[ADDRESS_WHY_MAX];
	static const char *const standard[] = { DEFAULT_LISTEN };
	size_t n = flags->listen.n_words;
	const char *const *words = flags->listen.words;
	if (n == 0 && o->n_listen > 0)
		return true;
	if (n == 0) {
		n = 1;
		words = standard;
	}
	free(o->listen);
	o->n_listen = 0;
	o->listen = calloc(n, sizeof *o->listen);
	if (o->listen == NULL)
		return cli_wrong(&cli, "out of memory");
	for (; o->n_listen < n; o->n_listen++) {
		o->listen[o->n_listen].takes_udp = true;
		if (!address_parse(
			    words[o->n_listen], ADDRESS_LISTEN, &o->listen[o->n_listen].addr, why))
			return cli_wrong(&cli, "--listen: %s", why);
	}
	return true;
}

static bool apply_rules(const struct cli_words *words, const char *flag, struct netset *set)
{
	char why[ADDRESS_WHY_MAX];
	for (size_t i = 0; i < words->n_words; i++) {
		if (!address_add_target(words->words[i], set, why))
			return cli_wrong(&cli, "--%s: %s", flag, why);
	}
	return true;
}

static enum cli_exit apply_users(
	const struct flags *flags, struct hop_options *o, struct report *report)
{
	char why[USERS_WHY_MAX];
	for (size_t i = 0; i < flags->users.n_words; i++) {
		const char *path;
		char *name = cli_split(flags->users.words[i], &path);
		if (name == NULL) {
			cli_wrong(&cli, "--user needs NAME,KEYFILE");
			return CLI_USAGE;
		}
		if (!users_add_file(o, name, path, why))
			report_add_plain(report, "%s", why);
		free(name);
	}
	return CLI_OK;
}

static void on_wrong(const char *why, void *owner)
{
	report_add_plain(owner, "%s", why);
}

static enum cli_exit apply_flags(const struct flags *flags, struct hop_options *o,
	struct log_options *log, struct report *report)
{
	char text[256];
	if (!daemon_flags_apply(&flags->daemon, &cli, &o->n_workers, &o->drain_ms, log) ||
		!daemon_admin(&flags->daemon, &cli, "hop", &o->control) ||
		!apply_listen(flags, o) || !apply_rules(&flags->allow, "allow", &o->allow) ||
		!apply_rules(&flags->deny, "deny", &o->deny))
		return CLI_USAGE;
	o->refuses_measure = o->refuses_measure || flags->refuses_measure;
	if (flags->replay_file != NULL) {
		free(o->replay_file);
		o->replay_file = strdup(flags->replay_file);
		if (o->replay_file == NULL) {
			cli_wrong(&cli, "out of memory");
			return CLI_FAILED;
		}
	}
	enum cli_exit result = apply_users(flags, o, report);
	if (result != CLI_OK)
		return result;
	for (size_t i = 0; i < flags->users_dirs.n_words; i++)
		users_add_folder(o, flags->users_dirs.words[i], on_wrong, report);
	if (report_n_errors(report) > 0)
		return CLI_CONFIG;
	if (o->n_users == 0) {
		cli_wrong(&cli, "no users: give --user NAME,KEYFILE or --users-dir DIR");
		return CLI_USAGE;
	}
	const char *wrong = hop_options_check(o, text, sizeof text);
	if (wrong != NULL)
		report_add_plain(report, "%s", wrong);
	return wrong == NULL ? CLI_OK : CLI_CONFIG;
}

/* File, then flags. *ret_path: where the file is, heap, or NULL. */
static enum cli_exit configure(const struct flags *flags, struct hop_options *o,
	struct log_options *log, struct report *report, char **ret_path)
{
	*ret_path = NULL;
	if (needs_file(flags)) {
		*ret_path = daemon_find_config(flags->daemon.config, "hop.json");
		if (*ret_path == NULL) {
			cli_wrong(&cli,
				"no users and no configuration: give --user NAME,KEYFILE or "
				"--config FILE");
			return CLI_USAGE;
		}
		if (!read_hop_file(*ret_path, report, o, log))
			return CLI_CONFIG;
	}
	return apply_flags(flags, o, log, report);
}

static void log_listening(const struct hop_options *o, size_t i, uint16_t port)
{
	char text[ADDR_TEXT_MAX];
	struct addr addr = o->listen[i].addr;
	addr.port = port;
	LOG_NOTICE("listening addr=%s users=%zu workers=%u", address_print(&addr, text), o->n_users,
		o->n_workers);
}

static void on_ready(const struct hop_options *o, const uint16_t *ports, void *owner)
{
	(void)owner;
	for (size_t i = 0; i < o->n_listen; i++)
		log_listening(o, i, ports[i]);
}

/* ---- Reload ---- */

struct running {
	const struct flags *flags;
	const struct systemd_sockets *passed;
	struct daemon_reload log;
};

/* From standard input, or another descriptor: it cannot be read again. */
static bool reads_once(const struct flags *flags)
{
	for (size_t i = 0; i < flags->users.n_words; i++) {
		const char *comma = strchr(flags->users.words[i], ',');
		if (comma != NULL && file_is_descriptor(comma + 1))
			return true;
	}
	return file_is_descriptor(flags->daemon.config);
}

static bool load(void *owner, struct hop_options *ret, struct reload_report *to)
{
	struct running *running = owner;
	struct hop_options o = HOP_OPTIONS_DEFAULT;
	struct report *report = report_new("hop");
	char *path = NULL;
	if (report == NULL)
		return daemon_reload_tell(NULL, NULL, to);
	running->log.next = (struct log_options)LOG_OPTIONS_DEFAULT;
	o.passed = running->passed;
	enum cli_exit result =
		reads_once(running->flags)
			? daemon_reload_stdin(report)
			: configure(running->flags, &o, &running->log.next, report, &path);
	bool is_good = result == CLI_OK;
	if (is_good) {
		*ret = o;
		daemon_reload_compare(&running->log, to);
	} else {
		hop_options_deinit(&o);
		daemon_reload_tell(report, path, to);
	}
	report_free(report);
	free(path);
	return is_good;
}

static void on_reloaded(
	const struct hop_options *o, const uint16_t *ports, const bool *is_new, void *owner)
{
	struct running *running = owner;
	daemon_reload_use(&running->log);
	for (size_t i = 0; i < o->n_listen; i++) {
		if (is_new[i])
			log_listening(o, i, ports[i]);
	}
}

static enum cli_exit serve(struct hop_options *o, struct running *running, const char *path)
{
	static const struct hop_hooks hooks = {
		.on_ready = on_ready, .load = load, .on_reloaded = on_reloaded
	};
	char quoted[256];
	int i_failed = -1;
	if (!daemon_start_log("hop", &running->log.now))
		return CLI_FAILED;
	LOG_NOTICE("configuration file=%s",
		path != NULL ? log_quote(path, quoted, sizeof quoted) : "none");
	int error = hop_run(o, &hooks, running, &i_failed);
	log_stop();
	if (error == 0)
		return CLI_OK;
	if (i_failed >= 0 && (size_t)i_failed < o->n_listen) {
		port_owner_explain(stderr, "hop", &o->listen[i_failed].addr, o->passed, error);
		return CLI_LISTEN;
	}
	fprintf(stderr, "hop: %s\n", err_text(error));
	return CLI_FAILED;
}

static enum cli_exit run(struct flags *flags)
{
	struct hop_options o = HOP_OPTIONS_DEFAULT;
	struct running running = { .flags = flags, .log.now = LOG_OPTIONS_DEFAULT };
	char *path = NULL;
	if (!daemon_start("hop"))
		return CLI_FAILED;
	struct systemd_sockets *passed;
	struct report *report = report_new("hop");
	if (report == NULL || systemd_take(&passed) != 0) {
		report_free(report);
		return CLI_FAILED;
	}
	o.passed = running.passed = passed;
	enum cli_exit result = configure(flags, &o, &running.log.now, report, &path);
	report_print(report, stderr);
	report_free(report);
	if (path != NULL)
		flags->daemon.config = path; /* the same one at each reload */
	if (result == CLI_OK)
		result = serve(&o, &running, path);
	hop_options_deinit(&o);
	systemd_free(passed);
	free(path);
	return result;
}

static void check_file(const char *path, struct report *report, char *text, size_t size)
{
	struct hop_options o = HOP_OPTIONS_DEFAULT;
	struct log_options log = LOG_OPTIONS_DEFAULT;
	if (read_hop_file(path, report, &o, &log))
		snprintf(text, size, "%zu listener%s, %zu user%s", o.n_listen,
			o.n_listen == 1 ? "" : "s", o.n_users, o.n_users == 1 ? "" : "s");
	hop_options_deinit(&o);
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
	flags_deinit(&flags);
	return result;
}

static const struct cli_option check_options[] = { DAEMON_CHECK_OPTIONS };
static const struct cli check_cli = {
	.program = "hop check",
	.head = "Usage: hop check [--json] [FILE...]\n"
		"Say what is wrong in a configuration and the files it names; - reads stdin.\n"
		"Without FILE it is the one that hop itself would take.\n",
	.foot = "See also: hop schema, man hop.json",
	.options = check_options,
	.n_options = COUNT(check_options),
};

static enum cli_exit check_command(int argc, char **argv)
{
	return daemon_check(&check_cli, "hop", argc, argv, check_file);
}

static const struct cli_option reload_options[] = { DAEMON_SOCKET_OPTIONS };
static const struct cli reload_cli = {
	.program = "hop reload",
	.head = "Usage: hop reload [--admin-socket PATH]\n"
		"Let the hop that runs read its configuration again, and say what changed.\n"
		"What is wrong changes nothing.\n",
	.foot = "See also: hop check, man hop",
	.options = reload_options,
	.n_options = COUNT(reload_options),
};

static enum cli_exit reload_command(int argc, char **argv)
{
	return daemon_reload_command(&reload_cli, "hop", argc, argv);
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
	static const struct cli_command *const commands[] = { &serve_row, &check_row, &reload_row };
	static const struct cli_program program = {
		.name = "hop",
		.cli = &cli,
		.commands = commands,
		.n_commands = COUNT(commands),
		.run = run_command,
	};
	return cli_main(&program, argc, argv);
}
