#include "chain/flow_client.h"

#include <assert.h>
#include <stdlib.h>

#include "chain/flow_state.h"

#define NAME_INLINE 15 /* longer names travel in the extension of R */
#define TLV_HEADER  3

static size_t ext_bytes(const struct addr *to)
{
	size_t len = to->kind == ADDR_NAME ? strlen(to->name) : 0;
	return len > NAME_INLINE ? WIRE_EXT_SEALED(TLV_HEADER + len) : 0;
}

static bool can_name(const struct addr *to)
{
	return to->kind != ADDR_NONE && to->port != 0 &&
	       (to->kind != ADDR_NAME || addr_name_is_valid(bytes_of(to->name, strlen(to->name))));
}

static void fill_hops(struct flow_client *f)
{
	f->n_ext_bytes = ext_bytes(&f->target);
	for (size_t i = 0; i < f->n_hops; i++) {
		do
			seal_random(&f->hops[i].fid, sizeof f->hops[i].fid);
		while (f->hops[i].fid == 0);
		if (i > 0)
			f->n_ext_bytes += ext_bytes(&f->spec->hops[i].addr);
	}
}

int flow_client_new(
	const struct flow_client_options *options, uint64_t now_ms, struct flow_client **ret)
{
	size_t n_hops = options->spec->n_hops;
	assert(n_hops >= 1 && n_hops <= CHAIN_HOPS_MAX);
	if (!can_name(options->target))
		return ERR_INVAL;
	struct flow_client *f = calloc(1, sizeof *f + n_hops * sizeof f->hops[0]);
	if (f == NULL)
		return ERR_NOMEM;
	f->spec = options->spec;
	f->target = *options->target;
	f->ephemeral = options->ephemeral;
	f->ops = options->ops;
	f->owner = options->owner;
	f->link_mtu = options->link_mtu;
	f->is_ip6 = options->is_ip6;
	f->exit_limit = f->link_limit = SIZE_MAX;
	f->n_hops = (uint8_t)n_hops;
	f->previous_until_ms = UINT64_MAX;
	f->attempt.start_ms = now_ms;
	flow_on_opened(f);
	flow_on_delivered(f);
	fill_hops(f);
	*ret = f;
	return 0;
}

static void destroy(struct flow_client *f)
{
	flow_epoch_free(f->pending);
	flow_epoch_free(f->current);
	flow_epoch_free(f->previous);
	seal_wipe(f, sizeof *f + f->n_hops * sizeof f->hops[0]);
	free(f);
}

void flow_client_free(struct flow_client *flow)
{
	if (flow == NULL)
		return;
	flow->is_freed = true;
	if (flow->depth == 0) /* else the call on the stack does it at its end */
		destroy(flow);
}

/* Every call that may call back is between these two. */
static void enter(struct flow_client *f)
{
	f->depth++;
}

static void leave(struct flow_client *f)
{
	f->depth--;
	if (f->depth == 0 && f->is_freed)
		destroy(f);
}

/* ---- room ---- */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t flow_client_room(const struct flow_client *flow, enum wire_form form)
{
	size_t n = flow->n_hops, link = flow->link_limit, more = 0;
	size_t room = wire_datagram_room(form, flow->n_hops,
		form == WIRE_FORM_F ? flow->n_ext_bytes : 0, flow->link_mtu, flow->is_ip6);
	if (form == WIRE_FORM_F) /* what the links behind hop 1 carry beyond form S */
		more = (n - 1) * (WIRE_REQUEST - WIRE_BLOCK) + flow->n_ext_bytes + WIRE_BLOCK;
	if (link != SIZE_MAX)
		link = link > more ? link - more : 0;
	return least(room, least(link, flow->exit_limit));
}

/* What a datagram may carry at most: above flow_client_room() it goes in fragments, as UDP does. */
static size_t limit_of(const struct flow_client *f, enum wire_form form)
{
	size_t most = WIRE_DATAGRAM_MAX - wire_datagram_overhead(form, f->n_hops, 0);
	return least(most, least(f->link_limit, f->exit_limit));
}

/* ---- up ---- */

static void count_sent(struct flow_client *f, struct flow_epoch *e, size_t len)
{
	e->has_traffic = true;
	f->counters.n_sent++;
	f->counters.n_sent_bytes += len;
}

static void send_first(struct flow_client *f, struct bytes data, uint64_t now_ms, uint64_t wall_ms)
{
	bool fits = data.len <= flow_client_room(f, WIRE_FORM_F);
	f->attempt.start_ms = now_ms;
	flow_setup_start(f, fits ? &data : NULL, now_ms, wall_ms, false);
	if (f->pending == NULL || f->is_freed)
		return;
	count_sent(f, f->pending, data.len);
	if (!fits)
		flow_send_provisional(f, data);
}

static enum flow_client_verdict send_now(
	struct flow_client *f, struct bytes data, uint64_t now_ms, uint64_t wall_ms)
{
	enum wire_form form = f->current != NULL ? WIRE_FORM_S : WIRE_FORM_P;
	if (f->state == FLOW_FAILED)
		return FLOW_CLIENT_FAILED;
	if (data.len > limit_of(f, form)) {
		f->counters.n_too_long++;
		return FLOW_CLIENT_TOO_LONG;
	}
	if (f->state == FLOW_QUIET) {
		send_first(f, data, now_ms, wall_ms);
	} else if (f->current != NULL) {
		count_sent(f, f->current, data.len);
		flow_on_sent(f, now_ms);
		flow_send_steady(f, data);
	} else {
		count_sent(f, f->pending, data.len);
		flow_send_provisional(f, data);
	}
	return f->state == FLOW_FAILED ? FLOW_CLIENT_FAILED : FLOW_CLIENT_SENT;
}

enum flow_client_verdict flow_client_send(
	struct flow_client *flow, struct bytes data, uint64_t now_ms, uint64_t wall_ms)
{
	enter(flow);
	enum flow_client_verdict verdict = send_now(flow, data, now_ms, wall_ms);
	leave(flow);
	return verdict;
}

/* ---- down, time ---- */

void flow_client_receive(
	struct flow_client *flow, uint8_t *datagram, size_t len, uint64_t now_ms, uint64_t wall_ms)
{
	if (flow->state == FLOW_QUIET || flow->state == FLOW_FAILED) {
		flow->counters.n_junk++;
		return;
	}
	enter(flow);
	flow_parse(flow, bytes_of(datagram, len), now_ms);
	if (flow->health.wants_ping && flow->current != NULL)
		flow_send_ping(flow);
	if (flow->health.wants_setup)
		flow_run(flow, now_ms, wall_ms);
	leave(flow);
}

void flow_client_tick(struct flow_client *flow, uint64_t now_ms, uint64_t wall_ms)
{
	enter(flow);
	flow_run(flow, now_ms, wall_ms);
	leave(flow);
}

uint64_t flow_client_due_ms(const struct flow_client *flow)
{
	return flow_due_ms(flow);
}

void flow_client_rest(struct flow_client *flow)
{
	struct flow_epoch *const held[] = { flow->pending, flow->current, flow->previous };
	for (size_t k = 0; k < 3; k++) {
		if (held[k] != NULL)
			flow_epoch_rest(held[k]);
	}
}

const struct flow_client_counters *flow_client_counters(const struct flow_client *flow)
{
	return &flow->counters;
}
