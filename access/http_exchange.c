#include "access/http_exchange.h"

#include "access/greeting.h"
#include "access/http_pace.h"
#include "access/http_rewrite.h"
#include "common/loop.h"
#include "common/tcp.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define SWEEP_MS 1000
#define QUIET_MS 60000 /* as relay.c's */

struct http_exchange {
	struct stream *client, *server;
	const struct http_request *request;
	struct http_exchange_options options;
	struct http_body body; /* of the request: what is still to come */
	struct http_pace up, down;
	struct http_response *response;
	struct http_exchange_result result;
	bool client_waits;   /* for DRAINED of the client: the server is not read */
	bool server_waits;   /* the other way round */
	bool has_final_head; /* of the answer: it has gone to the client */
	uint64_t active_at_ms;
	struct timer sweep;
	http_exchange_fn *on_done;
	void *owner;
	uint8_t rest[GREETING_HEAD_MAX];
};

const char *http_exchange_end_name(enum http_exchange_end end)
{
	static const char *const names[] = {
		[HTTP_EXCHANGE_DONE] = "done",
		[HTTP_EXCHANGE_SWITCHED] = "switched",
		[HTTP_EXCHANGE_UNANSWERED] = "unanswered",
		[HTTP_EXCHANGE_BAD] = "bad-answer",
		[HTTP_EXCHANGE_INCOMPLETE] = "incomplete-answer",
		[HTTP_EXCHANGE_CUT] = "cut-answer",
		[HTTP_EXCHANGE_CLIENT_ENDED] = "client-fin",
		[HTTP_EXCHANGE_CLIENT_FAILED] = "client-failed",
		[HTTP_EXCHANGE_IDLE] = "idle-timeout",
		[HTTP_EXCHANGE_STALLED] = "stalled",
	};
	return names[end];
}

void http_exchange_answer(const struct http_exchange_result *result,
	char text[HTTP_ANSWER_TEXT_MAX], struct http_answer *ret)
{
	*ret = (struct http_answer){ .status = 502, .text = text, .fields = "" };
	if (result->end == HTTP_EXCHANGE_BAD) {
		ret->word = "http_protocol_error";
		snprintf(text, HTTP_ANSWER_TEXT_MAX, "the server's answer is malformed: %s",
			result->fault);
	} else if (result->end == HTTP_EXCHANGE_INCOMPLETE) {
		ret->word = "http_response_incomplete";
		ret->text = "the server's answer ended in the middle of its head";
	} else if (result->end == HTTP_EXCHANGE_UNANSWERED) {
		ret->word = "connection_terminated";
		ret->text = "the server closed the connection without an answer";
	} else if (result->end == HTTP_EXCHANGE_IDLE && result->client_owes) {
		ret->status = 408;
		ret->word = "http_request_error";
		ret->text = "the body of the request has not come in time";
	} else {
		ret->status = 504;
		ret->word = "http_response_timeout";
		ret->text = "the server has not answered in time";
	}
}

/* A client that has sent its next request is not done, although it may have ended its direction. */
static void watch_client(const struct http_exchange *x, bool is_on)
{
	if (tcp_is(x->client))
		tcp_watch_end(x->client, is_on && x->result.rest.len == 0);
}

static void release(struct http_exchange *x)
{
	loop_timer_stop(x->client->loop, &x->sweep);
	http_pace_stop(&x->up);
	http_pace_stop(&x->down);
	watch_client(x, false);
}

/* The one place an exchange reports. */
static void end(struct http_exchange *x, enum http_exchange_end how)
{
	release(x);
	x->result.end = how;
	x->result.client_owes = !http_body_has_ended(&x->body) && !x->server_waits;
	x->result.keeps_client = x->result.keeps_client && how == HTTP_EXCHANGE_DONE;
	x->result.keeps_server = x->result.keeps_server && how == HTTP_EXCHANGE_DONE;
	x->on_done(&x->result, x->owner);
	http_response_free(x->response);
	free(x);
}

/* The server's answer will not become whole. */
static void end_short(struct http_exchange *x, enum http_exchange_end how)
{
	end(x, x->has_final_head ? HTTP_EXCHANGE_CUT : how);
}

/* Never more than what is known to be the body's, or fits behind it. */
static void read_client(struct http_exchange *x)
{
	if (http_body_has_ended(&x->body) || x->server_waits)
		return;
	http_pace_start(&x->up, http_body_is_chunked(&x->body) && x->body.left < sizeof x->rest
					? sizeof x->rest
					: x->body.left);
}

static void write_server(struct http_exchange *x, struct bytes data)
{
	x->result.n_up += data.len;
	x->server_waits = stream_write(x->server, data);
}

