/* Datagrams of a chain without hops, and of chains with steps that carry none. */
#include "chain/client.h"
#include "chain/datagram.h"
#include "chain/wire_status.h"
#include "tests/common/name_server.h"

#include <stdlib.h>

static const struct name_record zone[] = {
	{ "echo.test", NAME_OK, 30, { "127.0.0.1" } },
	{ "hole.test", NAME_SILENT, 0, { NULL } },
	{ NULL, 0, 0, { NULL } },
};

static struct loop *loop;
static struct udp_io *io;
static struct name_server server;
static struct resolver *resolver;
static struct chain_spec direct = CHAIN_SPEC_DEFAULT;
static struct chain_client *client;
static struct udp *echo;

static void on_echo(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	(void)owner;
	udp_send(udp, packet->from, packet->local, bytes_of(packet->data, packet->len),
		bytes_of(NULL, 0));
}

static void on_echo_error(struct udp *udp, int error, size_t mtu, void *owner)
{
	(void)udp;
	(void)error;
	(void)mtu;
	(void)owner;
}

static void setup(void)
{
	static const struct udp_ops ops = { .on_packet = on_echo, .on_error = on_echo_error };
	static struct addr any;
	const struct udp_options options = { .bind = &any };
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &any), ADDR_OK);
	cr_assert_eq(seal_start(), 0);
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(udp_io_new(loop, &io), 0);
	name_server_open(&server, loop, zone);
	cr_assert_eq(resolver_new(loop, server.text, &resolver), 0);
	cr_assert_eq(chain_client_new(loop, resolver, &direct, &client), 0);
	cr_assert_eq(udp_open(io, &options, &ops, NULL, &echo), 0);
}

static void teardown(void)
{
	udp_close(echo);
	chain_client_free(client);
	resolver_free(resolver);
	name_server_close(&server);
	udp_io_free(io);
	loop_free(loop);
}

TestSuite(direct, .init = setup, .fini = teardown, .timeout = 30);

struct heard {
	struct chain_datagram *flow;
	char data[64];
	int n_data;
	uint8_t status;
	bool is_done, frees;
	struct chain_error error;
};

static void end(struct heard *h)
{
	h->is_done = true;
	if (h->frees) {
		chain_datagram_free(h->flow);
		h->flow = NULL;
	}
}

static void deliver(struct bytes data, void *owner)
{
	struct heard *h = owner;
	snprintf(h->data, sizeof h->data, "%.*s", (int)data.len, (const char *)data.ptr);
	h->n_data++;
	end(h);
}

static void on_status(uint8_t status, void *owner)
{
	struct heard *h = owner;
	h->status = status;
	h->is_done = true;
}

static void on_fail(const struct chain_error *error, void *owner)
{
	struct heard *h = owner;
	h->error = *error;
	end(h);
}

static const struct chain_datagram_ops ops = {
	.deliver = deliver, .on_status = on_status, .on_fail = on_fail
};

static void open_flow(struct chain_client *of, const char *host, uint16_t port, struct heard *h)
{
	char text[64];
	struct addr target;
	snprintf(text, sizeof text, "%s:%u", host, port);
	cr_assert_eq(addr_parse_dial(text, &target), ADDR_OK);
	cr_assert_eq(chain_datagram_new(of, io, &target, &ops, h, &h->flow), 0);
	cr_assert_not(h->is_done, "called back from inside");
}

static void send_text(struct heard *h, const char *text)
{
	cr_assert_eq(chain_datagram_send(h->flow, bytes_of(text, strlen(text))), FLOW_CLIENT_SENT);
	cr_assert_not(h->is_done, "called back from inside");
}

Test(direct, datagrams_go_to_the_target_and_back)
{
	static const char *const hosts[] = { "127.0.0.1", "echo.test" };
	for (size_t i = 0; i < 2; i++) {
		struct heard h = { 0 };
		open_flow(client, hosts[i], udp_port(echo), &h);
		send_text(&h, "ping");
		cr_assert(loop_run_until(loop, &h.is_done, 5000), "%s", hosts[i]);
		cr_expect_str_eq(h.data, "ping");
		struct chain_datagram_counters n = chain_datagram_counters(h.flow);
		cr_expect(n.n_up == 1 && n.n_down == 1 && n.n_up_bytes == 4 && n.n_down_bytes == 4);
		cr_expect_eq(chain_datagram_room(h.flow, WIRE_FORM_S), UDP_PAYLOAD_MAX);
		cr_expect_not(chain_datagram_is_stream(h.flow));
		chain_datagram_rest(h.flow);
		chain_datagram_free(h.flow);
	}
}

Test(direct, a_closed_port_is_told_and_the_flow_goes_on)
{
	struct heard h = { 0 };
	uint16_t port = udp_port(echo);
	udp_close(echo);
	echo = NULL;
	open_flow(client, "127.0.0.1", port, &h);
	for (int i = 0; i < 2; i++) {
		h.is_done = false;
		send_text(&h, "ping");
		cr_assert(loop_run_until(loop, &h.is_done, 5000));
		cr_expect_eq(h.status, STATUS_PORT_UNREACH);
		cr_expect_eq(h.n_data, 0);
	}
	cr_expect_eq(chain_datagram_counters(h.flow).n_refused, 2);
	chain_datagram_free(h.flow);
}

