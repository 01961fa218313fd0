/* One request and its answer between two streams in memory; random ones against a simple model. */
#include "access/http_exchange.h"
#include "access/http_greeting.h"
#include "common/loop.h"
#include "common/relay_way.h"
#include "tests/support/pair.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS  5000
#define TEXT_MAX (4 << 20)
#define ROUNDS   2000
#define N_BULK   60 /* rounds of large bodies over sockets */

/* browser ── client: exchange: server ── origin */
struct world {
	struct loop *loop;
	struct relay_kit kit;
	struct sink browser, origin;
	struct stream *client, *server;
	struct http_greeting *greeting;
	struct http_exchange *exchange;
	struct http_exchange_result result;
	char rest[GREETING_HEAD_MAX];
	bool is_done, is_draining;
};

static void on_done(const struct http_exchange_result *result, void *owner)
{
	struct world *w = owner;
	cr_assert(!w->is_done);
	w->is_done = true;
	w->result = *result;
	cr_assert_leq(result->rest.len, sizeof w->rest);
	if (result->rest.len > 0)
		memcpy(w->rest, result->rest.ptr, result->rest.len);
}

/* @request: head and what comes with it, which the greeting reads. */
static void set_up_between(struct world *w, struct stream *browser, struct stream *origin,
	const char *request, struct http_exchange_options options)
{
	options.ends_client[0] = &w->is_draining;
	options.kit = &w->kit;
	cr_assert_eq(relay_kit_init(&w->kit, w->loop), 0);
	sink_take(&w->browser, browser);
	sink_take(&w->origin, origin);
	stream_read_start(browser);
	stream_read_start(origin);
	cr_assert_eq(http_greeting_new(false, &w->greeting), 0);
	cr_assert_eq(http_greeting_feed(w->greeting, bytes_of(request, strlen(request))),
		GREETING_READY);
	cr_assert_eq(
		http_exchange_start(w->client, w->server, http_greeting_request(w->greeting)->http,
			&options, on_done, w, &w->exchange),
		0);
}

static void set_up_with(struct world *w, const char *request, size_t n_channel, size_t n_chunk,
	struct http_exchange_options options)
{
	struct stream *browser, *origin;
	memset(w, 0, sizeof *w);
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(pair_new(w->loop, n_channel, &browser, &w->client), 0);
	cr_assert_eq(pair_new(w->loop, n_channel, &w->server, &origin), 0);
	pair_set_chunk(w->client, n_chunk);
	pair_set_chunk(w->server, n_chunk);
	set_up_between(w, browser, origin, request, options);
}

static void set_up_tcp(struct world *w, const char *request)
{
	struct stream *browser, *origin;
	memset(w, 0, sizeof *w);
	cr_assert_eq(loop_new(&w->loop), 0);
	streams_open(w->loop, STREAMS_TCP, &browser, &w->client);
	streams_open(w->loop, STREAMS_TCP, &w->server, &origin);
	set_up_between(w, browser, origin, request, (struct http_exchange_options){ 0 });
}

static void set_up(struct world *w, const char *request, size_t n_channel, size_t n_chunk)
{
	set_up_with(w, request, n_channel, n_chunk, (struct http_exchange_options){ 0 });
}

static const bool never = false;

static void tear_down(struct world *w)
{
	if (!w->is_done)
		http_exchange_cancel(w->exchange);
	stream_drop(w->client);
	stream_drop(w->server);
	if (w->browser.stream != NULL)
		stream_close(w->browser.stream);
	if (w->origin.stream != NULL)
		stream_close(w->origin.stream);
	loop_run_until(w->loop, &w->browser.is_closed, WAIT_MS);
	loop_run_until(w->loop, &w->origin.is_closed, WAIT_MS);
	loop_run_until(w->loop, &never, 1);
	sink_free(&w->browser);
	sink_free(&w->origin);
	http_greeting_free(w->greeting);
	relay_kit_deinit(&w->kit);
	loop_free(w->loop);
}

