/* client socket -> association -> chain -> two hops -> echo, all on one loop. */
#include "access/udp_associate.h"

#include "access/socks_datagram.h"
#include "access/udp_forward.h"
#include "tests/common/name_server.h"
#include "tests/support/failing.h"
#include "tests/support/hops.h"
#include "tests/support/one_upstream.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define WAIT_MS 3000
#define LONG    60000
#define TOO_BIG "more!" /* a question whose answer fills a datagram of UDP */

struct client {
	struct udp *udp;
	struct world *world;
	unsigned n_answers;
	size_t len; /* of the last answer */
	uint8_t answer[UDP_PAYLOAD_MAX];
};

struct world {
	struct hops hops;
	struct quota connections, listener_connections;
	struct source_quota *sources;
	struct access_options options;
	struct access_listener listener;
	struct access_worker worker;
	struct access_ingress ingress;
	struct one_upstream one;
	struct name_server server;
	struct udp *origin; /* of every address of this host */
	struct client client, other;
	struct udp_associate *associate;
	struct addr hint;
	const char *ip; /* of client and proxy; NULL = 127.0.0.1 */
	bool is_mapped; /* the TCP connection came to a dual-stack socket */
	unsigned n_questions, n_ends, n_empty;
	bool has_answer, has_question, is_empty;
};

static uint8_t payload[UDP_PAYLOAD_MAX];

static const struct name_record zone[] = {
	{ .name = "one.test", .ttl_s = 60, .addresses = { "127.0.0.1" } },
	{ .name = NULL },
};

static void on_session_end(struct access_worker *worker)
{
	((struct world *)((char *)worker - offsetof(struct world, worker)))->n_ends++;
}

static void on_question(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct world *w = owner;
	bool is_big = packet->len == strlen(TOO_BIG) && memcmp(packet->data, TOO_BIG, 5) == 0;
	w->n_questions++;
	w->has_question = true;
	udp_send(udp, packet->from, packet->local,
		is_big ? bytes_of(payload, UDP_PAYLOAD_MAX) : bytes_of(packet->data, packet->len),
		bytes_of(NULL, 0));
}

static void on_answer(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct client *c = owner;
	(void)udp;
	c->n_answers++;
	c->len = packet->len;
	memcpy(c->answer, packet->data, packet->len);
	c->world->has_answer = true;
}

static void on_error(struct udp *udp, int error, size_t mtu, void *owner)
{
	(void)udp;
	(void)error;
	(void)mtu;
	(void)owner;
}

static struct addr addr_of(const char *text)
{
	struct addr a;
	cr_assert_eq(addr_parse_dial(text, &a), ADDR_OK, "%s", text);
	return a;
}

static union addr_sock sock_of(const char *ip, uint16_t port)
{
	char text[ADDR_TEXT_MAX];
	union addr_sock s;
	struct addr a;
	snprintf(text, sizeof text, strchr(ip, ':') ? "[%s]:1" : "%s:1", ip);
	a = addr_of(text);
	a.port = port;
	cr_assert_eq(addr_to_sock(&a, &s), 0);
	return s;
}

static void open_client(struct world *w, struct client *c, const char *ip)
{
	static const struct udp_ops ops = { .on_packet = on_answer, .on_error = on_error };
	union addr_sock s = sock_of(ip, 0);
	struct addr at;
	struct udp_options options = { .bind = &at };
	addr_from_sock(&s, &at);
	c->world = w;
	cr_assert_eq(udp_open(w->hops.io, &options, &ops, c, &c->udp), 0);
}

static void map(union addr_sock *s)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = s->ip4.sin_port };
	to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xff;
	memcpy(to.sin6_addr.s6_addr + 12, &s->ip4.sin_addr, 4);
	s->ip6 = to;
}

static int associate(struct world *w)
{
	const char *ip = w->ip != NULL ? w->ip : "127.0.0.1";
	union addr_sock local = sock_of(ip, 1080), peer = sock_of(ip, 40000);
	if (w->is_mapped) {
		map(&local);
		map(&peer);
	}
	return udp_associate_open(
		&w->ingress, w->hops.io, &local, &peer, &w->hint, NULL, &w->associate);
}

