/* The library from outside: real hops on a loop of their own, the library on a uv loop. */
#include "chain/hopchain.h"
#include "common/seal.h"
#include "tests/support/failing.h"
#include "tests/support/hops.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define WAIT_MS 5000

static const bool never = false;

struct world {
	struct hops hops;
	uv_loop_t uv;
	struct hopchain_chain *chain;
	struct hopchain_client *client; /* NULL once it is being closed */
	struct listener *origin;
	char target[32], udp_target[32];
	struct poll echo;
	bool resets; /* the origin does, after the first byte */
	bool has_origin_ended;
	struct stream *origin_stream; /* the last one */
	unsigned n_client_closed;
	bool is_closed;
};

/* --- the far side --- */

/* Sends back what it gets, as fast as it is taken. */
static void on_origin(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	struct world *w = owner;
	switch (event) {
	case STREAM_DATA:
		if (w->resets)
			stream_abort(s);
		else if (stream_write(s, data))
			stream_read_stop(s);
		return;
	case STREAM_EOF:
		w->has_origin_ended = stream_shutdown(s);
		if (!w->has_origin_ended)
			stream_close(s);
		return;
	case STREAM_DRAINED:
		if (w->has_origin_ended)
			stream_close(s);
		else
			stream_read_start(s);
		return;
	case STREAM_FAILED:
		stream_close(s);
		return;
	case STREAM_CONNECTED:
	case STREAM_CLOSED:
		return;
	}
}

static void on_accept(struct stream *s, const union addr_sock *peer, void *owner)
{
	(void)peer;
	((struct world *)owner)->origin_stream = s;
	stream_own(s, on_origin, owner);
	stream_read_start(s);
}

static void on_echo(struct poll *poll, unsigned events)
{
	static uint8_t datagram[65536];
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	ssize_t n;
	(void)events;
	while ((n = recvfrom(poll->fd, datagram, sizeof datagram, 0, (struct sockaddr *)&from,
			&len)) >= 0)
		sendto(poll->fd, datagram, (size_t)n, 0, (struct sockaddr *)&from, len);
}

static void open_echo(struct world *w)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	cr_assert_eq(poll_add(w->hops.loop, &w->echo, fd, on_echo), 0);
	snprintf(w->udp_target, sizeof w->udp_target, "127.0.0.1:%u", ntohs(at.sin_port));
}

/* As hops.c makes them: halves of one byte each. */
static void key_text(uint8_t i, char to[HOPCHAIN_KEY_TEXT])
{
	uint8_t credential[64];
	memset(credential, 2 * i, 32);
	memset(credential + 32, 2 * i + 1, 32);
	memcpy(to, "hc1:", 4);
	seal_base64(bytes_of(credential, sizeof credential), to + 4, HOPCHAIN_KEY_TEXT - 4);
}

static int make_chain(struct world *w, bool is_header_only, enum hopchain_udp udp)
{
	char addresses[HOPS_MAX][32], keys[HOPS_MAX][HOPCHAIN_KEY_TEXT];
	struct hopchain_hop hops[HOPS_MAX];
	for (size_t i = 0; i < w->hops.n; i++) {
		snprintf(addresses[i], sizeof addresses[i], "127.0.0.1:%u",
			w->hops.spec_hops[i].addr.port);
		key_text((uint8_t)(i + 1), keys[i]);
		hops[i] = (struct hopchain_hop){
			.size = sizeof hops[i], .address = addresses[i], .key = keys[i]
		};
	}
	struct hopchain_options options = {
		.size = sizeof options,
		.hops = hops,
		.n_hops = w->hops.n,
		.is_header_only = is_header_only,
		.connect_timeout_ms = 1000,
		.udp = udp,
	};
	return hopchain_chain_new(&options, &w->chain, NULL);
}

static void set_up_with(struct world *w, size_t n_hops, bool is_header_only, enum hopchain_udp udp)
{
	struct addr at;
	memset(w, 0, sizeof *w);
	hops_open(&w->hops, n_hops);
	cr_assert_eq(addr_parse_listen("127.0.0.1:0", &at), ADDR_OK);
	cr_assert_eq(listener_open(w->hops.loop, &at, false, on_accept, w, &w->origin), 0);
	snprintf(w->target, sizeof w->target, "127.0.0.1:%u", listener_port(w->origin));
	open_echo(w);
	cr_assert_eq(uv_loop_init(&w->uv), 0);
	cr_assert_eq(make_chain(w, is_header_only, udp), 0);
	cr_assert_eq(hopchain_client_open(&w->uv, w->chain, &w->client), 0);
}

static void set_up(struct world *w, size_t n_hops)
{
	set_up_with(w, n_hops, false, HOPCHAIN_UDP_AUTO);
}

/* --- both loops --- */

static void turn(struct world *w)
{
	uv_run(&w->uv, UV_RUN_NOWAIT);
	loop_run_until(w->hops.loop, &never, 1);
}

static bool wait_for(struct world *w, const bool *condition)
{
	uint64_t end_us = loop_clock_us() + WAIT_MS * 1000;
	while (!*condition && loop_clock_us() < end_us)
		turn(w);
	return *condition;
}

static void on_closed(void *owner)
{
	struct world *w = owner;
	w->n_client_closed++;
	w->is_closed = true;
}

static void close_client(struct world *w)
{
	struct hopchain_client *client = w->client;
	w->client = NULL;
	if (client == NULL)
		return;
	hopchain_client_close(client, on_closed, w);
	hopchain_client_close(client, on_closed, w); /* idempotent */
}

