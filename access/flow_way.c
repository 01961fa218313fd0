#include "access/flow_way.h"

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
	f->way = chain_upstream_choose(upstream, &who);
	if (f->way == NULL)
		return ERR_NOMEM;
	int error = chain_datagram_new(
		chain_way_client(f->way), io, query->target, ops, owner, &f->datagram);
	if (error != 0) {
		chain_way_release(f->way);
		f->way = NULL;
		return error;
	}
	f->ingress = ingress;
	f->rule = rule;
	access_ingress_hold(ingress);
	return 0;
}

void access_flow_way_report(struct access_flow_way *f, const struct chain_error *error)
{
	if (f->way == NULL || f->is_reported)
		return;
	f->is_reported = true;
	(void)chain_way_report(f->way, error, NULL, 0);
}

void access_flow_way_close(struct access_flow_way *f)
{
	if (f->ingress == NULL)
		return;
	chain_datagram_free(f->datagram);
	chain_way_release(f->way);
	access_ingress_release(f->ingress);
	*f = (struct access_flow_way){ 0 };
}
