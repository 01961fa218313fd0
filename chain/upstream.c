#include "chain/upstream.h"

#include <stdlib.h>

struct chain_way {
	struct chain_client *client;
};

struct chain_upstream {
	const struct chain_upstream_spec *spec;
	struct loop *loop;
	struct chain_way way;
};

void chain_upstream_spec_free(struct chain_upstream_spec *spec)
{
	if (spec == NULL)
		return;
	free(spec->name);
	free(spec->members);
	free(spec);
}

int chain_upstream_new(const struct chain_upstream_options *options,
	const struct chain_upstream_spec *spec, struct chain_upstream **ret)
{
	struct chain_upstream *upstream = calloc(1, sizeof *upstream);
	if (upstream == NULL)
		return ERR_NOMEM;
	upstream->spec = spec;
	upstream->loop = options->loop;
	int error = chain_client_new(
		options->loop, options->resolver, spec->members[0].chain, &upstream->way.client);
	if (error != 0) {
		free(upstream);
		return error;
	}
	*ret = upstream;
	return 0;
}

void chain_upstream_free(struct chain_upstream *upstream)
{
	if (upstream == NULL)
		return;
	chain_client_free(upstream->way.client);
	free(upstream);
}

const struct chain_upstream_spec *chain_upstream_spec_of(const struct chain_upstream *upstream)
{
	return upstream->spec;
}

struct loop *chain_upstream_loop(const struct chain_upstream *upstream)
{
	return upstream->loop;
}

struct chain_way *chain_upstream_choose(
	struct chain_upstream *upstream, const struct chain_who *who)
{
	return who->n_tried > 0 ? NULL : &upstream->way;
}

void chain_way_release(struct chain_way *way)
{
	(void)way;
}

struct chain_client *chain_way_client(const struct chain_way *way)
{
	return way->client;
}

bool chain_way_report(struct chain_way *way, const struct chain_error *error, uint64_t total_us)
{
	(void)way;
	(void)error;
	(void)total_us;
	return false;
}
