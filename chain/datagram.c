#include "chain/datagram.h"

#include "chain/flow_direct.h"
#include "chain/flow_packets.h"
#include "chain/flow_stream.h"
#include "chain/waiting.h"
#include "common/loop.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#define LOG_MODULE "chain"
#include "common/log.h"

#define LINK_MTU 1500 /* what chain_datagram_mtu() takes for granted */

enum state {
	STATE_LOOKUP,   /* of the target's name, then of hop 1's */
	STATE_DATAGRAM, /* packets; for a while a stream on trial beside them */
	STATE_STREAM,
	STATE_DIRECT, /* a chain without hops, from the beginning */
	STATE_FAILED, /* told by the timer, then quiet */
	N_STATES,
};

static const struct {
	const char *name;
	unsigned next;
} states[N_STATES] = {
	[STATE_LOOKUP] = { "lookup", 1u << STATE_DATAGRAM | 1u << STATE_STREAM |
					     1u << STATE_DIRECT | 1u << STATE_FAILED },
	[STATE_DATAGRAM] = { "datagram", 1u << STATE_STREAM | 1u << STATE_FAILED },
	[STATE_STREAM] = { "stream", 1u << STATE_FAILED },
	[STATE_DIRECT] = { "direct", 1u << STATE_FAILED },
	[STATE_FAILED] = { "failed", 0 },
};

struct chain_datagram {
	struct chain_client *client;
	struct addr target;
	const struct chain_datagram_ops *ops;
	void *owner;
	struct flow_packets *packets; /* LOOKUP, DATAGRAM */
	struct flow_stream *stream;   /* DATAGRAM: on trial */
	struct flow_direct *direct;
	struct timer probe;
	uint8_t state;
	bool is_hurried; /* somebody else can carry the flow */
	struct waiting waiting;
	struct chain_datagram_counters counters;
	struct chain_error error;
};

static struct loop *loop_of(const struct chain_datagram *d)
{
	return chain_client_loop(d->client);
}

static void enter(struct chain_datagram *d, enum state next)
{
	assert(states[d->state].next & 1u << next);
	LOG_DEBUG("udp flow from=%s to=%s", states[d->state].name, states[next].name);
	d->state = (uint8_t)next;
}

/* What only datagrams need. */
static void drop_packets(struct chain_datagram *d)
{
	loop_timer_stop(loop_of(d), &d->probe);
	flow_packets_free(d->packets);
	d->packets = NULL;
}

static void tell_failure(struct timer *timer)
{
	struct chain_datagram *d =
		(struct chain_datagram *)((char *)timer - offsetof(struct chain_datagram, probe));
	drop_packets(d);
	d->ops->on_fail(&d->error, d->owner); /* may free @d */
}

/* From anywhere, also from inside the flow: the owner hears of it from the loop. */
static void fail(struct chain_datagram *d, const struct chain_error *error)
{
	if (d->state == STATE_FAILED)
		return;
	enter(d, STATE_FAILED);
	d->error = *error;
	flow_packets_stop(d->packets);
	loop_timer_start(loop_of(d), &d->probe, 0, tell_failure);
}

static void deliver(struct bytes data, void *owner)
{
	struct chain_datagram *d = owner;
	d->counters.n_down++;
	d->counters.n_down_bytes += data.len;
	d->ops->deliver(data, d->owner);
}

static void on_flow_status(uint8_t status, void *owner)
{
	struct chain_datagram *d = owner;
	d->ops->on_status(status, d->owner);
}

static void send_waiting(struct bytes data, void *owner);

/* The stream on trial is not wanted: what waited for it goes as datagrams. */
static void end_trial(struct chain_datagram *d)
{
	struct waiting waiting = { 0 };
	if (d->stream != NULL)
		waiting = flow_stream_take_waiting(d->stream);
	flow_stream_free(d->stream);
	d->stream = NULL;
	waiting_flush(&waiting, send_waiting, d);
}

static void on_flow_open(void *owner)
{
	struct chain_datagram *d = owner;
	loop_timer_stop(loop_of(d), &d->probe);
	chain_client_set_udp_path(d->client, CHAIN_UDP_WORKS);
	end_trial(d);
}

static void on_flow_fail(const struct chain_error *error, void *owner)
{
	struct chain_datagram *d = owner;
	if (error->stage == CHAIN_ANSWER && !flow_packets_is_open(d->packets))
		chain_client_set_udp_path(d->client, CHAIN_UDP_UNKNOWN); /* may be lost by now */
	fail(d, error);
}

