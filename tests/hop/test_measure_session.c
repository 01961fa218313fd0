/* Command MEASURE from end to end: a client of a chain of one hop and the hop's session, on one
 * loop. */
#include "chain/session.h"
#include "common/listener.h"
#include "common/record.h"
#include "hop/session.h"
#include "tests/support/failing.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define NUMBER  8
#define WAIT_MS 5000
static const bool never = false;

/* One connection as its client sees it. */
struct view {
	struct sink sink;
	struct chain_error error;
	struct chain_answers answers;
	bool is_done, is_open;
};

struct world {
	struct loop *loop;
	struct hop_options options;
	struct hop_user user;
	struct hop_user_key user_key;
	struct hop_worker hop;
	struct quota connections;
	struct rate handshakes;
	struct listener *listener;
	struct chain_spec spec;
	struct chain_hop spec_hop;
	struct chain_client *client;
	struct view view;
};

static void on_session_end(struct hop_worker *w)
{
	(void)w;
}

static void on_drain_empty(void *owner)
{
	(void)owner;
}

static void on_accept(struct stream *s, const union addr_sock *peer, void *owner)
{
	hop_session_start(&((struct world *)owner)->hop, s, peer);
}

static struct wire_key *new_key(void)
{
	uint8_t credential[WIRE_CREDENTIAL];
	struct wire_key *key;
	memset(credential, 3, 32);
	memset(credential + 32, 4, 32);
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	return key;
}

static void set_up_hop(struct world *w)
{
	struct replay_options memory = { .path = NULL };
	struct addr any;
	w->options = (struct hop_options)HOP_OPTIONS_DEFAULT;
	w->user_key = (struct hop_user_key){ .key = new_key(), .not_after_ms = UINT64_MAX };
	w->user = (struct hop_user){
		.name = (char *)(uintptr_t) "me", .keys = &w->user_key, .n_keys = 1
	};
	w->options.users = &w->user;
	w->options.n_users = 1;
	w->user.max_connections = 3;
	w->hop = (struct hop_worker){ .loop = w->loop,
		.options = &w->options,
		.connections = &w->connections,
		.handshakes = &w->handshakes,
		.on_session_end = on_session_end };
	cr_assert_eq(source_quota_new(0, &w->hop.sources), 0);
	cr_assert_eq(hop_users_new(&w->options, (struct hop_users **)&w->hop.users), 0);
	cr_assert_eq(replay_open(&memory, loop_wall_ms() - 60000, 1, &w->hop.replay), 0);
	cr_assert_eq(local_addresses_new((struct local_addresses **)&w->hop.local), 0);
	cr_assert_eq(relay_group_new(w->loop, &w->hop.relays), 0);
	cr_assert_eq(drain_new(w->loop, (struct drain_limits){ 1024, 20000 }, on_drain_empty, NULL,
			     &w->hop.drain),
		0);
	cr_assert_eq(wire_ephemeral_new(60000, &w->hop.ephemeral), 0);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &any), ADDR_OK);
	cr_assert_eq(listener_open(w->loop, &any, false, on_accept, w, &w->listener), 0);
}

static void set_up(struct world *w, bool is_header_only)
{
	*w = (struct world){ .loop = NULL };
	cr_assert(seal_start() == 0 && record_start() == 0);
	cr_assert_eq(loop_new(&w->loop), 0);
	set_up_hop(w);
	w->spec = (struct chain_spec)CHAIN_SPEC_DEFAULT;
	w->spec.hops = &w->spec_hop;
	w->spec.n_hops = 1;
	w->spec.connect_timeout_ms = 1000;
	w->spec.is_header_only = is_header_only;
	w->spec_hop.key = new_key();
	w->spec_hop.addr = (struct addr){
		.kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = listener_port(w->listener)
	};
	cr_assert_eq(chain_client_new(w->loop, NULL, &w->spec, &w->client), 0);
}

static bool wait_for_sessions(struct world *w)
{
	for (int i = 0; i < 500 && w->hop.sessions != NULL; i++)
		loop_run_until(w->loop, &never, 10);
	return w->hop.sessions == NULL;
}

static void hang_up(struct world *w, struct view *v)
{
	if (v->sink.stream != NULL) {
		stream_abort(v->sink.stream);
		cr_assert(loop_run_until(w->loop, &v->sink.is_closed, WAIT_MS));
	}
	cr_expect_eq(v->sink.n_events_after_end, 0);
	sink_free(&v->sink);
}