static void tear_down(struct world *w)
{
	close_client(w);
	cr_expect(wait_for(w, &w->is_closed));
	cr_expect_eq(w->n_client_closed, 1);
	cr_expect_eq(uv_loop_alive(&w->uv), 0);
	cr_expect_eq(uv_loop_close(&w->uv), 0);
	hopchain_chain_free(w->chain);
	int fd = w->echo.fd;
	listener_close(w->origin);
	poll_remove(w->hops.loop, &w->echo);
	close(fd);
	hops_close(&w->hops);
}

/* --- one stream --- */

enum act {
	ACT_NONE,
	ACT_CLOSE,
	ACT_ABORT,
	ACT_CLIENT,
	ACT_CLOSE_BOTH,
	N_ACTS,
};

struct talk {
	struct world *w;
	struct hopchain_stream *stream; /* NULL after CLOSED */
	char events[64];                /* each kind that came, DATA once in a row */
	size_t n_received;
	bool is_connected, has_data, has_ended, has_failed, is_closed;
	bool is_inside;
	char act_at; /* in that event: */
	enum act act;
	struct hopchain_error error;
	char text[512];
};

static void do_act(struct talk *t)
{
	if (t->act == ACT_CLOSE || t->act == ACT_CLOSE_BOTH)
		hopchain_close(t->stream);
	if (t->act == ACT_ABORT)
		hopchain_abort(t->stream);
	if (t->act == ACT_CLIENT || t->act == ACT_CLOSE_BOTH)
		close_client(t->w);
}

static void note_error(struct talk *t)
{
	const struct hopchain_error *error = hopchain_stream_error(t->stream);
	cr_assert_not_null(error);
	t->error = *error;
	snprintf(t->text, sizeof t->text, "%s", error->text);
	t->error.text = t->text;
}

static void on_event(struct hopchain_stream *stream, enum hopchain_event event, const void *data,
	size_t len, void *owner)
{
	static const char letters[] = { [HOPCHAIN_CONNECTED] = 'C',
		[HOPCHAIN_DATA] = 'D',
		[HOPCHAIN_DRAINED] = 'W',
		[HOPCHAIN_EOF] = 'E',
		[HOPCHAIN_FAILED] = 'F',
		[HOPCHAIN_CLOSED] = 'X' };
	struct talk *t = owner;
	size_t n = strlen(t->events);
	(void)data;
	cr_assert(!t->is_inside, "an event from inside a call");
	cr_assert(!t->is_closed, "an event after CLOSED");
	cr_assert_eq(stream, t->stream);
	if (n == 0 || t->events[n - 1] != letters[event])
		t->events[n] = letters[event];
	t->is_connected |= event == HOPCHAIN_CONNECTED;
	t->has_data |= event == HOPCHAIN_DATA;
	t->has_ended |= event == HOPCHAIN_EOF;
	t->n_received += event == HOPCHAIN_DATA ? len : 0;
	if (event == HOPCHAIN_FAILED) {
		t->has_failed = true;
		note_error(t);
	}
	if (t->act_at == letters[event])
		do_act(t);
	if (event == HOPCHAIN_CLOSED) {
		t->is_closed = true;
		t->stream = NULL;
	}
}

static int start(struct world *w, struct talk *t, const char *target)
{
	t->w = w;
	t->is_inside = true;
	int error = hopchain_connect(w->client, target, on_event, t, &t->stream);
	t->is_inside = false;
	return error;
}

static bool say(struct talk *t, const char *text)
{
	t->is_inside = true;
	bool pauses = hopchain_write(t->stream, text, strlen(text));
	t->is_inside = false;
	return pauses;
}

static void read_start(struct talk *t)
{
	t->is_inside = true;
	hopchain_read_start(t->stream);
	hopchain_read_start(t->stream);
	t->is_inside = false;
}

static void end(struct talk *t)
{
	if (t->stream == NULL)
		return;
	t->is_inside = true;
	hopchain_close(t->stream);
	hopchain_close(t->stream);
	hopchain_abort(t->stream);
	t->is_inside = false;
	cr_expect(wait_for(t->w, &t->is_closed));
}

Test(lib, a_stream_goes_there_and_back, .timeout = 60)
{
	for (int is_header_only = 0; is_header_only < 2; is_header_only++) {
		struct world w;
		struct talk t = { 0 };
		size_t n;
		set_up_with(&w, 3, is_header_only, HOPCHAIN_UDP_AUTO);
		cr_expect_eq(uv_loop_alive(&w.uv), 0, "an idle client holds nothing");
		cr_assert_eq(start(&w, &t, w.target), 0);
		cr_expect_neq(uv_loop_alive(&w.uv), 0);
		cr_assert(wait_for(&w, &t.is_connected), "%s", t.events);
		cr_expect_null(hopchain_stream_error(t.stream));
		const struct hopchain_answer *answers = hopchain_stream_answers(t.stream, &n);
		cr_assert_eq(n, 3);
		for (size_t i = 0; i < n; i++) {
			cr_expect_eq(answers[i].hop, i + 1);
			cr_expect_str_eq(
				answers[i].address, hopchain_chain_hop_address(w.chain, i + 1));
			cr_expect_str_eq(answers[i].software, "hopchain 0.1.0");
			cr_expect(answers[i].has_clock);
			cr_expect_str_eq(
				answers[i].dialled, i < 2 ? answers[i + 1].address : w.target);
		}
		cr_expect_eq(answers[2].cipher == NULL, is_header_only);
		cr_expect(!say(&t, "hello"));
		for (int i = 0; i < 50; i++)
			turn(&w);
		cr_expect_eq(t.n_received, 0, "reading is off at first");
		read_start(&t);
		cr_expect(wait_for(&w, &t.has_data));
		cr_expect_eq(t.n_received, 5);
		cr_expect(!hopchain_shutdown(t.stream));
		cr_expect(wait_for(&w, &t.has_ended));
		end(&t);
		cr_expect_str_eq(t.events, "CDEX");
		cr_expect_eq(uv_loop_alive(&w.uv), 0);
		tear_down(&w);
	}
}

