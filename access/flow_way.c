#include "access/flow_way.h"

#include "access/transparent.h"

#define LOG_MODULE "access"
#include "common/log.h"

static void log_blocked(const struct access_ingress *ingress, const struct route_query *query,
	const struct route_rule *rule)
{
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], label[ROUTE_LABEL_MAX];
	LOG_LIMITED(LOG_LEVEL_INFO, "blocked flow from=%s rule=%s target=%s",
		addr_sock_print(query->source, from),
		route_rule_label(ingress->all->rules, rule, label), addr_print(query->target, to));
}

int access_flow_way_open(struct access_flow_way *f, struct access_ingress *ingress,
	struct udp_io *io, const struct route_query *query, const struct chain_datagram_ops *ops,
	void *owner)
{
	const struct route_rule *rule;
	struct chain_who who = { .target = query->target, .source = query->source };
	struct chain_upstream *upstream = access_ingress_route(ingress, query, &rule);
	if (upstream == NULL) {
		log_blocked(ingress, query, rule);
		return ERR_DENIED;
	}
	if (ingress->options->capture != ACCESS_NO_CAPTURE &&
		transparent_comes_back(chain_upstream_spec_of(upstream), query->target))
		return -ELOOP;
	int error = chain_carrier_open(&f->carrier, upstream, &who, io, ops, owner);
	if (error != 0)
		return error;
	f->ingress = ingress;
	f->rule = rule;
	access_ingress_hold(ingress);
	return 0;
}

bool access_flow_way_is_open(const struct access_flow_way *f)
{
	return f->ingress != NULL;
}

static struct chain_way *choose_other(
	struct access_flow_way *f, const struct addr *target, const union addr_sock *source)
{
	struct chain_who who = {
		.target = target, .source = source, .tried = f->tried, .n_tried = f->n_tried
	};
	return chain_upstream_choose(chain_way_upstream(f->carrier.way), &who);
}

bool access_flow_way_retry(struct access_flow_way *f, const struct chain_error *error,
	const struct addr *target, const union addr_sock *source)
{
	struct chain_carrier *c = &f->carrier;
	struct chain_datagram *datagram;
	if (c->way == NULL || c->is_reported)
		return false;
	struct chain_verdict verdict = chain_way_report(c->way, error, NULL, 0);
	c->is_reported = true;
	if (!verdict.may_retry || f->n_tried == ACCESS_FLOW_TRIES - 1)
		return false;
	f->tried[f->n_tried++] = (struct chain_tried){ .way = c->way, .hop = verdict.hop };
	struct chain_way *other = choose_other(f, target, source);
	if (other == NULL || chain_datagram_new(chain_way_client(other), c->io, target, c->ops,
				     c->owner, &datagram) != 0) {
		chain_way_release(other);
		f->n_tried--;
		return false;
	}
	LOG_DEBUG("flow goes another way hop=%u status=%s", error->hop, chain_error_slug(error));
	chain_datagram_free(c->datagram); /* @error may be its own */
	chain_datagram_hurry(datagram);
	c->datagram = datagram;
	c->way = other;
	c->is_reported = false;
	return true;
}

void access_flow_way_close(struct access_flow_way *f)
{
	if (f->ingress == NULL)
		return;
	for (size_t i = 0; i < f->n_tried; i++)
		chain_way_release(f->tried[i].way);
	chain_carrier_close(&f->carrier);
	access_ingress_release(f->ingress);
	*f = (struct access_flow_way){ 0 };
}