static void write_client(struct http_exchange *x, struct bytes data)
{
	x->result.n_down += data.len;
	if (data.len > 0 && stream_write(x->client, data))
		x->client_waits = true;
}

static void on_body(struct http_exchange *x, struct bytes data)
{
	size_t n = http_body_take(&x->body, data), n_rest = data.len - n;
	bool is_all = http_pace_took(&x->up, data.len);
	if (http_body_is_bad(&x->body)) {
		end(x, HTTP_EXCHANGE_CLIENT_FAILED);
		return;
	}
	if (n > 0)
		write_server(x, bytes_of(data.ptr, n));
	if (http_body_has_ended(&x->body)) {
		http_pace_stop(&x->up);
		assert(n_rest <= sizeof x->rest);
		memcpy(x->rest, data.ptr + n, n_rest);
		x->result.rest = bytes_of(x->rest, n_rest);
		watch_client(x, true);
	} else if (x->server_waits) {
		http_pace_stop(&x->up);
	} else if (is_all) {
		read_client(x);
	} else {
		http_pace_go_on(&x->up);
	}
}

/* The server hears of it, as it would without us: it may be about to send for hours. */
static void on_client_end(struct http_exchange *x)
{
	if (!http_body_has_ended(&x->body)) {
		end(x, HTTP_EXCHANGE_CLIENT_ENDED);
		return;
	}
	x->result.client_ended = true;
	stream_shutdown(x->server);
}

/* Everything of the answer was written; it counts once it has gone out. */
static void end_if_whole(struct http_exchange *x)
{
	if (!http_response_has_ended(x->response) || x->client_waits)
		return;
	bool is_clean = http_body_has_ended(&x->body) && !x->result.client_ended;
	x->result.keeps_client = x->result.keeps_client && is_clean;
	x->result.keeps_server =
		x->result.keeps_server && is_clean && !http_response_closes(x->response);
	end(x, HTTP_EXCHANGE_DONE);
}

static bool is_to_end_client(const struct http_exchange_options *options)
{
	const bool *const *is = options->ends_client;
	return (is[0] != NULL && *is[0]) || (is[1] != NULL && *is[1]);
}

/* Return: false: without memory for it. */
static bool pass_head(struct http_exchange *x)
{
	const struct http_head *head = http_response_head(x->response);
	bool is_last = head->status >= 200 || head->status == 101, closes = false;
	struct wire_writer to;
	if (!is_last && x->request->is_old)
		return true;
	if (is_last)
		closes = x->request->closes || x->result.client_ended ||
			 http_response_is_to_end(x->response) || !http_body_has_ended(&x->body) ||
			 is_to_end_client(&x->options);
	size_t size = http_rewrite_size(HTTP_RESPONSE_HEAD_MAX);
	uint8_t *text = malloc(size);
	if (text == NULL)
		return false;
	wire_writer_init(&to, text, size);
	http_rewrite_response(head, closes, &to);
	assert(!to.failed);
	write_client(x, bytes_of(text, wire_written(&to)));
	free(text);
	if (is_last) {
		x->has_final_head = true;
		x->result.status = head->status;
		x->result.keeps_client = !closes;
		x->result.keeps_server = true;
	}
	return true;
}

static void on_answer(struct http_exchange *x, struct bytes data)
{
	struct bytes body;
	http_pace_took(&x->down, data.len);
	while (data.len > 0 && !http_response_has_ended(x->response)) {
		switch (http_response_feed(x->response, &data, &body)) {
		case HTTP_RESPONSE_MORE:
			break;
		case HTTP_RESPONSE_HEAD:
			if (pass_head(x))
				break;
			end_short(x, HTTP_EXCHANGE_INCOMPLETE);
			return;
		case HTTP_RESPONSE_BODY:
			write_client(x, body);
			break;
		case HTTP_RESPONSE_BAD:
			x->result.fault = http_response_fault(x->response);
			end_short(x, HTTP_EXCHANGE_BAD);
			return;
		}
	}
	if (x->result.status == 101) {
		write_client(x, data);
		end(x, HTTP_EXCHANGE_SWITCHED);
		return;
	}
	if (data.len > 0) /* an answer to nobody */
		x->result.keeps_server = false;
	if (x->client_waits || http_response_has_ended(x->response))
		http_pace_stop(&x->down);
	else
		http_pace_go_on(&x->down);
	end_if_whole(x);
}

