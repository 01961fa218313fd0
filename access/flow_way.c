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

/* Return: 0; else @way is released. */
static int take(struct access_flow_way *f, struct chain_way *way, const struct addr *target)
{
	int error = chain_datagram_new(
		chain_way_client(way), f->io, target, f->ops, f->owner, &f->datagram);
	if (error != 0) {
		chain_way_release(way);
		return error;
	}
	f->way = way;
	if (chain_upstream_has_choice(chain_way_upstream(way)))
		chain_datagram_hurry(f->datagram);
	return 0;
}

static void on_way(struct chain_way *way, const struct chain_error *error,
	const struct addr *target, void *owner)
{
	struct access_flow_way *f = owner;
	struct chain_flow_wait *wait = f->wait;
	struct chain_error no_memory = { .hop = 1, .stage = CHAIN_SETUP, .code = ERR_NOMEM };
	f->wait = NULL;
	if (way != NULL && take(f, way, target) != 0)
		error = &no_memory;
	if (error == NULL)
		chain_flow_wait_flush(wait, f->datagram);
	chain_flow_wait_free(wait);
	if (error != NULL)
		f->ops->on_fail(error, f->owner);
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
	f->io = io;
	f->ops = ops;
	f->owner = owner;
	struct chain_way *way = chain_upstream_choose(upstream, &who);
	int error = way != NULL ? take(f, way, query->target)
				: chain_flow_wait_new(upstream, &who, on_way, f, &f->wait);
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

enum flow_client_verdict access_flow_way_send(struct access_flow_way *f, struct bytes data)
{
	if (f->datagram != NULL)
		return chain_datagram_send(f->datagram, data);
	return f->wait != NULL && chain_flow_wait_send(f->wait, data) ? FLOW_CLIENT_SENT
								      : FLOW_CLIENT_FAILED;
}

void access_flow_way_rest(struct access_flow_way *f)
{
	if (f->datagram != NULL)
		chain_datagram_rest(f->datagram);
}

void access_flow_way_report(struct access_flow_way *f, const struct chain_error *error)
{
	if (f->way == NULL || f->is_reported)
		return;
	f->is_reported = true;
	(void)chain_way_report(f->way, error, NULL, 0);
}

static struct chain_way *choose_other(
	struct access_flow_way *f, const struct addr *target, const union addr_sock *source)
{
	struct chain_who who = {
		.target = target, .source = source, .tried = f->tried, .n_tried = f->n_tried
	};
	return chain_upstream_choose(chain_way_upstream(f->way), &who);
}

bool access_flow_way_retry(struct access_flow_way *f, const struct chain_error *error,
	const struct addr *target, const union addr_sock *source)
{
	struct chain_datagram *datagram;
	if (f->way == NULL || f->is_reported)
		return false;
	struct chain_verdict verdict = chain_way_report(f->way, error, NULL, 0);
	f->is_reported = true;
	if (!verdict.may_retry || f->n_tried == ACCESS_FLOW_TRIES - 1)
		return false;
	f->tried[f->n_tried++] = (struct chain_tried){ .way = f->way, .hop = verdict.hop };
	struct chain_way *other = choose_other(f, target, source);
	if (other == NULL || chain_datagram_new(chain_way_client(other), f->io, target, f->ops,
				     f->owner, &datagram) != 0) {
		chain_way_release(other);
		f->n_tried--;
		return false;
	}
	LOG_DEBUG("flow goes another way hop=%u status=%s", error->hop, chain_error_slug(error));
	chain_datagram_free(f->datagram); /* @error may be its own */
	chain_datagram_hurry(datagram);
	f->datagram = datagram;
	f->way = other;
	f->is_reported = false;
	return true;
}

void access_flow_way_close(struct access_flow_way *f)
{
	if (f->ingress == NULL)
		return;
	for (size_t i = 0; i < f->n_tried; i++)
		chain_way_release(f->tried[i].way);
	chain_flow_wait_free(f->wait);
	chain_datagram_free(f->datagram);
	chain_way_release(f->way);
	access_ingress_release(f->ingress);
	*f = (struct access_flow_way){ 0 };
}
