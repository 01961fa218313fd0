/* Datagrams over a stream: a client that builds a chain of one hop with command UDP, the hop's
 * session, and a UDP target, all on one loop. */
#include "chain/session.h"
#include "chain/wire_frame.h"
#include "common/listener.h"
#include "common/record.h"
#include "hop/flow.h"
#include "hop/session.h"
#include "hop/udp_stream.h"
#include "tests/common/name_server.h"
#include "tests/support/failing.h"
#include "tests/support/pair.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define WAIT_MS 5000
static const bool never = false;

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
	/* the target: sends back what it gets */
	struct poll echo;
	struct sockaddr_in echo_from;
	unsigned n_echoed;
	bool is_mute;
	struct addr target;
	/* the client's view of one flow */
	struct sink sink;
	struct chain_error error;
	bool is_open, has_failed;
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

static void close_target(struct world *w)
{
	int fd = w->echo.fd;
	poll_remove(w->loop, &w->echo);
	close(fd);
}

static void on_echo(struct poll *poll, unsigned events)
{
	static uint8_t datagram[65536];
	struct world *w = (struct world *)((char *)poll - offsetof(struct world, echo));
	socklen_t len = sizeof w->echo_from;
	ssize_t n;
	(void)events;
	while ((n = recvfrom(poll->fd, datagram, sizeof datagram, 0,
			(struct sockaddr *)&w->echo_from, &len)) >= 0) {
		w->n_echoed++;
		if (!w->is_mute)
			sendto(poll->fd, datagram, (size_t)n, 0, (struct sockaddr *)&w->echo_from,
				len);
	}
}

static void open_target(struct world *w)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	cr_assert_eq(poll_add(w->loop, &w->echo, fd, on_echo), 0);
	w->target = (struct addr){
		.kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = ntohs(at.sin_port)
	};
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
	w->options.dial_timeout_ms = 1000;
	w->user.max_connections = 2;
	cr_assert_eq(netset_add(&w->options.allow, "loopback"), 0);
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
	cr_assert_eq(udp_io_new(w->loop, &w->hop.udp), 0);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &any), ADDR_OK);
	cr_assert_eq(listener_open(w->loop, &any, false, on_accept, w, &w->listener), 0);
}

