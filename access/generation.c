#include "access/generation.h"

#include "common/place.h"

#include <stdlib.h>
#include <string.h>

static bool is_last(_Atomic unsigned *n_refs)
{
	return atomic_fetch_sub(n_refs, 1) == 1;
}

void access_site_hold(struct access_site *site)
{
	atomic_fetch_add(&site->n_refs, 1);
}

void access_site_release(struct access_site *site)
{
	if (site == NULL || !is_last(&site->n_refs))
		return;
	if (site->is_open)
		access_entry_close(&site->entry);
	free(site);
}

static void release_limits(struct access_limits *limits)
{
	if (limits == NULL || !is_last(&limits->n_refs))
		return;
	source_quota_free(limits->sources);
	access_caps_free(limits->caps);
	free(limits);
}

/* ---- What is equal ---- */

static bool is_text_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_upstream_equal(
	const struct chain_upstream_spec *a, const struct chain_upstream_spec *b)
{
	if (!is_text_equal(a->name, b->name) || a->strategy != b->strategy ||
		a->max_fails != b->max_fails || a->retry_after_ms != b->retry_after_ms ||
		a->n_members != b->n_members)
		return false;
	for (size_t i = 0; i < a->n_members; i++) {
		const struct chain_member *x = &a->members[i], *y = &b->members[i];
		if (x->weight != y->weight || !is_text_equal(x->chain->name, y->chain->name) ||
			!chain_spec_is_equal(x->chain, y->chain))
			return false;
	}
	return true;
}

static bool are_users_equal(const struct access_listener *a, const struct access_listener *b)
{
	if (a->n_users != b->n_users)
		return false;
	for (size_t i = 0; i < a->n_users; i++) {
		if (strcmp(a->users[i].name, b->users[i].name) != 0 ||
			strcmp(a->users[i].hash, b->users[i].hash) != 0)
			return false;
	}
	return true;
}

/* Served by the same sockets. */
static bool is_place_equal(const struct access_listener *a, const struct access_listener *b)
{
	return a->transports == b->transports && a->capture == b->capture &&
	       addr_is_equal(&a->addr, &b->addr);
}

/* The same listener, for those who count what it serves: by name; without one, by place. */
static bool is_listener_equal(const struct access_listener *a, const struct access_listener *b)
{
	if (a->name != NULL || b->name != NULL)
		return is_text_equal(a->name, b->name);
	return is_place_equal(a, b);
}

/* ---- Making one ---- */

static bool has_site(const struct access_generation *g, size_t n, const struct access_site *site)
{
	for (size_t i = 0; i < n; i++) {
		if (g->sites[i] == site)
			return true;
	}
	return false;
}

/* The site of listener @i: that of the same place before, unless another one has it already (any
 * port, twice). */
static int make_site(struct access_generation *g, size_t i, const struct access_generation *before)
{
	for (size_t k = 0; before != NULL && k < before->options.n_listen; k++) {
		struct access_site *site = before->sites[k];
		if (!is_place_equal(&g->options.listen[i], &before->options.listen[k]) ||
			has_site(g, i, site))
			continue;
		access_site_hold(site);
		g->sites[i] = site;
		g->listeners.n_same++;
		return 0;
	}
	g->sites[i] = calloc(1, sizeof *g->sites[i]);
	if (g->sites[i] == NULL)
		return ERR_NOMEM;
	g->sites[i]->n_refs = 1;
	g->is_new[i] = true;
	g->listeners.n_new++;
	return 0;
}

static bool has_limits(
	const struct access_generation *g, size_t n, const struct access_limits *limits)
{
	for (size_t i = 0; i < n; i++) {
		if (g->limits[i] == limits)
			return true;
	}
	return false;
}

static int make_limits(
	struct access_generation *g, size_t i, const struct access_generation *before)
{
	const struct access_listener *o = &g->options.listen[i];
	for (size_t k = 0; before != NULL && k < before->options.n_listen; k++) {
		struct access_limits *limits = before->limits[k];
		if (!is_listener_equal(o, &before->options.listen[k]) || has_limits(g, i, limits))
			continue;
		atomic_fetch_add(&limits->n_refs, 1);
		g->limits[i] = limits;
		return 0;
	}
	struct access_limits *limits = calloc(1, sizeof *limits);
	if (limits == NULL)
		return ERR_NOMEM;
	limits->n_refs = 1;
	quota_init(&limits->connections, o->max_connections);
	g->limits[i] = limits;
	int error = source_quota_new(o->max_connections_per_source, &limits->sources);
	return error != 0 ? error : access_caps_new(&o->caps, &limits->caps);
}

static size_t find_users(
	const struct access_generation *g, size_t i, const struct access_generation *before)
{
	const struct access_listener *o = &g->options.listen[i];
	for (size_t k = 0; o->needs_user && before != NULL && k < before->options.n_listen; k++) {
		const struct access_listener *old = &before->options.listen[k];
		if (old->needs_user && is_listener_equal(o, old) && are_users_equal(o, old))
			return k;
	}
	return ACCESS_NONE;
}

static size_t find_upstream(
	const struct access_generation *g, size_t i, const struct access_generation *before)
{
	for (size_t k = 0; before != NULL && k < before->options.n_upstreams; k++) {
		if (is_upstream_equal(g->options.upstreams[i], before->options.upstreams[k]))
			return k;
	}
	return ACCESS_NONE;
}

