/* Datagram sockets: nothing is joined, split, reordered or answered from elsewhere, whatever the
 * kernel does with trains; errors are reported once and later. sendmmsg() is wrapped: the kernel
 * can be made difficult. */
#include "common/udp.h"

#include <criterion/criterion.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define WAIT_MS 10000
static const bool never = false;

/* What the next sendmmsg() does instead of its work. */
static struct {
	int error; /* this, n_errors times */
	unsigned n_errors;
	bool refuses_trains; /* EIO for what has UDP_SEGMENT, as some devices do */
	unsigned n_most;     /* messages taken at once; 0 = all */
	unsigned n_calls;
} kernel;

int __real_sendmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags)
{
	kernel.n_calls++;
	if (kernel.n_errors > 0) {
		kernel.n_errors--;
		errno = kernel.error;
		return -1;
	}
	if (kernel.refuses_trains && headers->msg_hdr.msg_controllen > 0) {
		errno = EIO;
		return -1;
	}
	if (kernel.n_most > 0 && n > kernel.n_most)
		n = kernel.n_most;
	return __real_sendmmsg(fd, headers, n, flags);
}

/* A seeded sequence of datagrams: runs of one size, shorter ends, empty ones. */
struct sequence {
	uint32_t state, left;
	uint16_t size;
};
static uint32_t next_number(struct sequence *s)
{
	s->state ^= s->state << 13;
	s->state ^= s->state >> 17;
	s->state ^= s->state << 5;
	return s->state;
}

static uint16_t next_size(struct sequence *s)
{
	static const uint16_t limits[] = { 4, 64, 1201, 1473, 9000 };
	uint16_t size = s->size;
	if (s->left == 0) {
		uint32_t limit = limits[next_number(s) % 5];
		s->size = (uint16_t)(next_number(s) % limit);
		s->left = next_number(s) % 4 == 0 ? next_number(s) % 150 : next_number(s) % 3;
		return next_number(s) % 8 == 0 ? 0 : s->size;
	}
	s->left--;
	return size;
}

static uint16_t next_datagram(struct sequence *s, uint8_t *data)
{
	uint16_t size = next_size(s);
	uint32_t seed = next_number(s);
	for (uint16_t i = 0; i < size; i++)
		data[i] = (uint8_t)(seed >> (i % 4 * 8)) ^ (uint8_t)i;
	return size;
}

struct end {
	struct udp *udp;
	struct udp **closes; /* this one, at datagram number closes_at, or in the error */
	unsigned n, n_wanted, closes_at;
	unsigned n_from_second; /* came from 127.0.0.2 */
	uint64_t n_bytes;
	size_t last_len;
	unsigned n_errors;
	int error;
	size_t mtu;
	struct sequence sequence; /* expected, if its state is not 0 */
	union addr_sock from, local;
	bool is_done, echoes, is_busy;
};

struct world {
	struct loop *loop;
	struct udp_io *io;
};

static void close_other(struct end *end)
{
	struct udp *udp = *end->closes;
	*end->closes = NULL;
	udp_close(udp);
}

static void on_packet(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	static uint8_t expected[65536];
	struct end *end = owner;
	cr_assert_eq(udp, end->udp);
	cr_assert_not(end->is_busy, "called from inside");
	end->n++;
	end->n_bytes += packet->len;
	end->last_len = packet->len;
	end->from = *packet->from;
	if (packet->from->any.sa_family == AF_INET &&
		packet->from->ip4.sin_addr.s_addr == htonl(INADDR_LOOPBACK + 1))
		end->n_from_second++;
	end->local = *packet->local;
	if (end->sequence.state != 0) {
		cr_assert_eq(packet->len, next_datagram(&end->sequence, expected), "datagram %u",
			end->n);
		cr_assert_eq(memcmp(packet->data, expected, packet->len), 0, "datagram %u", end->n);
	}
	if (end->echoes) {
		size_t half = packet->len / 2;
		bool is_connected = packet->local->any.sa_family == AF_UNSPEC;
		udp_send(udp, is_connected ? NULL : packet->from, packet->local,
			(struct bytes){ packet->data, half },
			(struct bytes){ packet->data + half, packet->len - half });
	}
	end->is_done = end->n_wanted > 0 && end->n >= end->n_wanted;
	if (end->closes != NULL && *end->closes != NULL && end->n == end->closes_at)
		close_other(end);
}

