#include "chain/probe.h"

#include "chain/echo.h"
#include "chain/flow_link.h"
#include "chain/foreign.h"
#include "common/loop.h"

#include <stddef.h>
#include <stdlib.h>

#define UDP_TIMEOUT_MS 10000
#define ALONE_MS       1000 /* from S_i of a middle hop alone to what it was parted from */

struct chain_probe {
	struct chain_client *client;
	struct chain_session *session; /* over TCP */
	struct flow_link *link;        /* over UDP, and all below */
	struct chain_echo *echo;       /* NULL while hop 1 is looked up */
	struct timer deadline;
	uint32_t timeout_ms;
	size_t n_hops;
	bool has_target, is_failed; /* is_failed: told by the timer */
	struct chain_error error;
	struct chain_answers answers;
	chain_probe_fn *on_done;
	void *owner;
};

static struct loop *loop_of(const struct chain_probe *p)
{
	return chain_client_loop(p->client);
}

static void destroy(struct chain_probe *p)
{
	loop_timer_stop(loop_of(p), &p->deadline);
	if (p->session != NULL)
		chain_session_cancel(p->session);
	flow_link_free(p->link);
	chain_echo_free(p->echo);
	free(p);
}

static uint64_t passed_us(const struct chain_probe *p)
{
	return loop_clock_us() - p->answers.start_us;
}

/* The last word. @error may be the probe's own. */
static void finish(struct chain_probe *p, const struct chain_error *error)
{
	struct chain_answers answers = p->answers;
	struct chain_error copy = { 0 };
	chain_probe_fn *on_done = p->on_done;
	void *owner = p->owner;
	uint64_t total_us = passed_us(p);
	if (error != NULL)
		copy = *error;
	else if (answers.n_answers > 0)
		total_us = answers.hops[answers.n_answers - 1].at_us;
	destroy(p);
	on_done(error != NULL ? &copy : NULL, &answers, total_us, owner);
}

/* ---- over TCP ---- */

static void on_session(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct chain_probe *p = owner;
	p->session = NULL;
	if (stream != NULL)
		stream_leave(stream); /* a hop that answered ECHO lingers until it hears of it */
	finish(p, error);
}

static int start_session(struct chain_probe *p, const struct chain_probe_options *options)
{
	struct chain_session_options session = {
		.purpose = p->has_target ? CHAIN_TO_TARGET : CHAIN_TO_ECHO,
		.target = p->has_target ? options->target : NULL,
		.n_hops = p->n_hops,
		.is_trace = true,
		.timeout_ms = options->timeout_ms,
		.answers = &p->answers,
	};
	return chain_session_start(p->client, &session, on_session, p, &p->session);
}

/* ---- over UDP ---- */

static void on_timer(struct timer *timer)
{
	struct chain_probe *p =
		(struct chain_probe *)((char *)timer - offsetof(struct chain_probe, deadline));
	struct chain_error error = p->error;
	if (!p->is_failed && p->echo == NULL)
		flow_link_late(p->link, &error);
	else if (!p->is_failed)
		chain_echo_fail(p->echo, ERR_TIMEOUT, &error);
	error.elapsed_ms = (uint32_t)(passed_us(p) / 1000);
	finish(p, &error);
}

/* From anywhere, also from inside start: told from the loop. */
static void fail_soon(struct chain_probe *p, const struct chain_error *error)
{
	p->is_failed = true;
	p->error = *error;
	loop_timer_start(loop_of(p), &p->deadline, 0, on_timer);
}

static void fail_at_hop_1(struct chain_probe *p, enum chain_stage stage, int code)
{
	const struct chain_spec *spec = chain_client_spec(p->client);
	struct chain_error error = {
		.stage = stage,
		.hop = 1,
		.n_hops = (uint8_t)spec->n_hops,
		.code = code,
		.address = spec->hops[0].addr,
	};
	fail_soon(p, &error);
}

static uint32_t left_ms(const struct chain_probe *p)
{
	uint64_t passed_ms = passed_us(p) / 1000;
	return passed_ms < p->timeout_ms ? (uint32_t)(p->timeout_ms - passed_ms) : 1;
}

static void send_request(struct chain_probe *p)
{
	const union addr_sock *address = flow_link_address(p->link);
	p->answers.tries++;
	p->answers.has_address = true;
	p->answers.address = *address;
	p->answers.written_us = passed_us(p);
	flow_link_send(p->link, chain_echo_request(p->echo));
}

static void on_ready(const struct addr *target, void *owner)
{
	struct chain_probe *p = owner;
	struct chain_echo_options options = {
		.spec = chain_client_spec(p->client),
		.n_hops = p->n_hops,
		.target = p->has_target ? target : NULL,
		.left_ms = left_ms(p),
	};
	p->answers.resolve_us = flow_link_resolve_us(p->link);
	int error = chain_echo_new(&options, loop_wall_ms(), &p->echo);
	if (error == 0)
		send_request(p);
	else
		fail_at_hop_1(p, CHAIN_SETUP, error);
}

static void on_no_way(const struct chain_error *error, void *owner)
{
	fail_soon(owner, error);
}

