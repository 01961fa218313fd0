#include "chain/flow_wait.h"

#include "chain/waiting.h"

#include <stddef.h>
#include <stdlib.h>

struct chain_flow_wait {
	struct chain_upstream *upstream;
	struct chain_upstream_wait wait;
	bool is_waiting; /* in the upstream's list */
	struct addr target;
	union addr_sock source;
	bool has_source;
	struct waiting waiting;
	chain_flow_wait_fn *fn;
	void *owner;
};

static void on_records(struct chain_upstream_wait *wait)
{
	struct chain_flow_wait *w =
		(struct chain_flow_wait *)((char *)wait - offsetof(struct chain_flow_wait, wait));
	struct chain_who who = { .target = &w->target,
		.source = w->has_source ? &w->source : NULL };
	struct chain_way *way = chain_upstream_choose(w->upstream, &who);
	w->is_waiting = way == NULL && chain_upstream_wait(w->upstream, &w->wait);
	if (w->is_waiting)
		return;
	struct chain_error error = chain_upstream_no_way(w->upstream);
	w->fn(way, way == NULL ? &error : NULL, &w->target, w->owner);
}

int chain_flow_wait_new(struct chain_upstream *upstream, const struct chain_who *who,
	chain_flow_wait_fn *fn, void *owner, struct chain_flow_wait **ret)
{
	struct chain_flow_wait *w = calloc(1, sizeof *w);
	if (w == NULL)
		return ERR_NOMEM;
	w->upstream = upstream;
	w->wait.fn = on_records;
	w->target = *who->target;
	w->has_source = who->source != NULL;
	if (w->has_source)
		w->source = *who->source;
	w->fn = fn;
	w->owner = owner;
	w->is_waiting = chain_upstream_wait(upstream, &w->wait);
	if (!w->is_waiting) {
		free(w);
		return ERR_NOMEM;
	}
	*ret = w;
	return 0;
}

void chain_flow_wait_free(struct chain_flow_wait *wait)
{
	if (wait == NULL)
		return;
	if (wait->is_waiting)
		chain_upstream_unwait(wait->upstream, &wait->wait);
	waiting_deinit(&wait->waiting);
	free(wait);
}

bool chain_flow_wait_send(struct chain_flow_wait *wait, struct bytes data)
{
	return waiting_add(&wait->waiting, data);
}

static void send_waiting(struct bytes data, void *owner)
{
	(void)chain_datagram_send(owner, data);
}

void chain_flow_wait_flush(struct chain_flow_wait *wait, struct chain_datagram *datagram)
{
	waiting_flush(&wait->waiting, send_waiting, datagram);
}