static void on_error(struct udp *udp, int error, size_t mtu, void *owner)
{
	struct end *end = owner;
	cr_assert_eq(udp, end->udp);
	cr_assert_not(end->is_busy, "called from inside");
	end->n_errors++;
	end->error = error;
	end->mtu = mtu;
	end->is_done = true;
	if (end->closes != NULL && *end->closes != NULL)
		close_other(end);
}

static const struct udp_ops ops = { on_packet, on_error };

static void world_open(struct world *w)
{
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(udp_io_new(w->loop, &w->io), 0);
}

static void world_close(struct world *w)
{
	udp_io_free(w->io);
	loop_free(w->loop);
}

static const struct udp_counters *counters(const struct world *w)
{
	return udp_io_counters(w->io);
}

static union addr_sock ip4(uint32_t address, uint16_t port)
{
	return (union addr_sock){ .ip4 = { .sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(address),
					  .sin_port = htons(port) } };
}

static union addr_sock ip6_loopback(uint16_t port)
{
	return (union addr_sock){ .ip6 = { .sin6_family = AF_INET6,
					  .sin6_addr = IN6ADDR_LOOPBACK_INIT,
					  .sin6_port = htons(port) } };
}

/* A socket bound to one address; NONE: dual stack. */
static void open_bound(struct world *w, enum addr_kind kind, struct end *end)
{
	struct addr at = { .kind = kind };
	if (kind == ADDR_IP4)
		memcpy(at.ip, (uint8_t[]){ 127, 0, 0, 1 }, 4);
	else if (kind == ADDR_IP6)
		at.ip[15] = 1;
	struct udp_options options = { .bind = &at, .is_shared = true };
	cr_assert_eq(udp_open(w->io, &options, &ops, end, &end->udp), 0);
	cr_assert_neq(udp_port(end->udp), 0);
}

static void open_connected(struct world *w, union addr_sock to, bool keeps_df, struct end *end)
{
	struct udp_options options = { .connect = &to, .keeps_df = keeps_df };
	cr_assert_eq(udp_open(w->io, &options, &ops, end, &end->udp), 0);
}

static void send_part(struct end *end, const uint8_t *data, size_t head, size_t len)
{
	end->is_busy = true;
	udp_send(end->udp, NULL, NULL, (struct bytes){ data, head },
		(struct bytes){ data + head, len - head });
	end->is_busy = false;
}

static void send_len(struct end *end, size_t len)
{
	static const uint8_t zeros[70000];
	send_part(end, zeros, len / 3, len);
}

static bool run_until(struct world *w, struct end *end, unsigned n)
{
	end->n_wanted = n;
	end->is_done = end->n >= n;
	return loop_run_until(w->loop, &end->is_done, WAIT_MS);
}

/* Whatever is on its way over loopback has arrived after a few turns. */
static void settle(struct world *w)
{
	for (int i = 0; i < 8; i++)
		loop_turn(w->loop);
}

/* A network namespace of our own whose loopback has MTU 1500. Return: false if we may not. */
static bool enter_small_network(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_mtu = 1500 };
	if (unshare(CLONE_NEWNET) != 0)
		return false;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(ioctl(fd, SIOCSIFMTU, &request), 0);
	request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
	return true;
}

