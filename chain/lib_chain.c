#include "chain/datagram.h"
#include "chain/lib_report.h"
#include "chain/lib_state.h"
#include "chain/select.h"
#include "config/address.h"
#include "config/key_file.h"
#include "config/read_chain.h"

#include <stdlib.h>

static char *print_address(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	return strdup(addr_print(addr, text));
}

static bool wrap_position(struct hopchain_chain *chain, size_t i)
{
	bool is_whole = true;
	struct chain_candidates from = chain_spec_candidates(chain->spec, i);
	struct hopchain_candidate *to = calloc(from.n, sizeof *to);
	chain->candidates[i] = to;
	for (size_t k = 0; to != NULL && k < from.n; k++) {
		const struct chain_hop *hop = &from.hops[k];
		char text[ADDR_TEXT_MAX];
		to[k] = (struct hopchain_candidate){
			.address = strdup(chain_hop_print(hop, text)),
			.name = hop->name,
			.type = chain_step_name(hop->step),
			.weight = hop->weight != 0 ? hop->weight : 1,
		};
		is_whole = is_whole && to[k].address != NULL;
	}
	return to != NULL && is_whole;
}

static void unwrap_position(struct hopchain_chain *chain, size_t i)
{
	size_t n = chain_spec_candidates(chain->spec, i).n;
	for (size_t k = 0; chain->candidates[i] != NULL && k < n; k++)
		free((char *)chain->candidates[i][k].address);
	free(chain->candidates[i]);
}

/* Takes @spec, also when it fails. */
static int wrap(struct chain_spec *spec, struct hopchain_chain **ret)
{
	struct hopchain_chain *chain = calloc(1, sizeof *chain);
	if (chain == NULL) {
		chain_spec_free(spec);
		return ERR_NOMEM;
	}
	chain->spec = spec;
	bool is_whole = true;
	for (size_t i = 0; i < spec->n_hops; i++)
		is_whole = wrap_position(chain, i) && is_whole;
	if (spec->has_target) {
		chain->target = print_address(&spec->target);
		is_whole = is_whole && chain->target != NULL;
	}
	if (!is_whole) {
		hopchain_chain_free(chain);
		return ERR_NOMEM;
	}
	*ret = chain;
	return 0;
}

/* Ends a reading: of @spec (or NULL) and @report one is good. */
static int end_reading(struct chain_spec *spec, struct report *report, struct hopchain_chain **ret,
	char **ret_report)
{
	int error = lib_report_end(report, ret_report);
	if (error == 0 && spec != NULL)
		return wrap(spec, ret);
	chain_spec_free(spec);
	return error != 0 ? error : ERR_NOMEM;
}

/* Before any reading. */
static int begin_reading(char **ret_report, struct report **ret)
{
	if (ret_report != NULL)
		*ret_report = NULL;
	int error = lib_start();
	if (error != 0)
		return error;
	*ret = lib_report_new();
	return *ret != NULL ? 0 : ERR_NOMEM;
}

int hopchain_chain_read(const char *path, struct hopchain_chain **ret, char **ret_report)
{
	struct report *report;
	int error = begin_reading(ret_report, &report);
	if (error != 0)
		return error;
	struct chain_spec *spec = read_chain_file(path, report);
	return end_reading(spec, report, ret, ret_report);
}

/* --- from structs --- */

static struct wire_key *read_key(const struct hopchain_hop *from, char why[KEY_WHY_MAX])
{
	if ((from->key_file == NULL) == (from->key == NULL)) {
		snprintf(why, KEY_WHY_MAX, "needs either key_file or key");
		return NULL;
	}
	return from->key_file != NULL ? key_file_read(from->key_file, why)
				      : key_text_read(from->key, why);
}

/* Return: false if memory ran out; what is wrong with the hop is in @report. */
static bool read_hop(
	const struct hopchain_hop *from, size_t i, struct chain_hop *to, struct report *report)
{
	char why_address[ADDRESS_WHY_MAX], why_key[KEY_WHY_MAX];
	if (from->address == NULL)
		report_add_plain(report, "hop %zu: has no address", i);
	else if (!address_parse_hop(from->address, &to->addr, &to->is_srv, why_address))
		report_add_plain(report, "hop %zu: %s", i, why_address);
	to->key = read_key(from, why_key);
	if (to->key == NULL)
		report_add_plain(report, "hop %zu: %s", i, why_key);
	to->name = from->name != NULL ? strdup(from->name) : NULL;
	return from->name == NULL || to->name != NULL;
}

/* The caller's array: its elements have the size that the first one tells. */
static bool read_hops(
	const struct hopchain_options *from, struct chain_spec *spec, struct report *report)
{
	size_t n = from->n_hops;
	if (n < 1 || n > CHAIN_HOPS_MAX || !LIB_SIZE_IS_GOOD(from->hops, name)) {
		report_add_plain(report,
			n < 1 || n > CHAIN_HOPS_MAX
				? "%zu hops; a chain has 1 to %d"
				: "%zu hops; size is not that of struct hopchain_hop",
			n, CHAIN_HOPS_MAX);
		return true;
	}
	spec->hops = calloc(n, sizeof *spec->hops);
	if (spec->hops == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *at = (const char *)from->hops + i * from->hops->size;
		spec->n_hops = i + 1;
		if (!read_hop((const struct hopchain_hop *)(const void *)at, i + 1, &spec->hops[i],
			    report))
			return false;
	}
	return true;
}