/* "direct" is always there: nobody counts it. */
static bool is_counted(const struct chain_upstream_spec *upstream)
{
	return upstream->n_members > 1 || upstream->members[0].chain->n_hops > 0;
}

static size_t count_upstreams(const struct access_generation *g)
{
	size_t n = 0;
	for (size_t i = 0; i < g->options.n_upstreams; i++)
		n += is_counted(g->options.upstreams[i]);
	return n;
}

static void compare_upstreams(struct access_generation *g, const struct access_generation *before)
{
	for (size_t i = 0; i < g->options.n_upstreams; i++) {
		g->same_upstream[i] = find_upstream(g, i, before);
		if (!is_counted(g->options.upstreams[i]))
			continue;
		if (g->same_upstream[i] == ACCESS_NONE)
			g->chains.n_new++;
		else
			g->chains.n_same++;
	}
	g->chains.n_gone = before != NULL ? count_upstreams(before) - g->chains.n_same : 0;
	g->is_resolver_same = before != NULL &&
			      is_text_equal(g->options.dns_servers, before->options.dns_servers);
	/* Upstreams ask the resolver they were made with. */
	for (size_t i = 0; !g->is_resolver_same && i < g->options.n_upstreams; i++)
		g->same_upstream[i] = ACCESS_NONE;
}

static int fill(struct access_generation *g, const struct access_generation *before)
{
	size_t n = g->options.n_listen;
	g->sites = calloc(n, sizeof(struct access_site *));
	g->is_new = calloc(n, sizeof *g->is_new);
	g->limits = calloc(n, sizeof(struct access_limits *));
	g->same_users = calloc(n, sizeof *g->same_users);
	g->same_upstream = calloc(g->options.n_upstreams, sizeof *g->same_upstream);
	if (g->sites == NULL || g->is_new == NULL || g->limits == NULL || g->same_users == NULL ||
		g->same_upstream == NULL)
		return ERR_NOMEM;
	int error = 0;
	for (size_t i = 0; error == 0 && i < n; i++) {
		error = make_site(g, i, before);
		if (error == 0)
			error = make_limits(g, i, before);
		g->same_users[i] = find_users(g, i, before);
	}
	if (error != 0)
		return error;
	g->listeners.n_gone = before != NULL ? before->options.n_listen - g->listeners.n_same : 0;
	compare_upstreams(g, before);
	return 0;
}

int access_generation_new(struct access_options *options, const struct access_generation *before,
	struct access_generation **ret)
{
	struct access_generation *g = calloc(1, sizeof *g);
	if (g == NULL)
		return ERR_NOMEM;
	g->n_refs = 1;
	g->options = *options;
	*options = (struct access_options){ 0 };
	int error = fill(g, before);
	if (error != 0) {
		access_generation_return(g, options);
		access_generation_release(g);
		return error;
	}
	*ret = g;
	return 0;
}

/* Whether a listener of ours may have the port: then the claim would find ourselves. */
static bool is_ours(const struct access_generation *before, bool has_left, const struct addr *at)
{
	if (!addr_is_port(at) || at->port == 0)
		return false;
	for (size_t i = 0; before != NULL && i < before->options.n_listen; i++) {
		const struct addr *old = &before->sites[i]->entry.at;
		if (addr_is_port(old) && old->port == at->port)
			return true;
	}
	return has_left;
}

int access_generation_open(struct access_generation *generation,
	const struct access_generation *before, bool has_left, size_t *ret_i)
{
	const struct access_options *o = &generation->options;
	for (size_t i = 0; i < o->n_listen; i++) {
		struct access_site *site = generation->sites[i];
		if (site->is_open)
			continue;
		int error = 0;
		if (is_ours(before, has_left, &o->listen[i].addr))
			site->entry.at = o->listen[i].addr;
		else
			error = access_entry_open(&site->entry, &o->listen[i], o);
		if (error != 0) {
			*ret_i = i;
			return error;
		}
		site->is_open = true;
	}
	return 0;
}

void access_generation_apply(const struct access_generation *generation)
{
	for (size_t i = 0; i < generation->options.n_listen; i++) {
		const struct access_listener *o = &generation->options.listen[i];
		struct access_limits *limits = generation->limits[i];
		quota_set_limit(&limits->connections, o->max_connections);
		source_quota_set_limit(limits->sources, o->max_connections_per_source);
		access_caps_set(limits->caps, &o->caps);
		place_set_mode(generation->sites[i]->entry.place, o->mode);
	}
}

/* What hangs on the listeners of the options, whose number goes with them. */
static void release_listeners(struct access_generation *g)
{
	for (size_t i = 0; i < g->options.n_listen; i++) {
		if (g->sites != NULL)
			access_site_release(g->sites[i]);
		if (g->limits != NULL)
			release_limits(g->limits[i]);
	}
	free(g->sites);
	free(g->limits);
	g->sites = NULL;
	g->limits = NULL;
}

void access_generation_return(struct access_generation *generation, struct access_options *options)
{
	release_listeners(generation);
	*options = generation->options;
	generation->options = (struct access_options){ 0 };
}

void access_generation_hold(struct access_generation *generation)
{
	atomic_fetch_add(&generation->n_refs, 1);
}

void access_generation_release(struct access_generation *generation)
{
	if (generation == NULL || !is_last(&generation->n_refs))
		return;
	release_listeners(generation);
	access_options_deinit(&generation->options);
	free(generation->same_upstream);
	free(generation->same_users);
	free(generation->is_new);
	free(generation);
}
