#include "access/ingress.h"

#include "chain/wire_status.h"
#include "common/loop.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define LOG_MODULE "access"
#include "common/log.h"

static bool is_served(const struct access_listener *listener, const union addr_sock *peer)
{
	if (listener->is_open)
		return true;
	if (listener->from.n_rules > 0)
		return netset_find_sock(&listener->from, peer) != NULL;
	enum addr_class class = addr_classify(peer, NULL);
	return class == ADDR_LOOPBACK || class == ADDR_PRIVATE || class == ADDR_LINK_LOCAL;
}

bool access_ingress_serves(const struct access_ingress *ingress, const union addr_sock *peer)
{
	char from[ADDR_TEXT_MAX];
	if (is_served(ingress->options, peer))
		return true;
	LOG_LIMITED(LOG_LEVEL_WARNING,
		"refused: this listener does not serve that source from=%s hint=\"allow it with "
		"--from ADDRESS, or everybody with --open\"",
		addr_sock_print(peer, from));
	return false;
}

void access_ingress_hold(struct access_ingress *ingress)
{
	ingress->n_held++;
}

void access_ingress_release(struct access_ingress *ingress)
{
	assert(ingress->n_held > 0);
	if (--ingress->n_held == 0 && ingress->on_unheld != NULL)
		ingress->on_unheld(ingress);
}

struct chain_upstream *access_ingress_route(const struct access_ingress *ingress,
	const struct route_query *query, const struct route_rule **ret_rule)
{
	const struct access_options *all = ingress->all;
	const struct route_rule *rule = route_find(all->rules, all->n_rules, query);
	const struct chain_upstream_spec *use = rule != NULL ? rule->use : ingress->options->use;
	*ret_rule = rule;
	for (size_t i = 0; use != NULL && i < all->n_upstreams; i++) {
		if (all->upstreams[i] == use)
			return ingress->upstreams[i];
	}
	return NULL;
}

struct chain_error access_ingress_blocked(const struct access_ingress *ingress,
	const struct route_rule *rule, const struct addr *target)
{
	char label[ROUTE_LABEL_MAX];
	struct chain_error error = {
		.stage = CHAIN_STATUS, .status = STATUS_DENIED_POLICY, .address = *target
	};
	snprintf(error.text, sizeof error.text, "rule %s",
		route_rule_label(ingress->all->rules, rule, label));
	return error;
}

const char *access_ingress_tell_use(const struct access_ingress *ingress,
	const struct chain_upstream_spec *use, const struct route_rule *rule,
	char to[ACCESS_USE_MAX])
{
	char label[ROUTE_LABEL_MAX];
	const char *name = use != NULL ? use->name : "block";
	to[0] = '\0';
	if (!access_options_has_choice(ingress->all))
		return to;
	if (rule == NULL)
		snprintf(to, ACCESS_USE_MAX, " use=%s", name);
	else
		snprintf(to, ACCESS_USE_MAX, " use=%s rule=%s", name,
			route_rule_label(ingress->all->rules, rule, label));
	return to;
}

static void tell(const char *limit, const union addr_sock *peer, const char *user)
{
	char from[ADDR_TEXT_MAX];
	LOG_LIMITED(LOG_LEVEL_WARNING, "refused: limit reached limit=%s from=%s user=%s", limit,
		addr_sock_print(peer, from), user);
}

/* Return: NULL, or the member of "limits" that refuses. */
static const char *take_counts(struct access_charges *charges, const struct access_ingress *ingress,
	const union addr_sock *peer)
{
	if (!charge_take(&charges->connection, ingress->worker->connections))
		return "limits.connections";
	if (!charge_take(&charges->listener_connection, ingress->connections))
		return "listen.limits.connections";
	if (!source_charge_take(&charges->source, ingress->worker->sources, peer))
		return "limits.connections_per_source";
	if (!source_charge_take(&charges->listener_source, ingress->sources, peer))
		return "listen.limits.connections_per_source";
	return NULL;
}

/* Those of one source before those of all: who is refused for himself uses up nothing of others'.
 */
