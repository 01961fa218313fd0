/* Real hops on the test's own loop, as candidates of one position, of two, and as chains of equal
 * use; they die, fall silent and come back. */
#include "chain/attempt.h"
#include "chain/flow_wait.h"
#include "chain/pool.h"
#include "tests/common/name_server.h"
#include "tests/support/hops.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define N       3
#define WAIT_MS 20000

/* What accepts connections: a target, or a hop that is silent. */
struct sink {
	struct listener *listener;
	struct stream *streams[64];
	size_t n;
};

static struct hops hops;
static struct sink target, hole;
static struct addr target_addr;
static struct chain_group group;
static struct chain_group *groups[2];
static struct chain_hop positions[2];
static struct chain_spec spec;
static struct chain_member members[N];
static struct chain_upstream_spec upstream_spec;
static struct chain_health *health;
static struct chain_upstream *upstream;
static struct name_server server;
static struct resolver *resolver;
static struct chain_pools *pools;    /* NULL: none */
static struct wire_key *own_keys[N]; /* with the resolver: of hops that have the first one's */

static void ignore(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	(void)s;
	(void)event;
	(void)data;
	(void)owner;
}

static void on_accept(struct stream *s, const union addr_sock *peer, void *owner)
{
	struct sink *sink = owner;
	(void)peer;
	if (sink->n == sizeof sink->streams / sizeof *sink->streams) {
		stream_drop(s);
		return;
	}
	stream_own(s, ignore, NULL);
	sink->streams[sink->n++] = s;
}

static struct addr open_sink(struct sink *sink)
{
	struct addr at;
	*sink = (struct sink){ 0 };
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &at), ADDR_OK);
	cr_assert_eq(listener_open(hops.loop, &at, false, on_accept, sink, &sink->listener), 0);
	at.port = listener_port(sink->listener);
	return at;
}

static void drop_streams(struct sink *sink)
{
	while (sink->n > 0)
		stream_drop(sink->streams[--sink->n]);
}

static void close_sink(struct sink *sink)
{
	if (sink->listener == NULL)
		return;
	drop_streams(sink);
	listener_close(sink->listener);
	sink->listener = NULL;
}

static void set_up(void)
{
	hops_open(&hops, N);
	target_addr = open_sink(&target);
	group = (struct chain_group){
		.strategy = CHAIN_FIRST, .hops = hops.spec_hops, .n_hops = N
	};
	groups[0] = &group;
	spec = hops.spec;
	spec.name = (char *)(uintptr_t) "group";
	spec.hops = positions;
	spec.n_hops = 1;
	spec.groups = groups;
	positions[0] = group.hops[0];
	members[0] = (struct chain_member){ .chain = &spec };
	upstream_spec = (struct chain_upstream_spec){ .members = members, .n_members = 1 };
	cr_assert_eq(chain_health_new(&health), 0);
}

/* As they are in the options by now. */
static void renew_users(struct hops_hop *hop)
{
	struct hop_users **users = (struct hop_users **)(uintptr_t)&hop->worker.users;
	hop_users_free(*users);
	cr_assert_eq(hop_users_new(&hop->options, users), 0);
}

static void start(bool probes)
{
	struct chain_upstream_options options = { .loop = hops.loop,
		.resolver = resolver,
		.health = health,
		.pools = pools,
		.probes = probes };
	cr_assert_eq(chain_upstream_new(&options, &upstream_spec, &upstream), 0);
}

static void tear_down(void)
{
	chain_upstream_free(upstream);
	upstream = NULL;
	chain_pools_free(pools);
	pools = NULL;
	if (resolver != NULL) {
		resolver_free(resolver);
		name_server_close(&server);
		resolver = NULL;
		for (size_t i = 1; i < N; i++)
			hops.hop[i].user_key.key = own_keys[i];
	}
	chain_health_free(health);
	close_sink(&target);
	close_sink(&hole);
	hops_close(&hops);
}

TestSuite(upstream, .init = set_up, .fini = tear_down);