static void tear_down(struct world *w)
{
	hang_up(w, &w->view);
	hop_sessions_stop(&w->hop);
	drain_stop(w->hop.drain);
	cr_expect(wait_for_sessions(w));
	for (int i = 0; i < 100 && !drain_is_empty(w->hop.drain); i++)
		loop_run_until(w->loop, &never, 10);
	cr_expect_eq(w->connections.n, 0, "every charge came back");
	listener_close(w->listener);
	loop_run_until(w->loop, &never, 20);
	chain_client_free(w->client);
	relay_group_free(w->hop.relays);
	drain_free(w->hop.drain);
	hop_worker_forget(&w->hop);
	hop_users_free((struct hop_users *)w->hop.users);
	local_addresses_free((struct local_addresses *)w->hop.local);
	replay_close(w->hop.replay);
	source_quota_free(w->hop.sources);
	wire_key_free(w->user_key.key);
	wire_key_free(w->spec_hop.key);
	loop_free(w->loop);
}

static void on_chain(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct view *v = owner;
	v->is_done = true;
	v->is_open = stream != NULL;
	if (error != NULL)
		v->error = *error;
	else
		sink_take(&v->sink, stream);
}

static void open_for(struct world *w, struct view *v, enum chain_purpose purpose)
{
	struct chain_session *session;
	struct chain_session_options options = { .purpose = purpose, .is_trace = true };
	options.answers = &v->answers;
	cr_assert_eq(chain_session_start(w->client, &options, on_chain, v, &session), 0);
	cr_assert(loop_run_until(w->loop, &v->is_done, WAIT_MS));
}

static void put_number(struct view *v, uint64_t number)
{
	uint8_t bytes[NUMBER];
	struct wire_writer to;
	wire_writer_init(&to, bytes, sizeof bytes);
	wire_put_u64(&to, number);
	stream_write(v->sink.stream, bytes_of(bytes, sizeof bytes));
}

/* Opens, asks for @n_down bytes, and reads. */
static void start(struct world *w, struct view *v, uint64_t n_down)
{
	open_for(w, v, CHAIN_TO_MEASURE);
	cr_assert(v->is_open);
	put_number(v, n_down);
	stream_read_start(v->sink.stream);
}

static void put(struct world *w, struct view *v, size_t n)
{
	static uint8_t data[65536];
	while (n > 0) {
		size_t piece = n < sizeof data ? n : sizeof data;
		v->sink.is_drained = false;
		if (stream_write(v->sink.stream, bytes_of(data, piece)))
			cr_assert(loop_run_until(w->loop, &v->sink.is_drained, WAIT_MS));
		n -= piece;
	}
}

static void expect_count(struct world *w, struct view *v, size_t n_zeros, uint64_t n_counted)
{
	struct wire_reader from;
	cr_assert(loop_run_until(w->loop, &v->sink.has_ended, 2 * WAIT_MS));
	cr_assert_eq(v->sink.n, n_zeros + NUMBER);
	wire_reader_init(&from, bytes_of(v->sink.data + n_zeros, NUMBER));
	cr_expect_eq(wire_u64(&from), n_counted);
}

static void check_amounts(bool is_header_only)
{
	static const struct {
		size_t n_down, n_up;
	} rows[] = { { 0, 0 }, { 1, 0 }, { 0, 1 }, { 20000000, 3 }, { 5, 20000000 },
		{ 3000000, 3000000 } };
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct world w;
		set_up(&w, is_header_only);
		start(&w, &w.view, rows[i].n_down);
		cr_expect_eq(w.connections.n, 1, "counts as a connection");
		cr_expect_str_eq(w.view.answers.hops[0].software, "hopchain " HOPCHAIN_VERSION);
		put(&w, &w.view, rows[i].n_up);
		stream_shutdown(w.view.sink.stream);
		expect_count(&w, &w.view, rows[i].n_down, rows[i].n_up);
		cr_expect(wait_for_sessions(&w));
		tear_down(&w);
	}
}

Test(measure_session, amounts_up_and_down_sealed, .timeout = 60)
{
	check_amounts(false);
}

Test(measure_session, amounts_up_and_down_plain, .timeout = 60)
{
	check_amounts(true);
}

Test(measure_session, an_early_end_is_answered_with_no_count, .timeout = 60)
{
	for (size_t n = 0; n < NUMBER; n++) {
		struct world w;
		set_up(&w, n % 2);
		open_for(&w, &w.view, CHAIN_TO_MEASURE);
		cr_assert(w.view.is_open);
		stream_read_start(w.view.sink.stream);
		put(&w, &w.view, n);
		stream_shutdown(w.view.sink.stream);
		expect_count(&w, &w.view, 0, 0);
		tear_down(&w);
	}
}

Test(measure_session, a_client_that_does_not_read_stops_the_zeros, .timeout = 60)
{
	for (int is_header_only = 0; is_header_only < 2; is_header_only++) {
		struct world w;
		set_up(&w, is_header_only);
		w.options.relay.idle_timeout_ms = 1000;
		start(&w, &w.view, UINT64_MAX);
		for (int i = 0; i < 500 && w.view.sink.n < 1000000; i++)
			loop_turn(w.loop);
		cr_expect_geq(w.view.sink.n, 1000000);
		stream_read_stop(w.view.sink.stream);
		cr_expect(wait_for_sessions(&w), "idle: nothing moves");
		stream_read_start(w.view.sink.stream);
		cr_expect(loop_run_until(w.loop, &w.view.sink.has_failed, WAIT_MS));
		cr_expect(!w.view.sink.has_ended, "an idle end is none in order");
		tear_down(&w);
	}
}

