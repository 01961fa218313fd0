/* What a hop with a valid key may answer to a client that measures: anything. */
#include "chain/trace.h"
#include "chain/wire_response.h"
#include "tests/support/hops.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define WAIT_MS 5000
#define TAIL    3000 /* junk behind an answer */

/* A hop of the test's own, in the place of hop 1. */
struct hostile {
	struct hops hops;
	struct listener *listener;
	struct udp *udp;
	struct wire_response response;
	bool has_tail; /* more behind S than belongs there */
	bool is_copied;
	struct stream *stream;
	uint8_t in[WIRE_REQUEST];
	size_t n_in;
};

struct heard {
	bool is_done, has_error;
	struct chain_error error;
	struct chain_answers answers;
};

static size_t answer(struct hostile *h, const uint8_t *r, uint8_t to[WIRE_RESPONSE_MAX + TAIL])
{
	uint8_t nonce[SEAL_NONCE];
	seal_random(nonce, sizeof nonce);
	int n = wire_response_encode(&h->response, r, h->hops.hop[0].user_key.key, nonce, to);
	cr_assert_gt(n, 0);
	memset(to + n, 0xff, TAIL);
	return (size_t)n + (h->has_tail ? TAIL : 0);
}

static void on_event(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	struct hostile *h = owner;
	uint8_t out[WIRE_RESPONSE_MAX + TAIL];
	if (event == STREAM_CLOSED)
		h->stream = NULL;
	if (event == STREAM_EOF || event == STREAM_FAILED)
		stream_close(s);
	if (event != STREAM_DATA || h->n_in == WIRE_REQUEST)
		return;
	size_t n = WIRE_REQUEST - h->n_in < data.len ? WIRE_REQUEST - h->n_in : data.len;
	memcpy(h->in + h->n_in, data.ptr, n);
	h->n_in += n;
	if (h->n_in == WIRE_REQUEST)
		stream_write(s, bytes_of(out, answer(h, h->in, out)));
}

static void on_accept(struct stream *s, const union addr_sock *peer, void *owner)
{
	struct hostile *h = owner;
	(void)peer;
	h->stream = s;
	h->n_in = 0;
	stream_own(s, on_event, h);
	stream_read_start(s);
}

static void on_packet(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct hostile *h = owner;
	uint8_t out[WIRE_RESPONSE_MAX + TAIL];
	if (packet->len < WIRE_REQUEST)
		return;
	size_t n = answer(h, packet->data, out);
	for (int i = 0; i < (h->is_copied ? 50 : 1); i++)
		udp_send(udp, packet->from, packet->local, bytes_of(out, n), bytes_of(NULL, 0));
}

static void set_up(struct hostile *h, size_t n_hops)
{
	static const struct udp_ops ops = { .on_packet = on_packet };
	struct addr at;
	*h = (struct hostile){ .listener = NULL };
	hops_open(&h->hops, n_hops);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &at), ADDR_OK);
	cr_assert_eq(listener_open(h->hops.loop, &at, false, on_accept, h, &h->listener), 0);
	at.port = listener_port(h->listener);
	struct udp_options options = { .bind = &at };
	cr_assert_eq(udp_open(h->hops.io, &options, &ops, h, &h->udp), 0);
	h->hops.spec_hops[0].addr.port = at.port;
}

static void tear_down(struct hostile *h)
{
	if (h->stream != NULL)
		stream_abort(h->stream);
	hops_turn(&h->hops, 5);
	listener_close(h->listener);
	udp_close(h->udp);
	hops_turn(&h->hops, 5);
	hops_close(&h->hops);
}

static void on_done(const struct chain_error *error, const struct chain_answers *answers,
	uint64_t total_us, void *owner)
{
	struct heard *heard = owner;
	(void)total_us;
	heard->is_done = true;
	heard->has_error = error != NULL;
	if (error != NULL)
		heard->error = *error;
	heard->answers = *answers;
}

static void probe(struct hostile *h, size_t n_hops, bool is_udp, struct heard *heard)
{
	struct chain_probe *probe;
	struct chain_probe_options options = {
		.n_hops = n_hops, .is_udp = is_udp, .timeout_ms = 300
	};
	*heard = (struct heard){ .is_done = false };
	cr_assert_eq(
		chain_probe_start(h->hops.client, h->hops.io, &options, on_done, heard, &probe), 0);
	cr_assert(loop_run_until(h->hops.loop, &heard->is_done, WAIT_MS));
}

/* Under the undefined behaviour sanitizer nothing may overflow on the way. */
Test(hostile, any_time_is_survived, .timeout = 60)
{
	static const uint64_t times[] = { 0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };
	struct hostile h;
	struct heard heard;
	set_up(&h, 1);
	for (size_t i = 0; i < 2 * sizeof times / sizeof times[0]; i++) {
		h.response = (struct wire_response){ .val = times[i / 2],
			.resolve_us = UINT32_MAX,
			.connect_us = UINT32_MAX,
			.tries = UINT8_MAX };
		probe(&h, 1, i % 2, &heard);
		bool is_time = times[i / 2] != 0 && times[i / 2] <= INT64_MAX;
		cr_expect_eq(heard.answers.n_answers, i == 1 ? 0 : 1, "row %zu", i);
		cr_expect_eq(heard.answers.hops[0].has_clock, is_time, "row %zu", i);
	}
	tear_down(&h);
}