/* ---- one connection ---- */

struct outcome {
	bool is_done, is_open;
	struct chain_error error;
	uint16_t port; /* of the way's first hop */
	uint64_t took_ms;
	struct stream *stream; /* if it is kept */
};
static bool keeps;

static void on_done(struct stream *stream, const struct chain_spec *way,
	const struct chain_error *error, void *owner)
{
	struct outcome *o = owner;
	o->is_done = true;
	o->is_open = stream != NULL;
	o->port = way->n_hops > 0 ? way->hops[0].addr.port : 0;
	if (error != NULL)
		o->error = *error;
	if (keeps) {
		stream_own(stream, ignore, NULL);
		o->stream = stream;
	} else if (stream != NULL) {
		stream_drop(stream);
	}
}

static struct outcome connect_from(const union addr_sock *source)
{
	struct outcome o = { 0 };
	struct chain_attempt *attempt;
	struct chain_attempt_options options = {
		.purpose = CHAIN_TO_TARGET, .target = &target_addr, .source = source
	};
	uint64_t start_ms = loop_clock_us() / 1000;
	cr_assert_eq(chain_attempt_start(upstream, &options, on_done, &o, &attempt), 0);
	cr_assert_not(o.is_done, "never from inside");
	cr_assert(loop_run_until(hops.loop, &o.is_done, WAIT_MS));
	o.took_ms = loop_clock_us() / 1000 - start_ms;
	if (!keeps)
		drop_streams(&target);
	return o;
}

static struct outcome connect_once(void)
{
	return connect_from(NULL);
}

static struct outcome connect_open(void)
{
	struct outcome o = connect_once();
	cr_assert(o.is_open, "%s", chain_error_slug(&o.error));
	return o;
}

static unsigned hop_of(const struct outcome *o)
{
	for (unsigned i = 0; i < N; i++) {
		if (hops.spec_hops[i].addr.port == o->port)
			return i;
	}
	return N;
}

static struct chain_candidate told[16];
static size_t n_told;

static void on_candidate(const struct chain_candidate *candidate, void *owner)
{
	(void)owner;
	cr_assert_lt(n_told, 16);
	told[n_told++] = *candidate;
}

static void explain(void)
{
	struct chain_who who = { .target = &target_addr };
	n_told = 0;
	chain_upstream_explain(upstream, &who, on_candidate, NULL);
}

/* ---- tests ---- */

Test(upstream, one_dead_hop_is_not_seen_by_clients)
{
	start(false);
	hops_stop(&hops, 1);
	for (int i = 0; i < 20; i++) {
		struct outcome o = connect_open();
		cr_expect_eq(hop_of(&o), 1);
		cr_expect_lt(o.took_ms, 500);
	}
	explain();
	cr_assert_eq(n_told, N);
	cr_expect(told[0].state.is_aside);
	cr_expect_eq(told[0].state.n_failed, CHAIN_MAX_FAILS, "then it is left alone");
	cr_expect_str_eq(told[0].state.last_error, "refused");
	cr_expect_not_null(strstr(told[0].why, "s more after 3 refused"), "%s", told[0].why);
	cr_expect(told[1].is_chosen);
	cr_expect_str_eq(told[1].why, "the first that lives");
	cr_expect_str_eq(told[2].why, "an earlier one lives");
	cr_expect_eq(told[1].state.n_ok, 20);
	cr_expect_gt(told[1].state.rtt_us, 0);
}

Test(upstream, all_dead_is_told_of_a_hop)
{
	start(false);
	for (size_t i = 1; i <= N; i++)
		hops_stop(&hops, i);
	for (int i = 0; i < 5; i++) {
		struct outcome o = connect_once();
		cr_expect_not(o.is_open);
		cr_expect_eq(o.error.hop, 1);
		cr_expect_eq(o.error.stage, CHAIN_DIAL);
		cr_expect_lt(hop_of(&o), N);
		cr_expect_eq(o.error.address.port, o.port, "the error's and the way's are one");
	}
}

