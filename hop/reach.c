#include "hop/reach.h"

#include "common/dial.h"
#include "common/proxy_header.h"
#include "hop/target.h"
#include "hop/udp_stream.h"

#include <stdlib.h>

struct hop_reach {
	struct hop_reach_wish wish;
	struct dial *dial;
	struct target_check check;
	struct charge lookup;
	struct udp_stream *flow; /* command UDP, in place of dial */
	hop_reach_fn *on_done;
	void *owner;
};

void hop_reached_drop(const struct hop_reached *reached)
{
	if (reached->flow != NULL)
		udp_stream_cancel(reached->flow);
	if (reached->stream != NULL)
		stream_drop(reached->stream);
}

void hop_reached_name_client(const struct hop_reached *reached, const struct hop_user *user,
	const struct wire_request *request)
{
	uint8_t header[PROXY_HEADER_WRITE];
	if (!user->has_proxy_header || !request->has_client || !(request->flags & WIRE_EXIT))
		return;
	size_t len = proxy_header_write(&request->client, &reached->address, header);
	stream_write(reached->stream, bytes_of(header, len));
}

static void reach_free(struct hop_reach *r)
{
	charge_return(&r->lookup);
	free(r);
}

void hop_reach_cancel(struct hop_reach *r)
{
	if (r->dial != NULL)
		dial_cancel(r->dial);
	if (r->flow != NULL)
		udp_stream_cancel(r->flow);
	reach_free(r);
}

static void report(struct hop_reach *r, struct hop_reached *reached)
{
	hop_reach_fn *on_done = r->on_done;
	void *owner = r->owner;
	reach_free(r);
	on_done(reached, owner);
}

static bool has_trace(const struct hop_reach *r)
{
	return (r->wish.request->flags & WIRE_TRACE) != 0;
}

static void on_dialled(const struct dial_result *result, void *owner)
{
	struct hop_reach *r = owner;
	struct hop_reached reached = {
		.reply.response = {
			.tries = result->n_tries,
			.resolve_us = result->resolve_us,
			.connect_us = result->connect_us,
		},
		.stream = result->error == 0 ? result->stream : NULL,
		.address = result->address,
	};
	struct wire_response *response = &reached.reply.response;
	if (result->error == ERR_DENIED) {
		response->status = (uint8_t)r->check.refusal.status;
		response->detail = r->check.refusal.detail;
	} else if (result->error != 0) {
		hop_reply_status(result, &response->status, &response->detail);
	}
	if (has_trace(r) && result->n_tries > 0) {
		response->has_address = true;
		response->address = result->address;
	}
	report(r, &reached);
}

static void on_flow_opened(const struct hop_flow_outcome *outcome, void *owner)
{
	struct hop_reach *r = owner;
	struct hop_reached reached = {
		.reply.response = {
			.status = outcome->status,
			.detail = outcome->detail,
			.tries = outcome->tries,
			.resolve_us = outcome->resolve_us,
			.connect_us = outcome->connect_us,
			.has_address = outcome->has_address && has_trace(r),
			.address = outcome->address,
		},
		.flow = outcome->status == STATUS_OK ? r->flow : NULL,
	};
	report(r, &reached);
}

static int open_flow(struct hop_reach *r)
{
	const struct hop_worker *w = r->wish.worker;
	const struct wire_request *request = r->wish.request;
	struct udp_stream_options options = {
		.worker = w,
		.entry = r->wish.entry,
		.to = &request->to,
		.timeout_ms = target_timeout_ms(w->options, request->timeout),
		.unanswered_ms = HOP_FLOW_UNREPLIED_MS,
		.answered_ms = hop_flow_answered_ms(request->to.port),
	};
	hop_user_shapers(r->wish.entry->limits, w->shaper, &options.shapers);
	int error = udp_stream_open(&options, on_flow_opened, r, &r->flow);
	shaper_set_release(&options.shapers);
	return error;
}

static int dial(struct hop_reach *r)
{
	const struct hop_worker *w = r->wish.worker;
	const struct wire_request *request = r->wish.request;
	struct dial_options options = {
		.loop = w->loop,
		.resolver = w->resolver,
		.filter = target_filter,
		.filter_owner = &r->check,
		.timeout_ms = target_timeout_ms(w->options, request->timeout),
		.speaks_first = !wire_request_is_last(request),
	};
	r->check = (struct target_check){
		.options = r->wish.options,
		.local = w->local,
		.user = r->wish.entry->user,
		.to = &request->to,
	};
	if (!target_check_name(&r->check))
		return ERR_DENIED;
	if (request->to.kind == ADDR_NAME &&
		!charge_take(&r->lookup, &r->wish.entry->limits->lookups)) {
		r->check.refusal.status = STATUS_LIMIT;
		return ERR_DENIED;
	}
	return dial_start(&options, &request->to, on_dialled, r, &r->dial);
}

bool hop_reach_start(const struct hop_reach_wish *wish, hop_reach_fn *on_done, void *owner,
	struct hop_reach **ret, struct policy_verdict *ret_refusal)
{
	struct hop_reach *r = calloc(1, sizeof *r);
	*ret_refusal = (struct policy_verdict){ STATUS_LOCAL, DETAIL_LOCAL_MEMORY, NULL };
	if (r == NULL)
		return false;
	r->wish = *wish;
	r->on_done = on_done;
	r->owner = owner;
	int error = wish->request->cmd == WIRE_CMD_UDP ? open_flow(r) : dial(r);
	if (error == 0) {
		*ret = r;
		return true;
	}
	if (error == ERR_DENIED)
		*ret_refusal = r->check.refusal;
	reach_free(r);
	return false;
}