static void turns(struct world *w)
{
	for (int i = 0; i < 10; i++)
		loop_turn(w->loop);
}

static void say(struct world *w, struct stream *s, const char *text)
{
	stream_write(s, bytes_of(text, strlen(text)));
	turns(w);
}

static void expect_heard(const struct sink *sink, const char *text)
{
	cr_expect_eq(sink->n, strlen(text), "%.*s", (int)sink->n, (const char *)sink->data);
	cr_expect(sink->n == strlen(text) && memcmp(sink->data, text, sink->n) == 0, "%.*s",
		(int)sink->n, (const char *)sink->data);
}

#define LONG_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
#define GET         "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"
#define GOT         "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define ANSWER      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Test(http_exchange, an_answer_leaves_both_as_they_were)
{
	struct world w;
	set_up(&w, GET "GET http://i/", 65536, SIZE_MAX);
	turns(&w);
	expect_heard(&w.origin, GOT);
	cr_assert_not(w.is_done);
	say(&w, w.origin.stream, ANSWER);
	cr_assert(w.is_done);
	expect_heard(&w.browser, ANSWER);
	cr_expect_eq(w.result.end, HTTP_EXCHANGE_DONE);
	cr_expect(w.result.keeps_client && w.result.keeps_server);
	cr_expect_eq(w.result.status, 200);
	cr_expect_eq(w.result.n_up, strlen(GOT));
	cr_expect_eq(w.result.n_down, strlen(ANSWER));
	cr_expect_eq(w.result.rest.len, strlen("GET http://i/"));
	cr_expect_arr_eq(w.rest, "GET http://i/", w.result.rest.len);
	tear_down(&w);
}

#define KIB  1024
#define RATE (512 * KIB)
#define BODY (256 * KIB)

static struct shaper_set set_of(uint64_t rate)
{
	struct shaper_set set = { .n = 0 };
	struct shaper *shaper;
	cr_assert_eq(shaper_new(rate, &shaper), 0);
	shaper_set_add(&set, shaper);
	shaper_release(shaper);
	return set;
}

