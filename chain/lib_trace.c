#include "chain/lib_state.h"
#include "chain/trace.h"

#include <stddef.h>
#include <stdlib.h>

#define INTERVAL_MS 1000
#define TIMEOUT_MS  10000

/* One row as it is shown. */
struct row {
	struct lib_error error;
	char dialled[LIB_SOCK_MAX];
};

struct hopchain_trace {
	struct lib_item item;
	hopchain_trace_fn *fn; /* NULL: dropped */
	void *owner;
	struct chain_trace *trace;
	char target[ADDR_TEXT_MAX];
	size_t n_rows;
	struct hopchain_row *shown; /* n_rows each; owned */
	struct row *rows;
};

static void finish(struct hopchain_trace *t)
{
	lib_client_remove(&t->item);
	free(t->shown);
	free(t->rows);
	free(t);
}

static void on_event(struct chain_trace *trace, enum chain_trace_event event, void *owner)
{
	struct hopchain_trace *t = owner;
	(void)trace;
	if (t->fn == NULL) { /* dropped: the task ends it */
		if (event == CHAIN_TRACE_DONE)
			t->trace = NULL;
		return;
	}
	switch (event) {
	case CHAIN_TRACE_CHANGED:
		t->fn(t, HOPCHAIN_TRACE_CHANGED, t->owner);
		return;
	case CHAIN_TRACE_ROUND:
		t->fn(t, HOPCHAIN_TRACE_ROUND, t->owner);
		return;
	case CHAIN_TRACE_DONE:
		t->fn(t, HOPCHAIN_TRACE_DONE, t->owner);
		t->trace = NULL;
		if (!t->item.task.is_queued) /* the client was closed from inside */
			finish(t);
		return;
	}
}

static void on_dropped(struct task *task)
{
	struct hopchain_trace *t =
		(struct hopchain_trace *)((char *)task -
					  offsetof(struct hopchain_trace, item.task));
	if (t->trace != NULL)
		chain_trace_cancel(t->trace);
	finish(t);
}

static void drop(struct lib_item *item)
{
	struct hopchain_trace *t = (struct hopchain_trace *)item;
	t->fn = NULL;
	loop_defer(item->client->loop, &item->task, on_dropped);
}

static struct hopchain_trace *trace_new(
	size_t n_rows, const struct addr *target, hopchain_trace_fn *fn, void *owner)
{
	struct hopchain_trace *t = calloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->n_rows = n_rows;
	t->shown = calloc(n_rows, sizeof *t->shown);
	t->rows = calloc(n_rows, sizeof *t->rows);
	t->fn = fn;
	t->owner = owner;
	if (target != NULL)
		addr_print(target, t->target);
	if (t->shown != NULL && t->rows != NULL)
		return t;
	free(t->shown);
	free(t->rows);
	free(t);
	return NULL;
}

static int start(struct hopchain_trace *t, struct hopchain_client *client,
	const struct hopchain_trace_options *options, const struct addr *target)
{
	struct udp_io *io = NULL;
	struct chain_trace_options mine = {
		.target = target,
		.is_udp = options->is_udp,
		.n_rounds = options->n_rounds,
		.interval_ms = options->interval_ms != 0 ? options->interval_ms : INTERVAL_MS,
		.timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS,
	};
	int error = options->is_udp ? lib_client_io(client, &io) : 0;
	if (error == 0)
		error = chain_trace_start(client->client, io, &mine, on_event, t, &t->trace);
	return error;
}

