#include "config/daemon.h"

#include "common/record.h"
#include "common/seal.h"
#include "config/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

bool daemon_flags_take(struct daemon_flags *flags, const char *name, const char *argument)
{
	if (strcmp(name, "config") == 0)
		flags->config = argument;
	else if (strcmp(name, "workers") == 0)
		flags->workers = argument;
	else if (strcmp(name, "drain") == 0)
		flags->drain = argument;
	else if (strcmp(name, "log-level") == 0)
		flags->log_level = argument;
	else if (strcmp(name, "verbose") == 0)
		flags->log_level = "debug";
	else if (strcmp(name, "quiet") == 0)
		flags->log_level = "warning";
	else if (strcmp(name, "admin-socket") == 0)
		flags->admin_socket = argument;
	else if (strcmp(name, "log-format") == 0)
		flags->log_format = argument;
	else
		return false;
	return true;
}

static bool apply_workers(const char *text, const struct cli *cli, unsigned *ret)
{
	char *end, shown[32];
	if (strcmp(text, "auto") == 0) {
		*ret = read_workers_auto();
		return true;
	}
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < 1 || n > READ_WORKERS_MAX)
		return cli_wrong(cli, "--workers: expected 1 to %d or \"auto\", found \"%s\"",
			READ_WORKERS_MAX, report_quote(text, shown, sizeof shown));
	*ret = (unsigned)n;
	return true;
}

static bool apply_drain(const char *text, const struct cli *cli, uint32_t *ret_ms)
{
	char why[160], shown[48];
	enum units_error error = units_parse_duration(text, ret_ms);
	if (error == UNITS_OK)
		return true;
	report_quote(text, shown, sizeof shown);
	return cli_wrong(
		cli, "--drain: %s", units_explain(error, UNITS_DURATION, shown, why, sizeof why));
}

bool daemon_flags_apply(const struct daemon_flags *flags, const struct cli *cli,
	unsigned *n_workers, uint32_t *drain_ms, struct log_options *log)
{
	char shown[32];
	if (flags->workers != NULL && !apply_workers(flags->workers, cli, n_workers))
		return false;
	if (flags->drain != NULL && !apply_drain(flags->drain, cli, drain_ms))
		return false;
	if (flags->log_level != NULL && !log_level_parse(flags->log_level, &log->level))
		return cli_wrong(cli,
			"--log-level: expected error, warning, notice, info or debug, found \"%s\"",
			report_quote(flags->log_level, shown, sizeof shown));
	if (flags->log_format != NULL && !log_format_parse(flags->log_format, &log->format))
		return cli_wrong(cli,
			"--log-format: expected auto, text, json or journal, found \"%s\"",
			report_quote(flags->log_format, shown, sizeof shown));
	return true;
}

static char *join(const char *folder, const char *between, const char *file)
{
	char *path = NULL;
	if (folder == NULL || *folder == '\0' ||
		asprintf(&path, "%s%s%s", folder, between, file) < 0)
		return NULL;
	return path;
}