Test(upstream, a_silent_hop_costs_its_time_a_few_times_only)
{
	static struct chain_hop mine[N];
	memcpy(mine, hops.spec_hops, sizeof mine);
	mine[0].addr = open_sink(&hole);
	group.hops = mine;
	start(false);
	unsigned n_slow = 0;
	for (int i = 0; i < 10; i++) {
		struct outcome o = connect_open();
		cr_expect_lt(o.took_ms, CHAIN_PATIENCE_MIN_MS + 500);
		n_slow += o.took_ms + 50 >= CHAIN_PATIENCE_MIN_MS ? 1 : 0;
	}
	cr_expect_eq(n_slow, CHAIN_MAX_FAILS);
	explain();
	cr_expect(told[0].state.is_aside);
	cr_expect_str_eq(told[0].state.last_error, "no-answer");
}

Test(upstream, what_the_target_says_is_final)
{
	start(false);
	close_sink(&target);
	for (int i = 0; i < 5; i++) {
		struct outcome o = connect_once();
		cr_expect_not(o.is_open);
		cr_expect_eq(o.error.stage, CHAIN_STATUS);
		cr_expect_str_eq(chain_error_slug(&o.error), "refused");
	}
	explain();
	cr_expect_eq(told[0].state.n_ok, 5, "it lives");
	cr_expect_eq(told[0].state.n_failed, 0);
	cr_expect_eq(hops.hop[1].n_accepted, 0);
}

Test(upstream, who_is_full_is_left_alone_for_a_moment)
{
	hops.hop[0].user.max_connections = 1;
	renew_users(&hops.hop[0]);
	start(false);
	keeps = true;
	struct outcome o = connect_once();
	cr_expect_eq(hop_of(&o), 0);
	struct outcome other = connect_once();
	keeps = false;
	cr_expect(other.is_open, "%s", chain_error_slug(&other.error));
	cr_expect_eq(hop_of(&other), 1);
	explain();
	cr_expect_str_eq(told[0].state.last_error, "limit");
	cr_expect(told[0].state.is_aside);
	cr_expect_leq(told[0].state.back_ms, loop_now_ms(hops.loop) + 1300);
	stream_drop(o.stream);
	stream_drop(other.stream);
	hops_turn(&hops, 3500);
	o = connect_once();
	cr_expect_eq(hop_of(&o), 0);
}

Test(upstream, who_died_is_asked_and_comes_back)
{
	group.max_fails = 1;
	group.retry_after_ms = 300;
	start(true);
	hops_stop(&hops, 1);
	struct outcome o = connect_once();
	cr_assert_eq(hop_of(&o), 1);
	hops_turn(&hops, 2000);
	explain();
	cr_expect_gt(told[0].state.n_failed, 1, "it was asked while it was dead");
	hops_restart(&hops, 1);
	for (int i = 0; i < 100 && told[0].state.is_aside; i++) {
		hops_turn(&hops, 100);
		explain();
	}
	cr_expect_not(told[0].state.is_aside);
	o = connect_once();
	cr_expect_eq(hop_of(&o), 0);
}

Test(upstream, clients_ask_who_is_aside_where_nobody_else_does)
{
	group.max_fails = 1;
	group.retry_after_ms = 100;
	start(false);
	hops_stop(&hops, 1);
	struct outcome o = connect_once();
	cr_assert_eq(hop_of(&o), 1);
	hops_restart(&hops, 1);
	o = connect_once();
	cr_expect_eq(hop_of(&o), 1);
	hops_turn(&hops, 2500);
	o = connect_once();
	cr_expect_eq(hop_of(&o), 0);
	explain();
	cr_expect_not(told[0].state.is_aside);
}