int hopchain_trace_start(struct hopchain_client *client,
	const struct hopchain_trace_options *options, hopchain_trace_fn *fn, void *owner,
	struct hopchain_trace **ret)
{
	static const struct lib_item_ops ops = { .drop = drop };
	struct addr addr;
	if (!LIB_SIZE_IS_GOOD(options, timeout_ms))
		return ERR_INVAL;
	bool has_target = options->target != NULL;
	int error = has_target ? lib_target(client->chain, options->target, &addr) : 0;
	if (error == 0 && client->is_closing)
		error = ERR_CANCEL;
	if (error != 0)
		return error;
	const struct addr *target = has_target ? &addr : NULL;
	struct hopchain_trace *t =
		trace_new(client->chain->spec->n_hops + has_target, target, fn, owner);
	if (t == NULL)
		return ERR_NOMEM;
	error = start(t, client, options, target);
	if (error != 0) {
		free(t->shown);
		free(t->rows);
		free(t);
		return error;
	}
	lib_client_add(client, &t->item, &ops);
	*ret = t;
	return 0;
}

/* --- rows --- */

static void show_times(const struct chain_trace_row *from, struct hopchain_row *to)
{
	const struct chain_stat *total = &from->total, *own = &from->own;
	to->n_sent = total->n_sent;
	to->n_lost = total->n_lost;
	to->has_times = total->n_heard > 0;
	to->last_us = total->last_us;
	to->best_us = total->best_us;
	to->worst_us = total->worst_us;
	to->avg_us = total->mean_us;
	to->stddev_us = chain_stat_deviation(total);
	to->has_own = own->n_heard > 0;
	to->own_last_us = (double)own->last_us;
	to->own_avg_us = own->mean_us;
	to->resolve_us = from->resolve_us;
	to->connect_us = from->connect_us;
	to->n_tries = from->tries;
}

/* What row @i's hop said of itself; behind the last hop there is only what the exit seals with. */
static void show_answer(const struct chain_trace_row *from, bool is_target, struct hopchain_row *to)
{
	if (!from->has_answer)
		return;
	if (is_target) {
		to->cipher = lib_cipher_name(from->answer.cipher);
		return;
	}
	to->has_clock = from->answer.has_clock;
	to->clock_offset_ms = from->answer.clock_offset_ms;
	to->software = from->answer.software[0] != '\0' ? from->answer.software : NULL;
}

static void show_row(struct hopchain_trace *t, size_t i, const struct chain_trace_row *from)
{
	const struct hopchain_chain *chain = t->item.client->chain;
	bool is_target = i == chain->spec->n_hops;
	struct hopchain_row *to = &t->shown[i];
	*to = (struct hopchain_row){
		.hop = (unsigned)i + 1,
		.address = is_target ? t->target : chain->candidates[i][0].address,
		.name = is_target ? NULL : chain->spec->hops[i].name,
	};
	if (from->has_address)
		to->dialled = lib_sock_print(&from->address, t->rows[i].dialled);
	show_times(from, to);
	show_answer(from, is_target, to);
	if (from->has_error) {
		lib_error_set(&t->rows[i].error, &from->error);
		to->error = &t->rows[i].error.error;
	}
}

const struct hopchain_row *hopchain_trace_rows(const struct hopchain_trace *trace, size_t *ret_n)
{
	/* What is shown is a copy for the caller: no part of the trace's state. */
	struct hopchain_trace *t = (struct hopchain_trace *)(uintptr_t)trace;
	size_t n = 0;
	const struct chain_trace_row *rows = chain_trace_rows(trace->trace, &n);
	for (size_t i = 0; i < n && i < t->n_rows; i++)
		show_row(t, i, &rows[i]);
	*ret_n = t->n_rows;
	return t->shown;
}

uint64_t hopchain_trace_n_rounds(const struct hopchain_trace *trace)
{
	return chain_trace_n_rounds(trace->trace);
}

void hopchain_trace_reset(struct hopchain_trace *trace)
{
	chain_trace_reset(trace->trace);
}

void hopchain_trace_pause(struct hopchain_trace *trace, bool is_paused)
{
	chain_trace_pause(trace->trace, is_paused);
}

void hopchain_trace_stop(struct hopchain_trace *trace)
{
	chain_trace_stop(trace->trace);
}