Test(hostile, a_hop_of_another_version_tells_no_clock, .timeout = 60)
{
	struct hostile h;
	struct heard heard;
	set_up(&h, 1);
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		h.response = (struct wire_response){ .status = STATUS_VERSION };
		probe(&h, 1, is_udp, &heard);
		cr_expect(heard.has_error && heard.error.status == STATUS_VERSION, "%d", is_udp);
		cr_assert_eq(heard.answers.n_answers, 1);
		cr_expect(!heard.answers.hops[0].has_clock, "%d", is_udp);
		cr_expect_eq(heard.error.clock_skew_ms, 0);
	}
	tear_down(&h);
}

Test(hostile, what_is_behind_an_answer_is_nobodys, .timeout = 60)
{
	struct hostile h;
	struct heard heard;
	set_up(&h, 2);
	h.has_tail = h.is_copied = true;
	for (int i = 0; i < 4; i++) {
		bool is_udp = i % 2;
		h.response = (struct wire_response){ .val = is_udp ? 1 : loop_wall_ms() };
		probe(&h, i < 2 ? 1 : 2, is_udp, &heard);
		cr_expect_eq(heard.has_error, i >= 2, "row %d", i);
	}
	tear_down(&h);
}

struct rounds {
	bool is_done;
	unsigned n;
};

static void on_trace(struct chain_trace *trace, enum chain_trace_event event, void *owner)
{
	struct rounds *r = owner;
	r->is_done = event == CHAIN_TRACE_DONE;
	if (event == CHAIN_TRACE_CHANGED && ++r->n % 3 == 0)
		chain_trace_reset(trace);
	if (event == CHAIN_TRACE_ROUND && r->n % 2 == 0) {
		chain_trace_pause(trace, true);
		chain_trace_pause(trace, false);
	}
}

Test(hostile, a_trace_of_it_ends, .timeout = 60)
{
	struct hostile h;
	for (int i = 0; i < 4; i++) {
		struct rounds r = { .is_done = false };
		struct chain_trace *trace;
		struct chain_trace_options options = {
			.is_udp = i % 2, .n_rounds = 6, .interval_ms = 1, .timeout_ms = 50
		};
		set_up(&h, 3);
		h.is_copied = i / 2;
		h.response = (struct wire_response){ .val = UINT64_MAX, .connect_us = UINT32_MAX };
		cr_assert_eq(
			chain_trace_start(h.hops.client, h.hops.io, &options, on_trace, &r, &trace),
			0);
		cr_expect(loop_run_until(h.hops.loop, &r.is_done, WAIT_MS));
		tear_down(&h);
	}
}

enum act {
	ACT_STOP,
	ACT_CANCEL,
	ACT_RESET,
	ACT_PAUSE,
	ACT_BLINK,
	N_ACTS,
};
struct actor {
	enum chain_trace_event when;
	enum act act;
	unsigned n_events, n_done;
	bool is_over;
};

static void on_act(struct chain_trace *trace, enum chain_trace_event event, void *owner)
{
	struct actor *a = owner;
	a->n_events++;
	if (event == CHAIN_TRACE_DONE)
		a->n_done++;
	a->is_over = a->is_over || event == CHAIN_TRACE_DONE;
	if (event != a->when)
		return;
	switch (a->act) {
	case ACT_STOP:
		chain_trace_stop(trace);
		return;
	case ACT_CANCEL:
		a->is_over = true;
		chain_trace_cancel(trace);
		return;
	case ACT_RESET:
		chain_trace_reset(trace);
		return;
	case ACT_PAUSE:
		chain_trace_pause(trace, true);
		chain_trace_stop(trace);
		return;
	case ACT_BLINK:
		chain_trace_pause(trace, true);
		chain_trace_reset(trace);
		chain_trace_pause(trace, false);
		return;
	case N_ACTS:
		break;
	}
}

static void act_on(struct hostile *h, bool is_udp, enum chain_trace_event when, enum act act)
{
	struct actor a = { .when = when, .act = act };
	struct chain_trace *trace;
	struct chain_trace_options options = {
		.is_udp = is_udp, .n_rounds = 3, .interval_ms = 1, .timeout_ms = 30
	};
	cr_assert_eq(
		chain_trace_start(h->hops.client, h->hops.io, &options, on_act, &a, &trace), 0);
	cr_expect(loop_run_until(h->hops.loop, &a.is_over, WAIT_MS), "when %d act %d", when, act);
	unsigned n_events = a.n_events;
	hops_turn(&h->hops, 40);
	cr_expect_eq(a.n_events, n_events, "nothing after the end: when %d act %d", when, act);
	bool is_silent = act == ACT_CANCEL && when != CHAIN_TRACE_DONE;
	cr_expect_eq(a.n_done, is_silent ? 0 : 1, "when %d act %d", when, act);
}

Test(hostile, a_trace_may_be_acted_on_from_every_event, .timeout = 120)
{
	static const enum chain_trace_event events[] = { CHAIN_TRACE_CHANGED, CHAIN_TRACE_ROUND,
		CHAIN_TRACE_DONE };
	for (int i = 0; i < 2 * 3; i++) {
		struct hostile h;
		set_up(&h, 3);
		h.response = (struct wire_response){ .val = 1 };
		for (int act = 0; act < N_ACTS; act++)
			act_on(&h, i % 2, events[i / 2], (enum act)act);
		tear_down(&h);
	}
}
