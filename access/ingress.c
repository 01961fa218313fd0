#include "access/ingress.h"

#include "chain/wire_status.h"

#include <assert.h>

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

struct chain_error access_ingress_blocked(const struct addr *target)
{
	return (struct chain_error){
		.stage = CHAIN_STATUS, .status = STATUS_DENIED_POLICY, .address = *target
	};
}

bool access_charges_take(struct access_charges *charges, const struct access_ingress *ingress,
	const union addr_sock *peer)
{
	char from[ADDR_TEXT_MAX];
	if (charge_take(&charges->connection, ingress->worker->connections) &&
		charge_take(&charges->listener_connection, ingress->connections) &&
		source_charge_take(&charges->source, ingress->worker->sources, peer) &&
		source_charge_take(&charges->listener_source, ingress->sources, peer))
		return true;
	LOG_LIMITED(LOG_LEVEL_WARNING, "refused: connection limit reached from=%s",
		addr_sock_print(peer, from));
	return false;
}

void access_charges_return(struct access_charges *charges)
{
	charge_return(&charges->connection);
	charge_return(&charges->listener_connection);
	source_charge_return(&charges->source);
	source_charge_return(&charges->listener_source);
}