static void set_up(struct world *w, bool is_header_only)
{
	*w = (struct world){ .loop = NULL };
	cr_assert(seal_start() == 0 && record_start() == 0);
	cr_assert_eq(loop_new(&w->loop), 0);
	set_up_hop(w);
	open_target(w);
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

static void hang_up(struct world *w)
{
	if (w->sink.stream != NULL) {
		stream_abort(w->sink.stream);
		cr_assert(loop_run_until(w->loop, &w->sink.is_closed, WAIT_MS));
	}
	sink_free(&w->sink);
	w->sink = (struct sink){ 0 };
	w->is_open = w->has_failed = false;
}

static void tear_down(struct world *w)
{
	hang_up(w);
	hop_sessions_stop(&w->hop);
	drain_stop(w->hop.drain);
	cr_expect(wait_for_sessions(w));
	for (int i = 0; i < 100 && !drain_is_empty(w->hop.drain); i++)
		loop_run_until(w->loop, &never, 10);
	cr_expect_eq(w->connections.n, 0, "every charge came back");
	listener_close(w->listener);
	close_target(w);
	loop_run_until(w->loop, &never, 20);
	chain_client_free(w->client);
	udp_io_free(w->hop.udp);
	relay_group_free(w->hop.relays);
	drain_free(w->hop.drain);
	hop_worker_forget(&w->hop);
	hop_users_free((struct hop_users *)w->hop.users);
	local_addresses_free((struct local_addresses *)w->hop.local);
	replay_close(w->hop.replay);
	source_quota_free(w->hop.sources);
	netset_deinit(&w->options.allow);
	wire_key_free(w->user_key.key);
	wire_key_free(w->spec_hop.key);
	loop_free(w->loop);
}

static void on_chain(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct world *w = owner;
	w->is_open = stream != NULL;
	w->has_failed = error != NULL;
	if (error != NULL)
		w->error = *error;
	else
		sink_take(&w->sink, stream);
}

static int start_flow(struct world *w, struct chain_session **ret)
{
	struct chain_session_options options = { .purpose = CHAIN_TO_FLOW, .target = &w->target };
	return chain_session_start(w->client, &options, on_chain, w, ret);
}

static void ask(struct world *w)
{
	struct chain_session *session;
	cr_assert_eq(start_flow(w, &session), 0);
	for (int i = 0; i < 500 && !w->is_open && !w->has_failed; i++)
		loop_run_until(w->loop, &w->is_open, 10);
}

static void open_flow(struct world *w)
{
	ask(w);
	cr_assert(w->is_open);
	stream_read_start(w->sink.stream);
}

/* A frame of the test pattern. Return: its bytes in all. */
static size_t make_frame(uint8_t *to, size_t len)
{
	wire_frame_header(len, to);
	for (size_t i = 0; i < len; i++)
		to[WIRE_FRAME_HEADER + i] = streams_pattern(i);
	return WIRE_FRAME_HEADER + len;
}

static void send_frame(struct world *w, size_t len)
{
	static uint8_t frame[WIRE_FRAME_HEADER + WIRE_FRAME_MAX];
	stream_write(w->sink.stream, bytes_of(frame, make_frame(frame, len)));
}

/* Whether the next bytes that come are the frame of the pattern of @len; takes them. */
static bool hear_frame(struct world *w, size_t len)
{
	static uint8_t frame[WIRE_FRAME_HEADER + WIRE_FRAME_MAX];
	size_t n = make_frame(frame, len);
	for (int i = 0; i < WAIT_MS / 5 && w->sink.n < n && !w->sink.has_failed; i++)
		loop_run_until(w->loop, &never, 5);
	if (w->sink.n < n || memcmp(w->sink.data, frame, n) != 0)
		return false;
	memmove(w->sink.data, w->sink.data + n, w->sink.n - n);
	w->sink.n -= n;
	return true;
}

static void check_round_trips(bool is_header_only)
{
	static const size_t lengths[] = { 0, 1, 1200, 16384, 65507, 0, 3 };
	struct world w;
	set_up(&w, is_header_only);
	open_flow(&w);
	cr_expect_eq(w.connections.n, 1, "counts as a connection");
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		send_frame(&w, lengths[i]);
		cr_expect(hear_frame(&w, lengths[i]), "%zu bytes", lengths[i]);
	}
	cr_expect_eq(w.n_echoed, 7);
	cr_expect(!w.sink.has_failed && !w.sink.has_ended);
	tear_down(&w);
}

Test(udp_stream, datagrams_of_any_length_come_back, .timeout = 30)
{
	check_round_trips(false);
}

Test(udp_stream, a_header_only_chain_seals_datagrams_too, .timeout = 30)
{
	check_round_trips(true);
}

Test(udp_stream, frames_may_span_and_share_records, .timeout = 30)
{
	uint8_t frames[64];
	struct world w;
	set_up(&w, false);
	open_flow(&w);
	size_t n = make_frame(frames, 5);
	n += make_frame(frames + n, 0);
	n += make_frame(frames + n, 20);
	stream_write(w.sink.stream, bytes_of(frames, n)); /* three in one record */
	cr_expect(hear_frame(&w, 5) && hear_frame(&w, 0) && hear_frame(&w, 20));
	for (size_t i = 0; i < n; i++) /* every byte a record */
		stream_write(w.sink.stream, bytes_of(frames + i, 1));
	cr_expect(hear_frame(&w, 5) && hear_frame(&w, 0) && hear_frame(&w, 20));
	for (size_t i = 0; i < n; i++) { /* every byte a record and a turn */
		stream_write(w.sink.stream, bytes_of(frames + i, 1));
		loop_run_until(w.loop, &never, 2);
	}
	cr_expect(hear_frame(&w, 5) && hear_frame(&w, 0) && hear_frame(&w, 20));
	tear_down(&w);
}

