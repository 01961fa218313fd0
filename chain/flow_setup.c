#include "chain/flow_state.h"

#define RETRY_MS 30000 /* after a background attempt that was refused */

static void drop_pending(struct flow_client *f, uint64_t now_ms)
{
	flow_epoch_free(f->pending);
	f->pending = NULL;
	f->attempt.retry_ms = now_ms + RETRY_MS;
}

void flow_fail(struct flow_client *flow, struct chain_error *error, uint64_t now_ms)
{
	flow_epoch_free(flow->pending);
	flow_epoch_free(flow->current);
	flow_epoch_free(flow->previous);
	flow->pending = flow->current = flow->previous = NULL;
	flow->state = FLOW_FAILED;
	error->n_hops = flow->n_hops;
	error->elapsed_ms = (uint32_t)(now_ms - flow->attempt.start_ms);
	flow->ops->on_fail(error, flow->owner);
}

/* @i from 0. */
static struct chain_error error_at(const struct flow_client *f, size_t i, int code)
{
	return (struct chain_error){
		.hop = (uint8_t)(i + 1),
		.stage = CHAIN_ANSWER,
		.is_udp = true,
		.code = code,
		.address = f->spec->hops[i].addr,
		.connect_us = i > 0 ? f->hops[i - 1].connect_us : 0,
	};
}

static struct chain_error error_of_status(
	const struct flow_client *f, size_t i, const struct wire_response *response)
{
	struct chain_error error = error_at(f, i, 0);
	error.stage = CHAIN_STATUS;
	error.status = response->status;
	error.detail = response->detail;
	error.hop_address = error.address;
	error.address = i + 1u == f->n_hops ? f->target : f->spec->hops[i + 1].addr;
	memcpy(error.text, response->text, sizeof error.text);
	return error;
}

static int seal(struct flow_client *f, uint64_t now_ms, uint64_t wall_ms, struct flow_epoch **ret)
{
	uint64_t fids[CHAIN_HOPS_MAX];
	struct flow_epoch_options options = {
		.spec = f->spec,
		.target = &f->target,
		.fids = fids,
		.ephemeral = f->ephemeral,
		.serial = f->last_serial + 1,
		.now_ms = now_ms,
		.wall_ms = wall_ms,
	};
	for (size_t i = 0; i < f->n_hops; i++)
		fids[i] = f->hops[i].fid;
	return flow_epoch_make(&options, ret);
}

/* No memory, or a chain that no request can name. */
static void on_seal_error(struct flow_client *f, int code, uint64_t now_ms)
{
	struct chain_error error = { .hop = 1, .stage = CHAIN_SETUP, .code = code };
	f->health.since_ms = now_ms;
	f->health.ping_ms = UINT64_MAX;
	error.address = f->spec->hops[0].addr;
	if (f->current != NULL)
		drop_pending(f, now_ms);
	else
		flow_fail(f, &error, now_ms);
}

void flow_setup_start(struct flow_client *flow, const struct bytes *data, uint64_t now_ms,
	uint64_t wall_ms, bool is_background)
{
	struct flow_attempt *a = &flow->attempt;
	struct flow_epoch *epoch;
	if (flow->pending == NULL) {
		a->start_ms = now_ms;
		a->answered = 0;
		a->is_background = is_background;
	}
	flow->health.wants_setup = false;
	a->sealed_ms = now_ms;
	a->is_background = a->is_background && is_background;
	int error = seal(flow, now_ms, wall_ms, &epoch);
	if (error != 0) {
		on_seal_error(flow, error, now_ms);
		return;
	}
	flow_epoch_free(flow->pending);
	flow->pending = epoch;
	flow->last_serial = epoch->serial;
	flow->counters.n_epochs++;
	if (flow->state == FLOW_QUIET)
		flow->state = FLOW_SETUP;
	a->i_gap = 0;
	flow_send_requests(flow, epoch, data);
	flow_on_repeated(flow, now_ms);
}

void flow_setup_expire(struct flow_client *flow, uint64_t now_ms)
{
	size_t i = 0;
	if (flow->current != NULL && flow->health.heard_ms > flow->attempt.start_ms) {
		drop_pending(flow, now_ms);
		return;
	}
	while (i + 1u < flow->n_hops && (flow->attempt.answered >> i & 1) != 0)
		i++;
	struct chain_error error = error_at(flow, i, ERR_TIMEOUT);
	flow_fail(flow, &error, now_ms);
}