static void set_up_access(struct world *w)
{
	w->options = (struct access_options)ACCESS_OPTIONS_DEFAULT;
	cr_assert_eq(source_quota_new(0, &w->sources), 0);
	one_upstream_open(
		&w->one, w->hops.loop, w->hops.resolver, &w->hops.spec, &w->options, &w->listener);
	w->worker = (struct access_worker){ .loop = w->hops.loop,
		.options = &w->options,
		.connections = &w->connections,
		.sources = w->sources,
		.on_session_end = on_session_end };
	w->ingress = (struct access_ingress){ .worker = &w->worker,
		.options = &w->listener,
		.all = &w->options,
		.upstreams = w->one.upstreams,
		.connections = &w->listener_connections,
		.sources = w->sources };
}

/* Limits, .ip and .is_mapped stand in @w before this. */
static void set_up(struct world *w)
{
	static const struct udp_ops ops = { .on_packet = on_question, .on_error = on_error };
	struct addr at;
	struct udp_options options = { .bind = &at, .is_shared = true };
	for (size_t i = 0; i < sizeof payload; i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	hops_open(&w->hops, 2);
	w->hops.spec.udp = CHAIN_UDP_DATAGRAM;
	name_server_open(&w->server, w->hops.loop, zone);
	cr_assert_eq(
		resolver_new(w->hops.loop, w->server.text, &w->hops.hop[1].worker.resolver), 0);
	cr_assert_eq(addr_parse_listen("*:0", &at), ADDR_OK);
	cr_assert_eq(udp_open(w->hops.io, &options, &ops, w, &w->origin), 0);
	set_up_access(w);
	open_client(w, &w->client, w->ip != NULL ? w->ip : "127.0.0.1");
	cr_assert_eq(associate(w), 0);
}

static void tear_down(struct world *w)
{
	udp_associate_close(w->associate);
	cr_expect_eq(w->connections.n, 0, "every charge came back");
	cr_expect_eq(w->listener_connections.n, 0);
	cr_expect_eq(w->n_ends, 0, "the connection's end is the session's to tell");
	udp_close(w->client.udp);
	udp_close(w->other.udp);
	udp_close(w->origin);
	resolver_free(w->hops.hop[1].worker.resolver);
	name_server_close(&w->server);
	hops_turn(&w->hops, 20);
	source_quota_free(w->sources);
	one_upstream_close(&w->one);
	hops_close(&w->hops);
}

static const struct udp_associate_counters *counters(const struct world *w)
{
	return udp_associate_counters(w->associate);
}

static void send_raw(struct world *w, struct client *c, struct bytes head, struct bytes body)
{
	union addr_sock to;
	udp_associate_bound(w->associate, &to);
	w->has_answer = false;
	udp_send(c->udp, &to, NULL, head, body);
}

static void send_to(struct world *w, struct client *c, const struct addr *target, size_t len)
{
	uint8_t header[SOCKS_DATAGRAM_HEADER_MAX];
	size_t n = socks_datagram_encode(target, header);
	send_raw(w, c, bytes_of(header, n), bytes_of(payload, len));
}

/* Whether the last answer of @c comes from @target and has the first @len bytes of the payload. */
static bool is_answer(const struct client *c, const struct addr *target, size_t len)
{
	uint8_t header[SOCKS_DATAGRAM_HEADER_MAX];
	size_t n = socks_datagram_encode(target, header);
	return c->len == n + len && memcmp(c->answer, header, n) == 0 &&
	       memcmp(c->answer + n, payload, len) == 0;
}

/* The origin, by @host. */
static struct addr origin_at(const struct world *w, const char *host)
{
	char text[ADDR_TEXT_MAX];
	snprintf(text, sizeof text, "%s:%u", host, udp_port(w->origin));
	return addr_of(text);
}

static bool ask(struct world *w, struct client *c, const char *host, size_t len, uint64_t wait_ms)
{
	struct addr target = origin_at(w, host);
	send_to(w, c, &target, len);
	return loop_run_until(w->hops.loop, &w->has_answer, wait_ms) && is_answer(c, &target, len);
}

Test(udp_associate, two_targets_at_once_answer_under_their_names, .timeout = 30)
{
	static struct world w;
	w = (struct world){ 0 };
	set_up(&w);
	struct addr targets[] = { origin_at(&w, "127.0.0.1"), origin_at(&w, "127.0.0.5") };
	unsigned n_from[2] = { 0, 0 };
	for (int i = 0; i < 2; i++)
		send_to(&w, &w.client, &targets[i], 10 + (size_t)i);
	for (int n = 0; n < 2; n++) {
		cr_assert(loop_run_until(w.hops.loop, &w.has_answer, WAIT_MS));
		w.has_answer = false;
		for (int i = 0; i < 2; i++)
			n_from[i] += is_answer(&w.client, &targets[i], 10 + (size_t)i);
		if (w.client.n_answers == 2)
			break;
	}
	cr_expect_eq(w.client.n_answers, 2);
	cr_expect_geq(n_from[0] + n_from[1], 1);
	cr_expect(ask(&w, &w.client, "127.0.0.5", 1200, WAIT_MS));
	cr_expect(ask(&w, &w.client, "127.0.0.1", 1200, WAIT_MS));
	cr_expect_eq(udp_associate_count(w.associate), 2);
	cr_expect_eq(w.connections.n, 2, "each is charged");
	cr_expect_eq(counters(&w)->n_up, 4);
	cr_expect_eq(counters(&w)->n_down, 4);
	cr_expect_eq(counters(&w)->n_up_bytes, 2421);
	cr_expect_eq(counters(&w)->n_down_bytes, 2421);
	tear_down(&w);
}

Test(udp_associate, only_the_clients_address_and_first_port_are_heard, .timeout = 30)
{
	static struct world w;
	static struct client foreign;
	w = (struct world){ 0 };
	set_up(&w);
	open_client(&w, &w.other, "127.0.0.1");
	open_client(&w, &foreign, "127.0.0.2");
	cr_expect_not(ask(&w, &foreign, "127.0.0.1", 4, 50));
	cr_expect_eq(counters(&w)->n_foreign, 1);
	send_raw(&w, &w.other, bytes_of("junk", 4), bytes_of(NULL, 0));
	hops_turn(&w.hops, 20);
	cr_expect_eq(counters(&w)->n_bad, 1);
	cr_expect(ask(&w, &w.client, "127.0.0.1", 4, WAIT_MS), "junk fixes no port");
	cr_expect_not(ask(&w, &w.other, "127.0.0.1", 4, 50));
	cr_expect_not(ask(&w, &foreign, "127.0.0.1", 4, 50));
	cr_expect_eq(counters(&w)->n_foreign, 3);
	cr_expect(ask(&w, &w.client, "127.0.0.1", 5, WAIT_MS));
	cr_expect_eq(w.n_questions, 2);
	cr_expect_eq(w.other.n_answers + foreign.n_answers, 0);
	udp_close(foreign.udp);
	tear_down(&w);
}

Test(udp_associate, the_request_fixes_the_port_where_it_can_be_believed, .timeout = 60)
{
	static const struct {
		const char *host; /* NULL = nothing was named */
		bool is_believed;
	} rows[] = {
		{ "127.0.0.1", true },
		{ "0.0.0.0", true },
		{ "[::]", true },
		{ "[::ffff:127.0.0.1]", true },
		{ "127.0.0.2", false },
		{ "192.0.2.1", false }, /* the target, or an address before a NAT */
		{ "[::1]", false },
		{ "one.test", false },
		{ NULL, false },
	};
	static struct world w;
	w = (struct world){ 0 };
	set_up(&w);
	open_client(&w, &w.other, "127.0.0.1");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		udp_associate_close(w.associate);
		w.hint = (struct addr){ 0 };
		if (rows[i].host != NULL)
			w.hint = origin_at(&w, rows[i].host);
		w.hint.port = udp_port(w.client.udp);
		cr_assert_eq(associate(&w), 0);
		bool is_heard =
			ask(&w, &w.other, "127.0.0.1", 4, rows[i].is_believed ? 50 : WAIT_MS);
		cr_expect_neq(is_heard, rows[i].is_believed, "%s", rows[i].host);
		if (rows[i].is_believed)
			cr_expect(ask(&w, &w.client, "127.0.0.1", 4, WAIT_MS), "%s", rows[i].host);
	}
	tear_down(&w);
}

