#include "chain/cli_commands.h"
#include "chain/cli_prefix.h"
#include "chain/hopchain.h"
#include "common/json_text.h"
#include "config/report.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {
	{ "online", 0, NULL, NULL, "also ask every hop, once", NULL },
	{ "json", 0, NULL, NULL, "an array of what is wrong, for editors", NULL },
};

static const struct cli cli = {
	.program = "chain check",
	.head = "Usage: chain check [--online] [--json] FILE...\n"
		"Say what is wrong in chain files and the key files they name; - reads stdin.\n",
	.foot = "See also: chain doctor, hop check, access check",
	.options = options,
	.n_options = sizeof options / sizeof options[0],
};

struct check {
	bool is_online, is_json;
	bool has_findings; /* JSON: a comma is due */
};

static bool on_option(size_t i, const char *argument, void *owner)
{
	struct check *check = owner;
	(void)argument;
	if (i == 0)
		check->is_online = true;
	else
		check->is_json = true;
	return true;
}

static void print_candidate(const struct hopchain_candidate *c, bool is_weighted)
{
	if (strcmp(c->type, "hop") != 0)
		printf("%s proxy ", c->type);
	if (c->name != NULL)
		printf("%s (%s)", c->name, c->address);
	else
		printf("%s", c->address);
	if (is_weighted && c->weight != 1)
		printf(" weight %u", c->weight);
}

/* A line for each step, where there is more than hops one behind the other. */
static void print_steps(const struct hopchain_chain *chain)
{
	bool is_plain = true;
	for (size_t i = 1; i <= hopchain_chain_n_hops(chain); i++)
		is_plain = is_plain && hopchain_chain_strategy(chain, i) == NULL &&
			   strcmp(hopchain_chain_candidate(chain, i, 1)->type, "hop") == 0 &&
			   strncmp(hopchain_chain_hop_address(chain, i), "srv:", 4) != 0;
	for (size_t i = 1; !is_plain && i <= hopchain_chain_n_hops(chain); i++) {
		const char *strategy = hopchain_chain_strategy(chain, i);
		size_t n = hopchain_chain_n_candidates(chain, i);
		printf("  %zu: ", i);
		if (strategy != NULL)
			printf("one of %zu, %s: ", n, strategy);
		for (size_t k = 1; k <= n; k++) {
			printf("%s", k > 1 ? ", " : "");
			print_candidate(hopchain_chain_candidate(chain, i, k), strategy != NULL);
		}
		printf("\n");
	}
}

static void print_good(const char *path, const struct hopchain_chain *chain)
{
	char shown[PATH_MAX];
	size_t n = hopchain_chain_n_hops(chain);
	const char *target = hopchain_chain_target(chain);
	printf("%s: ok: %zu hop%s%s%s%s\n", report_quote(path, shown, sizeof shown), n,
		n == 1 ? "" : "s", target != NULL ? ", target " : "", target != NULL ? target : "",
		hopchain_chain_is_header_only(chain) ? ", payload header-only" : "");
	print_steps(chain);
}

static void print_online(const struct hopchain_chain *chain, const struct cli_prefix *p)
{
	printf("hop %u (%s): ok in %.1f ms, resolved in %.1f ms, connected in %.1f ms", p->hop,
		hopchain_chain_hop_address(chain, p->hop), (double)p->total_us / 1000,
		(double)p->resolve_us / 1000, (double)p->connect_us / 1000);
	if (p->has_clock)
		printf(", clock %+.3f s", (double)p->clock_offset_ms / 1000);
	printf("%s%s\n", p->software[0] != '\0' ? ", " : "", p->software);
}

static void print_failed(
	const struct hopchain_chain *chain, const struct cli_prefix *p, bool is_first)
{
	printf("hop %u (%s): %s\n", p->hop, hopchain_chain_hop_address(chain, p->hop),
		is_first ? p->slug : "not reached");
	if (is_first) {
		fflush(stdout);
		fprintf(stderr, "chain: %s\n", p->text);
	}
}