/* Nobody listens there, or there is no way: another of hop 1's addresses, if it has one. */
static void on_refused(int error, void *owner)
{
	struct chain_probe *p = owner;
	if (p->is_failed)
		return;
	if (flow_link_next(p->link))
		send_request(p);
	else
		fail_at_hop_1(p, CHAIN_DIAL, error);
}

/* In the order of the hops: a clock is judged by what those before it told. Return: whether there
 * was something new. */
static bool note_answers(struct chain_probe *p, uint64_t now_us)
{
	bool is_news = false;
	uint64_t wall_us = loop_wall_us();
	for (unsigned i = 1; i <= p->n_hops; i++) {
		const struct wire_response *response = chain_echo_response(p->echo, i);
		if (response == NULL || p->answers.hops[i - 1].at_us != 0)
			continue;
		is_news = true;
		chain_answers_set(&p->answers, i - 1, response, chain_echo_has_clock(p->echo, i),
			now_us, wall_us);
	}
	return is_news;
}

/* A middle hop speaks alone when what came from behind it was too long to go in one datagram, and
 * then that is on its way; or when the next hop's host refused what it sent there. */
static void wait_briefly(struct chain_probe *p)
{
	uint32_t ms = left_ms(p);
	loop_timer_start(loop_of(p), &p->deadline, ms < ALONE_MS ? ms : ALONE_MS, on_timer);
}

static void on_packet(uint8_t *data, size_t len, void *owner)
{
	struct chain_probe *p = owner;
	uint64_t now_us = loop_clock_us();
	if (p->is_failed)
		return;
	enum chain_echo_step step = chain_echo_feed(p->echo, bytes_of(data, len));
	bool is_news = note_answers(p, now_us);
	if (step == CHAIN_ECHO_MORE && is_news)
		wait_briefly(p);
	if (step == CHAIN_ECHO_MORE)
		return;
	struct chain_error error = *chain_echo_error(p->echo);
	error.elapsed_ms = (uint32_t)(passed_us(p) / 1000);
	finish(p, step == CHAIN_ECHO_DONE ? NULL : &error);
}

/* The first of the steps that carries no datagrams, or NULL. */
static const struct chain_hop *find_foreign(const struct chain_probe *p)
{
	const struct chain_spec *spec = chain_client_spec(p->client);
	for (size_t i = 0; i < p->n_hops; i++) {
		if (spec->hops[i].step != CHAIN_STEP_HOP)
			return &spec->hops[i];
	}
	return NULL;
}

static void fail_foreign(struct chain_probe *p, const struct chain_hop *proxy)
{
	const struct chain_spec *spec = chain_client_spec(p->client);
	struct chain_error error = {
		.stage = CHAIN_STATUS,
		.hop = (uint8_t)(proxy - spec->hops + 1),
		.n_hops = (uint8_t)spec->n_hops,
		.status = STATUS_UNSUPPORTED,
		.foreign = chain_step_name(proxy->step),
		.address = proxy->addr,
		.hop_address = proxy->addr,
		.text = "a foreign proxy carries TCP connections only",
	};
	fail_soon(p, &error);
}

static int start_datagram(
	struct chain_probe *p, struct udp_io *io, const struct chain_probe_options *options)
{
	static const struct flow_link_ops ops = { .on_ready = on_ready,
		.on_packet = on_packet,
		.on_fail = on_no_way,
		.on_error = on_refused };
	static const struct addr nowhere = { 0 };
	const struct chain_hop *proxy = find_foreign(p);
	p->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : UDP_TIMEOUT_MS;
	if (proxy != NULL) {
		p->answers.start_us = loop_clock_us();
		fail_foreign(p, proxy);
		return 0;
	}
	int error = flow_link_new(
		p->client, io, p->has_target ? options->target : &nowhere, &ops, p, &p->link);
	if (error != 0)
		return error;
	p->answers.start_us = loop_clock_us();
	loop_timer_start(loop_of(p), &p->deadline, p->timeout_ms, on_timer);
	flow_link_start(p->link);
	return 0;
}

/* ---- both ---- */

static bool is_possible(const struct chain_client *client, const struct udp_io *io,
	const struct chain_probe_options *o)
{
	return o->n_hops <= chain_client_spec(client)->n_hops &&
	       (o->n_hops > 0 || o->target != NULL) && (!o->is_udp || io != NULL);
}

int chain_probe_start(struct chain_client *client, struct udp_io *io,
	const struct chain_probe_options *options, chain_probe_fn *on_done, void *owner,
	struct chain_probe **ret)
{
	if (!is_possible(client, io, options))
		return ERR_INVAL;
	struct chain_probe *p = calloc(1, sizeof *p);
	if (p == NULL)
		return ERR_NOMEM;
	p->client = client;
	p->has_target = options->n_hops == 0;
	p->n_hops = p->has_target ? chain_client_spec(client)->n_hops : options->n_hops;
	p->on_done = on_done;
	p->owner = owner;
	int error = options->is_udp ? start_datagram(p, io, options) : start_session(p, options);
	if (error != 0) {
		destroy(p);
		return error;
	}
	*ret = p;
	return 0;
}

void chain_probe_cancel(struct chain_probe *probe)
{
	destroy(probe);
}
