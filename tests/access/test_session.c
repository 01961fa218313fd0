/* A hop and an access server on one loop, without processes: session set-up while memory runs out,
 * and the ends a session can come to. */
#include "access/session.h"
#include "common/listener.h"
#include "common/record.h"
#include "common/tcp.h"
#include "hop/session.h"
#include "tests/support/failing.h"
#include "tests/support/one_upstream.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS 5000
static const bool never = false;

/* client -> access listener -> hop listener -> origin listener (echo) */
struct world {
	struct loop *loop;
	struct hop_options hop_options;
	struct hop_user user;
	struct hop_user_key user_key;
	struct hop_worker hop;
	struct quota hop_connections, access_connections, ingress_connections;
	struct rate handshakes;
	struct source_quota *sources;
	struct access_options access_options;
	struct access_listener listener_options;
	struct access_worker access;
	struct access_ingress ingress;
	struct one_upstream one;
	struct chain_spec spec;
	struct chain_hop spec_hop;
	struct listener *hop_listener, *access_listener, *origin_listener;
	bool is_web;          /* the origin answers requests */
	uint8_t request[256]; /* what a proxy's client says before "hello" */
	size_t n_request, n_reply;
};

/* Greetings are not waited for as long as they may take. */
static bool is_impatient;
void __real_loop_timer_start(
	struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn);
void __wrap_loop_timer_start(
	struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn);
void __wrap_loop_timer_start(
	struct loop *loop, struct timer *timer, uint64_t delay_ms, timer_fn *fn)
{
	if (is_impatient && delay_ms == GREETING_MS)
		delay_ms = 60;
	__real_loop_timer_start(loop, timer, delay_ms, fn);
}

static void on_session_end(struct hop_worker *w)
{
	(void)w;
}

static void on_access_end(struct access_worker *w)
{
	(void)w;
}

static void on_drain_empty(void *owner)
{
	(void)owner;
}

static void on_hop_accept(struct stream *s, const union addr_sock *peer, void *owner)
{
	hop_session_start(&((struct world *)owner)->hop, s, peer);
}

static void on_access_accept(struct stream *s, const union addr_sock *peer, void *owner)
{
	access_session_start(&((struct world *)owner)->ingress, s, peer);
}

#define WEB_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

/* A request is whole with the end of its head, or with "hello". */
static void answer_web(struct stream *s, struct bytes data)
{
	bool is_get = memcmp(data.ptr, "GET", 3) == 0;
	if (is_get || memmem(data.ptr, data.len, "hello", 5) != NULL)
		stream_write(s, bytes_of(WEB_HEAD "hello", strlen(WEB_HEAD "hello")));
}

static void on_origin(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	if (event == STREAM_DATA && ((struct world *)owner)->is_web)
		answer_web(s, data);
	else if (event == STREAM_DATA)
		stream_write(s, data);
	else if (event == STREAM_EOF || event == STREAM_FAILED)
		stream_close(s);
}

static void on_origin_accept(struct stream *s, const union addr_sock *peer, void *owner)
{
	(void)peer;
	stream_own(s, on_origin, owner);
	stream_read_start(s);
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
	w->hop_options = (struct hop_options)HOP_OPTIONS_DEFAULT;
	w->user_key = (struct hop_user_key){ .key = new_key(), .not_after_ms = UINT64_MAX };
	w->user = (struct hop_user){
		.name = (char *)(uintptr_t) "me", .keys = &w->user_key, .n_keys = 1
	};
	w->hop_options.users = &w->user;
	w->hop_options.n_users = 1;
	w->hop_options.dial_timeout_ms = 1000;
	cr_assert_eq(netset_add(&w->hop_options.allow, "loopback"), 0);
	w->hop = (struct hop_worker){ .loop = w->loop,
		.options = &w->hop_options,
		.connections = &w->hop_connections,
		.handshakes = &w->handshakes,
		.on_session_end = on_session_end };
	cr_assert_eq(source_quota_new(0, &w->sources), 0);
	w->hop.sources = w->sources;
	cr_assert_eq(hop_users_new(&w->hop_options, (struct hop_users **)&w->hop.users), 0);
	cr_assert_eq(replay_open(&memory, loop_wall_ms() - 60000, 1, &w->hop.replay), 0);
	cr_assert_eq(local_addresses_new((struct local_addresses **)&w->hop.local), 0);
	cr_assert_eq(relay_group_new(w->loop, &w->hop.relays), 0);
	cr_assert_eq(drain_new(w->loop, (struct drain_limits){ 1024, 20000 }, on_drain_empty, NULL,
			     &w->hop.drain),
		0);
	cr_assert_eq(wire_ephemeral_new(60000, &w->hop.ephemeral), 0);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &any), ADDR_OK);
	cr_assert_eq(listener_open(w->loop, &any, false, on_hop_accept, w, &w->hop_listener), 0);
}