Test(upstream, turns_are_taken_by_weight)
{
	unsigned n[N] = { 0 };
	group.strategy = CHAIN_ROUND_ROBIN;
	hops.spec_hops[0].weight = 3;
	start(false);
	for (int i = 0; i < 50; i++) {
		struct outcome o = connect_once();
		n[hop_of(&o)]++;
	}
	cr_expect(n[0] == 30 && n[1] == 10 && n[2] == 10, "%u %u %u", n[0], n[1], n[2]);
}

Test(upstream, a_source_keeps_its_hop)
{
	unsigned first[16], n[N] = { 0 };
	union addr_sock source = { .ip4 = { .sin_family = AF_INET } };
	group.strategy = CHAIN_HASH_SOURCE;
	start(false);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 16; i++) {
			source.ip4.sin_addr.s_addr = htonl(0x0a000000 + i);
			source.ip4.sin_port = htons((uint16_t)(1000 * round + 1));
			struct outcome o = connect_from(&source);
			if (round == 0) {
				first[i] = hop_of(&o);
				n[first[i]]++;
			}
			cr_expect_eq(hop_of(&o), first[i]);
		}
	}
	cr_expect(n[0] > 0 && n[1] > 0 && n[2] > 0, "%u %u %u", n[0], n[1], n[2]);
}

Test(upstream, the_nearest_is_found_by_probes)
{
	group.strategy = CHAIN_LOWEST_RTT;
	start(true);
	for (int i = 0; i < 100; i++) {
		hops_turn(&hops, 50);
		explain();
		if (told[0].state.rtt_us > 0 && told[1].state.rtt_us > 0 &&
			told[2].state.rtt_us > 0)
			break;
	}
	for (size_t i = 0; i < N; i++)
		cr_expect_gt(told[i].state.rtt_us, 0);
	cr_expect_eq(target.n, 0);
}

/* Hop 1 stands alone, hops 2 and 3 can stand for each other behind it. */
static void set_two_positions(void)
{
	group.hops = &hops.spec_hops[1];
	group.n_hops = 2;
	groups[0] = NULL;
	groups[1] = &group;
	positions[0] = hops.spec_hops[0];
	positions[1] = hops.spec_hops[1];
	spec.n_hops = 2;
}

Test(upstream, an_exit_that_is_dead_is_the_exits_fault)
{
	set_two_positions();
	start(false);
	hops_stop(&hops, 2);
	for (int i = 0; i < 5; i++)
		(void)connect_open();
	explain();
	cr_assert_eq(n_told, 3);
	cr_expect_not(told[0].state.is_aside);
	cr_expect_str_eq(told[0].why, "the only one");
	cr_expect(told[1].state.is_aside);
	cr_expect(told[2].is_chosen);
	cr_expect_gt(told[2].state.rtt_us, 0, "hop 1 says how far it is");
}

Test(upstream, a_dead_first_hop_has_no_way_around_it)
{
	set_two_positions();
	start(false);
	hops_stop(&hops, 1);
	struct outcome o = connect_once();
	cr_expect_not(o.is_open);
	cr_expect_eq(o.error.hop, 1);
	explain();
	cr_expect_eq(told[0].state.n_failed, 1, "it is tried once, not once per exit");
	cr_expect_eq(told[1].state.n_failed, 0);
}

Test(upstream, a_name_without_records_is_told_with_its_place)
{
	char text[256];
	struct chain_hop two[2] = { hops.spec_hops[0], hops.spec_hops[1] };
	two[1].addr = (struct addr){ .kind = ADDR_NAME, .name = "_hop._tcp.test" };
	two[1].is_srv = true;
	spec.hops = two;
	spec.n_hops = 2;
	spec.groups = NULL;
	start(false); /* without a resolver nothing is found */
	struct outcome o = connect_once();
	cr_expect(o.error.stage == CHAIN_RESOLVE && o.error.hop == 2 && o.error.n_hops == 2);
	cr_expect_not_null(strstr(chain_error_print(&o.error, text, sizeof text),
				   "hop 2 (srv:_hop._tcp.test): resolve-fail"),
		"%s", text);
}

/* Three chains of one hop each. */
static struct chain_spec chains[N];