char *daemon_find_config(const char *named, const char *file)
{
	const char *from_environment = getenv("HOPCHAIN_CONFIG");
	if (named != NULL)
		return strdup(named);
	if (from_environment != NULL && *from_environment != '\0')
		return strdup(from_environment);
	char *path = join(getenv("XDG_CONFIG_HOME"), "/hopchain/", file);
	if (path != NULL && access(path, F_OK) == 0)
		return path;
	free(path);
	path = join("/etc/hopchain", "/", file);
	if (path != NULL && access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

/* Best effort: who has fewer descriptors than wished serves fewer connections. */
static void raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static bool harden(void)
{
	static const struct rlimit none = { 0, 0 };
	return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

bool daemon_start(const char *program)
{
	raise_descriptors();
	if (!harden()) {
		fprintf(stderr, "%s: cannot give up core dumps and new privileges: %s\n", program,
			strerror(errno));
		return false;
	}
	if (seal_start() == 0 && record_start() == 0)
		return true;
	fprintf(stderr, "%s: cannot start the cryptographic libraries\n", program);
	return false;
}

bool daemon_start_log(const char *program, const struct log_options *log)
{
	int error = log_start(STDERR_FILENO, log->level, log->format);
	if (error == 0)
		return true;
	fprintf(stderr, "%s: cannot start the log: %s\n", program, err_text(error));
	return false;
}

void daemon_reload_compare(const struct daemon_reload *reload, struct reload_report *to)
{
	if (reload->next.format != reload->now.format)
		reload_report_warn(to, "the format of the log takes effect after a restart");
}

void daemon_reload_use(struct daemon_reload *reload)
{
	enum log_format format = reload->now.format;
	reload->now = reload->next;
	reload->now.format = format;
	log_set_level(reload->now.level);
}

bool daemon_reload_tell(struct report *report, const char *path, struct reload_report *to)
{
	size_t size, n = 0;
	if (report == NULL) {
		reload_report_fail(to, "%s", err_text(ERR_NOMEM));
		return false;
	}
	FILE *text = open_memstream(&to->text, &size);
	if (text != NULL) {
		report_print(report, text);
		(void)fclose(text);
	}
	FILE *findings = open_memstream(&to->findings, &size);
	if (findings != NULL) {
		report_print_json(report, path, &n, findings);
		(void)fclose(findings);
	}
	return false;
}

enum cli_exit daemon_reload_stdin(struct report *report)
{
	report_add_plain(report,
		"the configuration, or a key, came from standard input or a pipe, which "
		"cannot be read again");
	return CLI_CONFIG;
}

/* What is being checked: one file after the other, one array of all in JSON. */
struct check {
	const char *program;
	daemon_check_fn *fn;
	bool is_json;
	size_t n_told; /* in the array */
};

static enum cli_exit tell(
	struct check *check, struct report *report, const char *path, const char *good_text)
{
	bool is_good = report_n_errors(report) == 0;
	if (check->is_json) {
		report_print_json(report, path, &check->n_told, stdout);
	} else {
		report_print(report, stderr);
		if (is_good)
			printf("%s: ok: %s\n", path, good_text);
	}
	return is_good ? CLI_OK : CLI_CONFIG;
}

static enum cli_exit check_file(struct check *check, const char *path)
{
	char text[128] = "";
	struct report *report = report_new(check->program);
	if (report == NULL)
		return CLI_FAILED;
	check->fn(path, report, text, sizeof text);
	enum cli_exit result = tell(check, report, path, text);
	report_free(report);
	return result;
}

/* Return: the worst of all. */
static enum cli_exit check_files(struct check *check, char **paths, int n_paths)
{
	enum cli_exit worst = CLI_OK;
	if (check->is_json)
		putchar('[');
	for (int i = 0; i < n_paths; i++) {
		enum cli_exit result = check_file(check, paths[i]);
		if (worst == CLI_OK || result == CLI_FAILED)
			worst = result;
	}
	if (check->is_json)
		puts("\n]");
	return worst;
}

static bool on_json(size_t i, const char *argument, void *owner)
{
	(void)i;
	(void)argument;
	*(bool *)owner = true;
	return true;
}

enum cli_exit daemon_check(
	const struct cli *cli, const char *program, int argc, char **argv, daemon_check_fn *fn)
{
	char file[32];
	int n_rest = 0;
	struct check check = { .program = program, .fn = fn };
	enum cli_result parsed = cli_parse(cli, argc, argv, on_json, &check.is_json, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (!daemon_start(program))
		return CLI_FAILED;
	if (n_rest > 0)
		return check_files(&check, argv + argc - n_rest, n_rest);
	snprintf(file, sizeof file, "%s.json", program);
	char *path = daemon_find_config(NULL, file);
	if (path == NULL) {
		cli_wrong(cli, "no configuration file found; name one: %s FILE", cli->program);
		return CLI_USAGE;
	}
	enum cli_exit result = check_files(&check, &path, 1);
	free(path);
	return result;
}
