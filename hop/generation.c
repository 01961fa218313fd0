#include "hop/generation.h"

#include "common/listener.h"
#include "common/place.h"
#include "common/udp.h"

#include <stdlib.h>

static bool is_last(_Atomic unsigned *n_refs)
{
	return atomic_fetch_sub(n_refs, 1) == 1;
}

void hop_site_hold(struct hop_site *site)
{
	atomic_fetch_add(&site->n_refs, 1);
}

void hop_site_release(struct hop_site *site)
{
	if (site == NULL || !is_last(&site->n_refs))
		return;
	place_free(site->place);
	free(site);
}

static bool is_place_equal(const struct hop_listener *a, const struct hop_listener *b)
{
	return (a->takes_udp == b->takes_udp || !addr_is_port(&a->addr)) &&
	       addr_is_equal(&a->addr, &b->addr);
}

static bool has_site(const struct hop_generation *g, size_t n, const struct hop_site *site)
{
	for (size_t i = 0; i < n; i++) {
		if (g->sites[i] == site)
			return true;
	}
	return false;
}

static int make_site(struct hop_generation *g, size_t i, const struct hop_generation *before)
{
	for (size_t k = 0; before != NULL && k < before->options.n_listen; k++) {
		struct hop_site *site = before->sites[k];
		if (!is_place_equal(&g->options.listen[i], &before->options.listen[k]) ||
			has_site(g, i, site))
			continue;
		hop_site_hold(site);
		g->sites[i] = site;
		g->n_listen_same++;
		return 0;
	}
	g->sites[i] = calloc(1, sizeof *g->sites[i]);
	if (g->sites[i] == NULL)
		return ERR_NOMEM;
	g->sites[i]->n_refs = 1;
	g->sites[i]->at = g->options.listen[i].addr;
	g->is_new[i] = true;
	g->n_listen_new++;
	return 0;
}

static void release_sites(struct hop_generation *g)
{
	for (size_t i = 0; g->sites != NULL && i < g->options.n_listen; i++)
		hop_site_release(g->sites[i]);
	free(g->sites);
	g->sites = NULL;
}

static int fill(struct hop_generation *g, const struct hop_generation *before)
{
	g->sites = calloc(g->options.n_listen, sizeof(struct hop_site *));
	g->is_new = calloc(g->options.n_listen, sizeof *g->is_new);
	int error = g->sites == NULL || g->is_new == NULL ? ERR_NOMEM : 0;
	for (size_t i = 0; error == 0 && i < g->options.n_listen; i++)
		error = make_site(g, i, before);
	if (error != 0)
		return error;
	g->n_listen_gone = before != NULL ? before->options.n_listen - g->n_listen_same : 0;
	return hop_users_new_after(&g->options, before != NULL ? before->users : NULL, &g->users);
}

int hop_generation_new(struct hop_options *options, const struct hop_generation *before,
	struct hop_generation **ret)
{
	struct hop_generation *g = calloc(1, sizeof *g);
	if (g == NULL)
		return ERR_NOMEM;
	g->n_refs = 1;
	g->options = *options;
	*options = (struct hop_options){ 0 };
	int error = fill(g, before);
	if (error != 0) {
		hop_generation_return(g, options);
		hop_generation_release(g);
		return error;
	}
	*ret = g;
	return 0;
}

static int claim(const struct hop_generation *g, size_t i)
{
	const struct hop_listener *l = &g->options.listen[i];
	struct hop_site *site = g->sites[i];
	if (!addr_is_port(&l->addr))
		return place_open(&l->addr, l->mode != 0 ? l->mode : PLACE_MODE, g->options.passed,
			&site->place);
	if (g->options.n_workers <= 1)
		return 0;
	int error = listener_claim(&site->at);
	if (error == 0 && l->takes_udp)
		error = udp_claim(&site->at);
	return error;
}

/* Whether a listener of ours may have the port: then the claim would find ourselves. */
static bool is_ours(const struct hop_generation *before, bool has_left, const struct addr *at)
{
	if (!addr_is_port(at) || at->port == 0)
		return false;
	for (size_t i = 0; before != NULL && i < before->options.n_listen; i++) {
		const struct addr *old = &before->sites[i]->at;
		if (addr_is_port(old) && old->port == at->port)
			return true;
	}
	return has_left;
}

int hop_generation_open(struct hop_generation *generation, const struct hop_generation *before,
	bool has_left, size_t *ret_i)
{
	for (size_t i = 0; i < generation->options.n_listen; i++) {
		struct hop_site *site = generation->sites[i];
		if (site->is_open)
			continue;
		int error = is_ours(before, has_left, &site->at) ? 0 : claim(generation, i);
		if (error != 0) {
			*ret_i = i;
			return error;
		}
		site->is_open = true;
	}
	return 0;
}

void hop_generation_return(struct hop_generation *generation, struct hop_options *options)
{
	release_sites(generation);
	hop_users_free(generation->users);
	generation->users = NULL;
	*options = generation->options;
	generation->options = (struct hop_options){ 0 };
}

struct hop_generation *hop_generation_hold(struct hop_generation *generation)
{
	if (generation != NULL)
		atomic_fetch_add(&generation->n_refs, 1);
	return generation;
}

void hop_generation_release(struct hop_generation *generation)
{
	if (generation == NULL || !is_last(&generation->n_refs))
		return;
	release_sites(generation);
	hop_users_free(generation->users);
	hop_options_deinit(&generation->options);
	free(generation->is_new);
	free(generation);
}