Test(lib, reading_may_be_asked_for_before_it_is_connected, .timeout = 30)
{
	struct world w;
	struct talk t = { 0 };
	set_up(&w, 1);
	cr_assert_eq(start(&w, &t, w.target), 0);
	read_start(&t);
	cr_expect(!say(&t, "lost"), "nothing is written before CONNECTED");
	cr_assert(wait_for(&w, &t.is_connected));
	say(&t, "kept");
	cr_expect(wait_for(&w, &t.has_data));
	cr_expect_eq(t.n_received, 4);
	hopchain_read_stop(t.stream);
	say(&t, "more");
	for (int i = 0; i < 50; i++)
		turn(&w);
	cr_expect_eq(t.n_received, 4);
	end(&t);
	tear_down(&w);
}

/* Every kind of end, from inside every event. */
static void end_inside(char at, enum act act)
{
	struct world w;
	struct talk t = { .act_at = at, .act = act };
	set_up(&w, 2);
	w.resets = at == 'F';
	cr_assert_eq(start(&w, &t, w.target), 0);
	read_start(&t);
	if (wait_for(&w, &t.is_connected) && t.stream != NULL && at != 'C') {
		say(&t, "hello");
		if (at != 'F' && wait_for(&w, &t.has_data) && t.stream != NULL && at != 'D')
			(void)hopchain_shutdown(t.stream);
		if (at == 'X' && wait_for(&w, &t.has_ended))
			hopchain_close(t.stream);
	}
	cr_expect(wait_for(&w, &t.is_closed), "at %c, act %d: %s", at, act, t.events);
	cr_expect_not_null(strchr(t.events, at), "at %c, act %d: %s", at, act, t.events);
	cr_expect_eq(t.events[strlen(t.events) - 1], 'X');
	tear_down(&w);
}

Test(lib, a_stream_may_end_inside_each_event, .timeout = 120)
{
	for (const char *at = "CDEFX"; *at != '\0'; at++)
		for (enum act act = ACT_CLOSE; act < N_ACTS; act++)
			end_inside(*at, act);
}

Test(lib, a_stream_may_end_at_each_turn, .timeout = 120)
{
	struct world w;
	set_up(&w, 2);
	for (int n_turns = 0; n_turns < 40; n_turns++) {
		struct talk t = { 0 };
		cr_assert_eq(start(&w, &t, w.target), 0);
		for (int i = 0; i < n_turns; i++)
			turn(&w);
		if (n_turns % 2)
			hopchain_abort(t.stream);
		end(&t);
		cr_expect(t.is_closed);
		cr_expect_eq(uv_loop_alive(&w.uv), 0, "after %d turns", n_turns);
	}
	tear_down(&w);
}

Test(lib, failures_name_the_hop, .timeout = 60)
{
	struct world w;
	struct talk to_hop = { 0 }, to_target = { 0 };
	set_up(&w, 3);
	cr_assert_eq(start(&w, &to_target, "127.0.0.1:1"), 0);
	cr_assert(wait_for(&w, &to_target.has_failed));
	cr_expect_eq(to_target.error.stage, HOPCHAIN_STATUS);
	cr_expect_eq(to_target.error.hop, 3);
	cr_expect_eq(to_target.error.n_hops, 3);
	cr_expect_eq(to_target.error.exit_code, 8);
	cr_expect_str_eq(to_target.error.slug, "refused");
	cr_expect_not_null(strstr(to_target.error.text, "127.0.0.1:1"), "%s", to_target.text);
	end(&to_target);
	cr_expect_str_eq(to_target.events, "FX");
	hops_stop(&w.hops, 2);
	cr_assert_eq(start(&w, &to_hop, w.target), 0);
	cr_assert(wait_for(&w, &to_hop.has_failed));
	cr_expect_eq(to_hop.error.stage, HOPCHAIN_STATUS);
	cr_expect_eq(to_hop.error.hop, 1);
	cr_expect_eq(to_hop.error.exit_code, 6);
	cr_expect_not_null(
		strstr(to_hop.text, hopchain_chain_hop_address(w.chain, 2)), "%s", to_hop.text);
	end(&to_hop);
	tear_down(&w);
}

Test(lib, a_first_hop_that_is_not_there, .timeout = 30)
{
	struct world w;
	struct talk t = { 0 };
	set_up(&w, 1);
	hops_stop(&w.hops, 1);
	cr_assert_eq(start(&w, &t, w.target), 0);
	cr_assert(wait_for(&w, &t.has_failed));
	cr_expect_eq(t.error.stage, HOPCHAIN_DIAL);
	cr_expect_eq(t.error.hop, 1);
	cr_expect_eq(t.error.code, -ECONNREFUSED);
	cr_expect_eq(t.error.exit_code, 5);
	end(&t);
	tear_down(&w);
}