static void on_server_end(struct http_exchange *x, bool is_failed)
{
	x->result.keeps_server = false;
	if (http_response_has_ended(x->response))
		return; /* the client does not have it all yet */
	if (!is_failed && http_response_end(x->response))
		end_if_whole(x);
	else if (http_response_has_begun(x->response))
		end_short(x, HTTP_EXCHANGE_INCOMPLETE);
	else
		end(x, HTTP_EXCHANGE_UNANSWERED);
}

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner)
{
	struct http_exchange *x = owner;
	x->active_at_ms = loop_now_ms(client->loop);
	switch (event) {
	case STREAM_DATA:
		on_body(x, data);
		return;
	case STREAM_DRAINED:
		x->client_waits = false;
		if (!http_response_has_ended(x->response))
			http_pace_start(&x->down, STREAM_NO_LIMIT);
		end_if_whole(x);
		return;
	case STREAM_EOF:
		on_client_end(x);
		return;
	case STREAM_FAILED:
		end(x, HTTP_EXCHANGE_CLIENT_FAILED);
		return;
	case STREAM_CONNECTED:
	case STREAM_CLOSED:
		return;
	}
}

static void on_server(
	struct stream *server, enum stream_event event, struct bytes data, void *owner)
{
	struct http_exchange *x = owner;
	x->active_at_ms = loop_now_ms(server->loop);
	switch (event) {
	case STREAM_DATA:
		on_answer(x, data);
		return;
	case STREAM_DRAINED:
		x->server_waits = false;
		read_client(x);
		return;
	case STREAM_EOF:
		on_server_end(x, false);
		return;
	case STREAM_FAILED:
		on_server_end(x, true);
		return;
	case STREAM_CONNECTED:
	case STREAM_CLOSED:
		return;
	}
}

static void on_sweep(struct timer *timer)
{
	struct http_exchange *x =
		(struct http_exchange *)((char *)timer - offsetof(struct http_exchange, sweep));
	struct loop *loop = x->client->loop;
	uint64_t now_ms = loop_now_ms(loop);
	if (http_pace_is_held_up(&x->up) || http_pace_is_held_up(&x->down))
		x->active_at_ms = now_ms; /* nobody knows whether a peer is idle */
	uint64_t quiet_ms = now_ms - x->active_at_ms;
	bool is_quiet = quiet_ms >= QUIET_MS;
	loop_timer_start(loop, &x->sweep, SWEEP_MS, on_sweep);
	if (stream_is_stalled(x->client, now_ms, is_quiet) ||
		stream_is_stalled(x->server, now_ms, is_quiet))
		end_short(x, HTTP_EXCHANGE_STALLED);
	else if (x->options.idle_timeout_ms > 0 && quiet_ms >= x->options.idle_timeout_ms)
		end_short(x, HTTP_EXCHANGE_IDLE);
}

int http_exchange_start(struct stream *client, struct stream *server,
	const struct http_request *request, const struct http_exchange_options *options,
	http_exchange_fn *on_done, void *owner, struct http_exchange **ret)
{
	struct http_response_options response = { .is_head = request->is_head,
		.is_upgrade = request->is_upgrade };
	struct http_exchange *x = malloc(sizeof *x);
	if (x == NULL)
		return ERR_NOMEM;
	/* Pages of what may come behind the body are touched when it does. */
	memset(x, 0, offsetof(struct http_exchange, rest));
	if (http_response_new(&response, &x->response) != 0) {
		free(x);
		return ERR_NOMEM;
	}
	x->client = client;
	x->server = server;
	x->request = request;
	x->options = *options;
	x->body = request->body;
	x->result.rest = request->rest;
	x->on_done = on_done;
	x->owner = owner;
	x->active_at_ms = loop_now_ms(client->loop);
	stream_own(client, on_client, x);
	stream_own(server, on_server, x);
	if (tcp_is(client)) /* an answer that was cut never looks whole (decisions/0006) */
		tcp_cut_on_death(client);
	if (tcp_is(server))
		tcp_cut_on_death(server);
	loop_timer_start(client->loop, &x->sweep, SWEEP_MS, on_sweep);
	write_server(x, request->first);
	x->up = (struct http_pace){
		.stream = client, .shapers = options->shapers, .lane = SHAPER_UP
	};
	x->down = (struct http_pace){
		.stream = server, .shapers = options->shapers, .lane = SHAPER_DOWN
	};
	if (options->shapers != NULL) /* what came with the request's head */
		shaper_set_charge(options->shapers, SHAPER_UP, request->first.len, loop_clock_us());
	http_pace_start(&x->down, STREAM_NO_LIMIT);
	read_client(x);
	if (http_body_has_ended(&x->body))
		watch_client(x, true);
	*ret = x;
	return 0;
}

void http_exchange_cancel(struct http_exchange *exchange)
{
	if (exchange == NULL)
		return;
	release(exchange);
	http_response_free(exchange->response);
	free(exchange);
}

void http_exchange_counts(
	const struct http_exchange *exchange, uint64_t *ret_up, uint64_t *ret_down)
{
	*ret_up = exchange->result.n_up;
	*ret_down = exchange->result.n_down;
}