Test(udp_stream, a_burst_comes_back_whole_and_in_order, .timeout = 30)
{
	struct world w;
	set_up(&w, false);
	open_flow(&w);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < 50; i++)
			send_frame(&w, i == 25 ? 65507 : i * 67 % 3001);
		for (size_t i = 0; i < 50; i++)
			cr_assert(hear_frame(&w, i == 25 ? 65507 : i * 67 % 3001),
				"round %d, datagram %zu", round, i);
	}
	tear_down(&w);
}

Test(udp_stream, a_frame_that_is_too_long_aborts, .timeout = 30)
{
	static const uint8_t too_long[] = { 0xff, 0xe4 }; /* 65508 */
	struct world w;
	set_up(&w, false);
	open_flow(&w);
	send_frame(&w, 10);
	cr_expect(hear_frame(&w, 10));
	stream_write(w.sink.stream, bytes_of(too_long, sizeof too_long));
	cr_expect(loop_run_until(w.loop, &w.sink.has_failed, WAIT_MS));
	cr_expect(!w.sink.has_ended, "no orderly end");
	cr_expect(wait_for_sessions(&w));
	tear_down(&w);
}

Test(udp_stream, close_notify_ends_the_flow, .timeout = 30)
{
	struct world w;
	set_up(&w, false);
	w.is_mute = true;
	open_flow(&w);
	send_frame(&w, 100);
	stream_shutdown(w.sink.stream);
	cr_expect(loop_run_until(w.loop, &w.sink.has_ended, WAIT_MS));
	cr_expect(!w.sink.has_failed);
	cr_expect(wait_for_sessions(&w));
	for (int i = 0; i < 100 && w.n_echoed == 0; i++)
		loop_run_until(w.loop, &never, 10);
	cr_expect_eq(w.n_echoed, 1, "what came before the end was sent");
	tear_down(&w);
}

Test(udp_stream, an_end_inside_a_frame_aborts, .timeout = 30)
{
	static const uint8_t half[] = { 0, 9, 'h', 'a', 'l', 'f' };
	for (size_t n = 1; n <= sizeof half; n++) {
		struct world w;
		set_up(&w, false);
		open_flow(&w);
		stream_write(w.sink.stream, bytes_of(half, n));
		stream_shutdown(w.sink.stream);
		cr_expect(loop_run_until(w.loop, &w.sink.has_failed, WAIT_MS), "%zu bytes", n);
		cr_expect(!w.sink.has_ended);
		cr_expect_eq(w.n_echoed, 0);
		tear_down(&w);
	}
}