static void check_sizes(enum addr_kind kind)
{
	struct world w;
	struct end server = { .echoes = true }, client = { 0 };
	unsigned n = 0;
	world_open(&w);
	open_bound(&w, kind, &server);
	uint16_t port = udp_port(server.udp);
	open_connected(&w, kind == ADDR_IP4 ? ip4(INADDR_LOOPBACK, port) : ip6_loopback(port),
		kind == ADDR_IP4, &client); /* the longest does not fit ::1 in one piece */
	for (size_t len = 0; len <= UDP_PAYLOAD_MAX; len += len < 1600 || len >= 65500 ? 1
							    : len < 65000              ? 97
										       : 50) {
		len = len > 65400 && len < 65500 ? 65500 : len;
		send_len(&client, len);
		cr_assert(run_until(&w, &client, ++n), "%zu bytes", len);
		cr_assert_eq(client.last_len, len);
		cr_assert_eq(server.last_len, len);
	}
	cr_expect_eq(client.last_len, UDP_PAYLOAD_MAX);
	cr_expect_eq(client.local.any.sa_family, AF_UNSPEC);
	cr_expect_eq(addr_sock_port(&server.local), port);
	cr_expect_eq(client.n_errors, 0);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

Test(udp, every_size_arrives, .timeout = 60)
{
	check_sizes(ADDR_IP4);
	check_sizes(ADDR_IP6);
}

Test(udp, too_much_for_any_datagram_is_refused, .timeout = 20)
{
	struct world w;
	struct end server = { 0 }, client = { 0 };
	world_open(&w);
	open_bound(&w, ADDR_IP4, &server);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), true, &client);
	send_len(&client, UDP_PAYLOAD_MAX + 1);
	send_len(&client, 70000);
	cr_expect_eq(client.n_errors, 0);
	cr_assert(loop_run_until(w.loop, &client.is_done, WAIT_MS));
	cr_expect_eq(client.n_errors, 1);
	cr_expect_eq(client.error, -EMSGSIZE);
	cr_expect_eq(client.mtu, UDP_PAYLOAD_MAX);
	cr_expect_eq(counters(&w)->n_too_long, 2);
	cr_expect_eq(counters(&w)->n_sent, 0);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

#define N_PEERS 7

/* Peers talk interleaved with a dual-stack socket that echoes: each gets its own back, in order. */
static void check_sequences(uint32_t seed, unsigned n_rounds, bool keeps_df)
{
	static uint8_t data[65536];
	struct world w;
	struct end server = { .echoes = true }, peers[N_PEERS];
	struct sequence sent[N_PEERS], order = { .state = seed };
	unsigned n[N_PEERS] = { 0 };
	world_open(&w);
	open_bound(&w, ADDR_NONE, &server);
	for (unsigned i = 0; i < N_PEERS; i++) {
		uint16_t port = udp_port(server.udp);
		sent[i] = (struct sequence){ .state = seed * 31 + i + 1 };
		peers[i] = (struct end){ .sequence = sent[i] };
		open_connected(&w, i % 3 == 2 ? ip6_loopback(port) : ip4(INADDR_LOOPBACK + i, port),
			keeps_df, &peers[i]);
	}
	for (unsigned round = 0; round < n_rounds; round++) {
		for (unsigned k = next_number(&order) % 60; k > 0; k--) {
			unsigned i = next_number(&order) % N_PEERS;
			for (unsigned m = 1 + next_number(&order) % 8; m > 0; m--, n[i]++) {
				size_t len = next_datagram(&sent[i], data);
				send_part(&peers[i], data, len > 0 ? next_number(&order) % len : 0,
					len);
			}
		}
		for (unsigned i = 0; i < N_PEERS; i++)
			cr_assert(run_until(&w, &peers[i], n[i]), "peer %u: %u of %u", i,
				peers[i].n, n[i]);
	}
	cr_expect_eq(counters(&w)->n_sent, counters(&w)->n_received);
	cr_expect_eq(counters(&w)->n_sent_bytes, counters(&w)->n_received_bytes);
	for (unsigned i = 0; i < N_PEERS; i++) {
		cr_expect_eq(peers[i].n, n[i]);
		cr_expect_eq(peers[i].n_errors, 0);
		udp_close(peers[i].udp);
	}
	udp_close(server.udp);
	world_close(&w);
}

Test(udp, boundaries_content_and_order_survive_trains, .timeout = 60)
{
	for (uint32_t seed = 1; seed <= 4; seed++)
		check_sequences(seed, 60, seed % 2 == 0);
}

Test(udp, a_difficult_kernel_loses_nothing, .timeout = 60)
{
	kernel.n_most = 1;
	check_sequences(11, 20, true);
	kernel.n_most = 3;
	kernel.refuses_trains = false;
	check_sequences(12, 20, true);
	kernel.error = EINTR;
	kernel.n_errors = 500;
	check_sequences(13, 20, true);
	cr_expect_eq(kernel.n_errors, 0);
}

