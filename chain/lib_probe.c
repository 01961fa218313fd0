#include "chain/lib_state.h"
#include "chain/probe.h"

#include <stddef.h>
#include <stdlib.h>

struct hopchain_probe {
	struct lib_item item;
	hopchain_probe_fn *fn; /* NULL: cancelled */
	void *owner;
	struct chain_probe *probe; /* NULL: it is over */
	struct lib_answers answers;
	struct lib_error error;
	char dialled[LIB_SOCK_MAX];
};

static void finish(struct hopchain_probe *p)
{
	lib_client_remove(&p->item);
	free(p);
}

static void on_done(const struct chain_error *error, const struct chain_answers *answers,
	uint64_t total_us, void *owner)
{
	struct hopchain_probe *p = owner;
	p->probe = NULL;
	if (p->fn == NULL) /* cancelled: the task frees it */
		return;
	struct hopchain_probe_result result = {
		.total_us = total_us,
		.resolve_us = answers->resolve_us,
		.connect_us = answers->connect_us,
		.answers = p->answers.list,
	};
	if (answers->has_address)
		result.dialled = lib_sock_print(&answers->address, p->dialled);
	lib_answers_set(&p->answers, answers, p->item.client->chain);
	result.n_answers = p->answers.n;
	if (error != NULL) {
		lib_error_set(&p->error, error);
		result.error = &p->error.error;
	}
	p->fn(&result, p->owner);
	if (!p->item.task.is_queued) /* cancelled from inside */
		finish(p);
}

static void on_cancelled(struct task *task)
{
	struct hopchain_probe *p =
		(struct hopchain_probe *)((char *)task -
					  offsetof(struct hopchain_probe, item.task));
	if (p->probe != NULL)
		chain_probe_cancel(p->probe);
	finish(p);
}

static void drop(struct lib_item *item)
{
	hopchain_probe_cancel((struct hopchain_probe *)item);
}

static int start(struct hopchain_probe *p, struct hopchain_client *client,
	const struct hopchain_probe_options *options, const struct addr *target)
{
	struct udp_io *io = NULL;
	struct chain_probe_options mine = {
		.n_hops = options->hop,
		.target = options->hop == 0 ? target : NULL,
		.is_udp = options->is_udp,
		.timeout_ms = options->timeout_ms,
	};
	int error = options->is_udp ? lib_client_io(client, &io) : 0;
	if (error == 0)
		error = chain_probe_start(client->client, io, &mine, on_done, p, &p->probe);
	return error;
}

int hopchain_probe_start(struct hopchain_client *client,
	const struct hopchain_probe_options *options, hopchain_probe_fn *fn, void *owner,
	struct hopchain_probe **ret)
{
	static const struct lib_item_ops ops = { .drop = drop };
	struct addr target = { .kind = ADDR_NONE };
	if (!LIB_SIZE_IS_GOOD(options, timeout_ms) || options->hop > client->chain->spec->n_hops)
		return ERR_INVAL;
	int error = options->hop == 0 ? lib_target(client->chain, options->target, &target) : 0;
	if (error == 0 && client->is_closing)
		error = ERR_CANCEL;
	if (error != 0)
		return error;
	struct hopchain_probe *p = calloc(1, sizeof *p);
	if (p == NULL)
		return ERR_NOMEM;
	p->fn = fn;
	p->owner = owner;
	error = start(p, client, options, &target);
	if (error != 0) {
		free(p);
		return error;
	}
	lib_client_add(client, &p->item, &ops);
	*ret = p;
	return 0;
}

void hopchain_probe_cancel(struct hopchain_probe *probe)
{
	probe->fn = NULL;
	loop_defer(probe->item.client->loop, &probe->item.task, on_cancelled);
}