/* One element of the array, shaped as those about the file. */
static void print_failed_json(struct check *check, const char *path, const struct cli_prefix *p)
{
	static const char mark[] = "; hint: ";
	const char *hint = strstr(p->text, mark);
	char message[CLI_PREFIX_TEXT];
	snprintf(message, sizeof message, "%.*s",
		hint != NULL ? (int)(hint - p->text) : (int)strlen(p->text), p->text);
	printf(check->has_findings ? ",\n  {\"file\": " : "\n  {\"file\": ");
	check->has_findings = true;
	json_text_put(stdout, path);
	printf(", \"line\": null, \"column\": null, \"pointer\": \"/hops/%u\", \"slug\": ",
		p->hop - 1);
	json_text_put(stdout, p->slug);
	printf(", \"message\": ");
	json_text_put(stdout, message);
	printf(", \"hint\": ");
	json_text_put(stdout, hint != NULL ? hint + strlen(mark) : NULL);
	printf("}");
}

/* Every hop is asked; the first failure is the result. */
static enum cli_exit ask(struct check *check, const char *path, const struct hopchain_chain *chain)
{
	struct cli_prefixes prefixes;
	int error = cli_prefix_probe(chain, false, &prefixes);
	if (error != 0) {
		fprintf(stderr, "chain: %s\n", hopchain_strerror(error));
		return CLI_FAILED;
	}
	const struct cli_prefix *failed = cli_prefix_first_failed(&prefixes);
	for (size_t i = 0; i < prefixes.n && !check->is_json; i++) {
		const struct cli_prefix *p = &prefixes.all[i];
		if (p->is_good)
			print_online(chain, p);
		else
			print_failed(chain, p, p == failed);
	}
	if (check->is_json && failed != NULL)
		print_failed_json(check, path, failed);
	return failed != NULL ? (enum cli_exit)failed->exit_code : CLI_OK;
}

/* What the library says of the file, as elements of our array. */
static enum cli_exit check_json(struct check *check, const char *path)
{
	char *document = NULL;
	int error = hopchain_chain_check_json(path, &document);
	size_t len = document != NULL ? strlen(document) : 0;
	if (error == HOPCHAIN_INVALID && len > strlen("[\n]\n")) {
		printf("%s%.*s", check->has_findings ? "," : "", (int)(len - strlen("[\n]\n")),
			document + 1);
		check->has_findings = true;
	}
	hopchain_text_free(document);
	if (error == 0)
		return CLI_OK;
	if (error == HOPCHAIN_INVALID)
		return CLI_CONFIG;
	fprintf(stderr, "chain: %s\n", hopchain_strerror(error));
	return CLI_FAILED;
}

static enum cli_exit check_file(struct check *check, const char *path)
{
	struct hopchain_chain *chain = NULL;
	char *report = NULL;
	enum cli_exit result = check->is_json ? check_json(check, path) : CLI_OK;
	if (result != CLI_OK || (check->is_json && !check->is_online))
		return result;
	int error = hopchain_chain_read(path, &chain, &report);
	if (report != NULL)
		fputs(report, stderr);
	else if (error != 0)
		fprintf(stderr, "chain: %s\n", hopchain_strerror(error));
	hopchain_text_free(report);
	if (error != 0)
		return error == HOPCHAIN_INVALID ? CLI_CONFIG : CLI_FAILED;
	if (!check->is_json)
		print_good(path, chain);
	if (check->is_online)
		result = ask(check, path, chain);
	hopchain_chain_free(chain);
	return result;
}

static enum cli_exit run(int argc, char **argv)
{
	struct check check = { 0 };
	int n_rest = 0;
	enum cli_exit result = CLI_OK;
	enum cli_result parsed = cli_parse(&cli, argc, argv, on_option, &check, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (n_rest == 0) {
		cli_wrong(&cli, "needs a FILE");
		return CLI_USAGE;
	}
	for (int i = argc - n_rest; i < argc; i++) {
		if (check.is_online && check.is_json && strcmp(argv[i], "-") == 0) {
			cli_wrong(&cli, "--online --json reads a file twice: - cannot be one");
			return CLI_USAGE;
		}
	}
	if (check.is_json)
		printf("[");
	for (int i = argc - n_rest; i < argc; i++) {
		enum cli_exit one = check_file(&check, argv[i]);
		result = result == CLI_OK ? one : result;
	}
	if (check.is_json)
		printf("%s]\n", check.has_findings ? "\n" : "");
	return result;
}

const struct cli_command cli_check_command = {
	.name = "check",
	.help = "are these chain files right?",
	.cli = &cli,
	.operands = "FILE...",
	.run = run,
};
