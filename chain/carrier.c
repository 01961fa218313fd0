#include "chain/carrier.h"

/* Return: 0; else @way is released. */
static int take(struct chain_carrier *c, struct chain_way *way, const struct addr *target)
{
	int error = chain_datagram_new(
		chain_way_client(way), c->io, target, c->ops, c->owner, &c->datagram);
	if (error != 0) {
		chain_way_release(way);
		return error;
	}
	c->way = way;
	if (chain_upstream_has_choice(chain_way_upstream(way)))
		chain_datagram_hurry(c->datagram);
	return 0;
}

static void on_way(struct chain_way *way, const struct chain_error *error,
	const struct addr *target, void *owner)
{
	struct chain_carrier *c = owner;
	struct chain_flow_wait *wait = c->wait;
	struct chain_error no_memory = { .hop = 1, .stage = CHAIN_SETUP, .code = ERR_NOMEM };
	c->wait = NULL;
	if (way != NULL && take(c, way, target) != 0)
		error = &no_memory;
	if (error == NULL)
		chain_flow_wait_flush(wait, c->datagram);
	chain_flow_wait_free(wait);
	if (error != NULL)
		c->ops->on_fail(error, c->owner);
}

int chain_carrier_open(struct chain_carrier *carrier, struct chain_upstream *upstream,
	const struct chain_who *who, struct udp_io *io, const struct chain_datagram_ops *ops,
	void *owner)
{
	*carrier = (struct chain_carrier){ .io = io, .ops = ops, .owner = owner };
	struct chain_way *way = chain_upstream_choose(upstream, who);
	return way != NULL ? take(carrier, way, who->target)
			   : chain_flow_wait_new(upstream, who, on_way, carrier, &carrier->wait);
}

enum flow_client_verdict chain_carrier_send(struct chain_carrier *carrier, struct bytes data)
{
	if (carrier->datagram != NULL)
		return chain_datagram_send(carrier->datagram, data);
	return carrier->wait != NULL && chain_flow_wait_send(carrier->wait, data)
		       ? FLOW_CLIENT_SENT
		       : FLOW_CLIENT_FAILED;
}

void chain_carrier_rest(struct chain_carrier *carrier)
{
	if (carrier->datagram != NULL)
		chain_datagram_rest(carrier->datagram);
}

void chain_carrier_report(struct chain_carrier *carrier, const struct chain_error *error)
{
	if (carrier->way == NULL || carrier->is_reported)
		return;
	carrier->is_reported = true;
	(void)chain_way_report(carrier->way, error, NULL, 0);
}

void chain_carrier_close(struct chain_carrier *carrier)
{
	chain_flow_wait_free(carrier->wait);
	chain_datagram_free(carrier->datagram);
	chain_way_release(carrier->way);
	*carrier = (struct chain_carrier){ 0 };
}