Test(lib, a_stream_that_breaks_says_how, .timeout = 30)
{
	for (int is_header_only = 0; is_header_only < 2; is_header_only++) {
		struct world w;
		struct talk t = { 0 };
		set_up_with(&w, 2, is_header_only, HOPCHAIN_UDP_AUTO);
		w.resets = true;
		cr_assert_eq(start(&w, &t, w.target), 0);
		cr_assert(wait_for(&w, &t.is_connected));
		read_start(&t);
		say(&t, "hello");
		cr_assert(wait_for(&w, &t.has_failed));
		cr_expect_eq(t.error.stage, HOPCHAIN_PAYLOAD);
		cr_expect_lt(t.error.code, 0);
		cr_expect_eq(t.error.exit_code, 9);
		cr_expect(strstr(t.text, " ms") != NULL || strstr(t.text, " s") != NULL, "%s",
			t.text);
		cr_expect_not_null(strstr(t.text, is_header_only ? "reset" : "gave the stream up"),
			"%s", t.text);
		end(&t);
		cr_expect_str_eq(t.events, "CFX");
		tear_down(&w);
	}
}

/* A chain file's "idle" holds for the library, too. What comes afterwards is nobody's. */
Test(lib, an_idle_stream_fails, .timeout = 30)
{
	struct world w;
	struct talk t = { 0 };
	char key[HOPCHAIN_KEY_TEXT], path[] = "/tmp/hopchain-test-XXXXXX";
	set_up(&w, 1);
	key_text(1, key);
	FILE *f = fdopen(mkstemp(path), "w");
	cr_assert_not_null(f);
	fprintf(f,
		"{ \"hops\": [ { \"addr\": \"%s\", \"key\": \"%s\" } ],\n"
		"  \"timeouts\": { \"idle\": \"1s\" } }\n",
		hopchain_chain_hop_address(w.chain, 1), key);
	fclose(f);
	close_client(&w);
	cr_assert(wait_for(&w, &w.is_closed));
	hopchain_chain_free(w.chain);
	w.is_closed = false;
	w.n_client_closed = 0;
	cr_assert_eq(hopchain_chain_read(path, &w.chain, NULL), 0);
	unlink(path);
	cr_assert_eq(hopchain_client_open(&w.uv, w.chain, &w.client), 0);
	cr_assert_eq(start(&w, &t, w.target), 0);
	cr_assert(wait_for(&w, &t.is_connected));
	read_start(&t);
	cr_assert(wait_for(&w, &t.has_failed));
	cr_expect_eq(t.error.stage, HOPCHAIN_PAYLOAD);
	cr_expect_geq(t.error.elapsed_ms, 1000);
	stream_write(w.origin_stream, bytes_of("late", 4));
	for (int i = 0; i < 50; i++)
		turn(&w);
	cr_expect_str_eq(t.events, "CF");
	end(&t);
	tear_down(&w);
}

Test(lib, a_reader_that_pauses_holds_the_writer_back, .timeout = 60)
{
	static char block[64 * 1024];
	struct world w;
	struct talk t = { 0 };
	size_t n_written = 0;
	bool pauses = false;
	set_up(&w, 1);
	cr_assert_eq(start(&w, &t, w.target), 0);
	cr_assert(wait_for(&w, &t.is_connected));
	for (int i = 0; i < 4000 && !pauses; i++) {
		t.is_inside = true;
		pauses = hopchain_write(t.stream, block, sizeof block);
		t.is_inside = false;
		n_written += sizeof block;
		turn(&w);
	}
	cr_assert(pauses, "the echo is not read: it must stop at last");
	cr_expect_null(strchr(t.events, 'W'));
	read_start(&t);
	hopchain_shutdown(t.stream);
	cr_expect(wait_for(&w, &t.has_ended), "%zu of %zu", t.n_received, n_written);
	cr_expect_eq(t.n_received, n_written);
	cr_expect_not_null(strchr(t.events, 'W'));
	end(&t);
	tear_down(&w);
}

Test(lib, what_is_no_target_is_said_at_once, .timeout = 30)
{
	struct world w;
	struct talk t = { 0 };
	struct hopchain_flow *flow;
	set_up(&w, 1);
	cr_expect_eq(start(&w, &t, "nowhere"), HOPCHAIN_INVALID);
	cr_expect_eq(start(&w, &t, NULL), HOPCHAIN_INVALID, "the chain has none");
	cr_expect_eq(hopchain_flow_open(w.client, "a:0", NULL, NULL, &flow), HOPCHAIN_INVALID);
	cr_expect_str_eq(hopchain_target_check("nowhere"), "has no port");
	cr_expect_null(hopchain_target_check("nowhere:1"));
	tear_down(&w);
}

/* --- flows --- */

struct ping {
	struct world *w;
	struct hopchain_flow *flow;
	unsigned n_heard;
	size_t len;
	char status[32];
	bool is_heard, has_status, has_failed, is_closed, closes, closes_client;
	struct hopchain_error error;
};

static void on_flow(struct hopchain_flow *flow, enum hopchain_flow_event event, const void *data,
	size_t len, void *owner)
{
	struct ping *p = owner;
	cr_assert(!p->is_closed);
	switch (event) {
	case HOPCHAIN_FLOW_DATAGRAM:
		p->is_heard = true;
		p->n_heard++;
		p->len = len;
		break;
	case HOPCHAIN_FLOW_STATUS:
		p->has_status = true;
		snprintf(p->status, sizeof p->status, "%s", (const char *)data);
		break;
	case HOPCHAIN_FLOW_FAILED:
		p->has_failed = true;
		p->error = *hopchain_flow_error(flow);
		break;
	case HOPCHAIN_FLOW_CLOSED:
		p->is_closed = true;
		return;
	}
	if (p->closes)
		hopchain_flow_close(flow);
	if (p->closes_client)
		close_client(p->w);
}

