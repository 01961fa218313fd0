#include "common/dial.h"

#include "common/tcp.h"

#include <stddef.h>
#include <stdlib.h>

/* Our deadline covers resolving, too: the resolver's comes later and never matters. */
#define RESOLVE_SLACK_MS 1000

struct
try {
	union addr_sock address;
	struct stream *stream; /* NULL: not begun, or over */
};

struct dial {
	struct dial_options options;
	dial_fn *on_done; /* NULL = cancelled, the queued task only frees */
	void *owner;
	struct resolve_query *query; /* NULL = not resolving */
	struct timer deadline, stagger;
	struct task later;
	struct dial_result result;
	uint64_t phase_at_us; /* when resolving or connecting began */
	bool is_starting;     /* inside dial_start(): the result waits for its task */
	uint16_t port;
	uint8_t n_addresses, i_next, n_live;
	struct try tries[]; /* 1 for a literal, else RESOLVE_MAX_ADDRESSES */
};

static uint32_t since_us(uint64_t at_us)
{
	uint64_t us = loop_clock_us() - at_us;
	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* How much an error says about the target; the errno of several tries are compared by it. */
static int telling(int error)
{
	switch (error) {
	case 0:
		return 0;
	case -ENETUNREACH:
	case -EAFNOSUPPORT:
	case -EADDRNOTAVAIL:
		return 1;
	case -ECONNREFUSED:
	case -ECONNRESET:
		return 3;
	default:
		return 2;
	}
}

static void note_error(struct dial *d, int error)
{
	if (telling(error) >= telling(d->result.error))
		d->result.error = error;
}

static void drop(struct dial *d, struct try *t)
{
	stream_drop(t->stream);
	t->stream = NULL;
	d->n_live--;
}

/* Ends whatever goes on. */
static void stop(struct dial *d)
{
	loop_timer_stop(d->options.loop, &d->deadline);
	loop_timer_stop(d->options.loop, &d->stagger);
	if (d->query != NULL)
		resolve_cancel(d->query);
	d->query = NULL;
	for (unsigned i = 0; i < d->i_next && d->n_live > 0; i++) {
		if (d->tries[i].stream != NULL)
			drop(d, &d->tries[i]);
	}
}

static void report(struct dial *d)
{
	struct dial_result result = d->result;
	dial_fn *on_done = d->on_done;
	void *owner = d->owner;
	free(d);
	if (on_done != NULL)
		on_done(&result, owner);
}

static void on_later(struct task *task)
{
	report((struct dial *)((char *)task - offsetof(struct dial, later)));
}

/* The result is complete. @d is gone when this returns, or will be without our doing. */
static void finish(struct dial *d)
{
	stop(d);
	if (d->is_starting)
		loop_defer(d->options.loop, &d->later, on_later);
	else
		report(d);
}

static void finish_with(struct dial *d, int error)
{
	d->result.error = error;
	finish(d);
}

static void on_deadline(struct timer *timer)
{
	struct dial *d = (struct dial *)((char *)timer - offsetof(struct dial, deadline));
	d->result.is_resolving = d->query != NULL;
	if (d->result.is_resolving)
		d->result.resolve_us = since_us(d->phase_at_us);
	else
		d->result.connect_us = since_us(d->phase_at_us);
	note_error(d, ERR_TIMEOUT);
	finish(d);
}

static void try_next(struct dial *d);

static void on_stagger(struct timer *timer)
{
	try_next((struct dial *)((char *)timer - offsetof(struct dial, stagger)));
}

static void win(struct dial *d, struct try *t)
{
	d->result.error = 0;
	d->result.stream = t->stream;
	d->result.address = t->address;
	d->result.connect_us = since_us(d->phase_at_us);
	t->stream = NULL;
	d->n_live--;
	finish(d);
}

static void on_try(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	struct dial *d = owner;
	struct try *t = d->tries;
	(void)data;
	while (t->stream != s)
		t++;
	if (event == STREAM_CONNECTED) {
		win(d, t);
		return;
	}
	if (event != STREAM_FAILED)
		return;
	note_error(d, s->error);
	drop(d, t);
	try_next(d);
}

static int try_start(struct dial *d, struct try *t)
{
	d->result.address = t->address;
	d->result.n_tries++; /* at most RESOLVE_MAX_ADDRESSES */
	int error = tcp_connect(
		d->options.loop, &t->address, d->options.speaks_first, on_try, d, &t->stream);
	if (error == 0)
		d->n_live++;
	else
		t->stream = NULL;
	return error;
}

/* Starts the next address; those that fail at once are passed over. */
static void try_next(struct dial *d)
{
	loop_timer_stop(d->options.loop, &d->stagger);
	while (d->i_next < d->n_addresses) {
		int error = try_start(d, &d->tries[d->i_next++]);
		if (error != 0) {
			note_error(d, error);
			continue;
		}
		if (d->i_next < d->n_addresses)
			loop_timer_start(d->options.loop, &d->stagger, DIAL_STAGGER_MS, on_stagger);
		return;
	}
	if (d->n_live > 0)
		return;
	d->result.connect_us = since_us(d->phase_at_us);
	finish(d);
}

/* Keeps @address for a try if the filter lets it through. */
static void add(struct dial *d, const union addr_sock *address)
{
	union addr_sock to = *address;
	int refused = 0;
	addr_sock_set_port(&to, d->port);
	addr_sock_unmap(&to);
	if (d->options.filter != NULL)
		refused = d->options.filter(&to, d->options.filter_owner);
	if (refused == 0)
		d->tries[d->n_addresses++] = (struct try){ .address = to };
	else if (d->result.refused == 0)
		d->result.refused = refused;
}

static void connect_all(struct dial *d)
{
	if (d->n_addresses == 0) {
		finish_with(d, ERR_DENIED);
		return;
	}
	d->phase_at_us = loop_clock_us();
	try_next(d);
}

static void on_resolved(int error, const union addr_sock *addresses, size_t n, void *owner)
{
	struct dial *d = owner;
	d->query = NULL;
	d->result.resolve_us = since_us(d->phase_at_us);
	if (error != 0) {
		finish_with(d, error);
		return;
	}
	for (size_t i = 0; i < n; i++)
		add(d, &addresses[i]);
	connect_all(d);
}

static void resolve(struct dial *d, const char *name)
{
	const struct dial_options *o = &d->options;
	if (o->resolver == NULL) {
		finish_with(d, ERR_NO_ADDRESS);
		return;
	}
	int error = resolve_start(
		o->resolver, name, o->timeout_ms + RESOLVE_SLACK_MS, on_resolved, d, &d->query);
	if (error != 0)
		finish_with(d, error);
}

static void connect_literal(struct dial *d, const struct addr *to)
{
	union addr_sock address;
	int error = addr_to_sock(to, &address);
	if (error != 0) {
		finish_with(d, error);
		return;
	}
	add(d, &address);
	connect_all(d);
}

int dial_start(const struct dial_options *options, const struct addr *to, dial_fn *on_done,
	void *owner, struct dial **ret)
{
	size_t n_max = to->kind == ADDR_NAME ? RESOLVE_MAX_ADDRESSES : 1;
	struct dial *d = calloc(1, sizeof *d + n_max * sizeof d->tries[0]);
	if (d == NULL)
		return ERR_NOMEM;
	d->options = *options;
	d->on_done = on_done;
	d->owner = owner;
	d->port = to->port;
	d->phase_at_us = loop_clock_us();
	d->is_starting = true;
	loop_timer_start(options->loop, &d->deadline, options->timeout_ms, on_deadline);
	if (to->kind == ADDR_NAME)
		resolve(d, to->name);
	else
		connect_literal(d, to);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): while it is set nothing frees d */
	d->is_starting = false;
	*ret = d;
	return 0;
}

void dial_cancel(struct dial *dial)
{
	stop(dial);
	dial->on_done = NULL;
	if (!dial->later.is_queued)
		free(dial);
}
