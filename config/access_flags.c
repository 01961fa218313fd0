#include "config/access_flags.h"

#include "config/address.h"
#include "config/file.h"
#include "config/key_file.h"
#include "config/read_access.h"
#include "config/read_chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t n_listen(const struct access_flags *flags)
{
	return flags->listen.n_words + flags->redirects.n_words + flags->tproxies.n_words;
}

/* Whether flags say what to serve, instead of a file. */
static bool has_own(const struct access_flags *flags)
{
	const struct listen_flags *l = &flags->listener;
	return n_listen(flags) > 0 || flags->hops.n_words > 0 || flags->chain != NULL ||
	       l->to != NULL || l->from != NULL || l->users_file != NULL;
}

/* What is wrong with the combination, as a sentence, or NULL. */
static const char *check_flags(const struct access_flags *flags)
{
	if (flags->daemon.config != NULL && has_own(flags))
		return "--config excludes --listen, --redirect, --tproxy, --to, --chain, --hop, "
		       "--from and "
		       "--users-file";
	if (flags->daemon.config != NULL || !has_own(flags))
		return NULL;
	if (n_listen(flags) == 0)
		return "needs --listen ADDR";
	if (flags->chain != NULL && flags->hops.n_words > 0)
		return "--chain and --hop exclude each other";
	if (flags->chain == NULL && flags->hops.n_words == 0)
		return "needs --chain FILE, or --hop ADDR,KEYFILE for each hop";
	if (flags->hops.n_words > CHAIN_HOPS_MAX)
		return "a chain has at most 16 hops";
	return NULL;
}

static enum cli_exit add_hop(
	const struct cli *cli, struct chain_spec *spec, const char *text, struct report *report)
{
	char why[KEY_WHY_MAX];
	struct chain_hop *hop = &spec->hops[spec->n_hops];
	const char *path = NULL;
	char *addr = cli_split(text, &path);
	bool is_good = addr != NULL && address_parse(addr, ADDRESS_HOP, &hop->addr, why);
	if (addr == NULL)
		cli_wrong(cli, "--hop needs ADDR,KEYFILE");
	else if (!is_good)
		cli_wrong(cli, "--hop: %s", why);
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
static enum cli_exit make_chain(const struct cli *cli, const struct access_flags *flags,
	struct report *report, struct chain_spec **ret)
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
		enum cli_exit result = add_hop(cli, spec, flags->hops.words[i], report);
		if (result != CLI_OK)
			return result;
	}
	size_t position = report_n_errors(report) > 0 ? 0 : chain_spec_check(spec, &reason);
	if (position > 0)
		report_add_plain(report, "--hop %zu: %s", position, reason);
	return report_n_errors(report) > 0 ? CLI_CONFIG : CLI_OK;
}

static enum cli_exit load_chain(const struct cli *cli, const struct access_flags *flags,
	struct access_options *o, struct report *report)
{
	struct chain_spec *spec = NULL;
	enum cli_exit result = CLI_CONFIG;
	if (flags->chain == NULL)
		result = make_chain(cli, flags, report, &spec);
	else if ((spec = read_chain_file(flags->chain, report)) != NULL)
		result = CLI_OK;
	if (result == CLI_OK && access_options_add_chain(
					o, spec, spec->name != NULL ? spec->name : "chain") != NULL)
		return CLI_OK;
	chain_spec_free(spec);
	return result == CLI_OK ? CLI_FAILED : result;
}

static enum cli_exit add_listeners(const struct cli *cli, const struct access_flags *flags,
	const char *scheme, const struct cli_words *words, struct access_options *o,
	struct report *report)
{
	enum cli_exit result = CLI_OK;
	for (size_t i = 0; i < words->n_words && result == CLI_OK; i++) {
		char *text;
		if (asprintf(&text, "%s%s", scheme, words->words[i]) < 0)
			return CLI_FAILED;
		result = listen_flag_read(cli, &flags->listener, text, o->upstreams[0], report,
			&o->listen[o->n_listen++]);
		free(text);
	}
	return result;
}

static enum cli_exit configure_from_flags(const struct cli *cli, const struct access_flags *flags,
	struct access_options *o, struct report *report)
{
	const struct {
		const char *scheme;
		const struct cli_words *words;
	} kinds[] = { { "", &flags->listen }, { "redirect://", &flags->redirects },
		{ "tproxy://", &flags->tproxies } };
	enum cli_exit result = load_chain(cli, flags, o, report);
	if (result != CLI_OK)
		return result;
	o->listen = calloc(n_listen(flags), sizeof *o->listen);
	if (o->listen == NULL)
		return CLI_FAILED;
	for (size_t i = 0; result == CLI_OK && i < COUNT(kinds); i++)
		result = add_listeners(cli, flags, kinds[i].scheme, kinds[i].words, o, report);
	if (result != CLI_OK)
		return result;
	return report_n_errors(report) > 0 ? CLI_CONFIG : CLI_OK;
}

enum cli_exit access_flags_configure(const struct access_flags *flags, const struct cli *cli,
	struct access_options *o, struct log_options *log, struct report *report, char **ret_path)
{
	enum cli_exit result = CLI_OK;
	const char *wrong = check_flags(flags);
	if (wrong != NULL) {
		cli_wrong(cli, "%s", wrong);
		return CLI_USAGE;
	}
	if (has_own(flags)) {
		result = configure_from_flags(cli, flags, o, report);
	} else {
		*ret_path = daemon_find_config(flags->daemon.config, "access.json");
		if (*ret_path == NULL) {
			cli_wrong(cli, "no configuration: give --listen ADDR and --chain FILE, or "
				       "--config "
				       "FILE");
			return CLI_USAGE;
		}
		if (!read_access_file(*ret_path, flags->listener.is_open, report, o, log))
			result = CLI_CONFIG;
	}
	if (result == CLI_OK &&
		!daemon_flags_apply(&flags->daemon, cli, &o->n_workers, &o->drain_ms, log))
		result = CLI_USAGE;
	if (result == CLI_OK && !daemon_admin(&flags->daemon, cli, "access", &o->control))
		result = CLI_USAGE;
	return result;
}

void access_flags_deinit(struct access_flags *flags)
{
	cli_words_deinit(&flags->listen);
	cli_words_deinit(&flags->hops);
	cli_words_deinit(&flags->redirects);
	cli_words_deinit(&flags->tproxies);
}

bool access_flags_reads_once(const struct access_flags *flags)
{
	for (size_t i = 0; i < flags->hops.n_words; i++) {
		const char *comma = strchr(flags->hops.words[i], ',');
		if (comma != NULL && file_is_descriptor(comma + 1))
			return true;
	}
	return file_is_descriptor(flags->daemon.config) || file_is_descriptor(flags->chain) ||
	       file_is_descriptor(flags->listener.users_file);
}