static void open_flow(struct world *w, struct ping *p, const char *target)
{
	p->w = w;
	cr_assert_eq(hopchain_flow_open(w->client, target, on_flow, p, &p->flow), 0);
}

static void close_flow(struct ping *p)
{
	hopchain_flow_close(p->flow);
	hopchain_flow_close(p->flow);
	cr_expect(!p->is_closed, "not from inside");
	cr_expect_lt(hopchain_flow_send(p->flow, "x", 1), 0);
	cr_expect(wait_for(p->w, &p->is_closed));
}

Test(lib, datagrams_go_there_and_back, .timeout = 60)
{
	static const enum hopchain_udp ways[] = { HOPCHAIN_UDP_DATAGRAM, HOPCHAIN_UDP_STREAM };
	for (size_t i = 0; i < 2; i++) {
		static char large[60000];
		struct world w;
		struct ping p = { 0 };
		set_up_with(&w, 3, false, ways[i]);
		open_flow(&w, &p, w.udp_target);
		cr_assert_eq(hopchain_flow_send(p.flow, "ping", 4), 0);
		cr_expect(wait_for(&w, &p.is_heard));
		cr_expect_eq(p.len, 4);
		cr_expect_eq(hopchain_flow_is_stream(p.flow), ways[i] == HOPCHAIN_UDP_STREAM);
		p.is_heard = false;
		cr_assert_eq(hopchain_flow_send(p.flow, large, sizeof large), 0);
		cr_expect(wait_for(&w, &p.is_heard));
		cr_expect_eq(p.len, sizeof large);
		cr_expect_eq(hopchain_flow_send(p.flow, large, 65508), -EMSGSIZE);
		cr_expect_null(hopchain_flow_error(p.flow));
		close_flow(&p);
		cr_expect_eq(uv_loop_alive(&w.uv), 0);
		tear_down(&w);
	}
}

/* After a while a flow lets go of what it can make again. */
Test(lib, a_quiet_flow_wakes_up, .timeout = 30)
{
	struct world w;
	struct ping p = { 0 };
	set_up(&w, 2);
	open_flow(&w, &p, w.udp_target);
	for (int i = 0; i < 2; i++) {
		p.is_heard = false;
		cr_assert_eq(hopchain_flow_send(p.flow, "ping", 4), 0);
		cr_expect(wait_for(&w, &p.is_heard));
		uint64_t end_us = loop_clock_us() + 6500 * 1000;
		while (i == 0 && loop_clock_us() < end_us)
			turn(&w);
	}
	close_flow(&p);
	tear_down(&w);
}

Test(lib, a_closed_port_is_a_hint, .timeout = 30)
{
	struct world w;
	struct ping p = { 0 };
	set_up(&w, 2);
	open_flow(&w, &p, "127.0.0.1:1");
	for (int i = 0; i < 50 && !p.has_status; i++) {
		cr_expect_eq(hopchain_flow_send(p.flow, "ping", 4), 0);
		for (int k = 0; k < 20; k++)
			turn(&w);
	}
	cr_expect_str_eq(p.status, "port-unreach");
	cr_expect(!p.has_failed);
	close_flow(&p);
	tear_down(&w);
}

Test(lib, a_flow_may_end_inside_its_events, .timeout = 60)
{
	for (int i = 0; i < 4; i++) {
		struct world w;
		struct ping p = { .closes = i % 2 == 0, .closes_client = i % 2 == 1 };
		set_up(&w, 2);
		open_flow(&w, &p, i < 2 ? w.udp_target : "127.0.0.1:1");
		for (int k = 0; k < 500 && !p.is_closed; k++) {
			for (int n = 0; n < 10; n++) /* answered at once, too */
				(void)hopchain_flow_send(p.flow, "ping", 4);
			for (int n = 0; n < 5 && !p.is_closed; n++)
				turn(&w);
		}
		cr_expect(p.is_closed);
		cr_expect(p.n_heard <= 1);
		tear_down(&w);
	}
}

/* --- measurements --- */

struct measured {
	struct world *w;
	struct hopchain_probe *probe;
	bool is_done, closes_client, cancels;
	size_t n_answers;
	uint64_t total_us;
	struct hopchain_error error;
	char dialled[64];
};

static void on_probe(const struct hopchain_probe_result *result, void *owner)
{
	struct measured *m = owner;
	cr_assert(!m->is_done);
	m->is_done = true;
	m->n_answers = result->n_answers;
	m->total_us = result->total_us;
	if (result->error != NULL)
		m->error = *result->error;
	if (result->dialled != NULL)
		snprintf(m->dialled, sizeof m->dialled, "%s", result->dialled);
	if (m->cancels)
		hopchain_probe_cancel(m->probe);
	if (m->closes_client)
		close_client(m->w);
}

static void start_probe(struct world *w, struct measured *m, unsigned hop, bool is_udp)
{
	struct hopchain_probe_options options = {
		.size = sizeof options, .hop = hop, .target = w->target, .is_udp = is_udp
	};
	m->w = w;
	cr_assert_eq(hopchain_probe_start(w->client, &options, on_probe, m, &m->probe), 0);
	cr_assert(!m->is_done);
}

