/* A hop and an access server on one loop, without processes: session set-up while memory runs out,
 * and the ends a session can come to. */
#include "access/session.h"
#include "common/listener.h"
#include "common/record.h"
#include "common/tcp.h"
#include "hop/session.h"
#include "tests/support/failing.h"
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
	struct chain_spec spec;
	struct chain_hop spec_hop;
	struct listener *hop_listener, *access_listener, *origin_listener;
};

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

static void on_origin(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	(void)owner;
	if (event == STREAM_DATA)
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
	w->listener_options.chain = &w->spec;
	w->access_options = (struct access_options)ACCESS_OPTIONS_DEFAULT;
	w->access = (struct access_worker){ .loop = w->loop,
		.options = &w->access_options,
		.connections = &w->access_connections,
		.sources = w->sources,
		.on_session_end = on_access_end };
	cr_assert_eq(relay_group_new(w->loop, &w->access.relays), 0);
	w->ingress = (struct access_ingress){ .worker = &w->access,
		.options = &w->listener_options,
		.connections = &w->ingress_connections,
		.sources = w->sources };
	cr_assert_eq(chain_client_new(w->loop, NULL, &w->spec, &w->ingress.chain), 0);
}

static void tear_down(struct world *w)
{
	hop_sessions_stop(&w->hop);
	access_sessions_stop(&w->access);
	drain_stop(w->hop.drain);
	for (int i = 0;
		i < 100 && (w->hop.sessions || w->access.sessions || !drain_is_empty(w->hop.drain));
		i++)
		loop_run_until(w->loop, &never, 10);
	cr_expect_null(w->hop.sessions);
	cr_expect_null(w->access.sessions);
	cr_expect_eq(w->hop_connections.n, 0, "every charge came back");
	cr_expect_eq(w->access_connections.n, 0);
	listener_close(w->hop_listener);
	listener_close(w->access_listener);
	listener_close(w->origin_listener);
	loop_run_until(w->loop, &never, 50);
	chain_client_free(w->ingress.chain);
	relay_group_free(w->access.relays);
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

/* One client: connects, sends, waits for the echo or a failure. Return: whether the echo came. */
static bool talk(struct world *w, unsigned long failing_nth, bool *ret_has_failed)
{
	struct sink client = { 0 };
	struct stream *s;
	union addr_sock to = { .ip4 = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	addr_sock_set_port(&to, listener_port(w->access_listener));
	cr_assert_eq(tcp_connect(w->loop, &to, false, NULL, NULL, &s), 0);
	sink_take(&client, s);
	cr_assert(loop_run_until(w->loop, &client.is_connected, WAIT_MS));
	stream_write(s, bytes_of("hello", 5));
	stream_read_start(s);
	if (failing_nth > 0)
		failing_start(failing_nth);
	for (int i = 0; i < WAIT_MS / 5 && client.n < 5 && !client.has_failed && !client.has_ended;
		i++)
		loop_run_until(w->loop, &never, 5);
	*ret_has_failed = failing_stop();
	bool is_served = client.n == 5 && memcmp(client.data, "hello", 5) == 0;
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
 * let pass. */
Test(session, each_allocation_of_the_set_up_may_fail, .timeout = 120)
{
	struct world w;
	bool has_failed = true;
	unsigned long n;
	set_up(&w);
	cr_assert(talk(&w, 0, &has_failed));
	for (n = 1; n < 60; n++) {
		talk(&w, n, &has_failed);
		if (!has_failed)
			break;
		cr_assert(talk(&w, 0, &has_failed), "served again after allocation %lu failed", n);
		has_failed = true;
	}
	cr_expect_gt(n, 10, "allocations were failed");
	cr_expect_lt(n, 60, "the set-up ends");
	tear_down(&w);
}

/* A client that goes away while the chain is built takes everything with it. */
Test(session, a_client_may_leave_at_any_turn, .timeout = 60)
{
	struct world w;
	set_up(&w);
	for (int turns = 0; turns < 30; turns++) {
		struct sink client = { 0 };
		struct stream *s;
		union addr_sock to = { .ip4 = { .sin_family = AF_INET,
					       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
		addr_sock_set_port(&to, listener_port(w.access_listener));
		cr_assert_eq(tcp_connect(w.loop, &to, false, NULL, NULL, &s), 0);
		sink_take(&client, s);
		for (int i = 0; i < turns; i++)
			loop_turn(w.loop);
		if (turns % 2)
			stream_abort(s);
		else
			stream_close(s);
		cr_assert(loop_run_until(w.loop, &client.is_closed, WAIT_MS));
		loop_run_until(w.loop, &never, 5);
		sink_free(&client);
	}
	for (int i = 0; i < 200 && (w.hop.sessions || w.access.sessions); i++)
		loop_run_until(w.loop, &never, 10);
	cr_expect_null(w.access.sessions, "no session outlives its client");
	cr_expect_null(w.hop.sessions);
	tear_down(&w);
}