static const char *take_caps(struct access_charges *charges, const struct access_ingress *ingress,
	const union addr_sock *peer)
{
	struct access_caps *all = ingress->worker->caps, *own = ingress->caps;
	uint64_t now_ms = loop_now_ms(ingress->worker->loop);
	uint8_t key[8];
	if (own != NULL && source_key(peer, key) &&
		keyed_charge_take(&charges->source_caps, own->sources, bytes_of(key, sizeof key),
			now_ms) != KEYED_TAKEN)
		return "listen.limits.connects_per_second_per_source";
	if (own != NULL && !rate_take(&own->connects, now_ms))
		return "listen.limits.connects_per_second";
	if (all != NULL && !rate_take(&all->connects, now_ms))
		return "limits.connects_per_second";
	return NULL;
}

static void add_rate(struct shaper_set *set, struct access_caps *caps)
{
	if (caps != NULL && shaper_rate(caps->shaper) > 0)
		shaper_set_add(set, caps->shaper);
}

/* What limits its bytes, as far as it is known who it is. */
static void list_shapers(struct access_charges *charges, const struct access_ingress *ingress)
{
	shaper_set_release(&charges->shapers);
	add_rate(&charges->shapers, ingress->worker->caps);
	add_rate(&charges->shapers, ingress->caps);
	shaper_set_add(&charges->shapers, keyed_charge_shaper(&charges->source_caps));
	shaper_set_add(&charges->shapers, keyed_charge_shaper(&charges->user_caps));
}

bool access_charges_take(struct access_charges *charges, const struct access_ingress *ingress,
	const union addr_sock *peer)
{
	const char *limit = take_counts(charges, ingress, peer);
	if (limit == NULL)
		limit = take_caps(charges, ingress, peer);
	if (limit != NULL)
		tell(limit, peer, "-");
	else
		list_shapers(charges, ingress);
	return limit == NULL;
}

bool access_charges_take_user(struct access_charges *charges, const struct access_ingress *ingress,
	const union addr_sock *peer, const char *user)
{
	size_t len = user != NULL ? strlen(user) : 0;
	keyed_charge_return(&charges->user_caps);
	if (ingress->caps != NULL && len > 0 && len <= KEYED_KEY_MAX &&
		keyed_charge_take(&charges->user_caps, ingress->caps->users, bytes_of(user, len),
			loop_now_ms(ingress->worker->loop)) != KEYED_TAKEN) {
		tell("listen.limits.connections_per_user", peer, user);
		return false;
	}
	list_shapers(charges, ingress);
	return true;
}

/* Whether a way of it may look up the target's name on this host. */
static bool resolves_here(const struct chain_upstream *upstream)
{
	const struct chain_upstream_spec *spec = chain_upstream_spec_of(upstream);
	for (size_t i = 0; i < spec->n_members; i++) {
		const struct chain_spec *chain = spec->members[i].chain;
		if (chain->n_hops == 0 || chain->resolves_locally)
			return true;
	}
	return false;
}

bool access_charges_take_lookup(struct access_charges *charges,
	const struct access_ingress *ingress, const union addr_sock *peer,
	const struct chain_upstream *upstream, const struct addr *target)
{
	struct access_caps *caps = ingress->worker->caps;
	if (caps == NULL || charges->lookup.is_taken || target->kind != ADDR_NAME ||
		!resolves_here(upstream) ||
		source_charge_take(&charges->lookup, caps->lookups, peer))
		return true;
	tell("lookups-per-source", peer, "-");
	return false;
}

void access_charges_return_lookup(struct access_charges *charges)
{
	source_charge_return(&charges->lookup);
}

bool access_charges_carry(const struct access_charges *charges, enum shaper_lane lane, size_t len)
{
	return charges->shapers.n == 0 ||
	       shaper_set_take(&charges->shapers, lane, len, loop_clock_us());
}

struct chain_error access_charges_refused(const struct addr *target)
{
	return (struct chain_error){
		.stage = CHAIN_STATUS, .status = STATUS_LIMIT, .address = *target
	};
}

void access_charges_return(struct access_charges *charges)
{
	shaper_set_release(&charges->shapers);
	keyed_charge_return(&charges->user_caps);
	keyed_charge_return(&charges->source_caps);
	charge_return(&charges->connection);
	charge_return(&charges->listener_connection);
	source_charge_return(&charges->source);
	source_charge_return(&charges->listener_source);
	source_charge_return(&charges->lookup);
}