static const struct {
	const char *request, *answer; /* a body of BODY bytes follows one of them */
	bool is_up;
} limited[] = {
	{ GET, "HTTP/1.1 200 OK\r\nContent-Length: 262144\r\n\r\n", false },
	{ GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000\r\n", false },
	{ "POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 262144\r\n\r\n", ANSWER, true },
};

Test(http_exchange, a_rate_holds_and_nothing_is_lost)
{
	static char body[BODY];
	memset(body, 'x', sizeof body);
	for (size_t i = 0; i < sizeof limited / sizeof limited[0]; i++) {
		struct shaper_set set = set_of(RATE);
		struct world w;
		uint64_t start_ms, least_ms = (BODY - SHAPER_BURST_MIN) * UINT64_C(1000) / RATE;
		set_up_with(&w, limited[i].request, 65536, SIZE_MAX,
			(struct http_exchange_options){ .shapers = &set });
		const struct sink *to = limited[i].is_up ? &w.origin : &w.browser;
		struct stream *from = limited[i].is_up ? w.browser.stream : w.origin.stream;
		start_ms = loop_now_ms(w.loop);
		if (!limited[i].is_up)
			stream_write(from, bytes_of(limited[i].answer, strlen(limited[i].answer)));
		stream_write(from, bytes_of(body, sizeof body));
		while (to->n < BODY && loop_now_ms(w.loop) - start_ms < WAIT_MS)
			loop_turn(w.loop);
		uint64_t took_ms = loop_now_ms(w.loop) - start_ms;
		cr_expect_geq(took_ms, least_ms, "%zu: %d ms", i, (int)took_ms);
		cr_expect_geq(to->n, BODY);
		tear_down(&w);
		shaper_set_release(&set);
	}
}

/* The bucket is in debt for longer than a peer may be idle. */
Test(http_exchange, a_pause_that_a_limit_makes_is_no_idle_time)
{
	static char body[5000]; /* more than what it may read on credit */
	struct shaper_set set = set_of(4 * KIB);
	struct world w;
	uint64_t start_ms;
	shaper_set_charge(&set, SHAPER_DOWN, SHAPER_BURST_MIN + 2 * KIB, loop_clock_us());
	set_up_with(&w, GET, 65536, SIZE_MAX,
		(struct http_exchange_options){ .shapers = &set, .idle_timeout_ms = 900 });
	stream_write(w.origin.stream, bytes_of(LONG_ANSWER, strlen(LONG_ANSWER)));
	stream_write(w.origin.stream, bytes_of(body, sizeof body));
	start_ms = loop_now_ms(w.loop);
	loop_run_until(w.loop, &w.is_done, WAIT_MS);
	cr_assert(w.is_done);
	cr_expect_eq(w.result.end, HTTP_EXCHANGE_DONE, "%s", http_exchange_end_name(w.result.end));
	cr_expect_gt(loop_now_ms(w.loop) - start_ms, 1000);
	turns(&w);
	cr_expect_eq(w.browser.n, strlen(LONG_ANSWER) + sizeof body);
	tear_down(&w);
	shaper_set_release(&set);
}

/* Who is waited for is told from who waits. */
Test(http_exchange, an_idle_one_is_blamed_on_who_owes)
{
	static const struct {
		const char *request;
		unsigned status;
	} rows[] = { { GET, 504 },
		{ "PUT http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", 408 } };
	char text[HTTP_ANSWER_TEXT_MAX];
	struct http_answer answer;
	for (size_t i = 0; i < 2; i++) {
		struct world w;
		set_up_with(&w, rows[i].request, 65536, SIZE_MAX,
			(struct http_exchange_options){ .idle_timeout_ms = 100 });
		loop_run_until(w.loop, &w.is_done, WAIT_MS);
		cr_assert(w.is_done);
		cr_expect_eq(w.result.end, HTTP_EXCHANGE_IDLE);
		http_exchange_answer(&w.result, text, &answer);
		cr_expect_eq(answer.status, rows[i].status, "%s", answer.text);
		tear_down(&w);
	}
}

/* Cancelled while both directions wait: nobody waits at the bucket any more. */
Test(http_exchange, who_leaves_while_limits_hold_him_up_holds_nobody_up)
{
	static char begins[5000] = "HTTP/1.1 200 OK\r\n\r\n"; /* as above */
	struct shaper_set set = set_of(4 * KIB);
	struct shaper_wait wait = { .at = NULL };
	struct world w;
	for (int lane = 0; lane < SHAPER_N_LANES; lane++)
		shaper_set_charge(&set, (enum shaper_lane)lane, SHAPER_BURST_MIN, loop_clock_us());
	set_up_with(&w, limited[2].request, 65536, SIZE_MAX,
		(struct http_exchange_options){ .shapers = &set });
	stream_write(w.browser.stream, bytes_of(begins, sizeof begins));
	stream_write(w.origin.stream, bytes_of(begins, sizeof begins));
	turns(&w);
	tear_down(&w);
	shaper_set_rate(set.of[0], RATE);
	for (int lane = 0; lane < SHAPER_N_LANES; lane++)
		cr_expect_gt(
			shaper_set_ask(&set, (enum shaper_lane)lane, &wait, loop_clock_us()), 0);
	shaper_set_release(&set);
}

/* How the server's connection ends, and what becomes of it. */
static const struct {
	const char *said;
	bool is_abort;
	enum http_exchange_end end;
	const char *heard; /* by the client */
} ends[] = {
	{ "", false, HTTP_EXCHANGE_UNANSWERED, "" },
	{ "", true, HTTP_EXCHANGE_UNANSWERED, "" },
	{ "HTTP/1.1", false, HTTP_EXCHANGE_INCOMPLETE, "" },
	{ "HTTP/1.1 100 C\r\n\r\n", false, HTTP_EXCHANGE_INCOMPLETE, "HTTP/1.1 100 C\r\n\r\n" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", false, HTTP_EXCHANGE_CUT,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" },
	{ "HTTP/1.1 200 OK\r\n\r\nsome", true, HTTP_EXCHANGE_CUT,
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome" },
	{ "HTTP/1.1 200 OK\r\n\r\nall", false, HTTP_EXCHANGE_DONE,
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall" },
	{ "SSH-2.0\r\n", false, HTTP_EXCHANGE_BAD, "" },
};

Test(http_exchange, a_server_may_end_anywhere)
{
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		struct world w;
		set_up(&w, GET, 65536, SIZE_MAX);
		turns(&w);
		say(&w, w.origin.stream, ends[i].said);
		if (ends[i].is_abort)
			stream_abort(w.origin.stream);
		else
			stream_shutdown(w.origin.stream);
		turns(&w);
		cr_assert(w.is_done, "%s", ends[i].said);
		cr_expect_eq(w.result.end, ends[i].end, "%s", ends[i].said);
		cr_expect_not(w.result.keeps_server || w.result.keeps_client);
		expect_heard(&w.browser, ends[i].heard);
		tear_down(&w);
	}
}

Test(http_exchange, who_is_on_the_way_down_says_so)
{
	struct world w;
	set_up(&w, GET, 65536, SIZE_MAX);
	w.is_draining = true;
	turns(&w);
	say(&w, w.origin.stream, ANSWER);
	expect_heard(
		&w.browser, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
	cr_expect(w.is_done && !w.result.keeps_client);
	tear_down(&w);
}

/* ---- random exchanges ---- */

struct random {
	uint64_t state;
	bool is_bulk;
};

static unsigned draw(struct random *r, unsigned n)
{
	r->state = r->state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(r->state >> 33) % n;
}

struct text {
	size_t n;
	char at[TEXT_MAX];
};

static void put(struct text *to, const char *text)
{
	size_t len = strlen(text);
	cr_assert_lt(to->n + len, sizeof to->at);
	memcpy(to->at + to->n, text, len + 1);
	to->n += len;
}

static void put_bytes(struct random *r, struct text *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to->at[to->n++] = (char)('a' + draw(r, 26));
	to->at[to->n] = '\0';
}

static size_t draw_length(struct random *r)
{
	static const unsigned max[2][4] = { { 1, 10, 1000, 30000 },
		{ 1000, 200000, 800000, 1500000 } };
	return draw(r, max[r->is_bulk][draw(r, 4)]);
}

enum framing {
	NONE,
	LENGTH,
	CHUNKED,
	UNTIL_END,
};

/* The fields that frame a body, and the body. */
static void put_body(struct random *r, enum framing framing, struct text *fields, struct text *body)
{
	char line[64];
	fields->n = body->n = 0;
	put(fields, "");
	put(body, "");
	if (framing == LENGTH) {
		put_bytes(r, body, draw_length(r));
		snprintf(line, sizeof line, "Content-Length: %zu\r\n", body->n);
		put(fields, line);
	} else if (framing == UNTIL_END) {
		put_bytes(r, body, draw_length(r));
	} else if (framing == CHUNKED) {
		put(fields, "Transfer-Encoding: chunked\r\n");
		for (unsigned i = draw(r, 4); i > 0; i--) {
			size_t n = 1 + draw_length(r) / 2;
			snprintf(line, sizeof line, "%zx%s\r\n", n, draw(r, 2) ? ";x=y" : "");
			put(body, line);
			put_bytes(r, body, n);
			put(body, "\r\n");
		}
		put(body, draw(r, 2) ? "0\r\n\r\n" : "000;z\r\nT: u\r\n\r\n");
	}
}

static struct text fields, body, up, up_heard, down, down_heard;

/* One exchange: what both say, and what each must hear. Return: whether the client can stay. */
static bool compose(struct random *r, size_t *ret_head_len, bool *ret_is_to_end)
{
	enum framing answer = LENGTH + draw(r, 3);
	bool closes = draw(r, 4) == 0;
	up.n = up_heard.n = down.n = down_heard.n = 0;
	put_body(r, draw(r, 3), &fields, &body);
	put(&up, "POST http://h/ HTTP/1.1\r\nHost: h\r\n");
	put(&up_heard, "POST / HTTP/1.1\r\nHost: h\r\n");
	put(&up, fields.at);
	put(&up_heard, fields.at);
	put(&up, closes ? "Connection: close\r\n\r\n" : "\r\n");
	put(&up_heard, closes ? "Connection: close\r\n\r\n" : "\r\n");
	*ret_head_len = up.n;
	put(&up, body.at);
	put(&up_heard, body.at);
	if (draw(r, 3) == 0) {
		put(&down, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n");
		put(&down_heard, down.at);
	}
	put_body(r, answer, &fields, &body);
	closes = closes || answer == UNTIL_END;
	put(&down, "HTTP/1.1 200 OK\r\n");
	put(&down_heard, "HTTP/1.1 200 OK\r\n");
	put(&down, fields.at);
	put(&down_heard, fields.at);
	put(&down, "\r\n");
	put(&down_heard, closes ? "Connection: close\r\n\r\n" : "\r\n");
	put(&down, body.at);
	put(&down_heard, body.at);
	*ret_is_to_end = answer == UNTIL_END;
	return !closes;
}

/* Says the next piece of @text if the last one has gone out. */
static void say_some(struct random *r, struct sink *who, const struct text *text, size_t *at)
{
	size_t n = 1 + draw_length(r);
	if (*at == text->n || (*at > 0 && !who->is_drained))
		return;
	if (n > text->n - *at)
		n = text->n - *at;
	who->is_drained = !stream_write(who->stream, bytes_of(text->at + *at, n));
	*at += n;
}

static void play(struct random *r)
{
	static struct world w;
	size_t n_head, i_up, i_down = 0;
	bool is_to_end, keeps = compose(r, &n_head, &is_to_end), has_rest = draw(r, 2);
	char head[1024];
	memcpy(head, up.at, n_head);
	head[n_head] = '\0';
	i_up = n_head;
	if (has_rest)
		put(&up, "GET http://i/ HTTP/1.1\r\n");
	set_up(&w, head, 100 + draw(r, 60000),
		draw(r, 3) == 0 ? 10 + draw(r, 100) : 1000 + draw_length(r));
	w.browser.is_drained = w.origin.is_drained = true;
	for (int i = 0; i < 1000000 && !w.is_done; i++) {
		say_some(r, &w.browser, &up, &i_up);
		if (w.origin.n >= up_heard.n) /* all of the request was heard */
			say_some(r, &w.origin, &down, &i_down);
		if (is_to_end && i_down == down.n && w.origin.is_drained)
			stream_shutdown(w.origin.stream);
		loop_turn(w.loop);
	}
	cr_assert(w.is_done, "it ends");
	turns(&w);
	cr_assert_eq(w.result.end, HTTP_EXCHANGE_DONE, "%d", w.result.end);
	cr_assert_eq(w.origin.n, up_heard.n);
	cr_assert(memcmp(w.origin.data, up_heard.at, up_heard.n) == 0);
	cr_assert_eq(w.browser.n, down_heard.n);
	cr_assert(memcmp(w.browser.data, down_heard.at, down_heard.n) == 0);
	cr_assert_eq(w.result.keeps_client, keeps);
	cr_assert_eq(w.result.n_up, up_heard.n);
	cr_assert_eq(w.result.n_down, down_heard.n);
	cr_assert(w.result.rest.len == 0 || has_rest);
	cr_assert(memcmp(w.rest, "GET http://i/ HTTP/1.1\r\n", w.result.rest.len) == 0);
	tear_down(&w);
}

Test(http_exchange, whatever_is_said_is_heard_and_nothing_else, .timeout = 100)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct random r = { .state = i };
		play(&r);
	}
}

/* ---- bodies that are moved inside the kernel ---- */

static unsigned n_pipe_ends(void)
{
	unsigned n = 0;
	char path[64], name[64];
	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		ssize_t len = readlink(path, name, sizeof name);
		n += len > 5 && memcmp(name, "pipe:", 5) == 0;
	}
	return n;
}

/* A peer that pauses now and then. */
static void listen_at_times(struct random *r, const struct sink *who)
{
	if (draw(r, 3) == 0)
		stream_read_stop(who->stream);
	else if (!who->has_ended)
		stream_read_start(who->stream);
}

static void wait_heard(struct world *w, const struct sink *who, const struct text *text)
{
	stream_read_start(who->stream);
	for (int i = 0; i < WAIT_MS && who->n < text->n; i++)
		loop_run_until(w->loop, &never, 1);
	cr_assert_eq(who->n, text->n);
	cr_assert(memcmp(who->data, text->at, text->n) == 0);
}

/* What was left in the kernel is what came behind the body, from its first byte on. */
static void expect_rest(struct world *w, const char *rest)
{
	struct sink next = { .stream = NULL };
	size_t n = w->result.rest.len;
	cr_assert_leq(n, strlen(rest));
	cr_assert(memcmp(w->rest, rest, n) == 0);
	sink_take(&next, w->client);
	stream_read_start(w->client);
	for (int i = 0; i < WAIT_MS && n + next.n < strlen(rest); i++)
		loop_run_until(w->loop, &never, 1);
	cr_assert_eq(n + next.n, strlen(rest));
	cr_assert(next.n == 0 || memcmp(next.data, rest + n, next.n) == 0);
	stream_read_stop(w->client);
	sink_free(&next);
}

/* Return: whether anything was spliced. */
static bool play_bulk(struct random *r)
{
	static struct world w;
	size_t n_head, i_up, i_down = 0;
	bool is_to_end, keeps = compose(r, &n_head, &is_to_end);
	const char *rest = draw(r, 2) ? "GET http://i/ HTTP/1.1\r\n" : "";
	char head[1024];
	memcpy(head, up.at, n_head);
	head[n_head] = '\0';
	i_up = n_head;
	put(&up, rest);
	unsigned n_before = n_pipe_ends(), n_most = 0;
	set_up_tcp(&w, head);
	w.browser.is_drained = w.origin.is_drained = true;
	for (int i = 0; i < 100000 && (!w.is_done || i_up < up.n); i++) {
		if (w.browser.is_drained || i_up == n_head)
			say_some(r, &w.browser, &up, &i_up);
		if (w.origin.n >= up_heard.n)
			say_some(r, &w.origin, &down, &i_down);
		if (is_to_end && i_down == down.n && w.origin.is_drained)
			stream_shutdown(w.origin.stream);
		listen_at_times(r, &w.browser);
		listen_at_times(r, &w.origin);
		loop_run_until(w.loop, &never, draw(r, 2));
		unsigned n_ends = n_pipe_ends();
		n_most = n_ends > n_most ? n_ends : n_most;
	}
	cr_assert(w.is_done, "it ends");
	cr_assert_eq(w.result.end, HTTP_EXCHANGE_DONE, "%d", w.result.end);
	cr_assert_eq(w.result.keeps_client, keeps);
	cr_assert(w.result.keeps_server || !keeps);
	wait_heard(&w, &w.origin, &up_heard);
	wait_heard(&w, &w.browser, &down_heard);
	cr_assert_eq(w.result.n_up, up_heard.n);
	cr_assert_eq(w.result.n_down, down_heard.n);
	expect_rest(&w, rest);
	tear_down(&w);
	return n_most > n_before;
}

Test(http_exchange, what_is_spliced_is_whole_and_nothing_else, .timeout = 100)
{
	unsigned n_spliced = 0;
	for (unsigned i = 0; i < N_BULK; i++) {
		struct random r = { .state = i, .is_bulk = true };
		n_spliced += play_bulk(&r);
	}
	cr_expect_geq(n_spliced, N_BULK / 4, "%u", n_spliced);
}

static void wait_sent(struct world *w, size_t n_least)
{
	for (int i = 0; i < WAIT_MS && w->browser.n < n_least; i++)
		loop_run_until(w->loop, &never, 1);
}

/* A body, and how its server goes on behind @n_sent bytes of it. */
static const struct {
	const char *head;
	size_t n_sent;
	const char *behind;
	bool is_abort;
	enum http_exchange_end end;
	bool keeps_server;
} cut[] = {
	{ "Content-Length: 1000000", 1000000, NULL, false, HTTP_EXCHANGE_DONE, true },
	{ "Content-Length: 1000000", 1000000, "x", false, HTTP_EXCHANGE_DONE, false },
	{ "Content-Length: 1000000", 1000000, "", false, HTTP_EXCHANGE_DONE, false },
	{ "Content-Length: 1000000", 999999, "", false, HTTP_EXCHANGE_CUT, false },
	{ "Content-Length: 1000000", 999999, "", true, HTTP_EXCHANGE_CUT, false },
	{ "Transfer-Encoding: chunked\r\n\r\nf4240", 1000000, "\r\n0\r\n\r\n", false,
		HTTP_EXCHANGE_DONE, true },
	{ "Transfer-Encoding: chunked\r\n\r\nf4240", 1000000, "", false, HTTP_EXCHANGE_CUT, false },
	{ "Transfer-Encoding: chunked\r\n\r\nf4240", 1000000, "x", false, HTTP_EXCHANGE_CUT,
		false },
	{ "X: y", 1000000, "", false, HTTP_EXCHANGE_DONE, false },
	{ "X: y", 1000000, "", true, HTTP_EXCHANGE_CUT, false },
};

Test(http_exchange, a_long_body_ends_where_it_says_or_is_cut)
{
	static char data[1000000];
	memset(data, 'd', sizeof data);
	for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
		struct world w;
		char head[128];
		set_up_tcp(&w, GET);
		loop_run_until(w.loop, &never, 1);
		snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s%s", cut[i].head,
			strstr(cut[i].head, "\r\n") == NULL ? "\r\n\r\n" : "\r\n");
		stream_write(w.origin.stream, bytes_of(head, strlen(head)));
		stream_write(w.origin.stream, bytes_of(data, cut[i].n_sent));
		if (cut[i].behind != NULL)
			stream_write(
				w.origin.stream, bytes_of(cut[i].behind, strlen(cut[i].behind)));
		if (cut[i].is_abort) {
			wait_sent(&w, cut[i].n_sent);
			stream_abort(w.origin.stream);
		} else if (cut[i].behind != NULL) {
			stream_shutdown(w.origin.stream);
		}
		loop_run_until(w.loop, &w.is_done, WAIT_MS);
		cr_assert(w.is_done, "%zu", i);
		cr_expect_eq(w.result.end, cut[i].end, "%zu: %s", i,
			http_exchange_end_name(w.result.end));
		cr_expect_eq(w.result.keeps_server, cut[i].keeps_server, "%zu", i);
		cr_expect_eq(w.result.keeps_client,
			cut[i].end == HTTP_EXCHANGE_DONE && cut[i].head[0] != 'X', "%zu", i);
		tear_down(&w);
	}
}