Test(udp_stream, a_closed_port_breaks_nothing, .timeout = 30)
{
	struct world w;
	set_up(&w, false);
	close_target(&w);
	open_flow(&w);
	for (int i = 0; i < 5; i++) {
		send_frame(&w, 10);
		loop_run_until(w.loop, &never, 10);
	}
	cr_expect(!w.sink.has_failed && !w.sink.has_ended, "a stream has no word for it");
	/* The port opens: the same flow reaches it. */
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(w.target.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	cr_assert_eq(poll_add(w.loop, &w.echo, fd, on_echo), 0);
	send_frame(&w, 10);
	cr_expect(hear_frame(&w, 10));
	tear_down(&w);
}

Test(udp_stream, a_refusal_comes_as_a_status, .timeout = 30)
{
	static const struct {
		const char *target, *words;
		uint8_t status, detail;
	} rows[] = {
		{ "169.254.1.1:53", "hop 1 refused 169.254.1.1:53: denied-private",
			STATUS_DENIED_PRIVATE, DETAIL_DENIED_LINK_LOCAL },
		{ "224.0.0.251:5353", "hop 1 refused 224.0.0.251:5353: denied-private",
			STATUS_DENIED_PRIVATE, DETAIL_DENIED_MULTICAST },
		{ "example.org:53", "hop 1 could not reach example.org:53: resolve-fail",
			STATUS_RESOLVE_FAIL, DETAIL_RESOLVE_NO_ADDRESS },
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct world w;
		char text[512];
		set_up(&w, false);
		cr_assert_eq(addr_parse_dial(rows[i].target, &w.target), ADDR_OK);
		ask(&w);
		cr_assert(w.has_failed);
		cr_expect_eq(w.error.stage, CHAIN_STATUS);
		cr_expect_eq(w.error.status, rows[i].status);
		cr_expect_eq(w.error.detail, rows[i].detail);
		chain_error_print(&w.error, text, sizeof text);
		cr_expect_eq(strncmp(text, rows[i].words, strlen(rows[i].words)), 0, "%s", text);
		cr_expect(wait_for_sessions(&w));
		tear_down(&w);
	}
}

/* Every address is judged; the one that may be reached is the one that is. */
Test(udp_stream, a_name_leads_to_the_first_address_that_may_be_reached, .timeout = 30)
{
	static const struct name_record zone[] = {
		{ .name = "mixed.test",
			.ttl_s = 60,
			.addresses = { "169.254.1.1", "127.0.0.1", "ff02::1" } },
		{ .name = "bad.test", .ttl_s = 60, .addresses = { "169.254.1.1", "ff02::1" } },
		{ .name = NULL },
	};
	struct name_server server;
	struct world w;
	uint16_t port;
	set_up(&w, false);
	port = w.target.port;
	name_server_open(&server, w.loop, zone);
	cr_assert_eq(resolver_new(w.loop, server.text, &w.hop.resolver), 0);
	w.target = (struct addr){ .kind = ADDR_NAME, .name = "mixed.test", .port = port };
	open_flow(&w);
	send_frame(&w, 7);
	cr_expect(hear_frame(&w, 7));
	hang_up(&w);
	w.target = (struct addr){ .kind = ADDR_NAME, .name = "bad.test", .port = port };
	ask(&w);
	cr_expect(w.has_failed);
	cr_expect_eq(w.error.status, STATUS_DENIED_PRIVATE);
	hang_up(&w);
	w.target = (struct addr){ .kind = ADDR_NAME, .name = "none.test", .port = port };
	ask(&w);
	cr_expect(w.has_failed);
	cr_expect_eq(w.error.status, STATUS_RESOLVE_FAIL);
	cr_expect_eq(w.error.detail, DETAIL_RESOLVE_NO_NAME);
	cr_expect(wait_for_sessions(&w));
	resolver_free(w.hop.resolver);
	name_server_close(&server);
	tear_down(&w);
}

Test(udp_stream, a_flow_takes_its_place_among_the_users_connections, .timeout = 30)
{
	struct world w, *first = &w;
	struct sink others[2] = { { 0 }, { 0 } };
	set_up(&w, false);
	for (int i = 0; i < 2; i++) {
		ask(first);
		cr_assert(w.is_open);
		struct stream *s = w.sink.stream;
		sink_free(&w.sink);
		w.sink = (struct sink){ 0 };
		w.is_open = false;
		sink_take(&others[i], s);
	}
	ask(&w);
	cr_expect(w.has_failed);
	cr_expect_eq(w.error.status, STATUS_LIMIT);
	stream_abort(others[0].stream);
	cr_assert(loop_run_until(w.loop, &others[0].is_closed, WAIT_MS));
	for (int i = 0; i < 500 && w.connections.n > 1; i++)
		loop_run_until(w.loop, &never, 10);
	w.has_failed = false;
	ask(&w);
	cr_expect(w.is_open, "its place is free again");
	hang_up(&w);
	stream_abort(others[1].stream);
	cr_assert(loop_run_until(w.loop, &others[1].is_closed, WAIT_MS));
	sink_free(&others[0]);
	sink_free(&others[1]);
	tear_down(&w);
}

Test(udp_stream, a_client_may_leave_at_any_turn, .timeout = 60)
{
	struct world w;
	set_up(&w, false);
	w.user.max_connections = 0;
	for (int turns = 0; turns < 30; turns++) {
		struct chain_session *session;
		cr_assert_eq(start_flow(&w, &session), 0);
		for (int i = 0; i < turns && !w.is_open; i++)
			loop_turn(w.loop);
		if (!w.is_open)
			chain_session_cancel(session);
		hang_up(&w);
		cr_expect(wait_for_sessions(&w), "after %d turns", turns);
	}
	tear_down(&w);
}

Test(udp_stream, the_hop_may_stop_at_any_turn, .timeout = 60)
{
	for (int turns = 0; turns < 20; turns++) {
		struct chain_session *session;
		struct world w;
		set_up(&w, false);
		cr_assert_eq(start_flow(&w, &session), 0);
		for (int i = 0; i < turns; i++)
			loop_turn(w.loop);
		hop_sessions_stop(&w.hop);
		cr_expect(wait_for_sessions(&w));
		if (!w.is_open && !w.has_failed)
			chain_session_cancel(session);
		tear_down(&w);
	}
}

/* One flow with one datagram there and back while the @nth allocation fails (0 = none). Return:
 * whether the echo came. */
static bool talk(struct world *w, unsigned long nth, bool *ret_has_failed)
{
	uint8_t frame[WIRE_FRAME_HEADER + 5];
	struct chain_session *session;
	size_t n = make_frame(frame, 5);
	w->sink.size = 4096; /* the test's own, so that it allocates nothing */
	w->sink.data = malloc(w->sink.size);
	if (nth > 0)
		failing_start(nth);
	if (start_flow(w, &session) != 0)
		w->has_failed = true;
	for (int i = 0; i < WAIT_MS / 5 && !w->is_open && !w->has_failed; i++)
		loop_run_until(w->loop, &w->is_open, 5);
	if (w->is_open) {
		stream_read_start(w->sink.stream);
		stream_write(w->sink.stream, bytes_of(frame, n));
	}
	for (int i = 0; i < 40 && w->is_open && w->sink.n < n && !w->sink.has_failed; i++)
		loop_run_until(w->loop, &never, 5);
	*ret_has_failed = failing_stop();
	bool is_served = w->sink.n == n && memcmp(w->sink.data, frame, n) == 0;
	hang_up(w);
	cr_assert(wait_for_sessions(w));
	return is_served;
}

Test(udp_stream, each_allocation_of_a_flow_may_fail, .timeout = 120)
{
	struct world w;
	bool has_failed = true;
	unsigned long n;
	set_up(&w, false);
	cr_assert(talk(&w, 0, &has_failed));
	for (n = 1; n < 80; n++) {
		talk(&w, n, &has_failed);
		if (!has_failed)
			break;
		cr_assert(talk(&w, 0, &has_failed), "served again after allocation %lu failed", n);
	}
	cr_expect_gt(n, 10, "allocations were failed");
	cr_expect_lt(n, 80, "the set-up ends");
	tear_down(&w);
}

/* Without a hop's session: one flow on a pair of streams in memory, with times of its own. */
struct bare {
	struct world w;
	struct stream *near;
	struct udp_stream *flow;
	struct udp_stream_result result;
	bool is_opened, is_done;
};

static void on_opened(const struct hop_flow_outcome *outcome, void *owner)
{
	struct bare *b = owner;
	cr_assert_eq(outcome->status, STATUS_OK);
	cr_expect_eq(outcome->tries, 1);
	cr_expect(outcome->has_address);
	b->is_opened = true;
}

static void on_done(const struct udp_stream_result *result, void *owner)
{
	struct bare *b = owner;
	b->result = *result;
	b->is_done = true;
}

static void set_up_bare(struct bare *b, uint32_t unanswered_ms, uint32_t answered_ms, size_t size)
{
	struct stream *far;
	*b = (struct bare){ .is_done = false };
	set_up(&b->w, false);
	static struct hop_user_limits unlimited;
	const struct hop_entry entry = { .user = &b->w.user, .limits = &unlimited };
	struct udp_stream_options options = {
		.worker = &b->w.hop,
		.entry = &entry,
		.to = &b->w.target,
		.timeout_ms = 1000,
		.unanswered_ms = unanswered_ms,
		.answered_ms = answered_ms,
	};
	cr_assert_eq(pair_new(b->w.loop, size, &b->near, &far), 0);
	sink_take(&b->w.sink, far);
	cr_assert_eq(udp_stream_open(&options, on_opened, b, &b->flow), 0);
	cr_assert(!b->is_opened, "not from inside");
	cr_assert(loop_run_until(b->w.loop, &b->is_opened, WAIT_MS));
	udp_stream_run(b->flow, b->near, on_done, b);
}

Test(udp_stream, a_flow_nobody_answers_ends_in_order, .timeout = 30)
{
	struct bare b;
	set_up_bare(&b, 60, 60000, 65536);
	b.w.is_mute = true;
	stream_read_start(b.w.sink.stream);
	uint64_t start_ms = loop_now_ms(b.w.loop);
	send_frame(&b.w, 10);
	cr_expect(loop_run_until(b.w.loop, &b.is_done, WAIT_MS));
	cr_expect_geq(loop_now_ms(b.w.loop) - start_ms, 60);
	cr_expect_str_eq(b.result.end, "idle");
	cr_expect_eq(b.result.n_bytes_up, 10);
	cr_expect_eq(b.result.n_bytes_down, 0);
	cr_expect(loop_run_until(b.w.loop, &b.w.sink.has_ended, WAIT_MS), "an orderly end");
	tear_down(&b.w);
}

Test(udp_stream, after_the_answer_another_time_counts, .timeout = 30)
{
	struct bare b;
	set_up_bare(&b, 60000, 60, 65536);
	stream_read_start(b.w.sink.stream);
	loop_run_until(b.w.loop, &b.is_done, 200);
	cr_expect(!b.is_done);
	send_frame(&b.w, 10);
	cr_expect(hear_frame(&b.w, 10));
	cr_expect(loop_run_until(b.w.loop, &b.is_done, WAIT_MS));
	cr_expect_str_eq(b.result.end, "idle");
	cr_expect_eq(b.result.n_bytes_down, 10);
	cr_expect(loop_run_until(b.w.loop, &b.w.sink.has_ended, WAIT_MS));
	tear_down(&b.w);
}

/* The client does not read: what comes from the target is dropped, what goes to it goes on, and
 * once the client reads again only whole frames come. */
Test(udp_stream, a_client_that_does_not_read_costs_one_frame, .timeout = 30)
{
	struct bare b;
	set_up_bare(&b, 60000, 60000, 1000);
	for (int i = 0; i < 200; i++) {
		send_frame(&b.w, 500);
		loop_run_until(b.w.loop, &never, 1);
	}
	for (int i = 0; i < 200 && b.w.n_echoed < 200; i++)
		loop_run_until(b.w.loop, &never, 10);
	cr_expect_eq(b.w.n_echoed, 200, "the way up is not held up");
	loop_run_until(b.w.loop, &never, 50);
	stream_read_start(b.w.sink.stream);
	cr_expect(hear_frame(&b.w, 500) && hear_frame(&b.w, 500));
	loop_run_until(b.w.loop, &never, 50);
	cr_expect_eq(b.w.sink.n, 0, "and no more was kept");
	send_frame(&b.w, 500);
	cr_expect(hear_frame(&b.w, 500), "the way down is open again");
	udp_stream_stop(b.flow);
	cr_expect(!b.is_done, "not from inside");
	cr_expect(loop_run_until(b.w.loop, &b.is_done, WAIT_MS));
	cr_expect_str_eq(b.result.end, "stopped");
	cr_expect_eq(b.result.n_bytes_up, 201 * 500);
	cr_expect_eq(b.result.n_bytes_down, 3 * 500);
	cr_expect(loop_run_until(b.w.loop, &b.w.sink.has_failed, WAIT_MS));
	tear_down(&b.w);
}