/* Longer datagrams than the device takes in trains: fragments, one by one. */
Test(udp, trains_longer_than_the_path_go_singly, .timeout = 60)
{
	if (!enter_small_network())
		cr_skip_test("NOT TESTED: no network namespace");
	check_sequences(21, 60, false);
}

Test(udp, a_device_without_trains_is_remembered, .timeout = 20)
{
	struct world w;
	struct end server = { 0 }, client = { 0 };
	world_open(&w);
	open_bound(&w, ADDR_IP4, &server);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), true, &client);
	kernel.refuses_trains = true;
	for (int i = 0; i < 50; i++)
		send_len(&client, 100);
	cr_assert(run_until(&w, &server, 50));
	cr_expect_eq(client.n_errors, 0);
	unsigned n_calls = kernel.n_calls;
	for (int i = 0; i < 50; i++)
		send_len(&client, 100);
	cr_assert(run_until(&w, &server, 100));
	cr_expect_eq(kernel.n_calls, n_calls + 1);
	cr_expect_eq(counters(&w)->n_sent, 100);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

Test(udp, a_train_takes_two_calls, .timeout = 20)
{
	struct world w;
	struct end server = { 0 }, client = { 0 };
	world_open(&w);
	open_bound(&w, ADDR_IP4, &server);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), true, &client);
	for (int i = 0; i < 640; i++)
		send_len(&client, 100);
	cr_expect_eq(counters(&w)->n_send_calls, 0);
	cr_assert(run_until(&w, &server, 640));
	cr_expect_eq(counters(&w)->n_send_calls, 1);
	cr_expect_eq(counters(&w)->n_receive_calls, 1);
	for (int i = 0; i < 100; i++) /* more bytes than one packet has */
		send_len(&client, 1400);
	cr_assert(run_until(&w, &server, 740));
	cr_expect_eq(counters(&w)->n_send_calls, 2);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

/* More than the queue holds, with no turn of the loop between. */
Test(udp, a_full_queue_is_sent_early, .timeout = 20)
{
	struct world w;
	struct end server = { 0 }, client = { 0 };
	world_open(&w);
	open_bound(&w, ADDR_IP4, &server);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), true, &client);
	for (int i = 0; i < 5000; i++)
		send_len(&client, 20);
	for (int i = 0; i < 40; i++)
		send_len(&client, 50000);
	cr_assert(run_until(&w, &server, 5040));
	cr_expect_eq(server.n_bytes, 5000 * 20 + 40 * 50000);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

static void check_answer(struct world *w, struct end *server, union addr_sock to)
{
	struct end client = { 0 };
	open_connected(w, to, true, &client);
	send_len(&client, 10);
	cr_assert(run_until(w, &client, 1)); /* from elsewhere it would be filtered */
	cr_expect(addr_sock_is_equal(&server->local, &to));
	cr_expect(addr_sock_is_equal(&client.from, &to));
	cr_expect_eq(server->from.any.sa_family, to.any.sa_family);
	udp_close(client.udp);
}

Test(udp, a_wildcard_socket_answers_from_where_it_was_asked, .timeout = 20)
{
	struct world w;
	struct end server = { .echoes = true }, only4 = { .echoes = true };
	struct addr any4 = { .kind = ADDR_IP4 };
	struct udp_options options = { .bind = &any4, .shares_port = true };
	world_open(&w);
	open_bound(&w, ADDR_NONE, &server);
	uint16_t port = udp_port(server.udp);
	check_answer(&w, &server, ip4(INADDR_LOOPBACK + 1, port));
	check_answer(&w, &server, ip4(INADDR_LOOPBACK, port));
	check_answer(&w, &server, ip6_loopback(port));
	cr_assert_eq(udp_open(w.io, &options, &ops, &only4, &only4.udp), 0);
	check_answer(&w, &only4, ip4(INADDR_LOOPBACK + 2, udp_port(only4.udp)));
	udp_close(only4.udp);
	udp_close(server.udp);
	world_close(&w);
}