Test(lib, each_prefix_is_measured, .timeout = 60)
{
	struct world w;
	set_up(&w, 3);
	for (unsigned hop = 0; hop <= 3; hop++) {
		for (int is_udp = 0; is_udp < 2; is_udp++) {
			struct measured m = { .cancels = hop == 1 };
			start_probe(&w, &m, hop, is_udp);
			cr_assert(wait_for(&w, &m.is_done));
			cr_expect_null(
				m.error.slug, "hop %u udp %d: %s", hop, is_udp, m.error.slug);
			cr_expect_eq(m.n_answers, hop == 0 ? 3 : hop);
			cr_expect_str_eq(m.dialled, hopchain_chain_hop_address(w.chain, 1));
			turn(&w);
			cr_expect_eq(uv_loop_alive(&w.uv), 0);
		}
	}
	tear_down(&w);
}

Test(lib, a_probe_may_be_cancelled, .timeout = 60)
{
	struct world w;
	set_up(&w, 2);
	for (int n_turns = 0; n_turns < 12; n_turns++) {
		struct measured m = { .is_done = false };
		start_probe(&w, &m, 2, n_turns % 2);
		for (int i = 0; i < n_turns && !m.is_done; i++)
			turn(&w);
		bool was_done = m.is_done;
		if (!was_done)
			hopchain_probe_cancel(m.probe);
		for (int i = 0; i < 30; i++)
			turn(&w);
		cr_expect_eq(m.is_done, was_done);
		cr_expect_eq(uv_loop_alive(&w.uv), 0);
	}
	struct measured last = { .closes_client = true };
	start_probe(&w, &last, 2, false);
	cr_expect(wait_for(&w, &last.is_done));
	tear_down(&w);
}

Test(lib, options_of_a_wrong_size_are_refused, .timeout = 30)
{
	struct world w;
	struct hopchain_probe *probe;
	struct hopchain_trace *trace;
	struct hopchain_probe_options a = { .hop = 1 };
	struct hopchain_probe_options far = { .size = sizeof far, .hop = 2 };
	struct hopchain_trace_options b = { .n_rounds = 1 };
	set_up(&w, 1);
	cr_expect_eq(hopchain_probe_start(w.client, &a, on_probe, NULL, &probe), -EINVAL);
	cr_expect_eq(hopchain_probe_start(w.client, &far, on_probe, NULL, &probe), -EINVAL);
	cr_expect_eq(hopchain_trace_start(w.client, &b, NULL, NULL, &trace), -EINVAL);
	tear_down(&w);
}

/* --- traces --- */

struct traced {
	struct world *w;
	struct hopchain_trace *trace;
	unsigned n_changed, n_rounds, n_done;
	bool is_done;
	int closes_at;                          /* event, or -1 */
	struct hopchain_row rows[HOPS_MAX + 1]; /* their texts are gone when the trace is */
	bool has_addresses;
	size_t n_rows;
};

static void on_trace(struct hopchain_trace *trace, enum hopchain_trace_event event, void *owner)
{
	struct traced *t = owner;
	cr_assert(!t->is_done);
	const struct hopchain_row *rows = hopchain_trace_rows(trace, &t->n_rows);
	cr_assert_leq(t->n_rows, HOPS_MAX + 1);
	memcpy(t->rows, rows, t->n_rows * sizeof *rows);
	t->has_addresses = true;
	for (size_t i = 0; i < t->n_rows; i++)
		t->has_addresses &=
			strcmp(rows[i].address,
				i + 1 < t->n_rows ? hopchain_chain_hop_address(t->w->chain, i + 1)
						  : t->w->target) == 0;
	t->n_changed += event == HOPCHAIN_TRACE_CHANGED;
	t->n_rounds += event == HOPCHAIN_TRACE_ROUND;
	t->is_done = event == HOPCHAIN_TRACE_DONE;
	if (t->closes_at == (int)event)
		close_client(t->w);
}

static void start_trace(struct world *w, struct traced *t, bool is_udp, unsigned n_rounds)
{
	struct hopchain_trace_options options = {
		.size = sizeof options,
		.target = w->target,
		.is_udp = is_udp,
		.n_rounds = n_rounds,
		.interval_ms = 20,
	};
	t->w = w;
	cr_assert_eq(hopchain_trace_start(w->client, &options, on_trace, t, &t->trace), 0);
}

Test(lib, a_trace_has_a_row_for_each_hop_and_the_target, .timeout = 60)
{
	for (int is_udp = 0; is_udp < 2; is_udp++) {
		struct world w;
		struct traced t = { .closes_at = -1 };
		set_up(&w, 3);
		start_trace(&w, &t, is_udp, 3);
		cr_assert(wait_for(&w, &t.is_done));
		cr_assert_eq(t.n_rows, 4);
		cr_expect(t.has_addresses);
		cr_expect_eq(t.n_rounds, 3);
		for (size_t i = 0; i < 4; i++) {
			cr_expect_eq(t.rows[i].hop, i + 1);
			cr_expect_eq(t.rows[i].n_sent, 3);
			cr_expect_eq(t.rows[i].n_lost, 0);
			cr_expect(t.rows[i].has_times);
			cr_expect_geq(t.rows[i].own_avg_us, 0);
		}
		cr_expect_eq(uv_loop_alive(&w.uv), 0);
		tear_down(&w);
	}
}

Test(lib, a_client_may_close_inside_a_trace, .timeout = 60)
{
	for (int at = 0; at < 3; at++) {
		struct world w;
		struct traced t = { .closes_at = at };
		set_up(&w, 2);
		start_trace(&w, &t, false, 2);
		cr_expect(wait_for(&w, &w.is_closed), "at %d", at);
		tear_down(&w);
	}
}

