#include "access/options.h"

#include <stdlib.h>
#include <string.h>

static void free_users(struct access_listener *listener)
{
	for (size_t i = 0; i < listener->n_users; i++) {
		free(listener->users[i].name);
		free(listener->users[i].hash);
	}
	free(listener->users);
}

struct chain_upstream_spec *access_options_add_chain(
	struct access_options *options, struct chain_spec *chain, const char *name)
{
	struct chain_spec **chains =
		reallocarray(options->chains, options->n_chains + 1, sizeof(struct chain_spec *));
	if (chains == NULL)
		return NULL;
	options->chains = chains;
	struct chain_upstream_spec **upstreams = reallocarray(
		options->upstreams, options->n_upstreams + 1, sizeof(struct chain_upstream_spec *));
	if (upstreams == NULL)
		return NULL;
	options->upstreams = upstreams;
	struct chain_upstream_spec *upstream = calloc(1, sizeof *upstream);
	if (upstream == NULL)
		return NULL;
	upstream->name = strdup(name);
	char *own = strdup(name);
	upstream->members = calloc(1, sizeof *upstream->members);
	if (upstream->name == NULL || upstream->members == NULL || own == NULL) {
		chain_upstream_spec_free(upstream);
		free(own);
		return NULL;
	}
	free(chain->name);
	chain->name = own;
	upstream->members[0].chain = chain;
	upstream->n_members = 1;
	options->chains[options->n_chains++] = chain;
	options->upstreams[options->n_upstreams++] = upstream;
	return upstream;
}

struct chain_upstream_spec *access_options_add_direct(struct access_options *options)
{
	static const struct chain_spec standard = CHAIN_SPEC_DEFAULT;
	struct chain_spec *chain = malloc(sizeof *chain);
	if (chain == NULL)
		return NULL;
	*chain = standard;
	chain->name = strdup("direct");
	struct chain_upstream_spec *upstream =
		chain->name != NULL ? access_options_add_chain(options, chain, chain->name) : NULL;
	if (upstream == NULL)
		chain_spec_free(chain);
	return upstream;
}

bool access_options_add_group(struct access_options *options, struct chain_upstream_spec *group)
{
	struct chain_upstream_spec **upstreams = reallocarray(
		options->upstreams, options->n_upstreams + 1, sizeof(struct chain_upstream_spec *));
	if (upstreams == NULL)
		return false;
	options->upstreams = upstreams;
	upstreams[options->n_upstreams++] = group;
	return true;
}

bool access_options_has_choice(const struct access_options *options)
{
	for (size_t i = 1; i < options->n_listen; i++) {
		if (options->listen[i].use != options->listen[0].use)
			return true;
	}
	return options->n_rules > 0;
}

const struct chain_spec *access_options_chain_of(const struct chain_upstream_spec *upstream)
{
	return upstream->members[0].chain;
}

bool access_capture_can_be_at(enum access_capture capture, const struct addr *at)
{
	return capture == ACCESS_NO_CAPTURE || addr_is_port(at) ||
	       (at->kind == ADDR_SYSTEMD && capture == ACCESS_REDIRECT);
}

void access_options_deinit(struct access_options *options)
{
	for (size_t i = 0; i < options->n_listen; i++) {
		free(options->listen[i].name);
		netset_deinit(&options->listen[i].from);
		netset_deinit(&options->listen[i].proxies);
		free_users(&options->listen[i]);
	}
	for (size_t i = 0; i < options->n_rules; i++)
		route_rule_deinit(&options->rules[i]);
	for (size_t i = 0; i < options->n_upstreams; i++)
		chain_upstream_spec_free(options->upstreams[i]);
	for (size_t i = 0; i < options->n_chains; i++)
		chain_spec_free(options->chains[i]);
	free(options->rules);
	free(options->upstreams);
	free(options->listen);
	free(options->chains);
	control_options_deinit(&options->control);
	free(options->dns_servers);
	*options = (struct access_options){ 0 };
}

static bool is_text_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

void access_options_keep(
	const struct access_options *old, struct access_options *new, struct reload_report *report)
{
	if (new->n_workers != old->n_workers)
		reload_report_warn(report, "\"workers\" takes effect after a restart");
	if (new->drain_ms != old->drain_ms)
		reload_report_warn(report, "\"drain\" takes effect after a restart");
	if (!is_text_equal(new->control.path, old->control.path))
		reload_report_warn(report, "\"admin\" takes effect after a restart");
	new->n_workers = old->n_workers;
	new->drain_ms = old->drain_ms;
	new->passed = old->passed;
}