static void set_members(void)
{
	static char *names[N] = { (char *)(uintptr_t) "a", (char *)(uintptr_t) "b",
		(char *)(uintptr_t) "c" };
	for (size_t i = 0; i < N; i++) {
		chains[i] = hops.spec;
		chains[i].name = names[i];
		chains[i].hops = &hops.spec_hops[i];
		chains[i].n_hops = 1;
		members[i] = (struct chain_member){ .chain = &chains[i] };
	}
	upstream_spec.n_members = N;
}

Test(upstream, chains_stand_for_each_other)
{
	set_members();
	start(false);
	hops_stop(&hops, 1);
	hops_stop(&hops, 2);
	for (int i = 0; i < 5; i++) {
		struct outcome o = connect_open();
		cr_expect_eq(hop_of(&o), 2);
	}
	explain();
	cr_assert_eq(n_told, 2 * N);
	cr_expect_str_eq(told[0].name, "a");
	cr_expect_eq(told[0].position, 0);
	cr_expect_not(told[0].is_chosen);
	cr_expect(told[4].is_chosen && told[5].is_chosen);
	cr_expect(told[1].state.is_aside);
	hops_stop(&hops, 3);
	struct outcome o = connect_once();
	cr_expect_not(o.is_open);
}

Test(upstream, a_direct_way_is_one_of_them)
{
	set_members();
	chains[0] = (struct chain_spec)CHAIN_SPEC_DEFAULT;
	chains[0].name = (char *)(uintptr_t) "direct";
	start(false);
	struct outcome o = connect_once();
	cr_expect(o.is_open);
	cr_expect_eq(o.port, 0);
	close_sink(&target);
	o = connect_once();
	cr_expect_not(o.is_open);
	cr_expect_eq(hops.hop[0].n_accepted + hops.hop[1].n_accepted, 0);
}

Test(upstream, a_cancelled_attempt_leaves_nothing)
{
	struct outcome o = { 0 };
	struct chain_attempt *attempts[20];
	struct chain_attempt_options options = { .purpose = CHAIN_TO_TARGET,
		.target = &target_addr };
	start(true);
	for (int ms = 0; ms < 20; ms++) {
		cr_assert_eq(
			chain_attempt_start(upstream, &options, on_done, &o, &attempts[ms]), 0);
		if (ms > 0)
			hops_turn(&hops, 1);
		if (!o.is_done)
			chain_attempt_cancel(attempts[ms]);
		o.is_done = false;
	}
}

/* The first hop is silent: after CHAIN_PATIENCE_MIN_MS there are two sessions, and soon the end. */
Test(upstream, an_attempt_is_cancelled_while_two_are_under_way)
{
	static struct chain_hop mine[N];
	struct chain_attempt_options options = { .purpose = CHAIN_TO_TARGET,
		.target = &target_addr };
	memcpy(mine, hops.spec_hops, sizeof mine);
	mine[0].addr = open_sink(&hole);
	group.hops = mine;
	group.max_fails = 1000;
	start(false);
	for (unsigned ms = 0; ms < 5; ms++) {
		struct outcome o = { 0 };
		struct chain_attempt *attempt;
		uint64_t end_us;
		unsigned n_before = hops.hop[1].n_accepted;
		cr_assert_eq(chain_attempt_start(upstream, &options, on_done, &o, &attempt), 0);
		hops_turn(&hops, CHAIN_PATIENCE_MIN_MS - 20);
		for (int i = 0; i < 500 && hops.hop[1].n_accepted == n_before && !o.is_done; i++)
			hops_turn(&hops, 1);
		for (end_us = loop_clock_us() + 200 * ms; loop_clock_us() < end_us && !o.is_done;)
			hops_turn(&hops, 0);
		if (!o.is_done)
			chain_attempt_cancel(attempt);
		drop_streams(&target);
	}
	explain();
	cr_expect_eq(told[1].state.n_failed, 0);
}

/* ---- SRV records ---- */