/* The stream on trial stands and no datagram came back. */
static void on_stream_open(void *owner)
{
	struct chain_datagram *d = owner;
	if (d->state != STATE_DATAGRAM)
		return;
	chain_client_set_udp_path(d->client, CHAIN_UDP_LOST);
	LOG_LIMITED(LOG_LEVEL_NOTICE,
		"the way through this chain loses datagrams: UDP goes inside a stream hint=\"let "
		"UDP pass to every hop's port\"");
	drop_packets(d);
	enter(d, STATE_STREAM);
}

static void on_stream_fail(const struct chain_error *error, void *owner)
{
	struct chain_datagram *d = owner;
	const struct chain_spec *spec = chain_client_spec(d->client);
	if (d->state != STATE_STREAM && !d->is_hurried) { /* on trial: datagrams may still come */
		end_trial(d);
		return;
	}
	if (spec->udp == CHAIN_UDP_AUTO)
		chain_client_set_udp_path(d->client, CHAIN_UDP_UNKNOWN);
	fail(d, error);
}

static int new_stream(struct chain_datagram *d)
{
	static const struct flow_stream_ops ops = {
		.deliver = deliver, .on_open = on_stream_open, .on_fail = on_stream_fail
	};
	return flow_stream_new(d->client, &d->target, &ops, d, &d->stream);
}

static void on_probe(struct timer *timer)
{
	struct chain_datagram *d =
		(struct chain_datagram *)((char *)timer - offsetof(struct chain_datagram, probe));
	if (chain_client_udp_path(d->client) == CHAIN_UDP_WORKS && !d->is_hurried)
		return;
	if (new_stream(d) == 0 && flow_stream_build(d->stream) != 0) {
		flow_stream_free(d->stream);
		d->stream = NULL;
	}
}

/* One datagram of the application's over what carries the flow. */
static enum flow_client_verdict send_now(struct chain_datagram *d, struct bytes data)
{
	enum flow_client_verdict verdict;
	if (d->stream != NULL && flow_stream_send(d->stream, data))
		return FLOW_CLIENT_SENT;
	if (d->state == STATE_STREAM) {
		d->counters.n_waiting++;
		return FLOW_CLIENT_SENT;
	} /* else on trial: what it cannot hold goes as a datagram */
	bool is_first = !flow_packets_has_begun(d->packets);
	enum chain_udp_path path = chain_client_udp_path(d->client);
	verdict = flow_packets_send(d->packets, data);
	if (is_first && d->state == STATE_DATAGRAM &&
		chain_client_spec(d->client)->udp == CHAIN_UDP_AUTO &&
		(path == CHAIN_UDP_UNKNOWN || (path == CHAIN_UDP_WORKS && d->is_hurried)))
		loop_timer_start(loop_of(d), &d->probe, CHAIN_UDP_PROBE_MS, on_probe);
	return verdict;
}

static void send_waiting(struct bytes data, void *owner)
{
	struct chain_datagram *d = owner;
	if (d->state == STATE_DATAGRAM && send_now(d, data) == FLOW_CLIENT_TOO_LONG)
		d->counters.n_too_long++;
}

static void on_ready(void *owner)
{
	struct chain_datagram *d = owner;
	enter(d, STATE_DATAGRAM);
	waiting_flush(&d->waiting, send_waiting, d);
}

static void on_no_way(const struct chain_error *error, void *owner)
{
	fail(owner, error);
}

static int start_direct(struct chain_datagram *d, struct udp_io *io)
{
	static const struct flow_direct_ops ops = {
		.deliver = deliver, .on_status = on_flow_status, .on_fail = on_no_way
	};
	int error = flow_direct_new(d->client, io, &d->target, &ops, d, &d->direct);
	if (error != 0)
		return error;
	enter(d, STATE_DIRECT);
	flow_direct_start(d->direct);
	return 0;
}

/* Whether flows go in streams from the beginning. */
static bool needs_stream(const struct chain_datagram *d)
{
	const struct chain_spec *spec = chain_client_spec(d->client);
	return spec->udp == CHAIN_UDP_STREAM || chain_spec_has_foreign(spec) ||
	       (spec->udp == CHAIN_UDP_AUTO && chain_client_udp_path(d->client) == CHAIN_UDP_LOST);
}

static int start(struct chain_datagram *d, struct udp_io *io)
{
	static const struct flow_packets_ops ops = {
		.deliver = deliver,
		.on_status = on_flow_status,
		.on_ready = on_ready,
		.on_open = on_flow_open,
		.on_fail = on_flow_fail,
	};
	if (chain_client_spec(d->client)->n_hops == 0)
		return start_direct(d, io);
	if (needs_stream(d)) {
		enter(d, STATE_STREAM);
		return new_stream(d);
	}
	int error = flow_packets_new(d->client, io, &d->target, &ops, d, &d->packets);
	if (error == 0)
		flow_packets_start(d->packets);
	return error;
}

