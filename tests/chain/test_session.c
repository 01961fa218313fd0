/* Sessions without hops, and through foreign proxies that a script plays; all on one loop. */
#include "chain/session.h"

#include "common/listener.h"
#include "common/record.h"
#include "tests/support/failing.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define WAIT_MS 5000

/* What a peer does: after each DATA the next of @says, all of it in one write. */
struct peer {
	struct listener *listener;
	uint16_t port;
	const struct bytes *says;
	size_t n_says;
	size_t i_next;
};

struct world {
	struct loop *loop;
	struct peer peer;
	struct chain_hop hops[2];
	struct chain_spec spec;
	struct chain_client *client;
	struct chain_session *session;
	bool is_done;
	struct stream *stream;
	struct chain_error error;
	uint8_t said[16];
	size_t n_said;
};

static const bool never = false;

static void on_peer(struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct peer *peer = owner;
	(void)data;
	if (event == STREAM_DATA && peer->i_next < peer->n_says)
		stream_write(stream, peer->says[peer->i_next++]);
	if (event == STREAM_EOF || event == STREAM_FAILED)
		stream_close(stream);
}

static void on_accept(struct stream *s, const union addr_sock *address, void *owner)
{
	struct peer *peer = owner;
	(void)address;
	peer->i_next = 0;
	stream_own(s, on_peer, peer);
	stream_read_start(s);
	if (peer->says != NULL && peer->says[0].len == 0) { /* it speaks first */
		peer->i_next = 2;
		stream_write(s, peer->says[1]);
	}
}

static struct addr here(uint16_t port)
{
	return (struct addr){ .kind = ADDR_IP4, .ip = { 127, 0, 0, 1 }, .port = port };
}

static void open_world(struct world *w, enum chain_step step, size_t n_hops)
{
	struct addr at = here(0);
	*w = (struct world){ .is_done = false };
	cr_assert(seal_start() == 0 && record_start() == 0);
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(listener_open(w->loop, &at, false, on_accept, &w->peer, &w->peer.listener), 0);
	w->peer.port = listener_port(w->peer.listener);
	w->hops[0] = (struct chain_hop){ .step = step, .addr = here(w->peer.port) };
	w->spec = (struct chain_spec)CHAIN_SPEC_DEFAULT;
	w->spec.hops = w->hops;
	w->spec.n_hops = n_hops;
	w->spec.connect_timeout_ms = 300;
	cr_assert_eq(chain_client_new(w->loop, NULL, &w->spec, &w->client), 0);
}

static void close_world(struct world *w)
{
	listener_close(w->peer.listener);
	loop_run_until(w->loop, &never, 20);
	chain_client_free(w->client);
	loop_free(w->loop);
}

static void on_session(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct world *w = owner;
	cr_expect_neq(stream != NULL, error != NULL);
	w->is_done = true;
	w->stream = stream;
	if (error != NULL)
		w->error = *error;
}

static int start(struct world *w, enum chain_purpose purpose, const struct addr *target)
{
	struct chain_session_options options = { .purpose = purpose, .target = target };
	w->is_done = false;
	return chain_session_start(w->client, &options, on_session, w, &w->session);
}

static void run(struct world *w, enum chain_purpose purpose, const struct addr *target)
{
	cr_assert_eq(start(w, purpose, target), 0);
	cr_assert(!w->is_done, "not from inside");
	cr_assert(loop_run_until(w->loop, &w->is_done, WAIT_MS));
}

static void on_payload(
	struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct world *w = owner;
	(void)stream;
	if (event != STREAM_DATA || w->n_said + data.len > sizeof w->said)
		return;
	memcpy(w->said + w->n_said, data.ptr, data.len);
	w->n_said += data.len;
}

/* The stream begins with "hello", whole and with nothing before it. */
static void expect_hello(struct world *w)
{
	cr_assert_not_null(w->stream, "%s", chain_error_slug(&w->error));
	w->n_said = 0;
	stream_own(w->stream, on_payload, w);
	stream_read_start(w->stream);
	for (int i = 0; i < 200 && w->n_said < 5; i++)
		loop_run_until(w->loop, &never, 5);
	cr_expect_eq(w->n_said, 5);
	cr_expect_eq(memcmp(w->said, "hello", 5), 0);
	stream_drop(w->stream);
}

Test(session, a_chain_without_hops_is_the_target, .timeout = 60)
{
	static const struct bytes says[] = { { NULL, 0 }, { (const uint8_t *)"hello", 5 } };
	struct world w;
	char text[512];
	open_world(&w, CHAIN_STEP_HOP, 0);
	struct addr target = here(w.peer.port);
	w.peer.says = says;
	w.peer.n_says = 2;
	run(&w, CHAIN_TO_TARGET, &target);
	expect_hello(&w);
	cr_expect_eq(start(&w, CHAIN_TO_FLOW, &target), ERR_INVAL);
	cr_expect_eq(start(&w, CHAIN_TO_MEASURE, NULL), ERR_INVAL);
	cr_expect_eq(start(&w, CHAIN_TO_ECHO, NULL), ERR_INVAL);
	listener_close(w.peer.listener);
	w.peer.listener = NULL;
	loop_run_until(w.loop, &never, 5);
	run(&w, CHAIN_TO_TARGET, &target);
	cr_assert_null(w.stream);
	cr_expect(w.error.stage == CHAIN_DIAL && w.error.hop == 0 && w.error.n_hops == 0);
	cr_expect_eq(chain_error_exit_code(&w.error), 8);
	chain_error_print(&w.error, text, sizeof text);
	cr_expect_eq(strncmp(text, "target (127.0.0.1:", 18), 0, "%s", text);
	struct addr name = { .kind = ADDR_NAME, .port = 1, .name = "no.example" };
	run(&w, CHAIN_TO_TARGET, &name);
	cr_expect(w.error.stage == CHAIN_RESOLVE && w.error.hop == 0);
	close_world(&w);
}

