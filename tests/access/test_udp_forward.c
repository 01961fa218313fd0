/* client socket -> access_udp -> chain -> one hop -> echo, all on one loop. */
#include "access/udp_forward.h"
#include "common/drain.h"
#include "common/local.h"
#include "common/record.h"
#include "common/replay.h"
#include "hop/datagram.h"
#include "tests/support/failing.h"
#include "tests/support/one_upstream.h"

#include <criterion/criterion.h>

#define WAIT_MS 3000

static const bool never = false;

struct world {
	struct loop *loop;
	struct udp_io *io;
	struct hop_options hop_options;
	struct hop_user user;
	struct hop_user_key user_key;
	struct hop_worker hop;
	struct hop_datagrams *datagrams;
	struct quota hop_connections, access_connections, listener_connections;
	struct rate handshakes;
	struct source_quota *sources;
	struct access_options access_options;
	struct access_listener listener;
	struct access_worker worker;
	struct access_ingress ingress;
	struct one_upstream one;
	struct chain_spec spec;
	struct chain_hop spec_hop;
	struct access_udp *udp;
	struct udp *origin, *client;
	size_t last_len;
	unsigned n_answers, n_questions, n_refused, n_ends;
	bool has_answer;
};

static void on_hop_end(struct hop_worker *worker)
{
	(void)worker;
}

static void on_access_end(struct access_worker *worker)
{
	struct world *w = (struct world *)((char *)worker - offsetof(struct world, worker));
	w->n_ends++;
}

static void on_drain_empty(void *owner)
{
	(void)owner;
}

static void on_question(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	((struct world *)owner)->n_questions++;
	udp_send(udp, packet->from, packet->local, bytes_of(packet->data, packet->len),
		bytes_of(NULL, 0));
}

static void on_answer(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct world *w = owner;
	(void)udp;
	w->n_answers++;
	w->last_len = packet->len;
	w->has_answer = true;
}

static void on_error(struct udp *udp, int error, size_t mtu, void *owner)
{
	(void)udp;
	(void)mtu;
	if (error == -ECONNREFUSED)
		((struct world *)owner)->n_refused++;
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

static uint16_t set_up_hop(struct world *w, const char *allowed)
{
	struct replay_options memory = { .path = NULL };
	struct addr at;
	w->hop_options = (struct hop_options)HOP_OPTIONS_DEFAULT;
	w->user_key = (struct hop_user_key){ .key = new_key(), .not_after_ms = UINT64_MAX };
	w->user = (struct hop_user){
		.name = (char *)(uintptr_t) "me", .keys = &w->user_key, .n_keys = 1
	};
	w->hop_options.users = &w->user;
	w->hop_options.n_users = 1;
	cr_assert_eq(netset_add(&w->hop_options.allow, allowed), 0);
	w->hop = (struct hop_worker){ .loop = w->loop,
		.options = &w->hop_options,
		.connections = &w->hop_connections,
		.handshakes = &w->handshakes,
		.sources = w->sources,
		.udp = w->io,
		.on_session_end = on_hop_end };
	cr_assert_eq(hop_users_new(&w->hop_options, (struct hop_users **)&w->hop.users), 0);
	cr_assert_eq(replay_open(&memory, loop_wall_ms() - 60000, 1, &w->hop.replay), 0);
	cr_assert_eq(local_addresses_new((struct local_addresses **)&w->hop.local), 0);
	cr_assert_eq(relay_group_new(w->loop, &w->hop.relays), 0);
	cr_assert_eq(drain_new(w->loop, (struct drain_limits){ 1024, 20000 }, on_drain_empty, NULL,
			     &w->hop.drain),
		0);
	cr_assert_eq(wire_ephemeral_new(60000, &w->hop.ephemeral), 0);
	cr_assert_eq(hop_datagrams_new(&w->hop, &w->datagrams), 0);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &at), ADDR_OK);
	cr_assert_eq(udp_claim(&at), 0);
	cr_assert_eq(hop_datagrams_listen(w->datagrams, &at, false, NULL), 0);
	return at.port;
}