Test(udp_associate, a_close_ends_flows_in_every_state, .timeout = 30)
{
	static struct world w;
	w = (struct world){ 0 };
	set_up(&w);
	cr_assert(ask(&w, &w.client, "127.0.0.1", 4, WAIT_MS));
	struct addr fresh = origin_at(&w, "127.0.0.2"), failed = origin_at(&w, "169.254.169.254");
	send_to(&w, &w.client, &failed, 4); /* the exit says no */
	hops_turn(&w.hops, 100);
	cr_expect_eq(counters(&w)->n_failed, 1);
	send_to(&w, &w.client, &fresh, 4);
	loop_turn(w.hops.loop);
	loop_turn(w.hops.loop);
	cr_expect_eq(udp_associate_count(w.associate), 3);
	cr_expect_eq(w.connections.n, 2, "a failed one is charged nothing any more");
	union addr_sock old, new;
	udp_associate_bound(w.associate, &old);
	udp_associate_close(w.associate);
	cr_expect_eq(w.connections.n, 0);
	cr_assert_eq(associate(&w), 0);
	udp_associate_bound(w.associate, &new);
	cr_expect(ask(&w, &w.client, "127.0.0.1", 5, WAIT_MS), "a new association serves");
	udp_associate_close(w.associate);
	w.associate = NULL;
	udp_associate_close(NULL);
	tear_down(&w);
}

