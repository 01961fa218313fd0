#include "chain/cli_chain.h"

#include "chain/cli_fit.h"
#include "config/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define HOPS_MAX       16
#define CLOCK_WARN_MS  5000
#define CLOCK_BEHIND_S 30 /* a hop takes headers this old, and … */
#define CLOCK_AHEAD_S  10 /* … this far from its future (docs/protocol.md 2.12) */

bool cli_chain_take(const struct cli *cli, struct cli_chain_flags *flags, const char *name,
	const char *argument, bool *ret_is_good)
{
	if (strcmp(name, "hop") == 0) {
		*ret_is_good = cli_words_add(cli, &flags->hops, argument);
		return true;
	}
	if (strcmp(name, "chain") != 0)
		return false;
	flags->file = argument;
	*ret_is_good = *argument != '\0' ||
		       cli_wrong(cli, "--chain needs the name of a file, but got an empty word");
	return true;
}

void cli_chain_flags_deinit(struct cli_chain_flags *flags)
{
	cli_words_deinit(&flags->hops);
	flags->file = NULL;
}

/* Keys must neither reach a core file nor another process of this user. */
static bool hide(void)
{
	static const struct rlimit none = { 0, 0 };
	if (setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
		return true;
	fprintf(stderr, "chain: cannot give up core dumps: %s\n", strerror(errno));
	return false;
}

/* *@path: @folder @between "chain.json" if it is there; one that cannot be looked at is. */
static bool find_in(const char *folder, const char *between, char **path)
{
	if (folder == NULL || *folder == '\0')
		return true;
	if (asprintf(path, "%s%s", folder, between) < 0) {
		*path = NULL;
		return false;
	}
	if (access(*path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
		return true;
	free(*path);
	*path = NULL;
	return true;
}

static bool find_file(char **ret)
{
	const struct {
		const char *folder, *between;
	} places[] = {
		{ getenv("XDG_CONFIG_HOME"), "/hopchain/chain.json" },
		{ getenv("HOME"), "/.config/hopchain/chain.json" },
		{ "/etc", "/hopchain/chain.json" },
	};
	char *path = NULL;
	for (size_t i = 0; i < sizeof places / sizeof places[0] && path == NULL; i++) {
		if (!find_in(places[i].folder, places[i].between, &path))
			return false;
	}
	*ret = path;
	return true;
}

/* What the library said; @report is its text. */
static enum cli_exit tell(int error, char *report)
{
	if (error != 0 && report != NULL)
		fputs(report, stderr);
	else if (error != 0)
		fprintf(stderr, "chain: %s\n", hopchain_strerror(error));
	hopchain_text_free(report);
	if (error == 0)
		return CLI_OK;
	return error == HOPCHAIN_INVALID ? CLI_CONFIG : CLI_FAILED;
}

static enum cli_exit read_file(const char *path, struct hopchain_chain **ret)
{
	char *report = NULL;
	int error = hopchain_chain_read(path, ret, &report);
	return tell(error, report);
}

static enum cli_exit read_standard(const struct cli *cli, struct hopchain_chain **ret)
{
	char *path;
	const char *named = getenv("HOPCHAIN_CHAIN");
	if (named != NULL && strcmp(named, "-") == 0) {
		cli_wrong(cli, "$HOPCHAIN_CHAIN must name a file, not standard input");
		return CLI_USAGE;
	}
	if (named != NULL && *named != '\0')
		return read_file(named, ret);
	if (!find_file(&path)) {
		fprintf(stderr, "chain: out of memory\n");
		return CLI_FAILED;
	}
	if (path == NULL) {
		cli_wrong(cli,
			"no chain: give --chain FILE, or --hop ADDR,KEYFILE for each hop; without "
			"both it is $HOPCHAIN_CHAIN, ~/.config/hopchain/chain.json or "
			"/etc/hopchain/chain.json");
		return CLI_USAGE;
	}
	enum cli_exit result = read_file(path, ret);
	free(path);
	return result;
}

/* @hop: its address is the caller's to free, in any case. */
static bool parse_hop(const struct cli *cli, const char *text, struct hopchain_hop *hop)
{
	char why[ADDRESS_WHY_MAX];
	struct addr addr;
	const char *comma = strchr(text, ',');
	if (comma == NULL)
		return cli_wrong(cli, "--hop needs ADDR,KEYFILE, with a comma between them");
	if (comma == text || comma[1] == '\0')
		return cli_wrong(cli, "--hop needs ADDR,KEYFILE, but %s the comma there is nothing",
			comma == text ? "before" : "after");
	char *address = cli_split(text, &hop->key_file);
	hop->size = sizeof *hop;
	hop->address = address;
	if (address == NULL)
		return cli_wrong(cli, "out of memory");
	return address_parse(address, ADDRESS_HOP, &addr, why) || cli_wrong(cli, "--hop: %s", why);
}

static enum cli_exit make(
	const struct cli *cli, const struct cli_words *words, struct hopchain_chain **ret)
{
	struct hopchain_hop hops[HOPS_MAX] = { 0 };
	struct hopchain_options options = { .size = sizeof options, .hops = hops };
	enum cli_exit result = CLI_OK;
	if (words->n_words > HOPS_MAX) {
		cli_wrong(cli, "a chain has at most %d hops", HOPS_MAX);
		return CLI_USAGE;
	}
	while (options.n_hops < words->n_words && result == CLI_OK) {
		if (!parse_hop(cli, words->words[options.n_hops], &hops[options.n_hops]))
			result = CLI_USAGE;
		options.n_hops++;
	}
	if (result == CLI_OK) {
		char *report = NULL;
		int error = hopchain_chain_new(&options, ret, &report);
		result = tell(error, report);
	}
	for (size_t i = 0; i < options.n_hops; i++)
		free((char *)hops[i].address);
	return result;
}

enum cli_exit cli_chain_read(
	const struct cli *cli, const struct cli_chain_flags *flags, struct hopchain_chain **ret)
{
	if (flags->file != NULL && flags->hops.n_words > 0) {
		cli_wrong(cli, "--chain and --hop exclude each other");
		return CLI_USAGE;
	}
	if (!hide())
		return CLI_FAILED;
	if (flags->file != NULL)
		return read_file(flags->file, ret);
	if (flags->hops.n_words > 0)
		return make(cli, &flags->hops, ret);
	return read_standard(cli, ret);
}

enum cli_exit cli_chain_run(
	const struct cli_chain_command *command, int argc, char **argv, void *owner)
{
	struct hopchain_chain *chain = NULL;
	int n = 0;
	enum cli_exit result = CLI_USAGE;
	enum cli_result parsed = cli_parse(command->cli, argc, argv, command->on_option, owner, &n);
	if (parsed == CLI_HELPED)
		result = CLI_OK;
	if (parsed == CLI_GOOD && n > command->max_operands)
		cli_wrong(command->cli, "unexpected argument \"%.60s\"",
			argv[argc - n + command->max_operands]);
	else if (parsed == CLI_GOOD)
		result = cli_chain_read(command->cli, command->flags, &chain);
	if (chain != NULL)
		result = command->run(chain, argv + argc - n, n, owner);
	hopchain_chain_free(chain);
	cli_chain_flags_deinit(command->flags);
	return result;
}

enum cli_exit cli_chain_fail(const struct hopchain_error *error)
{
	char text[1024];
	fprintf(stderr, "chain: %s\n",
		cli_fit_clean(error->text, cli_fit_start(), text, sizeof text));
	return (enum cli_exit)error->exit_code;
}

void cli_chain_warn_clocks(const struct hopchain_answer *answers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int64_t offset = answers[i].clock_offset_ms;
		int64_t size = offset < 0 ? -offset : offset;
		if (!answers[i].has_clock || size < CLOCK_WARN_MS)
			continue;
		fprintf(stderr,
			"chain: warning: this machine is %lld s %s hop %u (refused from %d s); "
			"hint: timedatectl set-ntp true\n",
			(long long)((size + 500) / 1000), offset > 0 ? "behind" : "ahead of",
			answers[i].hop, offset > 0 ? CLOCK_BEHIND_S : CLOCK_AHEAD_S);
	}
}

bool cli_wants_color(int fd, const char *flag)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	if (flag != NULL && strcmp(flag, "auto") != 0)
		return strcmp(flag, "always") == 0;
	return isatty(fd) && (no_color == NULL || *no_color == '\0') &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}