static void set_up(struct world *w)
{
	struct addr any;
	*w = (struct world){ .loop = NULL };
	cr_assert(seal_start() == 0 && record_start() == 0);
	cr_assert_eq(loop_new(&w->loop), 0);
	set_up_hop(w);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &any), ADDR_OK);
	cr_assert_eq(
		listener_open(w->loop, &any, false, on_origin_accept, w, &w->origin_listener), 0);
	cr_assert_eq(
		listener_open(w->loop, &any, false, on_access_accept, w, &w->access_listener), 0);
	w->spec = (struct chain_spec)CHAIN_SPEC_DEFAULT;
	w->spec.hops = &w->spec_hop;
	w->spec.n_hops = 1;
	w->spec.connect_timeout_ms = 1000;
	w->spec_hop.key = new_key();
	w->spec_hop.addr = (struct addr){
		.kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = listener_port(w->hop_listener)
	};
	w->listener_options.to = w->spec_hop.addr;
	w->listener_options.to.port = listener_port(w->origin_listener);
	w->access_options = (struct access_options)ACCESS_OPTIONS_DEFAULT;
	w->access = (struct access_worker){ .loop = w->loop,
		.options = &w->access_options,
		.connections = &w->access_connections,
		.sources = w->sources,
		.on_session_end = on_access_end };
	cr_assert_eq(relay_group_new(w->loop, &w->access.relays), 0);
	cr_assert_eq(udp_io_new(w->loop, &w->access.io), 0);
	cr_assert_eq(drain_new(w->loop, (struct drain_limits){ 0 }, on_drain_empty, NULL,
			     &w->access.drain),
		0);
	w->ingress = (struct access_ingress){ .worker = &w->access,
		.options = &w->listener_options,
		.connections = &w->ingress_connections,
		.sources = w->sources };
	one_upstream_open(
		&w->one, w->loop, NULL, &w->spec, &w->access_options, &w->listener_options);
	w->ingress.all = &w->access_options;
	w->ingress.upstreams = w->one.upstreams;
}

/* The listener is a proxy, and its clients ask for the origin by SOCKS5. */
static void set_up_proxy(struct world *w)
{
	static const uint8_t begin[] = { 5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1 };
	set_up(w);
	uint16_t port = listener_port(w->origin_listener);
	w->listener_options.protocols = GREETING_SOCKS | GREETING_HTTP;
	memcpy(w->request, begin, sizeof begin);
	w->request[sizeof begin] = (uint8_t)(port >> 8);
	w->request[sizeof begin + 1] = (uint8_t)port;
	w->n_request = sizeof begin + 2;
	w->n_reply = 12;
}