Test(udp_associate, a_failed_target_stays_quiet_for_a_second, .timeout = 30)
{
	static struct world w;
	w = (struct world){ 0 };
	set_up(&w);
	for (int i = 0; i < 20; i++)
		cr_expect_not(ask(&w, &w.client, "169.254.169.254", 4, 10));
	cr_expect_eq(counters(&w)->n_flows, 1);
	cr_expect_eq(counters(&w)->n_failed, 1);
	cr_expect_geq(counters(&w)->n_dropped, 10);
	cr_expect(ask(&w, &w.client, "127.0.0.1", 4, WAIT_MS), "others are served");
	hops_turn(&w.hops, ACCESS_FLOW_FAILED_MS + 100);
	cr_expect_eq(udp_associate_count(w.associate), 1);
	cr_expect_not(ask(&w, &w.client, "169.254.169.254", 4, 50));
	cr_expect_eq(counters(&w)->n_flows, 3);
	tear_down(&w);
}

static bool ask_number(struct world *w, unsigned i)
{
	char host[32];
	snprintf(host, sizeof host, "127.0.1.%u", i);
	return ask(w, &w->client, host, i, WAIT_MS);
}

/* More than are kept warm, too: those are asked again. */
Test(udp_associate, one_target_too_many_ends_the_one_idle_for_longest, .timeout = 60)
{
	static struct world w;
	w = (struct world){ 0 };
	set_up(&w);
	for (unsigned n = 0; n < 2; n++)
		for (unsigned i = 1; i <= ASSOCIATE_FLOWS_MAX; i++)
			cr_expect(ask_number(&w, i), "target %u", i);
	cr_expect_eq(counters(&w)->n_flows, ASSOCIATE_FLOWS_MAX);
	cr_expect(ask_number(&w, 1)); /* now 2 is idle for longest */
	cr_expect(ask_number(&w, ASSOCIATE_FLOWS_MAX + 1));
	cr_expect_eq(udp_associate_count(w.associate), ASSOCIATE_FLOWS_MAX);
	cr_expect_eq(w.connections.n, ASSOCIATE_FLOWS_MAX);
	cr_expect(ask_number(&w, 1));
	cr_expect_eq(counters(&w)->n_flows, ASSOCIATE_FLOWS_MAX + 1, "1 was there");
	cr_expect(ask_number(&w, 2));
	cr_expect_eq(counters(&w)->n_flows, ASSOCIATE_FLOWS_MAX + 2, "2 was not");
	tear_down(&w);
}

Test(udp_associate, the_listeners_limits_hold, .timeout = 30)
{
	static struct world w;
	w = (struct world){ .listener.max_flows = 2 };
	set_up(&w);
	for (unsigned i = 1; i <= 4; i++)
		cr_expect(ask_number(&w, i));
	cr_expect_eq(udp_associate_count(w.associate), 2);
	tear_down(&w);

	w = (struct world){ 0 };
	quota_init(&w.connections, 2);
	set_up(&w);
	cr_expect(ask_number(&w, 1));
	cr_expect(ask_number(&w, 2));
	cr_expect_not(ask(&w, &w.client, "127.0.0.1", 4, 50));
	cr_expect_eq(counters(&w)->n_refused, 1);
	cr_expect_eq(w.connections.n, 2, "what is refused is charged nothing");
	cr_expect(ask_number(&w, 1));
	tear_down(&w);
}