static bool read_options(
	const struct hopchain_options *from, struct chain_spec *spec, struct report *report)
{
	const char *reason;
	spec->is_header_only = from->is_header_only;
	if (from->connect_timeout_ms != 0)
		spec->connect_timeout_ms = from->connect_timeout_ms;
	if (from->udp <= HOPCHAIN_UDP_STREAM)
		spec->udp = (enum chain_udp)from->udp;
	else
		report_add_plain(report, "udp: %d is none of enum hopchain_udp", (int)from->udp);
	if (!read_hops(from, spec, report))
		return false;
	if (report_n_errors(report) > 0)
		return true;
	size_t i = chain_spec_check(spec, &reason);
	if (i != 0)
		report_add_plain(report, "hop %zu: %s", i, reason);
	return true;
}

static struct chain_spec *spec_new(void)
{
	static const struct chain_spec standard = CHAIN_SPEC_DEFAULT;
	struct chain_spec *spec = malloc(sizeof *spec);
	if (spec != NULL)
		*spec = standard;
	return spec;
}

int hopchain_chain_new(
	const struct hopchain_options *options, struct hopchain_chain **ret, char **ret_report)
{
	struct report *report;
	int error = begin_reading(ret_report, &report);
	if (error != 0)
		return error;
	struct chain_spec *spec = spec_new();
	if (!LIB_SIZE_IS_GOOD(options, udp)) {
		report_add_plain(report, "size is not that of struct hopchain_options");
	} else if (spec != NULL && !read_options(options, spec, report)) {
		chain_spec_free(spec);
		spec = NULL;
	}
	return end_reading(spec, report, ret, ret_report);
}

/* --- what it is --- */

void hopchain_chain_free(struct hopchain_chain *chain)
{
	if (chain == NULL)
		return;
	for (size_t i = 0; i < chain->spec->n_hops; i++)
		unwrap_position(chain, i);
	free(chain->target);
	chain_spec_free(chain->spec);
	free(chain);
}

size_t hopchain_chain_n_hops(const struct hopchain_chain *chain)
{
	return chain->spec->n_hops;
}

const char *hopchain_chain_name(const struct hopchain_chain *chain)
{
	return chain->spec->name;
}

const char *hopchain_chain_target(const struct hopchain_chain *chain)
{
	return chain->target;
}

const char *hopchain_chain_hop_address(const struct hopchain_chain *chain, size_t i)
{
	return i >= 1 && i <= chain->spec->n_hops ? chain->candidates[i - 1][0].address : NULL;
}

const char *hopchain_chain_hop_name(const struct hopchain_chain *chain, size_t i)
{
	return i >= 1 && i <= chain->spec->n_hops ? chain->spec->hops[i - 1].name : NULL;
}

size_t hopchain_chain_n_candidates(const struct hopchain_chain *chain, size_t i)
{
	bool is_there = i >= 1 && i <= chain->spec->n_hops;
	return is_there ? chain_spec_candidates(chain->spec, i - 1).n : 0;
}

const struct hopchain_candidate *hopchain_chain_candidate(
	const struct hopchain_chain *chain, size_t i, size_t k)
{
	bool is_there = k >= 1 && k <= hopchain_chain_n_candidates(chain, i);
	return is_there ? &chain->candidates[i - 1][k - 1] : NULL;
}

const char *hopchain_chain_strategy(const struct hopchain_chain *chain, size_t i)
{
	const struct chain_spec *spec = chain->spec;
	if (i < 1 || i > spec->n_hops || spec->groups == NULL || spec->groups[i - 1] == NULL)
		return NULL;
	return chain_strategy_name(spec->groups[i - 1]->strategy);
}

bool hopchain_chain_is_header_only(const struct hopchain_chain *chain)
{
	return chain->spec->is_header_only;
}

int lib_target(const struct hopchain_chain *chain, const char *text, struct addr *ret)
{
	if (text != NULL)
		return addr_parse_dial(text, ret) == ADDR_OK ? 0 : HOPCHAIN_INVALID;
	if (!chain->spec->has_target)
		return HOPCHAIN_INVALID;
	*ret = chain->spec->target;
	return 0;
}

int hopchain_chain_mtu(const struct hopchain_chain *chain, const char *target, size_t *ret_first,
	size_t *ret_steady)
{
	struct addr addr;
	int error = lib_target(chain, target, &addr);
	if (error == 0)
		error = chain_datagram_mtu(chain->spec, &addr, ret_first, ret_steady);
	return error == ERR_INVAL ? HOPCHAIN_INVALID : error;
}