#define NAME "_hop._tcp.group.test"
static struct name_record zone[] = {
	{ NAME, NAME_OK, 1, { NULL } },
	{ "a.test", NAME_OK, 600, { "127.0.0.1" } },
	{ "b.test", NAME_OK, 600, { "127.0.0.1" } },
	{ "c.test", NAME_OK, 600, { "127.0.0.1" } },
	{ NULL, 0, 0, { NULL } },
};
static struct name_service services[N + 1];

/* Hops 1 to 3 are a, b and c, in this order of priority; all have the key of hop 1. */
static void start_srv(size_t n, bool probes)
{
	static const char *const hosts[N] = { "a.test", "b.test", "c.test" };
	for (uint16_t i = 0; i < n; i++)
		services[i] =
			(struct name_service){ NAME, i, 1, hops.spec_hops[i].addr.port, hosts[i] };
	groups[0] = NULL;
	positions[0] = hops.spec_hops[0];
	positions[0].addr = (struct addr){ .kind = ADDR_NAME, .name = NAME };
	positions[0].is_srv = true;
	for (size_t i = 1; i < N; i++) {
		struct hops_hop *hop = &hops.hop[i];
		own_keys[i] = (struct wire_key *)(uintptr_t)hop->user_key.key;
		hop->user_key.key = hops.hop[0].user_key.key;
		renew_users(hop);
	}
	name_server_open(&server, hops.loop, zone);
	server.services = services;
	cr_assert_eq(resolver_new(hops.loop, server.text, &resolver), 0);
	start(probes);
}

Test(upstream, records_are_candidates)
{
	start_srv(2, true);
	for (int i = 0; i < 3; i++) { /* the first waits for the records */
		struct outcome o = connect_open();
		cr_expect_eq(hop_of(&o), 0);
	}
	hops_stop(&hops, 1);
	for (int i = 0; i < 5; i++) {
		struct outcome o = connect_open();
		cr_expect_eq(hop_of(&o), 1);
	}
	explain();
	cr_assert_eq(n_told, 2);
	cr_expect(told[0].state.is_aside);
	cr_expect(told[1].is_chosen);
}

Test(upstream, records_change_under_connections_and_stay_without_dns)
{
	struct chain_attempt *attempt;
	struct outcome under_way = { 0 };
	struct chain_attempt_options options = { .purpose = CHAIN_TO_TARGET,
		.target = &target_addr };
	start_srv(1, true);
	struct outcome o = connect_once();
	cr_expect_eq(hop_of(&o), 0);
	services[0] = (struct name_service){ NAME, 0, 0, hops.spec_hops[2].addr.port, "c.test" };
	for (int i = 0; i < 80 && hop_of(&o) != 2; i++) {
		cr_assert_eq(
			chain_attempt_start(upstream, &options, on_done, &under_way, &attempt), 0);
		hops_turn(&hops, 100);
		o = connect_once();
		cr_assert(o.is_open);
		if (!under_way.is_done)
			chain_attempt_cancel(attempt);
		under_way.is_done = false;
	}
	cr_expect_eq(hop_of(&o), 2);
	explain();
	cr_expect_eq(n_told, 1, "the old one is gone");
	zone[0].rcode = NAME_NXDOMAIN;
	int n_queries = server.n_queries;
	for (int i = 0; i < 80 && server.n_queries == n_queries; i++)
		hops_turn(&hops, 100);
	hops_turn(&hops, 100);
	o = connect_once();
	cr_expect_eq(hop_of(&o), 2);
}

Test(upstream, connections_are_warmed_as_soon_as_there_are_records)
{
	cr_assert_eq(chain_pools_new(hops.loop, &pools), 0);
	hops.spec_hops[0].n_warm = 2;
	start_srv(1, false);
	for (int i = 0; i < 200 && hops.hop[0].n_accepted < 2; i++)
		hops_turn(&hops, 10);
	cr_expect_eq(hops.hop[0].n_accepted, 2, "before anybody asked for one");
	struct outcome o = connect_once();
	cr_expect(o.is_open);
}