/* ---- answers ---- */

/* The exit validates alternating low bits: equal ones say that it never validated what is current
 * here, so it seals with what is previous, if that is here. */
static void promote(struct flow_client *f, uint64_t now_ms)
{
	bool is_first = f->state == FLOW_SETUP;
	if (f->current != NULL && f->previous != NULL &&
		((f->pending->fid ^ f->current->fid) & 1) == 0) {
		flow_epoch_free(f->current);
	} else {
		flow_epoch_free(f->previous);
		f->previous = f->current;
	}
	f->current = f->pending;
	f->pending = NULL;
	f->previous_until_ms = UINT64_MAX;
	f->health.confirm_gap_ms = 1000;
	f->health.confirm_ms = now_ms + 1000;
	f->attempt.retry_ms = 0;
	f->state = FLOW_OPEN;
	if (is_first)
		f->ops->on_open(f->owner);
}

static void on_answer(struct flow_client *f, struct flow_epoch *e, size_t i,
	const struct wire_response *response, uint64_t now_ms)
{
	struct flow_hop *hop = &f->hops[i];
	bool is_exit = i + 1u == f->n_hops;
	flow_on_opened(f);
	if (e->serial >= hop->serial) {
		hop->serial = e->serial;
		hop->assigned = response->val;
		hop->connect_us = response->connect_us;
	}
	if (e == f->pending)
		f->attempt.answered |= (uint16_t)(1u << i);
	bool is_news = is_exit || flow_epoch_is_complete(e);
	if (is_news && (e == f->current || is_exit))
		f->health.wants_ping = true; /* before on_open: a datagram from there does it */
	if (is_exit)
		promote(f, now_ms);
}

/* A hop says no, or breaks the rules. What works goes on without the new epoch. */
static void on_refused(struct flow_client *f, const struct flow_epoch *e, struct chain_error *error,
	uint64_t now_ms)
{
	bool is_well = f->attempt.is_background || f->health.heard_ms > f->attempt.start_ms;
	if (e != f->pending)
		f->counters.n_junk++;
	else if (f->current != NULL && is_well)
		drop_pending(f, now_ms);
	else
		flow_fail(f, error, now_ms);
}

/* Return: whether the rest may be looked at. */
static bool take(struct flow_client *f, struct flow_epoch *e, enum flow_answer answer, size_t i,
	const struct wire_response *response, uint64_t now_ms)
{
	struct chain_error error;
	switch (answer) {
	case FLOW_ANSWER_AGAIN:
		flow_on_opened(f);
		return true;
	case FLOW_ANSWER_OK:
		on_answer(f, e, i, response, now_ms);
		return f->state == FLOW_OPEN || i + 1u < f->n_hops;
	case FLOW_ANSWER_STATUS:
		error = error_of_status(f, i, response);
		on_refused(f, e, &error, now_ms);
		return false;
	case FLOW_ANSWER_BROKEN:
		error = error_at(f, i, ERR_BAD_RECORD);
		on_refused(f, e, &error, now_ms);
		return false;
	case FLOW_ANSWER_NONE:
	case FLOW_ANSWER_NOMEM:
		break;
	}
	f->counters.n_junk++;
	return false;
}

bool flow_setup_parse(struct flow_client *flow, size_t i, struct bytes *from, uint64_t now_ms)
{
	struct flow_epoch *const held[] = { flow->pending, flow->current, flow->previous };
	enum flow_answer answer = FLOW_ANSWER_NONE;
	struct flow_epoch *epoch = NULL;
	struct wire_response response;
	size_t len = 0;
	for (size_t k = 0; k < 3 && answer == FLOW_ANSWER_NONE; k++) {
		epoch = held[k];
		if (epoch != NULL)
			answer = flow_epoch_answer(
				epoch, flow->spec, i, *from, now_ms, &response, &len);
	}
	*from = bytes_of(from->ptr + len, from->len - len);
	return take(flow, epoch, answer, i, &response, now_ms) && !flow->is_freed;
}