Test(udp_associate, ip6_and_mapped_addresses, .timeout = 30)
{
	static struct world w;
	union addr_sock bound;
	w = (struct world){ .ip = "::1" };
	set_up(&w);
	udp_associate_bound(w.associate, &bound);
	cr_expect_eq(bound.any.sa_family, AF_INET6);
	cr_expect(ask(&w, &w.client, "[::1]", 4, WAIT_MS));
	cr_expect(ask(&w, &w.client, "127.0.0.1", 4, WAIT_MS), "to the other family");
	tear_down(&w);

	w = (struct world){ .is_mapped = true };
	set_up(&w);
	udp_associate_bound(w.associate, &bound);
	cr_expect_eq(bound.any.sa_family, AF_INET, "what the client can use");
	cr_expect_neq(addr_sock_port(&bound), 0);
	cr_expect(ask(&w, &w.client, "[::1]", 4, WAIT_MS));
	tear_down(&w);
}

/* A name is answered by the name; a literal that came as a name is an address. */
Test(udp_associate, names_are_looked_up_by_the_exit, .timeout = 30)
{
	static struct world w;
	w = (struct world){ 0 };
	set_up(&w);
	cr_expect(ask(&w, &w.client, "one.test", 4, WAIT_MS));
	cr_expect_eq(w.server.n_queries > 0, true);
	cr_expect_not(ask(&w, &w.client, "none.test", 4, 100));
	cr_expect_eq(counters(&w)->n_failed, 1);
	uint8_t head[] = "\0\0\0\3\x09"
			 "127.0.0.1--";
	uint16_t port = htons(udp_port(w.origin));
	memcpy(head + sizeof head - 3, &port, 2);
	struct addr target = origin_at(&w, "127.0.0.1");
	send_raw(&w, &w.client, bytes_of(head, sizeof head - 1), bytes_of(payload, 6));
	cr_assert(loop_run_until(w.hops.loop, &w.has_answer, WAIT_MS));
	cr_expect(is_answer(&w.client, &target, 6));
	cr_expect(ask(&w, &w.client, "127.0.0.1", 7, WAIT_MS));
	cr_expect_eq(counters(&w)->n_flows, 3, "both ways to name it are one flow");
	tear_down(&w);
}

Test(udp_associate, fragments_and_junk_are_dropped_and_counted, .timeout = 30)
{
	static struct world w;
	w = (struct world){ 0 };
	set_up(&w);
	uint8_t header[SOCKS_DATAGRAM_HEADER_MAX];
	struct addr target = origin_at(&w, "127.0.0.1");
	size_t n = socks_datagram_encode(&target, header);
	for (unsigned fragment = 1; fragment < 256; fragment += 127) {
		header[2] = (uint8_t)fragment;
		send_raw(&w, &w.client, bytes_of(header, n), bytes_of(payload, 4));
	}
	header[2] = 0;
	for (size_t len = 0; len < n; len++)
		send_raw(&w, &w.client, bytes_of(header, len), bytes_of(NULL, 0));
	hops_turn(&w.hops, 50);
	cr_expect_eq(counters(&w)->n_fragments, 3);
	cr_expect_eq(counters(&w)->n_bad, n);
	cr_expect_eq(w.n_questions + w.connections.n, 0);
	cr_expect(ask(&w, &w.client, "127.0.0.1", 0, WAIT_MS), "an empty datagram is one");
	cr_expect_eq(w.n_questions, 1);
	cr_expect(ask(&w, &w.client, "127.0.0.1", 0, WAIT_MS));
	tear_down(&w);
}

Test(udp_associate, long_datagrams_in_streams_and_longer_ones_nowhere, .timeout = 60)
{
	static struct world w;
	w = (struct world){ 0 };
	set_up(&w);
	cr_expect(ask(&w, &w.client, "127.0.0.1", 4, WAIT_MS));
	cr_expect(ask(&w, &w.client, "127.0.0.1", 9000, WAIT_MS), "in datagrams");
	cr_expect_not(ask(&w, &w.client, "127.0.0.1", UDP_PAYLOAD_MAX - 10, 100));
	cr_expect_not(ask(&w, &w.client, "127.0.0.1", UDP_PAYLOAD_MAX - 10, 100));
	cr_expect_eq(counters(&w)->n_too_long, 2);
	cr_expect_eq(counters(&w)->n_up, 2);
	cr_expect(ask(&w, &w.client, "127.0.0.1", 5, WAIT_MS), "the flow goes on");
	tear_down(&w);

	w = (struct world){ 0 };
	set_up(&w);
	w.hops.spec.udp = CHAIN_UDP_STREAM;
	cr_expect(ask(&w, &w.client, "127.0.0.1", 1, WAIT_MS));
	cr_expect(ask(&w, &w.client, "127.0.0.1", LONG, WAIT_MS));
	cr_expect(ask(&w, &w.client, "127.0.0.1", UDP_PAYLOAD_MAX - 10, WAIT_MS), "all there is");
	struct addr target = origin_at(&w, "127.0.0.1");
	uint8_t header[SOCKS_DATAGRAM_HEADER_MAX];
	size_t n = socks_datagram_encode(&target, header);
	send_raw(&w, &w.client, bytes_of(header, n), bytes_of(TOO_BIG, strlen(TOO_BIG)));
	cr_expect_not(loop_run_until(w.hops.loop, &w.has_answer, 200), "no room for the header");
	cr_expect_eq(counters(&w)->n_too_long, 1);
	cr_expect_eq(counters(&w)->n_down, 3);
	cr_expect(ask(&w, &w.client, "127.0.0.1", 5, WAIT_MS));
	tear_down(&w);
}