/* Each way that is taken has warm connections of its own; those of a dead one are asked for ever
 * more seldom. */
Test(upstream, all_of_a_group_are_kept_warm)
{
	cr_assert_eq(chain_pools_new(hops.loop, &pools), 0);
	group.strategy = CHAIN_ROUND_ROBIN;
	for (size_t i = 0; i < N; i++)
		hops.spec_hops[i].n_warm = 2;
	start(false);
	for (int i = 0; i < N; i++) /* one each: the second one is warm */
		(void)connect_once();
	hops_turn(&hops, 200);
	for (size_t i = 0; i < N; i++)
		cr_expect_geq(hops.hop[i].n_accepted, 2, "%zu", i);
	hops_stop(&hops, 1);
	for (int i = 0; i < 30; i++)
		(void)connect_open();
}

Test(upstream, a_name_without_records_is_named)
{
	zone[0].rcode = NAME_NXDOMAIN;
	start_srv(0, true);
	for (int i = 0; i < 2; i++) {
		struct outcome o = connect_once();
		cr_expect_not(o.is_open);
		cr_expect_eq(o.error.hop, 1);
		cr_expect_eq(o.error.stage, CHAIN_RESOLVE);
		cr_expect_str_eq(o.error.address.name, NAME);
	}
}

/* ---- flows that wait for records ---- */

struct flow_outcome {
	int n_calls;
	bool has_way;
	struct chain_error error;
};

static void on_flow_way(
	struct chain_way *way, const struct chain_error *error, const struct addr *to, void *owner)
{
	struct flow_outcome *o = owner;
	o->n_calls++;
	o->has_way = way != NULL;
	if (error != NULL)
		o->error = *error;
	cr_expect((way != NULL) != (error != NULL));
	cr_expect(addr_is_equal(to, &target_addr));
	chain_way_release(way);
}

Test(upstream, flows_wait_for_records)
{
	struct chain_who who = { .target = &target_addr };
	struct chain_flow_wait *wait, *cancelled;
	struct flow_outcome o = { 0 }, never = { 0 };
	start_srv(1, false);
	cr_assert_null(chain_upstream_choose(upstream, &who));
	cr_assert_eq(chain_flow_wait_new(upstream, &who, on_flow_way, &o, &wait), 0);
	cr_assert_eq(chain_flow_wait_new(upstream, &who, on_flow_way, &never, &cancelled), 0);
	for (int i = 0; i < 4; i++)
		cr_expect(chain_flow_wait_send(cancelled, bytes_of("x", 1)));
	cr_expect_not(chain_flow_wait_send(cancelled, bytes_of("x", 1)));
	chain_flow_wait_free(cancelled);
	for (int i = 0; i < 100 && o.n_calls == 0; i++)
		hops_turn(&hops, 10);
	cr_expect_eq(o.n_calls, 1);
	cr_expect(o.has_way);
	cr_expect_eq(never.n_calls, 0);
	chain_flow_wait_free(wait);
	cr_expect_eq(chain_flow_wait_new(upstream, &who, on_flow_way, &o, &wait), ERR_NOMEM,
		"there is nothing to wait for");
}

Test(upstream, flows_are_told_that_there_are_no_records)
{
	struct chain_who who = { .target = &target_addr };
	struct chain_flow_wait *wait;
	struct flow_outcome o = { 0 };
	zone[0].rcode = NAME_SERVFAIL;
	start_srv(0, false);
	cr_assert_eq(chain_flow_wait_new(upstream, &who, on_flow_way, &o, &wait), 0);
	for (int i = 0; i < 100 && o.n_calls == 0; i++)
		hops_turn(&hops, 100);
	cr_expect_eq(o.n_calls, 1);
	cr_expect_not(o.has_way);
	cr_expect_eq(o.error.stage, CHAIN_RESOLVE);
	chain_flow_wait_free(wait);
}
