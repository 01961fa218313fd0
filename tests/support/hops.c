#include "tests/support/hops.h"

#include "common/record.h"
#include "hop/session.h"

#include <criterion/criterion.h>

static const bool never = false;

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
	struct hops_hop *h = owner;
	h->n_accepted++;
	hop_session_start(&h->worker, s, peer);
}

static struct wire_key *new_key(uint8_t seed)
{
	uint8_t credential[WIRE_CREDENTIAL];
	struct wire_key *key;
	memset(credential, 2 * seed, 32);
	memset(credential + 32, 2 * seed + 1, 32);
	cr_assert_eq(wire_key_new(credential, &key), WIRE_KEY_OK);
	return key;
}

static void set_up_worker(struct hops_hop *h, struct loop *loop)
{
	struct replay_options memory = { .path = NULL };
	struct hop_worker *w = &h->worker;
	*w = (struct hop_worker){ .loop = loop,
		.options = &h->options,
		.connections = &h->connections,
		.handshakes = &h->handshakes,
		.on_session_end = on_session_end };
	cr_assert_eq(source_quota_new(0, &w->sources), 0);
	cr_assert_eq(hop_users_new(&h->options, (struct hop_users **)&w->users), 0);
	cr_assert_eq(replay_open(&memory, loop_wall_ms() - 60000, 1, &w->replay), 0);
	cr_assert_eq(local_addresses_new((struct local_addresses **)&w->local), 0);
	cr_assert_eq(relay_group_new(loop, &w->relays), 0);
	cr_assert_eq(drain_new(loop, (struct drain_limits){ 1024, 20000 }, on_drain_empty, NULL,
			     &w->drain),
		0);
	cr_assert_eq(wire_ephemeral_new(60000, &w->ephemeral), 0);
	cr_assert_eq(udp_io_new(loop, &w->udp), 0);
	cr_assert_eq(hop_datagrams_new(w, &h->datagrams), 0);
}

/* A port that is free for TCP and UDP. */
static void listen_on(struct hops_hop *h, struct loop *loop)
{
	struct addr at;
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(addr_parse_listen("127.0.0.1:0", &at), ADDR_OK);
		cr_assert_eq(listener_open(loop, &at, false, on_accept, h, &h->listener), 0);
		at.port = listener_port(h->listener);
		if (hop_datagrams_listen(h->datagrams, &at, false, NULL) == 0)
			return;
		listener_close(h->listener);
	}
	cr_assert_fail("no port");
}

static void open_hop(struct hops *hops, size_t i)
{
	struct hops_hop *h = &hops->hop[i];
	h->options = (struct hop_options)HOP_OPTIONS_DEFAULT;
	h->options.dial_timeout_ms = 1000;
	h->user_key = (struct hop_user_key){ .key = new_key((uint8_t)(i + 1)),
		.not_after_ms = UINT64_MAX };
	h->user = (struct hop_user){
		.name = (char *)(uintptr_t) "me", .keys = &h->user_key, .n_keys = 1
	};
	h->options.users = &h->user;
	h->options.n_users = 1;
	cr_assert_eq(netset_add(&h->options.allow, "loopback"), 0);
	set_up_worker(h, hops->loop);
	listen_on(h, hops->loop);
	hops->spec_hops[i].key = new_key((uint8_t)(i + 1));
	hops->spec_hops[i].addr = (struct addr){
		.kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = listener_port(h->listener)
	};
}

void hops_open(struct hops *hops, size_t n)
{
	*hops = (struct hops){ .n = n };
	cr_assert(seal_start() == 0 && record_start() == 0);
	cr_assert_eq(loop_new(&hops->loop), 0);
	for (size_t i = 0; i < n; i++)
		open_hop(hops, i);
	hops->spec = (struct chain_spec)CHAIN_SPEC_DEFAULT;
	hops->spec.hops = hops->spec_hops;
	hops->spec.n_hops = n;
	hops->spec.connect_timeout_ms = 1000;
	cr_assert_eq(udp_io_new(hops->loop, &hops->io), 0);
	cr_assert_eq(chain_client_new(hops->loop, NULL, &hops->spec, &hops->client), 0);
}

void hops_stop(struct hops *hops, size_t i)
{
	struct hops_hop *h = &hops->hop[i - 1];
	if (h->listener == NULL)
		return;
	listener_close(h->listener);
	h->listener = NULL;
	hop_datagrams_free(h->datagrams);
	h->datagrams = NULL;
	hops_turn(hops, 5);
}

void hops_restart(struct hops *hops, size_t i)
{
	struct hops_hop *h = &hops->hop[i - 1];
	struct addr at = hops->spec_hops[i - 1].addr;
	cr_assert_eq(listener_open(hops->loop, &at, false, on_accept, h, &h->listener), 0);
	cr_assert_eq(hop_datagrams_new(&h->worker, &h->datagrams), 0);
	cr_assert_eq(hop_datagrams_listen(h->datagrams, &at, false, NULL), 0);
}

void hops_spoil(struct hops *hops, size_t i)
{
	wire_key_free(hops->spec_hops[i - 1].key);
	hops->spec_hops[i - 1].key = new_key((uint8_t)(i + 40));
}

void hops_rename(struct hops *hops, const char *name, const char *server)
{
	struct addr *at = &hops->spec_hops[0].addr;
	*at = (struct addr){ .kind = ADDR_NAME, .port = at->port };
	memcpy(at->name, name, strlen(name) + 1);
	chain_client_free(hops->client);
	cr_assert_eq(resolver_new(hops->loop, server, &hops->resolver), 0);
	cr_assert_eq(chain_client_new(hops->loop, hops->resolver, &hops->spec, &hops->client), 0);
}

void hops_turn(struct hops *hops, uint64_t ms)
{
	loop_run_until(hops->loop, &never, ms);
}

static void end_sessions(struct hops *hops, struct hops_hop *h)
{
	hop_sessions_stop(&h->worker);
	drain_stop(h->worker.drain);
	for (int i = 0; i < 500 && (h->worker.sessions != NULL || !drain_is_empty(h->worker.drain));
		i++)
		hops_turn(hops, 10);
	cr_expect_eq(h->connections.n, 0, "every charge came back");
}

static void free_worker(struct hops_hop *h)
{
	struct hop_worker *w = &h->worker;
	udp_io_free(w->udp);
	relay_group_free(w->relays);
	drain_free(w->drain);
	hop_worker_forget(w);
	hop_users_free((struct hop_users *)w->users);
	local_addresses_free((struct local_addresses *)w->local);
	replay_close(w->replay);
	source_quota_free(w->sources);
	netset_deinit(&h->options.allow);
	wire_key_free(h->user_key.key);
}

void hops_close(struct hops *hops)
{
	for (size_t i = 0; i < hops->n; i++) {
		hops_stop(hops, i + 1);
		end_sessions(hops, &hops->hop[i]);
	}
	hops_turn(hops, 20);
	chain_client_free(hops->client);
	resolver_free(hops->resolver);
	udp_io_free(hops->io);
	for (size_t i = 0; i < hops->n; i++) {
		free_worker(&hops->hop[i]);
		wire_key_free(hops->spec_hops[i].key);
	}
	loop_free(hops->loop);
}