/* A port that was free a moment ago. */
static uint16_t closed_port(void)
{
	struct addr at = { .kind = ADDR_IP4, .ip = { 127, 0, 0, 1 } };
	cr_assert_eq(udp_claim(&at), 0);
	cr_assert_neq(at.port, 0);
	return at.port;
}

Test(udp, a_closed_port_refuses_and_an_opened_one_gets_what_follows, .timeout = 20)
{
	struct world w;
	struct end client = { 0 }, server = { 0 };
	struct addr at = { .kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = closed_port() };
	struct udp_options options = { .bind = &at };
	world_open(&w);
	open_connected(&w, ip4(INADDR_LOOPBACK, at.port), true, &client);
	for (int i = 0; i < 10; i++)
		send_len(&client, (size_t)(10 + i)); /* ten messages: some meet the error */
	cr_assert(loop_run_until(w.loop, &client.is_done, WAIT_MS));
	cr_expect_eq(client.error, -ECONNREFUSED);
	cr_expect_eq(client.n_errors, 1, "%u times", client.n_errors);
	settle(&w);
	send_len(&client, 5);
	loop_turn(w.loop); /* the error of this one is pending when the next is sent */
	cr_assert_eq(udp_open(w.io, &options, &ops, &server, &server.udp), 0);
	send_len(&client, 1);
	cr_assert(run_until(&w, &server, 1));
	cr_expect_eq(server.n_bytes, 1);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

/* Errors of one stranger do not reach the others of a shared socket. */
static void check_undisturbed(enum addr_kind kind)
{
	static const struct bytes none = { 0 }, text = { (const uint8_t *)"ab", 2 };
	struct world w;
	struct end server = { 0 }, client = { 0 };
	union addr_sock closed = ip4(INADDR_LOOPBACK, closed_port()), nowhere = closed;
	world_open(&w);
	open_bound(&w, kind, &server);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), true, &client);
	send_len(&client, 3);
	cr_assert(run_until(&w, &server, 1));
	addr_sock_set_port(&nowhere, 0);
	for (int i = 0; i < 20; i++) {
		udp_send(server.udp, &closed, &server.local, text, none);
		udp_send(server.udp, &nowhere, NULL, text, none);
		udp_send(server.udp, &nowhere, NULL, text, none);
		udp_send(server.udp, &server.from, &server.local, text, none);
		loop_turn(w.loop);
	}
	cr_assert(run_until(&w, &client, 20));
	cr_expect_eq(server.n_errors, 0);
	cr_expect_eq(counters(&w)->n_failed, 40);
	/* Trains still go (they arrive as one): the refused ones taught nothing. */
	uint64_t n_calls = counters(&w)->n_receive_calls;
	for (int i = 0; i < 40; i++)
		udp_send(server.udp, &server.from, &server.local, text, none);
	cr_assert(run_until(&w, &client, 60));
	cr_expect_eq(counters(&w)->n_receive_calls, n_calls + 1);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

Test(udp, a_shared_socket_is_not_disturbed, .timeout = 20)
{
	check_undisturbed(ADDR_NONE);
	check_undisturbed(ADDR_IP4);
}

/* One peer, spoken to from two of our addresses in turn. */
Test(udp, each_datagram_has_its_own_source, .timeout = 20)
{
	static const struct bytes none = { 0 };
	struct world w;
	struct end server = { 0 }, peer = { 0 };
	world_open(&w);
	open_bound(&w, ADDR_NONE, &server);
	open_bound(&w, ADDR_IP4, &peer);
	union addr_sock to = ip4(INADDR_LOOPBACK, udp_port(peer.udp));
	for (unsigned i = 0; i < 6; i++) {
		union addr_sock from = ip4(INADDR_LOOPBACK + i % 2, udp_port(server.udp));
		udp_send(server.udp, &to, &from, (struct bytes){ (const uint8_t *)"a", 1 }, none);
	}
	cr_assert(run_until(&w, &peer, 6));
	cr_expect_eq(addr_sock_port(&peer.from), udp_port(server.udp));
	cr_expect_eq(ntohl(peer.from.ip4.sin_addr.s_addr), INADDR_LOOPBACK + 1);
	cr_expect_eq(peer.n_from_second, 3);
	udp_close(peer.udp);
	udp_close(server.udp);
	world_close(&w);
}