static const struct bytes socks_says[] = { { (const uint8_t *)"\5\0", 2 },
	{ (const uint8_t *)"\5\0\0\1\0\0\0\0\0\0hello", 15 } };
static const struct bytes http_says[] = { { (const uint8_t *)"HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello",
	30 } };

static void play(struct world *w, bool is_http)
{
	w->peer.says = is_http ? http_says : socks_says;
	w->peer.n_says = is_http ? 1 : 2;
}

Test(session, what_follows_a_proxys_word_is_payload, .timeout = 60)
{
	struct addr target = { .kind = ADDR_NAME, .port = 443, .name = "example.org" };
	for (int is_http = 0; is_http < 2; is_http++) {
		struct world w;
		open_world(&w, is_http ? CHAIN_STEP_HTTP : CHAIN_STEP_SOCKS5, 1);
		play(&w, is_http);
		run(&w, CHAIN_TO_TARGET, &target);
		expect_hello(&w);
		close_world(&w);
	}
}

Test(session, a_foreign_proxy_at_the_end_has_its_limits, .timeout = 60)
{
	static const enum chain_purpose purposes[] = { CHAIN_TO_FLOW, CHAIN_TO_MEASURE,
		CHAIN_TO_KEEP };
	struct world w;
	char text[512];
	open_world(&w, CHAIN_STEP_SOCKS5, 1);
	struct addr target = here(1);
	for (size_t i = 0; i < sizeof purposes / sizeof purposes[0]; i++) {
		run(&w, purposes[i], &target);
		cr_assert_null(w.stream);
		cr_expect_str_eq(chain_error_slug(&w.error), "unsupported");
		chain_error_print(&w.error, text, sizeof text);
		cr_expect_not_null(
			strstr(text, "socks5): unsupported: at the end of a chain"), "%s", text);
	}
	cr_assert_eq(start(&w, CHAIN_TO_FLOW, &target), 0);
	chain_session_cancel(w.session);
	close_world(&w);
}

/* Its greeting is the echo of SOCKS; of HTTP the connection. */
Test(session, a_foreign_proxy_has_an_echo, .timeout = 60)
{
	for (int is_http = 0; is_http < 2; is_http++) {
		struct chain_answers answers = { .n_answers = 0 };
		struct chain_session_options options = {
			.purpose = CHAIN_TO_ECHO, .answers = &answers, .is_trace = true
		};
		struct world w;
		open_world(&w, is_http ? CHAIN_STEP_HTTP : CHAIN_STEP_SOCKS5, 1);
		play(&w, is_http);
		cr_assert_eq(
			chain_session_start(w.client, &options, on_session, &w, &w.session), 0);
		cr_assert(loop_run_until(w.loop, &w.is_done, WAIT_MS));
		cr_assert_not_null(w.stream);
		stream_drop(w.stream);
		cr_expect_eq(answers.n_answers, 1);
		cr_expect(answers.hops[0].is_foreign && !answers.hops[0].has_clock);
		cr_expect_gt(answers.hops[0].at_us, 0);
		cr_expect_str_eq(
			answers.hops[0].software, is_http ? "http: foreign, not encrypted"
							  : "socks5: foreign, not encrypted");
		close_world(&w);
	}
}

Test(session, silence_ends_in_time, .timeout = 60)
{
	struct world w;
	open_world(&w, CHAIN_STEP_SOCKS5, 1);
	struct addr target = here(1);
	run(&w, CHAIN_TO_TARGET, &target);
	cr_expect(w.error.stage == CHAIN_ANSWER && w.error.code == ERR_TIMEOUT && w.error.hop == 1);
	cr_expect_geq(w.error.elapsed_ms, 300);
	cr_expect_lt(w.error.elapsed_ms, 1000);
	close_world(&w);
}

/* Every allocation fails once: an error, or none, and nothing is left. */
Test(session, survives_without_memory, .timeout = 60)
{
	struct addr target = here(1);
	for (int is_http = 0; is_http < 2; is_http++) {
		for (unsigned long n = 1;; n++) {
			struct world w;
			open_world(&w, is_http ? CHAIN_STEP_HTTP : CHAIN_STEP_SOCKS5, 1);
			play(&w, is_http);
			failing_start(n);
			int error = start(&w, CHAIN_TO_TARGET, &target);
			if (error == 0)
				loop_run_until(w.loop, &w.is_done, 400);
			bool has_failed = failing_stop();
			cr_expect(error == 0 || error == ERR_NOMEM);
			if (error == 0 && !w.is_done)
				chain_session_cancel(w.session);
			else if (w.stream != NULL)
				stream_drop(w.stream);
			close_world(&w);
			if (!has_failed)
				break;
		}
	}
}
