#include "hop/udp_target.h"

#include "common/dial.h"
#include "common/resolve.h"
#include "hop/reply.h"
#include "hop/target.h"

#include <stddef.h>
#include <stdlib.h>

struct udp_target {
	const struct hop_worker *worker;
	struct hop_generation *generation; /* of the policy that is asked; held */
	struct addr to;
	uint64_t timeout_ms;
	struct target_check check;
	struct hop_user_limits *limits; /* of its user */
	struct charge lookup;           /* while it resolves */
	struct resolve_query *query;    /* NULL = not resolving */
	struct task begin;
	uint64_t phase_at_us; /* when resolving or connecting began */
	struct dial_result tried;
	const struct udp_ops *ops;
	void *ops_owner;
	udp_target_fn *fn; /* NULL = cancelled, the queued task only frees */
	void *owner;
};

static void free_target(struct udp_target *t)
{
	charge_return(&t->lookup);
	hop_generation_release(t->generation);
	free(t);
}

static uint32_t since_us(uint64_t at_us)
{
	uint64_t us = loop_clock_us() - at_us;
	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* The one place where a target ends by itself. */
static void report(struct udp_target *t, uint8_t status, uint8_t detail, struct udp *udp)
{
	struct udp_target_result result = {
		.outcome = {
			.status = status,
			.detail = detail,
			.tries = t->tried.n_tries,
			.resolve_us = t->tried.resolve_us,
			.connect_us = t->tried.connect_us,
			.has_address = t->tried.n_tries > 0,
			.address = t->tried.address,
		},
		.udp = udp,
	};
	udp_target_fn *fn = t->fn;
	void *owner = t->owner;
	free_target(t);
	fn(&result, owner);
}

static void report_error(struct udp_target *t, int error)
{
	uint8_t status, detail;
	t->tried.error = error;
	hop_reply_status(&t->tried, &status, &detail);
	report(t, status, detail, NULL);
}

static void report_refusal(struct udp_target *t)
{
	report(t, (uint8_t)t->check.refusal.status, t->check.refusal.detail, NULL);
}

static int open_socket(struct udp_target *t, const union addr_sock *to, struct udp **ret)
{
	struct udp_options options = { .connect = to };
	t->tried.address = *to;
	t->tried.n_tries++; /* at most RESOLVE_MAX_ADDRESSES */
	return udp_open(t->worker->udp, &options, t->ops, t->ops_owner, ret);
}

/* Tries what the policy lets through, in order. */
static void connect_first(struct udp_target *t, const union addr_sock *addresses, size_t n)
{
	int error = 0;
	t->phase_at_us = loop_clock_us();
	for (size_t i = 0; i < n; i++) {
		union addr_sock to = addresses[i];
		struct udp *udp;
		addr_sock_set_port(&to, t->to.port);
		addr_sock_unmap(&to);
		if (target_filter(&to, &t->check) != 0)
			continue;
		error = open_socket(t, &to, &udp);
		t->tried.connect_us = since_us(t->phase_at_us);
		if (error == 0) {
			report(t, STATUS_OK, 0, udp);
			return;
		}
	}
	if (t->tried.n_tries == 0)
		report_refusal(t);
	else
		report_error(t, error);
}

static void on_resolved(int error, const union addr_sock *addresses, size_t n, void *owner)
{
	struct udp_target *t = owner;
	t->query = NULL;
	charge_return(&t->lookup);
	t->tried.resolve_us = since_us(t->phase_at_us);
	if (error == 0 && n == 0)
		error = ERR_NO_ADDRESS;
	if (error != 0)
		report_error(t, error);
	else
		connect_first(t, addresses, n);
}

static void resolve_name(struct udp_target *t)
{
	int error = ERR_NO_ADDRESS;
	if (!charge_take(&t->lookup, &t->limits->lookups)) {
		report(t, STATUS_LIMIT, 0, NULL);
		return;
	}
	t->phase_at_us = loop_clock_us();
	if (t->worker->resolver != NULL)
		error = resolve_start(
			t->worker->resolver, t->to.name, t->timeout_ms, on_resolved, t, &t->query);
	if (error != 0)
		report_error(t, error);
}

static void on_begin(struct task *task)
{
	struct udp_target *t =
		(struct udp_target *)((char *)task - offsetof(struct udp_target, begin));
	union addr_sock literal;
	if (t->fn == NULL) {
		free_target(t);
		return;
	}
	if (!target_check_name(&t->check)) {
		report_refusal(t);
		return;
	}
	if (t->to.kind == ADDR_NAME) {
		resolve_name(t);
		return;
	}
	int error = addr_to_sock(&t->to, &literal);
	if (error != 0)
		report_error(t, error);
	else
		connect_first(t, &literal, 1);
}

int udp_target_open(const struct hop_worker *worker, const struct hop_entry *entry,
	const struct addr *to, uint64_t timeout_ms, const struct udp_ops *ops, void *ops_owner,
	udp_target_fn *fn, void *owner, struct udp_target **ret)
{
	struct udp_target *t = calloc(1, sizeof *t);
	if (t == NULL)
		return ERR_NOMEM;
	t->worker = worker;
	t->generation = hop_generation_hold(worker->generation);
	t->to = *to;
	t->timeout_ms = timeout_ms;
	t->limits = entry->limits;
	t->check = (struct target_check){ .options = worker->options,
		.local = worker->local,
		.user = entry->user,
		.to = &t->to };
	t->ops = ops;
	t->ops_owner = ops_owner;
	t->fn = fn;
	t->owner = owner;
	loop_defer(worker->loop, &t->begin, on_begin);
	*ret = t;
	return 0;
}

void udp_target_cancel(struct udp_target *target)
{
	if (target->query != NULL)
		resolve_cancel(target->query);
	charge_return(&target->lookup);
	target->fn = NULL;
	if (!target->begin.is_queued)
		free_target(target);
}