static struct udp *open_client(struct world *w)
{
	static const struct udp_ops ops = { .on_packet = on_answer, .on_error = on_error };
	union addr_sock to = { .ip4 = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	struct udp_options options = { .connect = &to };
	struct udp *client;
	addr_sock_set_port(&to, access_udp_port(w->udp));
	cr_assert_eq(udp_open(w->io, &options, &ops, w, &client), 0);
	return client;
}

static void set_up_access(struct world *w, uint16_t hop_port)
{
	struct addr at;
	w->spec = (struct chain_spec)CHAIN_SPEC_DEFAULT;
	w->spec.hops = &w->spec_hop;
	w->spec.n_hops = 1;
	w->spec.udp = CHAIN_UDP_DATAGRAM;
	w->spec_hop.key = new_key();
	w->spec_hop.addr =
		(struct addr){ .kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = hop_port };
	w->listener.transports = ACCESS_UDP;
	w->listener.to = w->spec_hop.addr;
	w->listener.to.port = udp_port(w->origin);
	w->access_options = (struct access_options)ACCESS_OPTIONS_DEFAULT;
	w->worker = (struct access_worker){ .loop = w->loop,
		.options = &w->access_options,
		.connections = &w->access_connections,
		.sources = w->sources,
		.on_session_end = on_access_end };
	w->ingress = (struct access_ingress){ .worker = &w->worker,
		.options = &w->listener,
		.connections = &w->listener_connections,
		.sources = w->sources };
	one_upstream_open(&w->one, w->loop, NULL, &w->spec, &w->access_options, &w->listener);
	w->ingress.all = &w->access_options;
	w->ingress.upstreams = w->one.upstreams;
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &at), ADDR_OK);
	struct udp_options socket = { .bind = &at, .is_shared = true };
	cr_assert_eq(access_udp_open(&w->ingress, w->io, &socket, &w->udp), 0);
	w->client = open_client(w);
}

/* Limits stand in @w->listener and the quotas before this. */
static void set_up(struct world *w, const char *allowed)
{
	static const struct udp_ops ops = { .on_packet = on_question, .on_error = on_error };
	struct addr at;
	struct udp_options options = { .bind = &at };
	cr_assert(seal_start() == 0 && record_start() == 0);
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(udp_io_new(w->loop, &w->io), 0);
	cr_assert_eq(source_quota_new(0, &w->sources), 0);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &at), ADDR_OK);
	cr_assert_eq(udp_open(w->io, &options, &ops, w, &w->origin), 0);
	set_up_access(w, set_up_hop(w, allowed));
}

static void tear_down(struct world *w)
{
	access_udp_close(w->udp);
	cr_expect_eq(w->access_connections.n, 0, "every charge came back");
	cr_expect_eq(w->listener_connections.n, 0);
	hop_datagrams_free(w->datagrams);
	udp_close(w->client);
	udp_close(w->origin);
	drain_stop(w->hop.drain);
	loop_run_until(w->loop, &never, 20);
	one_upstream_close(&w->one);
	relay_group_free(w->hop.relays);
	drain_free(w->hop.drain);
	hop_worker_forget(&w->hop);
	hop_users_free((struct hop_users *)w->hop.users);
	local_addresses_free((struct local_addresses *)w->hop.local);
	replay_close(w->hop.replay);
	source_quota_free(w->sources);
	netset_deinit(&w->hop_options.allow);
	netset_deinit(&w->listener.from);
	wire_key_free(w->user_key.key);
	wire_key_free(w->spec_hop.key);
	udp_io_free(w->io);
	loop_run_until(w->loop, &never, 20);
	loop_free(w->loop);
}

static bool ask(struct world *w, struct udp *client, size_t len, uint64_t wait_ms)
{
	static const uint8_t question[9000];
	w->has_answer = false;
	udp_send(client, NULL, NULL, bytes_of(question, len), bytes_of(NULL, 0));
	return loop_run_until(w->loop, &w->has_answer, wait_ms) && w->last_len == len;
}

Test(udp_forward, datagrams_of_every_size_come_back, .timeout = 30)
{
	static const size_t sizes[] = { 5, 0, 1, 1200, 9000 };
	struct world w = { 0 };
	set_up(&w, "loopback");
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		cr_expect(ask(&w, w.client, sizes[i], WAIT_MS), "%zu bytes", sizes[i]);
	cr_expect_eq(access_udp_count(w.udp), 1, "one client, one flow");
	cr_expect_eq(access_udp_counters(w.udp)->n_flows, 1);
	tear_down(&w);
}