Test(lib, a_trace_may_be_stopped, .timeout = 60)
{
	struct world w;
	struct traced t = { .closes_at = -1 };
	set_up(&w, 2);
	start_trace(&w, &t, false, 0);
	for (int i = 0; i < 40; i++)
		turn(&w);
	hopchain_trace_pause(t.trace, true);
	hopchain_trace_reset(t.trace);
	hopchain_trace_stop(t.trace);
	hopchain_trace_stop(t.trace);
	cr_expect(!t.is_done, "not from inside");
	cr_expect(wait_for(&w, &t.is_done));
	tear_down(&w);
}

/* --- all at once --- */

Test(lib, a_client_closes_with_everything_under_way, .timeout = 120)
{
	static struct talk talks[100];
	static struct ping pings[20];
	static struct measured probes[10];
	for (int n_turns = 0; n_turns < 40; n_turns += 3) {
		struct world w;
		struct traced trace = { .closes_at = -1 };
		memset(talks, 0, sizeof talks);
		memset(pings, 0, sizeof pings);
		memset(probes, 0, sizeof probes);
		set_up(&w, 2);
		for (size_t i = 0; i < 100; i++)
			cr_assert_eq(start(&w, &talks[i], i % 3 ? w.target : "127.0.0.1:1"), 0);
		for (size_t i = 0; i < 20; i++) {
			open_flow(&w, &pings[i], w.udp_target);
			if (i % 2)
				cr_expect_eq(hopchain_flow_send(pings[i].flow, "x", 1), 0);
		}
		for (unsigned i = 0; i < 10; i++)
			start_probe(&w, &probes[i], i % 3, i % 2);
		start_trace(&w, &trace, n_turns % 2, 0);
		for (int i = 0; i < n_turns; i++)
			turn(&w);
		close_client(&w);
		bool were_done[10];
		for (int i = 0; i < 10; i++)
			were_done[i] = probes[i].is_done;
		cr_expect(wait_for(&w, &w.is_closed));
		for (size_t i = 0; i < 100; i++)
			cr_expect(talks[i].is_closed);
		for (size_t i = 0; i < 20; i++)
			cr_expect(pings[i].is_closed);
		for (int i = 0; i < 10; i++)
			cr_expect_eq(probes[i].is_done, were_done[i], "dropped without a word");
		cr_expect(!trace.is_done);
		tear_down(&w);
	}
}

static void on_caller(uv_timer_t *timer)
{
	++*(int *)timer->data;
}

Test(lib, two_clients_beside_the_callers_handles, .timeout = 60)
{
	struct world w;
	struct talk a = { 0 }, b = { 0 };
	struct hopchain_client *second, *first;
	uv_timer_t timer;
	int n = 0;
	set_up(&w, 2);
	uv_timer_init(&w.uv, &timer);
	timer.data = &n;
	uv_timer_start(&timer, on_caller, 1, 1);
	cr_assert_eq(hopchain_client_open(&w.uv, w.chain, &second), 0);
	first = w.client;
	cr_assert_eq(start(&w, &a, w.target), 0);
	w.client = second;
	cr_assert_eq(start(&w, &b, w.target), 0);
	cr_assert(wait_for(&w, &a.is_connected) && wait_for(&w, &b.is_connected));
	close_client(&w);
	cr_expect(wait_for(&w, &w.is_closed));
	cr_expect(b.is_closed && !a.is_closed, "the other goes on");
	read_start(&a);
	say(&a, "hello");
	cr_expect(wait_for(&w, &a.has_data));
	end(&a);
	w.client = first;
	w.is_closed = false;
	w.n_client_closed = 0;
	cr_expect_gt(n, 0);
	uv_close((uv_handle_t *)&timer, NULL);
	tear_down(&w);
}

/* --- memory --- */

/* A client, a stream with an echo, a flow, a probe, while the @nth allocation fails (0 = none).
 * Whatever could not be done was said, and everything ends. */
static bool try_all(struct world *w, unsigned long nth, bool *ret_has_failed)
{
	struct talk t = { 0 };
	struct ping p = { .w = w };
	struct measured m = { .w = w };
	struct hopchain_probe_options options = { .size = sizeof options, .hop = 1 };
	w->is_closed = false;
	w->n_client_closed = 0;
	if (nth > 0)
		failing_start(nth);
	int error = hopchain_client_open(&w->uv, w->chain, &w->client);
	if (error != 0) {
		*ret_has_failed = failing_stop();
		w->client = NULL;
		uv_run(&w->uv, UV_RUN_DEFAULT); /* what had begun goes */
		return false;
	}
	bool has_stream = start(w, &t, w->target) == 0;
	bool has_flow = hopchain_flow_open(w->client, w->udp_target, on_flow, &p, &p.flow) == 0;
	bool has_probe = hopchain_probe_start(w->client, &options, on_probe, &m, &m.probe) == 0;
	if (has_flow)
		(void)hopchain_flow_send(p.flow, "ping", 4);
	for (int i = 0; i < 200 && has_stream && !t.is_connected && !t.has_failed; i++)
		turn(w);
	size_t n;
	if (has_stream)
		(void)hopchain_stream_answers(t.stream, &n);
	if (t.is_connected)
		read_start(&t);
	if (t.is_connected)
		say(&t, "hello");
	for (int i = 0; i < 60 && !(t.has_data && p.is_heard && m.is_done); i++)
		turn(w);
	*ret_has_failed = failing_stop();
	bool is_served = t.has_data && p.is_heard && m.is_done && m.error.slug == NULL;
	close_client(w);
	cr_assert(wait_for(w, &w->is_closed));
	cr_assert(!has_stream || t.is_closed);
	cr_assert(!has_flow || p.is_closed);
	(void)has_probe;
	return is_served;
}

