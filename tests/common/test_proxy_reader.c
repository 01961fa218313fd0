/* Connections that wait for their PROXY header: who gets them, when, and that no byte is lost. */
#include "common/proxy_reader.h"

#include "common/tcp.h"
#include "tests/support/failing.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS    5000
#define TIMEOUT_MS 30
#define HEADER     "PROXY TCP4 10.1.2.3 10.0.0.1 4660 80\r\n"

struct world {
	struct loop *loop;
	struct proxy_reader *reader;
	unsigned n_clients, n_strangers;
	bool is_over;
	union addr_sock client;
	size_t n_received;
	uint64_t start_ms;
	int peer;
};
static const bool never = false;

static void on_client(struct stream *stream, const union addr_sock *peer, void *owner)
{
	struct world *w = owner;
	w->n_clients++;
	w->client = *peer;
	w->is_over = true;
	cr_expect_eq(tcp_has_input(stream), 1, "what follows the header is not read");
	stream_drop(stream);
}

static void on_stranger(const struct proxy_stranger *stranger, void *owner)
{
	struct world *w = owner;
	w->n_strangers++;
	w->n_received = stranger->n_received;
	w->start_ms = stranger->start_ms;
	w->is_over = true;
	cr_expect_eq(stranger->peer->any.sa_family, AF_INET);
	stream_drop(stranger->stream);
}

static void set_up(struct world *w, uint32_t timeout_ms, proxy_stranger_fn *on_bad)
{
	*w = (struct world){ .peer = -1 };
	cr_assert_eq(loop_new(&w->loop), 0);
	struct proxy_reader_options options = { .loop = w->loop,
		.on_client = on_client,
		.on_stranger = on_bad,
		.owner = w,
		.timeout_ms = timeout_ms };
	cr_assert_eq(proxy_reader_new(&options, &w->reader), 0);
}

static void tear_down(struct world *w)
{
	proxy_reader_free(w->reader);
	loop_run_until(w->loop, &never, 1); /* what was closed goes */
	loop_free(w->loop);
	if (w->peer >= 0)
		close(w->peer);
}

static void come(struct world *w)
{
	struct stream *stream;
	union addr_sock peer = { .ip4 = { .sin_family = AF_INET, .sin_port = htons(7) } };
	int fds[2];
	streams_tcp_fds(fds);
	w->peer = fds[0];
	w->is_over = false;
	cr_assert_eq(tcp_open_fd(w->loop, fds[1], &stream), 0);
	proxy_reader_take(w->reader, stream, &peer);
}

static void say(struct world *w, const char *text, size_t len)
{
	cr_assert_eq(send(w->peer, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

Test(proxy_reader, a_header_in_two_pieces)
{
	struct world w;
	const char text[] = HEADER "payload";
	for (size_t cut = 1; cut < sizeof HEADER - 1; cut++) {
		set_up(&w, 0, on_stranger);
		come(&w);
		say(&w, text, cut);
		loop_turn(w.loop);
		say(&w, text + cut, sizeof text - 1 - cut);
		cr_expect(loop_run_until(w.loop, &w.is_over, WAIT_MS), "cut %zu", cut);
		cr_expect_eq(w.n_clients, 1);
		cr_expect_eq(addr_sock_port(&w.client), 4660);
		tear_down(&w);
	}
}

/* Who says too little has the whole time, and not more by saying it slowly. */
Test(proxy_reader, its_time_ends)
{
	struct world w;
	set_up(&w, TIMEOUT_MS, on_stranger);
	uint64_t start_ms = loop_now_ms(w.loop);
	come(&w);
	for (size_t i = 0; i < 5 && !w.is_over; i++) {
		say(&w, &HEADER[i], 1);
		loop_run_until(w.loop, &w.is_over, TIMEOUT_MS / 3);
	}
	cr_assert(loop_run_until(w.loop, &w.is_over, WAIT_MS));
	cr_expect_eq(w.n_strangers, 1);
	cr_expect_eq(w.n_clients, 0);
	cr_expect_geq(loop_now_ms(w.loop) - start_ms, TIMEOUT_MS);
	cr_expect_leq(w.n_received, 5);
	cr_expect_leq(w.start_ms - start_ms, TIMEOUT_MS);
	tear_down(&w);
}

Test(proxy_reader, what_is_no_header_is_a_stranger)
{
	struct world w;
	char byte;
	set_up(&w, 0, on_stranger);
	come(&w);
	say(&w, "GET / HTTP/1.1\r\n\r\n", 18);
	cr_expect(loop_run_until(w.loop, &w.is_over, WAIT_MS));
	cr_expect_eq(w.n_strangers, 1);
	tear_down(&w);
	set_up(&w, 0, NULL);
	come(&w);
	say(&w, "\r\n\r\nQUIT", 8);
	loop_run_until(w.loop, &never, TIMEOUT_MS);
	cr_expect_leq(recv(w.peer, &byte, 1, MSG_DONTWAIT), 0);
	cr_expect_neq(errno, EAGAIN, "closed");
	tear_down(&w);
}

Test(proxy_reader, who_leaves_is_nobody)
{
	struct world w;
	set_up(&w, 0, on_stranger);
	come(&w);
	say(&w, HEADER, 9);
	shutdown(w.peer, SHUT_WR);
	loop_run_until(w.loop, &never, TIMEOUT_MS);
	cr_expect_eq(w.n_strangers + w.n_clients, 0);
	tear_down(&w);
}

Test(proxy_reader, it_is_freed_while_some_wait)
{
	struct world w;
	set_up(&w, 0, on_stranger);
	come(&w);
	close(w.peer);
	come(&w);
	say(&w, HEADER, 20);
	loop_turn(w.loop);
	tear_down(&w);
	cr_expect_eq(w.n_strangers + w.n_clients, 0);
}

Test(proxy_reader, without_memory_the_connection_ends)
{
	struct world w;
	set_up(&w, 0, on_stranger);
	for (unsigned long nth = 1;; nth++) {
		struct stream *stream;
		union addr_sock peer = { .ip4 = { .sin_family = AF_INET } };
		int fds[2];
		streams_tcp_fds(fds);
		cr_assert_eq(tcp_open_fd(w.loop, fds[1], &stream), 0);
		w.is_over = false;
		failing_start(nth);
		proxy_reader_take(w.reader, stream, &peer);
		send(fds[0], HEADER "x", sizeof HEADER, MSG_NOSIGNAL);
		loop_run_until(w.loop, &w.is_over, TIMEOUT_MS);
		bool has_failed = failing_stop();
		close(fds[0]);
		if (!has_failed)
			break;
	}
	cr_expect_geq(w.n_clients, 1);
	tear_down(&w);
}