Test(direct, no_name_fails_at_hop_0)
{
	for (int frees = 0; frees < 2; frees++) {
		struct heard h = { .frees = frees };
		open_flow(client, "nobody.test", 53, &h);
		send_text(&h, "ping");
		cr_assert(loop_run_until(loop, &h.is_done, 5000));
		cr_expect_eq(h.error.stage, CHAIN_RESOLVE);
		cr_expect_eq(h.error.hop, 0);
		cr_expect_eq(h.error.code, ERR_NOT_FOUND);
		cr_expect_str_eq(h.error.address.name, "nobody.test");
		if (!frees)
			cr_expect_eq(
				chain_datagram_send(h.flow, bytes_of("x", 1)), FLOW_CLIENT_FAILED);
		chain_datagram_free(h.flow);
	}
}

Test(direct, a_few_datagrams_wait_for_the_name)
{
	struct heard h = { 0 };
	open_flow(client, "hole.test", 53, &h);
	for (int i = 0; i < 6; i++)
		send_text(&h, "ping");
	cr_expect_eq(chain_datagram_counters(h.flow).n_waiting, 2, "4 wait");
	cr_expect_eq(chain_datagram_room(h.flow, WIRE_FORM_F), 0);
	chain_datagram_free(h.flow);
}

Test(direct, the_owner_may_free_the_flow_from_inside)
{
	struct heard h = { .frees = true };
	open_flow(client, "127.0.0.1", udp_port(echo), &h);
	send_text(&h, "a");
	send_text(&h, "b");
	cr_assert(loop_run_until(loop, &h.is_done, 5000));
	cr_expect_eq(h.n_data, 1);
	cr_expect_null(h.flow);
}

Test(direct, what_no_datagram_carries_is_refused)
{
	static uint8_t large[UDP_PAYLOAD_MAX + 1];
	struct heard h = { 0 };
	open_flow(client, "127.0.0.1", udp_port(echo), &h);
	cr_expect_eq(
		chain_datagram_send(h.flow, bytes_of(large, sizeof large)), FLOW_CLIENT_TOO_LONG);
	cr_expect_eq(chain_datagram_counters(h.flow).n_too_long, 1);
	chain_datagram_free(h.flow);
}

Test(direct, room_is_that_of_the_link)
{
	static const struct {
		const char *target;
		size_t room;
	} rows[] = { { "10.0.0.1:53", 1472 }, { "[2001:db8::1]:53", 1452 } };
	for (size_t i = 0; i < 2; i++) {
		size_t first, steady;
		struct addr target;
		cr_assert_eq(addr_parse_dial(rows[i].target, &target), ADDR_OK);
		cr_assert_eq(chain_datagram_mtu(&direct, &target, &first, &steady), 0);
		cr_expect(first == rows[i].room && steady == rows[i].room, "%s", rows[i].target);
	}
}

/* --- chains with somebody else's proxy --- */

static struct chain_spec *new_chain(bool ends_with_proxy)
{
	const uint8_t credential[WIRE_CREDENTIAL] = { 1, [40] = 2 };
	static const struct chain_spec standard = CHAIN_SPEC_DEFAULT;
	struct chain_spec *spec = malloc(sizeof *spec);
	*spec = standard;
	spec->n_hops = 2;
	spec->hops = calloc(2, sizeof *spec->hops);
	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(addr_parse_dial("127.0.0.1:1", &spec->hops[i].addr), ADDR_OK);
	struct chain_hop *proxy = &spec->hops[ends_with_proxy],
			 *hop = &spec->hops[!ends_with_proxy];
	proxy->step = CHAIN_STEP_SOCKS5;
	cr_assert_eq(wire_key_new(credential, &hop->key), WIRE_KEY_OK);
	return spec;
}

Test(direct, behind_a_proxy_flows_go_in_streams_or_not_at_all)
{
	for (int ends_with_proxy = 0; ends_with_proxy < 2; ends_with_proxy++) {
		size_t first = 0, steady = 0;
		struct heard h = { 0 };
		struct chain_client *other;
		struct chain_spec *spec = new_chain(ends_with_proxy);
		const struct addr target = spec->hops[0].addr;
		cr_assert_eq(chain_client_new(loop, resolver, spec, &other), 0);
		open_flow(other, "127.0.0.1", 53, &h);
		cr_expect(chain_datagram_is_stream(h.flow));
		send_text(&h, "ping");
		cr_assert(loop_run_until(loop, &h.is_done, 5000));
		cr_expect_eq(chain_error_status(&h.error),
			ends_with_proxy ? STATUS_UNSUPPORTED : STATUS_REFUSED);
		cr_expect_eq(chain_datagram_mtu(spec, &target, &first, &steady),
			ends_with_proxy ? ERR_INVAL : 0);
		cr_expect(first == UDP_PAYLOAD_MAX && steady == UDP_PAYLOAD_MAX);
		chain_datagram_free(h.flow);
		chain_client_free(other);
		chain_spec_free(spec);
	}
}