Test(udp, sockets_may_be_closed_in_callbacks, .timeout = 20)
{
	for (unsigned at = 1; at <= 64; at += 9) {
		struct world w;
		struct end server = { .closes_at = at, .echoes = true }, client = { 0 },
			   other = { 0 };
		world_open(&w);
		open_bound(&w, ADDR_IP4, &server);
		open_bound(&w, ADDR_IP4, &other);
		server.closes = at % 2 == 0 ? &other.udp : &server.udp;
		open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), true, &client);
		for (int i = 0; i < 100; i++)
			send_len(&client, 30);
		cr_assert(run_until(&w, &client, at)); /* the echo left before the close */
		settle(&w);
		if (server.udp == NULL)
			cr_expect_eq(server.n, at);
		udp_close(server.udp);
		udp_close(other.udp);
		udp_close(client.udp);
		world_close(&w);
	}
}

Test(udp, a_socket_may_be_closed_in_its_error, .timeout = 20)
{
	struct world w;
	struct end clients[3] = { 0 };
	world_open(&w);
	for (int i = 0; i < 3; i++) {
		open_connected(&w, ip4(INADDR_LOOPBACK, closed_port()), true, &clients[i]);
		clients[i].closes = &clients[(i + 1) % 3].udp; /* an error of which is waiting */
		send_len(&clients[i], 1);
		send_len(&clients[i], 2);
	}
	settle(&w);
	unsigned n = clients[0].n_errors + clients[1].n_errors + clients[2].n_errors;
	cr_expect(n == 1 || n == 2, "%u", n);
	for (int i = 0; i < 3; i++)
		udp_close(clients[i].udp);
	world_close(&w);
}

Test(udp, what_was_queued_leaves_before_the_close, .timeout = 20)
{
	struct world w;
	struct end server = { 0 }, client = { 0 };
	world_open(&w);
	open_bound(&w, ADDR_IP6, &server);
	open_connected(&w, ip6_loopback(udp_port(server.udp)), true, &client);
	send_len(&client, 7);
	udp_close(client.udp);
	cr_assert(run_until(&w, &server, 1));
	udp_close(server.udp);
	world_close(&w);
}

Test(udp, too_long_for_the_path_is_told_or_fragmented, .timeout = 20)
{
	struct world w;
	struct end server = { 0 }, strict = { 0 }, loose = { 0 };
	if (!enter_small_network())
		cr_skip_test("NOT TESTED: no network namespace");
	world_open(&w);
	open_bound(&w, ADDR_IP4, &server);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), true, &strict);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), false, &loose);
	cr_expect_eq(udp_path_max(strict.udp), 1472);
	send_len(&strict, 1473);
	send_len(&strict, 1473);
	send_len(&strict, 1472);
	cr_assert(run_until(&w, &server, 1));
	cr_expect_eq(strict.n_errors, 1);
	cr_expect_eq(strict.error, -EMSGSIZE);
	cr_expect_eq(strict.mtu, 1472);
	cr_expect_eq(counters(&w)->n_too_long, 2);
	send_len(&loose, 1473);
	send_len(&loose, 65507);
	cr_assert(run_until(&w, &server, 3));
	settle(&w);
	cr_expect_eq(server.n, 3);
	cr_expect_eq(loose.n_errors, 0);
	udp_close(strict.udp);
	udp_close(loose.udp);
	udp_close(server.udp);
	world_close(&w);
}

/* The kernel's own refusal: fragments of one datagram beyond twice the send buffer. */
Test(udp, a_full_send_buffer_is_counted, .timeout = 20)
{
	struct world w;
	struct end server = { 0 }, client = { 0 };
	int least = 1;
	if (!enter_small_network())
		cr_skip_test("NOT TESTED: no network namespace");
	world_open(&w);
	open_bound(&w, ADDR_IP4, &server);
	int fd = dup(0); /* the next socket's */
	close(fd);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), false, &client);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
	send_len(&client, 65000);
	send_len(&client, 100);
	cr_assert(run_until(&w, &server, 1));
	cr_expect_eq(server.n_bytes, 100);
	cr_expect_eq(counters(&w)->n_full, 1);
	cr_expect_eq(client.n_errors, 0);
	kernel.error = EAGAIN; /* everything of this socket is lost in one call */
	kernel.n_errors = 1;
	unsigned n_calls = kernel.n_calls;
	for (int i = 0; i < 400; i++)
		send_len(&client, (size_t)i);
	settle(&w);
	cr_expect_eq(counters(&w)->n_full, 401);
	cr_expect_eq(kernel.n_calls, n_calls + 1);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