Test(lib, each_allocation_may_fail, .timeout = 280)
{
	struct world w;
	bool has_failed = true;
	unsigned long n;
	set_up(&w, 1);
	close_client(&w);
	cr_assert(wait_for(&w, &w.is_closed));
	cr_assert(try_all(&w, 0, &has_failed));
	for (n = 1; n < 300; n++) {
		try_all(&w, n, &has_failed);
		if (!has_failed)
			break;
	}
	cr_expect_gt(n, 30, "allocations were failed");
	cr_expect_lt(n, 300, "the set-up ends");
	cr_expect(try_all(&w, 0, &has_failed));
	tear_down(&w);
}

/* --- what a caller's process does --- */

/* Descriptors of the parent live on in the child: what the parent has closed must not come back. */
Test(lib, a_fork_does_not_bring_closed_streams_back, .timeout = 30)
{
	struct world w;
	struct talk t = { 0 }, after = { 0 };
	set_up(&w, 1);
	cr_assert_eq(start(&w, &t, w.target), 0);
	cr_assert(wait_for(&w, &t.is_connected));
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	cr_assert_gt(child, 0);
	end(&t);
	for (int i = 0; i < 100; i++)
		turn(&w);
	cr_assert_eq(start(&w, &after, w.target), 0);
	cr_expect(wait_for(&w, &after.is_connected));
	end(&after);
	cr_expect_str_eq(t.events, "CX");
	kill(child, SIGKILL);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	tear_down(&w);
}

struct blocked {
	struct talk inner;
	struct measured probe;
};

static void on_blocked(struct hopchain_stream *stream, enum hopchain_event event, const void *data,
	size_t len, void *owner)
{
	struct blocked *b = owner;
	struct hopchain_probe_options options = {
		.size = sizeof options, .hop = 1, .timeout_ms = 400
	};
	(void)data, (void)len;
	if (event != HOPCHAIN_CONNECTED)
		return;
	usleep(1500 * 1000);
	cr_assert_eq(start(b->inner.w, &b->inner, "127.0.0.1:1"), 0);
	cr_assert_eq(hopchain_probe_start(
			     b->inner.w->client, &options, on_probe, &b->probe, &b->probe.probe),
		0);
	hopchain_close(stream);
}

/* What is begun in an event counts from then, however long the caller took before. */
Test(lib, a_caller_that_blocks_in_an_event, .timeout = 30)
{
	struct world w;
	struct blocked b = { 0 };
	struct hopchain_stream *stream;
	set_up(&w, 1);
	b.inner.w = b.probe.w = &w;
	cr_assert_eq(hopchain_connect(w.client, w.target, on_blocked, &b, &stream), 0);
	cr_expect(wait_for(&w, &b.inner.has_failed));
	cr_expect(wait_for(&w, &b.probe.is_done));
	cr_expect_str_eq(b.inner.error.slug, "refused");
	cr_expect_lt(b.inner.error.elapsed_ms, 1000);
	cr_expect_null(b.probe.error.slug);
	end(&b.inner);
	tear_down(&w);
}

/* Quadratic time would be minutes here. */
Test(lib, a_large_write_is_copied_once, .timeout = 120)
{
	static char block[64 << 20];
	struct world w;
	struct talk t = { 0 };
	set_up(&w, 1);
	cr_assert_eq(start(&w, &t, w.target), 0);
	cr_assert(wait_for(&w, &t.is_connected));
	uint64_t at_us = loop_clock_us();
	cr_expect(hopchain_write(t.stream, block, sizeof block));
	cr_expect_lt(loop_clock_us() - at_us, 2000 * 1000);
	cr_expect(hopchain_shutdown(t.stream));
	cr_expect(hopchain_shutdown(t.stream), "still queued, however often one asks");
	end(&t);
	tear_down(&w);
}

Test(lib, no_descriptor_left_is_no_fault_of_a_hop, .timeout = 30)
{
	struct world w;
	struct talk t = { 0 };
	struct rlimit before, none;
	set_up(&w, 1);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	int error = start(&w, &t, w.target);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_assert_eq(error, 0);
	cr_assert(wait_for(&w, &t.has_failed));
	cr_expect_eq(t.error.stage, HOPCHAIN_SETUP, "%s", t.text);
	cr_expect_eq(t.error.hop, 0);
	cr_expect_eq(t.error.code, -EMFILE);
	cr_expect_eq(t.error.exit_code, 1);
	end(&t);
	tear_down(&w);
}

static void on_last(struct hopchain_flow *flow, enum hopchain_flow_event event, const void *data,
	size_t len, void *owner)
{
	(void)data, (void)len;
	cr_expect(!hopchain_flow_is_stream(flow));
	cr_expect_null(hopchain_flow_error(flow));
	if (event == HOPCHAIN_FLOW_CLOSED)
		*(bool *)owner = true;
}

Test(lib, a_flow_can_be_asked_until_its_last_event_returns, .timeout = 30)
{
	struct world w;
	struct hopchain_flow *flow;
	bool is_closed = false;
	set_up(&w, 1);
	cr_assert_eq(hopchain_flow_open(w.client, w.udp_target, on_last, &is_closed, &flow), 0);
	cr_expect_eq(hopchain_flow_send(flow, NULL, 0), 0);
	turn(&w);
	cr_expect_eq(hopchain_flow_send(flow, NULL, 0), 0);
	hopchain_flow_close(flow);
	cr_expect(wait_for(&w, &is_closed));
	tear_down(&w);
}