Test(measure_session, an_abort_of_either_side_ends_it, .timeout = 60)
{
	for (int i = 0; i < 4; i++) {
		struct world w;
		set_up(&w, i % 2);
		start(&w, &w.view, UINT64_MAX);
		for (int turn = 0; turn < 20; turn++)
			loop_turn(w.loop);
		if (i < 2) {
			stream_abort(w.view.sink.stream);
		} else {
			hop_sessions_stop(&w.hop);
			cr_expect(loop_run_until(w.loop, &w.view.sink.has_failed, WAIT_MS));
		}
		cr_expect(wait_for_sessions(&w));
		tear_down(&w);
	}
}

Test(measure_session, an_operator_may_refuse_it_whatever_the_limits_say, .timeout = 60)
{
	struct world w;
	struct view others[4] = { { .is_done = false } };
	set_up(&w, false);
	for (int i = 0; i < 3; i++)
		start(&w, &others[i], 0);
	open_for(&w, &others[3], CHAIN_TO_MEASURE);
	cr_expect_eq(others[3].error.status, STATUS_LIMIT);
	w.options.refuses_measure = true;
	open_for(&w, &w.view, CHAIN_TO_MEASURE);
	cr_assert(!w.view.is_open);
	cr_expect_eq(w.view.error.stage, CHAIN_STATUS);
	cr_expect_eq(w.view.error.status, STATUS_DENIED_CMD);
	for (int i = 0; i < 4; i++)
		hang_up(&w, &others[i]);
	cr_expect(wait_for_sessions(&w));
	struct view echo = { .is_done = false };
	open_for(&w, &echo, CHAIN_TO_ECHO);
	cr_expect(echo.is_open, "it refuses nothing else");
	hang_up(&w, &echo);
	tear_down(&w);
}

Test(measure_session, endless_ones_leave_room_for_others, .timeout = 60)
{
	struct world w;
	struct view others[2] = { { .is_done = false } }, echo = { .is_done = false };
	set_up(&w, false);
	for (int i = 0; i < 2; i++)
		start(&w, &others[i], UINT64_MAX);
	for (int turn = 0; turn < 50; turn++)
		loop_turn(w.loop);
	uint64_t start_us = loop_clock_us();
	open_for(&w, &echo, CHAIN_TO_ECHO);
	cr_expect(echo.is_open);
	cr_expect_lt(loop_clock_us() - start_us, 1000000);
	for (int i = 0; i < 2; i++) {
		cr_expect(!others[i].sink.has_failed && !others[i].sink.has_ended);
		hang_up(&w, &others[i]);
	}
	hang_up(&w, &echo);
	tear_down(&w);
}

/* A measurement while the @nth allocation fails (0 = none). Return: whether its count came. */
static bool measure(struct world *w, unsigned long nth, bool *ret_has_failed)
{
	struct view v = { .sink = { .size = 4096, .data = malloc(4096) } };
	struct chain_session *session;
	struct chain_session_options options = { .purpose = CHAIN_TO_MEASURE };
	if (nth > 0)
		failing_start(nth);
	if (chain_session_start(w->client, &options, on_chain, &v, &session) != 0)
		v.is_done = true;
	cr_assert(loop_run_until(w->loop, &v.is_done, 2 * WAIT_MS));
	if (v.is_open) {
		put_number(&v, 3);
		stream_read_start(v.sink.stream);
		stream_shutdown(v.sink.stream);
	}
	for (int i = 0; i < 40 && v.is_open && !v.sink.has_ended && !v.sink.has_failed; i++)
		loop_run_until(w->loop, &v.sink.has_ended, 5);
	*ret_has_failed = failing_stop();
	bool is_served = v.sink.has_ended && v.sink.n == 3 + NUMBER;
	hang_up(w, &v);
	cr_assert(wait_for_sessions(w));
	return is_served;
}

Test(measure_session, each_allocation_may_fail, .timeout = 120)
{
	struct world w;
	bool has_failed = true;
	unsigned long n;
	set_up(&w, false);
	cr_assert(measure(&w, 0, &has_failed));
	for (n = 1; n < 80; n++) {
		measure(&w, n, &has_failed);
		if (!has_failed)
			break;
		cr_assert(measure(&w, 0, &has_failed), "served again after %lu failed", n);
	}
	cr_expect_gt(n, 10, "allocations were failed");
	cr_expect_lt(n, 80, "the set-up ends");
	tear_down(&w);
}