int chain_datagram_new(struct chain_client *client, struct udp_io *io, const struct addr *target,
	const struct chain_datagram_ops *ops, void *owner, struct chain_datagram **ret)
{
	struct chain_datagram *d = calloc(1, sizeof *d);
	if (d == NULL)
		return ERR_NOMEM;
	d->client = client;
	d->target = *target;
	d->ops = ops;
	d->owner = owner;
	int error = start(d, io);
	if (error != 0) {
		chain_datagram_free(d);
		return error;
	}
	*ret = d;
	return 0;
}

void chain_datagram_free(struct chain_datagram *datagram)
{
	if (datagram == NULL)
		return;
	drop_packets(datagram);
	flow_stream_free(datagram->stream);
	flow_direct_free(datagram->direct);
	waiting_deinit(&datagram->waiting);
	free(datagram);
}

static enum flow_client_verdict send_direct(struct chain_datagram *d, struct bytes data)
{
	if (data.len > UDP_PAYLOAD_MAX)
		return FLOW_CLIENT_TOO_LONG;
	if (!flow_direct_send(d->direct, data))
		d->counters.n_waiting++;
	return FLOW_CLIENT_SENT;
}

enum flow_client_verdict chain_datagram_send(struct chain_datagram *datagram, struct bytes data)
{
	enum flow_client_verdict verdict = FLOW_CLIENT_SENT;
	switch ((enum state)datagram->state) {
	case STATE_LOOKUP:
		if (!waiting_add(&datagram->waiting, data))
			datagram->counters.n_waiting++;
		break;
	case STATE_DATAGRAM:
	case STATE_STREAM:
		verdict = send_now(datagram, data);
		break;
	case STATE_DIRECT:
		verdict = send_direct(datagram, data);
		break;
	case STATE_FAILED:
	case N_STATES:
		return FLOW_CLIENT_FAILED;
	}
	if (verdict == FLOW_CLIENT_TOO_LONG)
		datagram->counters.n_too_long++;
	if (verdict == FLOW_CLIENT_SENT) {
		datagram->counters.n_up++;
		datagram->counters.n_up_bytes += data.len;
	}
	return verdict;
}

size_t chain_datagram_room(const struct chain_datagram *datagram, enum wire_form form)
{
	if (datagram->state == STATE_STREAM)
		return UDP_PAYLOAD_MAX;
	if (datagram->state == STATE_DIRECT)
		return flow_direct_room(datagram->direct);
	return datagram->packets != NULL ? flow_packets_room(datagram->packets, form) : 0;
}

int chain_datagram_mtu(const struct chain_spec *spec, const struct addr *target, size_t *ret_first,
	size_t *ret_steady)
{
	if (spec->n_hops == 0) {
		*ret_first = *ret_steady = flow_direct_mtu(target, LINK_MTU);
		return 0;
	}
	if (chain_spec_has_foreign(spec)) {
		*ret_first = *ret_steady = UDP_PAYLOAD_MAX;
		return spec->hops[spec->n_hops - 1].step == CHAIN_STEP_HOP ? 0 : ERR_INVAL;
	}
	return flow_packets_mtu(spec, target, LINK_MTU, ret_first, ret_steady);
}

void chain_datagram_hurry(struct chain_datagram *datagram)
{
	datagram->is_hurried = true;
}

bool chain_datagram_is_stream(const struct chain_datagram *datagram)
{
	return datagram->state == STATE_STREAM;
}

struct chain_datagram_counters chain_datagram_counters(const struct chain_datagram *datagram)
{
	struct chain_datagram_counters counters = datagram->counters;
	if (datagram->packets != NULL)
		counters.n_refused = flow_packets_n_errors(datagram->packets);
	if (datagram->direct != NULL)
		counters.n_refused = flow_direct_n_errors(datagram->direct);
	const struct flow_client_counters *flow =
		datagram->packets != NULL ? flow_packets_counters(datagram->packets) : NULL;
	if (flow != NULL) {
		counters.n_junk = flow->n_junk;
		counters.n_forged = flow->n_forged;
		counters.n_replayed = flow->n_replayed;
	}
	return counters;
}

void chain_datagram_rest(struct chain_datagram *datagram)
{
	if (datagram->packets != NULL)
		flow_packets_rest(datagram->packets);
}