Test(udp, other_errors_are_counted_and_reported, .timeout = 20)
{
	static const int errors[] = { EHOSTUNREACH, ENETUNREACH, EACCES, EPERM, EIO };
	struct world w;
	struct end server = { 0 }, client = { 0 };
	world_open(&w);
	open_bound(&w, ADDR_IP4, &server);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(server.udp)), true, &client);
	for (unsigned i = 0; i < 5; i++) {
		kernel.error = errors[i];
		kernel.n_errors = 2; /* once would be an earlier datagram's */
		send_len(&client, 9);
		settle(&w);
		cr_expect_eq(client.n_errors, i + 1);
		cr_expect_eq(client.error, -errors[i]);
	}
	cr_expect_eq(counters(&w)->n_unreachable, 4);
	cr_expect_eq(counters(&w)->n_failed, 1);
	kernel.error = ECONNREFUSED;
	kernel.n_errors = 1;
	send_len(&client, 9);
	cr_assert(run_until(&w, &server, 1));
	cr_expect_eq(client.n_errors, 6);
	cr_expect_eq(counters(&w)->n_unreachable, 4);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

Test(udp, a_port_is_shared_or_claimed, .timeout = 20)
{
	struct world w;
	struct end a = { 0 }, b = { 0 }, c = { 0 };
	struct addr at = { .kind = ADDR_IP4, .ip = { 127, 0, 0, 1 } };
	struct udp_options shared = { .bind = &at, .shares_port = true }, alone = { .bind = &at };
	world_open(&w);
	cr_assert_eq(udp_claim(&at), 0);
	cr_assert_eq(udp_open(w.io, &shared, &ops, &a, &a.udp), 0);
	cr_assert_eq(udp_open(w.io, &shared, &ops, &b, &b.udp), 0);
	cr_expect_eq(udp_open(w.io, &alone, &ops, &c, &c.udp), -EADDRINUSE);
	cr_expect_eq(udp_port(a.udp), at.port);
	cr_expect_eq(udp_port(b.udp), at.port);
	cr_expect_eq(udp_claim(&at), -EADDRINUSE);
	struct addr any = { .kind = ADDR_NONE, .port = at.port };
	cr_expect_eq(udp_claim(&any), -EADDRINUSE);
	udp_close(a.udp);
	udp_close(b.udp);
	cr_expect_eq(udp_claim(&at), 0);
	world_close(&w);
}

Test(udp, bind_and_connect_together, .timeout = 20)
{
	struct world w;
	struct end server = { .echoes = true }, client = { 0 };
	struct addr at = { .kind = ADDR_IP4, .ip = { 127, 0, 0, 5 } };
	world_open(&w);
	open_bound(&w, ADDR_IP4, &server);
	union addr_sock to = ip4(INADDR_LOOPBACK, udp_port(server.udp));
	struct udp_options options = { .bind = &at, .connect = &to };
	cr_assert_eq(udp_open(w.io, &options, &ops, &client, &client.udp), 0);
	send_len(&client, 1);
	cr_assert(run_until(&w, &client, 1));
	union addr_sock from = ip4(INADDR_LOOPBACK + 4, udp_port(client.udp));
	cr_expect(addr_sock_is_equal(&server.from, &from));
	cr_expect_eq(
		udp_open(w.io, &(struct udp_options){ 0 }, &ops, &client, &client.udp), ERR_INVAL);
	udp_close(client.udp);
	udp_close(server.udp);
	world_close(&w);
}