/* SOCKS5 has no word for it. */
Test(udp_associate, a_closed_port_is_counted, .timeout = 30)
{
	static struct world w;
	static struct client closed;
	w = (struct world){ 0 };
	set_up(&w);
	open_client(&w, &closed, "127.0.0.1");
	struct addr target = origin_at(&w, "127.0.0.1");
	target.port = udp_port(closed.udp);
	udp_close(closed.udp);
	for (int i = 0; i < 100 && counters(&w)->n_unreachable == 0; i++) {
		send_to(&w, &w.client, &target, 4);
		hops_turn(&w.hops, 20);
	}
	cr_expect_geq(counters(&w)->n_unreachable, 1);
	cr_expect_eq(w.client.n_answers, 0);
	cr_expect_eq(udp_associate_count(w.associate), 1, "the flow lives");
	tear_down(&w);
}

static void on_empty(void *owner)
{
	struct world *w = owner;
	w->n_empty++;
	w->is_empty = true;
	udp_associate_close(w->associate);
	w->associate = NULL;
}

Test(udp_associate, draining_takes_no_new_targets_and_tells_when_the_old_are_quiet, .timeout = 30)
{
	static struct world w;
	w = (struct world){ 0 };
	set_up(&w);
	cr_assert(ask(&w, &w.client, "127.0.0.1", 4, WAIT_MS));
	udp_associate_drain(w.associate, on_empty, &w);
	udp_associate_drain(w.associate, on_empty, NULL);
	cr_expect_not(ask(&w, &w.client, "127.0.0.2", 4, 50));
	cr_expect_eq(counters(&w)->n_refused, 1);
	for (int i = 0; i < 6; i++) {
		cr_expect(ask(&w, &w.client, "127.0.0.1", 5, WAIT_MS), "what was there goes on");
		hops_turn(&w.hops, ACCESS_FLOW_DRAIN_MS / 4);
	}
	cr_expect_eq(w.n_empty, 0);
	cr_expect(loop_run_until(w.hops.loop, &w.is_empty, ACCESS_FLOW_DRAIN_MS + 500));
	cr_expect_eq(w.n_empty, 1);
	cr_assert_eq(associate(&w), 0);
	w.is_empty = false;
	udp_associate_drain(w.associate, on_empty, &w);
	cr_expect_eq(w.n_empty, 1, "not from inside");
	cr_expect(loop_run_until(w.hops.loop, &w.is_empty, WAIT_MS), "nothing was there");
	tear_down(&w);
}

/* Every allocation between the request and the first answer fails once. */
Test(udp_associate, each_allocation_may_fail, .timeout = 150)
{
	static struct world w;
	bool has_failed = true;
	unsigned long n;
	w = (struct world){ 0 };
	set_up(&w);
	for (n = 1; n < 120 && has_failed; n++) {
		udp_associate_close(w.associate);
		w.associate = NULL;
		failing_start(n);
		int error = associate(&w);
		if (error == 0)
			(void)ask(&w, &w.client, "127.0.0.1", 4, 20);
		has_failed = failing_stop();
		cr_expect(error == 0 || has_failed);
		if (error != 0)
			cr_assert_eq(associate(&w), 0);
		cr_assert(ask(&w, &w.client, "127.0.0.2", 4, WAIT_MS),
			"served after allocation %lu failed", n);
	}
	cr_expect_gt(n, 5, "allocations were failed");
	cr_expect_lt(n, 120, "the set-up ends");
	tear_down(&w);
}