Test(udp_forward, a_failed_flow_keeps_its_client_quiet_for_a_second, .timeout = 30)
{
	struct world w = { 0 };
	set_up(&w, "10.0.0.0/8"); /* the hop says no */
	for (int i = 0; i < 20; i++)
		cr_expect_not(ask(&w, w.client, 4, 10));
	cr_expect_eq(access_udp_counters(w.udp)->n_flows, 1);
	cr_expect_eq(access_udp_counters(w.udp)->n_failed, 1);
	cr_expect_geq(access_udp_counters(w.udp)->n_dropped, 10);
	cr_expect_eq(w.access_connections.n, 0, "it is charged nothing any more");
	loop_run_until(w.loop, &never, ACCESS_FLOW_FAILED_MS + 100);
	cr_expect_eq(access_udp_count(w.udp), 0);
	cr_expect_not(ask(&w, w.client, 4, 50));
	cr_expect_eq(access_udp_counters(w.udp)->n_flows, 2);
	tear_down(&w);
}

Test(udp_forward, who_is_not_served_and_who_is_too_many_gets_nothing, .timeout = 30)
{
	struct world w = { 0 };
	cr_assert_eq(netset_add(&w.listener.from, "10.0.0.0/8"), 0);
	set_up(&w, "loopback");
	cr_expect_not(ask(&w, w.client, 4, 50));
	cr_expect_eq(access_udp_counters(w.udp)->n_refused, 1);
	cr_expect_eq(access_udp_count(w.udp), 0);
	tear_down(&w);

	w = (struct world){ .listener.max_flows = 2 };
	quota_init(&w.access_connections, 3);
	set_up(&w, "loopback");
	struct udp *more[2] = { open_client(&w), open_client(&w) };
	cr_expect(ask(&w, w.client, 4, WAIT_MS));
	cr_expect(ask(&w, more[0], 4, WAIT_MS));
	cr_expect_not(ask(&w, more[1], 4, 50), "two flows are alive: no third");
	cr_expect_eq(access_udp_counters(w.udp)->n_refused, 1);
	cr_expect_eq(w.access_connections.n, 2, "a refused flow gave its charge back");
	cr_expect(ask(&w, w.client, 5, WAIT_MS));
	udp_close(more[0]);
	udp_close(more[1]);
	tear_down(&w);
}

Test(udp_forward, draining_takes_no_new_flows_and_ends_quiet_ones, .timeout = 30)
{
	struct world w = { 0 };
	set_up(&w, "loopback");
	struct udp *late = open_client(&w);
	cr_assert(ask(&w, w.client, 4, WAIT_MS));
	access_udp_drain(w.udp);
	cr_expect_not(ask(&w, late, 4, 50));
	cr_expect(ask(&w, w.client, 5, WAIT_MS), "a flow that was there goes on");
	cr_expect_eq(w.n_ends, 0);
	loop_run_until(w.loop, &never, ACCESS_FLOW_DRAIN_MS + 200);
	cr_expect_eq(w.n_ends, 1);
	cr_expect_eq(access_udp_count(w.udp), 0);
	udp_close(late);
	tear_down(&w);
}

/* Every allocation between a client's first datagram and the answer fails once. */
Test(udp_forward, each_allocation_of_a_flow_may_fail, .timeout = 120)
{
	struct world w = { 0 };
	bool has_failed = true;
	unsigned long n;
	set_up(&w, "loopback");
	cr_assert(ask(&w, w.client, 4, WAIT_MS));
	for (n = 1; n < 80 && has_failed; n++) {
		struct udp *client = open_client(&w);
		failing_start(n);
		(void)ask(&w, client, 4, 20);
		has_failed = failing_stop();
		udp_close(client);
		cr_assert(ask(&w, w.client, 4, WAIT_MS), "served after allocation %lu failed", n);
	}
	cr_expect_gt(n, 5, "allocations were failed");
	cr_expect_lt(n, 80, "the set-up ends");
	tear_down(&w);
}