Test(udp, no_descriptor_is_an_error, .timeout = 20)
{
	struct world w;
	struct end client = { 0 };
	struct rlimit limit;
	union addr_sock to = ip4(INADDR_LOOPBACK, 9);
	struct udp_options options = { .connect = &to };
	struct addr at = { .kind = ADDR_NONE };
	world_open(&w);
	int next = dup(0);
	close(next);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	struct rlimit none = { (rlim_t)next, limit.rlim_max };
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_expect_eq(udp_open(w.io, &options, &ops, &client, &client.udp), -EMFILE);
	cr_expect_eq(udp_claim(&at), -EMFILE);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(udp_open(w.io, &options, &ops, &client, &client.udp), 0);
	udp_close(client.udp);
	world_close(&w);
}

/* A program's own connected socket, told by our raw one. */
static void check_told(struct world *w, struct end *server, union addr_sock to)
{
	char byte = 'x';
	int error = 0;
	socklen_t len = sizeof error;
	int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(connect(fd, &to.any, addr_sock_len(&to)), 0);
	cr_assert_eq(send(fd, &byte, 1, 0), 1);
	cr_assert(run_until(w, server, server->n + 1));
	cr_assert(udp_tell_unreachable(w->io, &server->from, &server->local, 1));
	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	cr_expect_eq(error, ECONNREFUSED, "%s", strerror(error));
	cr_assert_eq(send(fd, &byte, 1, 0), 1);
	cr_assert(run_until(w, server, server->n + 1));
	cr_assert(udp_tell_unreachable(w->io, &server->from, &server->local, 1));
	cr_expect_eq(recv(fd, &byte, 1, 0), -1);
	cr_expect_eq(errno, ECONNREFUSED);
	close(fd);
}

Test(udp, a_local_program_is_told_that_a_port_is_closed, .timeout = 20)
{
	struct world w;
	struct end dual = { 0 }, bound = { 0 };
	if (geteuid() != 0)
		cr_skip_test("NOT TESTED: raw sockets need root");
	world_open(&w);
	open_bound(&w, ADDR_NONE, &dual);
	open_bound(&w, ADDR_IP4, &bound);
	uint16_t port = udp_port(dual.udp);
	check_told(&w, &dual, ip4(INADDR_LOOPBACK, port));
	check_told(&w, &dual, ip4(INADDR_LOOPBACK + 1, port));
	check_told(&w, &dual, ip6_loopback(port));
	check_told(&w, &bound, ip4(INADDR_LOOPBACK, udp_port(bound.udp)));
	union addr_sock other = ip6_loopback(port);
	cr_expect_not(udp_tell_unreachable(w.io, &bound.from, &other, 1));
	udp_close(dual.udp);
	udp_close(bound.udp);
	world_close(&w);
}

Test(udp, without_the_privilege_nobody_is_told, .timeout = 20)
{
	struct world w;
	union addr_sock at = ip4(INADDR_LOOPBACK, 9);
	if (geteuid() != 0 || setuid(65534) != 0)
		cr_skip_test("NOT TESTED: not root");
	world_open(&w);
	cr_expect_not(udp_tell_unreachable(w.io, &at, &at, 1));
	cr_expect_not(udp_tell_unreachable(w.io, &at, &at, 1));
	world_close(&w);
}

/* Two sockets, each always ready: one of them does not keep the other from its turn. */
Test(udp, a_busy_socket_leaves_turns_to_others, .timeout = 20)
{
	struct world w;
	struct end busy = { 0 }, quiet = { 0 }, to_busy = { 0 }, to_quiet = { 0 };
	world_open(&w);
	open_bound(&w, ADDR_IP4, &busy);
	open_bound(&w, ADDR_IP4, &quiet);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(busy.udp)), true, &to_busy);
	open_connected(&w, ip4(INADDR_LOOPBACK, udp_port(quiet.udp)), true, &to_quiet);
	for (int i = 0; i < 12000; i++)
		send_len(&to_busy, 20);
	send_len(&to_quiet, 1);
	cr_assert(run_until(&w, &quiet, 1));
	cr_expect_lt(busy.n, 12000);
	cr_assert(run_until(&w, &busy, 12000));
	loop_run_until(w.loop, &never, 1);
	udp_close(to_busy.udp);
	udp_close(to_quiet.udp);
	udp_close(busy.udp);
	udp_close(quiet.udp);
	world_close(&w);
}