/* The same, and its clients ask a web server twice on one connection. */
static void set_up_web(struct world *w)
{
	set_up_proxy(w);
	unsigned port = listener_port(w->origin_listener);
	w->is_web = true;
	w->n_request = (size_t)snprintf((char *)w->request, sizeof w->request,
		"GET http://127.0.0.1:%u/ HTTP/1.1\r\nHost: x\r\n\r\n"
		"PUT http://127.0.0.1:%u/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		port, port);
	w->n_reply = 2 * strlen(WEB_HEAD) + 5;
}

static bool is_quiet(const struct world *w)
{
	return w->hop.sessions == NULL && w->access.sessions == NULL &&
	       drain_is_empty(w->hop.drain) && drain_is_empty(w->access.drain);
}

static void tear_down(struct world *w)
{
	hop_sessions_stop(&w->hop);
	access_sessions_stop(&w->access);
	drain_stop(w->hop.drain);
	drain_stop(w->access.drain);
	for (int i = 0; i < 100 && !is_quiet(w); i++)
		loop_run_until(w->loop, &never, 10);
	cr_expect_null(w->hop.sessions);
	cr_expect_null(w->access.sessions);
	cr_expect_eq(w->hop_connections.n, 0, "every charge came back");
	cr_expect_eq(w->access_connections.n, 0);
	listener_close(w->hop_listener);
	listener_close(w->access_listener);
	listener_close(w->origin_listener);
	loop_run_until(w->loop, &never, 50);
	one_upstream_close(&w->one);
	relay_group_free(w->access.relays);
	drain_free(w->access.drain);
	udp_io_free(w->access.io);
	relay_group_free(w->hop.relays);
	drain_free(w->hop.drain);
	hop_worker_forget(&w->hop);
	hop_users_free((struct hop_users *)w->hop.users);
	local_addresses_free((struct local_addresses *)w->hop.local);
	replay_close(w->hop.replay);
	source_quota_free(w->sources);
	netset_deinit(&w->hop_options.allow);
	wire_key_free(w->user_key.key);
	wire_key_free(w->spec_hop.key);
	loop_free(w->loop);
}

static struct stream *dial_access(struct world *w, struct sink *client)
{
	struct stream *s;
	union addr_sock to = { .ip4 = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	addr_sock_set_port(&to, listener_port(w->access_listener));
	cr_assert_eq(tcp_connect(w->loop, &to, false, NULL, NULL, &s), 0);
	sink_take(client, s);
	return s;
}

/* One client: connects, sends, waits for the echo or a failure. Return: whether the echo came. */
static bool talk(struct world *w, unsigned long failing_nth, bool *ret_has_failed)
{
	struct sink client = { 0 };
	struct stream *s = dial_access(w, &client);
	size_t n_wanted = w->n_reply + 5;
	cr_assert(loop_run_until(w->loop, &client.is_connected, WAIT_MS));
	stream_write(s, bytes_of(w->request, w->n_request));
	stream_write(s, bytes_of("hello", 5));
	stream_read_start(s);
	if (failing_nth > 0)
		failing_start(failing_nth);
	for (int i = 0;
		i < WAIT_MS / 5 && client.n < n_wanted && !client.has_failed && !client.has_ended;
		i++)
		loop_run_until(w->loop, &never, 5);
	*ret_has_failed = failing_stop();
	bool is_served = client.n == n_wanted && memcmp(client.data + w->n_reply, "hello", 5) == 0;
	stream_close(s);
	cr_assert(loop_run_until(w->loop, &client.is_closed, WAIT_MS));
	sink_free(&client);
	return is_served;
}

Test(session, an_echo_goes_through, .timeout = 30)
{
	struct world w;
	bool has_failed;
	set_up(&w);
	cr_expect(talk(&w, 0, &has_failed));
	tear_down(&w);
}

/* Every allocation of a session's set-up fails once: no crash, no leak, and the next client is
 * served. The sink of the test allocates too: a failure there shows as one of the test's own and is
 * let pass. Return: how many there are. */
static unsigned long fail_each_allocation(struct world *w)
{
	bool has_failed = true;
	unsigned long n;
	cr_assert(talk(w, 0, &has_failed));
	for (n = 1; n < 100; n++) {
		talk(w, n, &has_failed);
		if (!has_failed)
			break;
		cr_assert(talk(w, 0, &has_failed), "served again after allocation %lu failed", n);
		has_failed = true;
	}
	cr_expect_gt(n, 10, "allocations were failed");
	cr_expect_lt(n, 100, "the set-up ends");
	return n;
}

Test(session, each_allocation_of_the_set_up_may_fail, .timeout = 120)
{
	struct world w;
	set_up(&w);
	fail_each_allocation(&w);
	tear_down(&w);
}

Test(proxy, each_allocation_of_the_set_up_may_fail, .timeout = 120)
{
	struct world w;
	set_up_proxy(&w);
	fail_each_allocation(&w);
	tear_down(&w);
}

Test(proxy, each_allocation_of_requests_may_fail, .timeout = 120)
{
	struct world w;
	set_up_web(&w);
	fail_each_allocation(&w);
	tear_down(&w);
}

Test(proxy, an_echo_goes_through, .timeout = 30)
{
	struct world w;
	bool has_failed;
	set_up_proxy(&w);
	cr_expect(talk(&w, 0, &has_failed));
	tear_down(&w);
}

/* A client that says a byte now and then, or nothing, ends when its time is over. */
Test(proxy, a_slow_greeting_ends, .timeout = 30)
{
	struct world w;
	set_up_proxy(&w);
	is_impatient = true;
	for (size_t n_said = 0; n_said < w.n_request; n_said++) {
		struct sink client = { 0 };
		struct stream *s = dial_access(&w, &client);
		cr_assert(loop_run_until(w.loop, &client.is_connected, WAIT_MS));
		stream_read_start(s);
		uint64_t start_ms = loop_now_ms(w.loop);
		for (size_t i = 0; i < n_said; i++) {
			stream_write(s, bytes_of(w.request + i, 1));
			loop_run_until(w.loop, &never, 2);
		}
		cr_assert(loop_run_until(w.loop, &client.has_ended, WAIT_MS));
		cr_expect_geq(loop_now_ms(w.loop) - start_ms, 40);
		cr_expect_lt(loop_now_ms(w.loop) - start_ms, 1000);
		stream_close(s);
		cr_assert(loop_run_until(w.loop, &client.is_closed, WAIT_MS));
		sink_free(&client);
		cr_expect_null(w.access.sessions);
	}
	tear_down(&w);
}

/* What a greeting takes does not count for what comes after it. */
Test(proxy, a_greeting_in_time_is_not_cut, .timeout = 30)
{
	struct world w;
	struct sink client = { 0 };
	set_up_proxy(&w);
	is_impatient = true;
	struct stream *s = dial_access(&w, &client);
	cr_assert(loop_run_until(w.loop, &client.is_connected, WAIT_MS));
	stream_read_start(s);
	stream_write(s, bytes_of(w.request, w.n_request));
	loop_run_until(w.loop, &never, 150);
	cr_expect(!client.has_ended && !client.has_failed);
	cr_expect_eq(client.n, w.n_reply);
	stream_close(s);
	cr_assert(loop_run_until(w.loop, &client.is_closed, WAIT_MS));
	sink_free(&client);
	tear_down(&w);
}

/* An association lives as long as its connection, and no longer than the server. */
Test(proxy, an_association_ends_with_its_connection, .timeout = 30)
{
	struct world w;
	static const uint8_t request[] = { 5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0 };
	set_up_proxy(&w);
	for (int how = 0; how < 4; how++) {
		struct sink client = { 0 };
		struct stream *s = dial_access(&w, &client);
		cr_assert(loop_run_until(w.loop, &client.is_connected, WAIT_MS));
		stream_read_start(s);
		stream_write(s, bytes_of(request, sizeof request));
		for (int i = 0; i < WAIT_MS / 5 && client.n < 12; i++)
			loop_run_until(w.loop, &never, 5);
		cr_assert_eq(client.n, 12);
		cr_expect_eq(client.data[3], 0, "reply %d", client.data[3]);
		cr_expect(client.data[10] != 0 || client.data[11] != 0, "a port");
		cr_assert_not_null(w.access.sessions);
		if (how == 0)
			stream_close(s);
		else if (how == 1)
			stream_abort(s);
		else if (how == 2)
			access_sessions_stop(&w.access);
		else
			access_sessions_drain(&w.access);
		for (int i = 0; i < WAIT_MS / 5 && w.access.sessions != NULL; i++)
			loop_run_until(w.loop, &never, 5);
		cr_expect_null(w.access.sessions, "how %d", how);
		if (how > 1)
			stream_close(s);
		cr_assert(loop_run_until(w.loop, &client.is_closed, WAIT_MS));
		sink_free(&client);
	}
	tear_down(&w);
}

static void leave_at_any_turn(struct world *w)
{
	for (int turns = 0; turns < 40; turns++) {
		struct sink client = { 0 };
		struct stream *s = dial_access(w, &client);
		for (int i = 0; i < turns; i++) {
			loop_turn(w->loop);
			if (i == 2)
				stream_write(s, bytes_of(w->request, w->n_request));
		}
		if (turns % 2)
			stream_abort(s);
		else
			stream_close(s);
		cr_assert(loop_run_until(w->loop, &client.is_closed, WAIT_MS));
		loop_run_until(w->loop, &never, 5);
		sink_free(&client);
	}
	for (int i = 0; i < 200 && (w->hop.sessions || w->access.sessions); i++)
		loop_run_until(w->loop, &never, 10);
	cr_expect_null(w->access.sessions, "no session outlives its client");
	cr_expect_null(w->hop.sessions);
}

/* A client that goes away while the chain is built takes everything with it. */
Test(session, a_client_may_leave_at_any_turn, .timeout = 60)
{
	struct world w;
	set_up(&w);
	leave_at_any_turn(&w);
	tear_down(&w);
}

Test(proxy, a_client_may_leave_at_any_turn, .timeout = 60)
{
	struct world w;
	set_up_proxy(&w);
	leave_at_any_turn(&w);
	tear_down(&w);
}

Test(proxy, a_client_of_requests_may_leave_at_any_turn, .timeout = 60)
{
	struct world w;
	set_up_web(&w);
	leave_at_any_turn(&w);
	tear_down(&w);
}

/* Whatever goes on as the server begins to end: who was answered has a whole answer, and nobody
 * stays. */
Test(proxy, requests_end_when_the_server_does, .timeout = 60)
{
	struct world w;
	set_up_web(&w);
	for (int turns = 0; turns < 40; turns++) {
		struct sink client = { 0 };
		struct stream *s = dial_access(&w, &client);
		cr_assert(loop_run_until(w.loop, &client.is_connected, WAIT_MS));
		stream_read_start(s);
		for (int i = 0; i < turns; i++) {
			if (i == 2) {
				stream_write(s, bytes_of(w.request, w.n_request));
				stream_write(s, bytes_of("hello", 5));
			}
			loop_turn(w.loop);
		}
		access_sessions_drain(&w.access);
		if (turns <= 2)
			stream_write(s, bytes_of(w.request, w.n_request));
		for (int i = 0; i < 400 && !client.has_ended && !client.has_failed; i++)
			loop_run_until(w.loop, &never, 5);
		cr_expect(client.has_ended || client.has_failed, "%d", turns);
		if (client.n > 0)
			cr_expect_arr_eq(client.data + client.n - 5, "hello", 5, "%d", turns);
		stream_close(s);
		cr_assert(loop_run_until(w.loop, &client.is_closed, WAIT_MS));
		sink_free(&client);
		w.access.is_draining = false;
	}
	for (int i = 0; i < 200 && w.access.sessions != NULL; i++)
		loop_run_until(w.loop, &never, 10);
	cr_expect_null(w.access.sessions);
	tear_down(&w);
}
