#include "access/http_exchange.h"

#include "access/greeting.h"
#include "access/http_rewrite.h"
#include "access/http_way.h"
#include "common/loop.h"
#include "common/tcp.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#define SWEEP_MS 1000
#define QUIET_MS 60000 /* as relay.c's */
#define RUN_MIN  65536 /* bytes of a body in one piece that may be worth splicing */

struct http_exchange {
	struct stream *client, *server;
	const struct http_request *request;
	struct http_exchange_options options;
	struct http_body body; /* of the request: what is still to come */
	struct http_way up, down;
	struct http_response *response;
	struct http_exchange_result result;
	bool has_final_head; /* of the answer: it has gone to the client */
	uint64_t active_at_ms;
	struct timer sweep;
	http_exchange_fn *on_done;
	void *owner;
	uint8_t rest[GREETING_HEAD_MAX];
};

/* A client that has sent its next request is not done, although it may have ended its direction. */
static void watch_client(const struct http_exchange *x, bool is_on)
{
	tcp_watch_end(x->client, is_on && x->result.rest.len == 0);
}

static void release(struct http_exchange *x)
{
	loop_timer_stop(x->client->loop, &x->sweep);
	http_way_stop(&x->up);
	http_way_stop(&x->down);
	watch_client(x, false);
}

/* The one place an exchange reports. */
static void end(struct http_exchange *x, enum http_exchange_end how)
{
	release(x);
	http_exchange_counts(x, &x->result.n_up, &x->result.n_down);
	x->result.end = how;
	x->result.client_owes = !http_body_has_ended(&x->body) && !x->up.is_blocked;
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

/* Never more than what is known to be the body's, or fits behind it. A tunnel gets no full pipe. */
static void aim_up(struct http_exchange *x)
{
	uint64_t run = http_body_run(&x->body);
	bool is_short = http_body_is_chunked(&x->body) && run < sizeof x->rest;
	http_way_aim(&x->up, is_short ? sizeof x->rest : run, is_short || x->request->is_upgrade);
}

/* What comes behind an answer is seen with its last bytes, but where those are spliced. */
static void aim_down(struct http_exchange *x)
{
	uint64_t run = http_response_run(x->response);
	if (http_response_has_ended(x->response))
		http_way_aim(&x->down, 0, true);
	else if (run < RUN_MIN || !tcp_is(x->client) || !tcp_is(x->server))
		http_way_aim(&x->down, STREAM_NO_LIMIT, true);
	else
		http_way_aim(&x->down, run, false);
}

static void on_body(struct http_exchange *x, struct bytes data)
{
	size_t n = http_body_take(&x->body, data), n_rest = data.len - n;
	if (http_body_is_bad(&x->body)) {
		end(x, HTTP_EXCHANGE_CLIENT_FAILED);
		return;
	}
	http_way_write(&x->up, bytes_of(data.ptr, n));
	aim_up(x);
	http_way_has_read(&x->up, data.len);
	if (http_body_has_ended(&x->body)) {
		assert(n_rest <= sizeof x->rest);
		memcpy(x->rest, data.ptr + n, n_rest);
		x->result.rest = bytes_of(x->rest, n_rest);
		watch_client(x, true);
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
	if (!http_response_has_ended(x->response) || x->down.is_blocked)
		return;
	bool is_clean = http_body_has_ended(&x->body) && !x->result.client_ended;
	x->result.keeps_client = x->result.keeps_client && is_clean;
	x->result.keeps_server = x->result.keeps_server && is_clean && x->up.relay.pipe == NULL &&
				 !http_response_closes(x->response);
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
	http_way_write(&x->down, bytes_of(text, wire_written(&to)));
	free(text);
	if (is_last) {
		x->has_final_head = true;
		x->result.status = head->status;
		x->result.keeps_client = !closes;
		x->result.keeps_server = true;
	}
	return true;
}

/* What comes behind a run is not read with it. */
static void look_behind(struct http_exchange *x)
{
	if (x->down.relay.is_watched || !http_response_has_ended(x->response))
		return;
	if (tcp_has_input(x->server) != 0) /* an answer to nobody, or the end */
		x->result.keeps_server = false;
}

static void on_answer(struct http_exchange *x, struct bytes data)
{
	struct bytes body;
	size_t n_read = data.len;
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
			http_way_write(&x->down, body);
			break;
		case HTTP_RESPONSE_BAD:
			x->result.fault = http_response_fault(x->response);
			end_short(x, HTTP_EXCHANGE_BAD);
			return;
		}
	}
	if (x->result.status == 101) {
		http_way_write(&x->down, data);
		end(x, HTTP_EXCHANGE_SWITCHED);
		return;
	}
	if (data.len > 0) /* an answer to nobody */
		x->result.keeps_server = false;
	look_behind(x);
	aim_down(x);
	http_way_has_read(&x->down, n_read);
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

static void move_up(struct http_exchange *x, bool is_drained)
{
	uint64_t n;
	enum relay_way_step step = http_way_move(&x->up, is_drained, &n);
	http_body_pass(&x->body, n);
	switch (step) {
	case RELAY_WAY_ON:
		if (x->up.relay.n_left > 0 || x->up.is_blocked)
			return;
		aim_up(x);
		http_way_read(&x->up);
		watch_client(x, http_body_has_ended(&x->body));
		return;
	case RELAY_WAY_ENDED:
		on_client_end(x);
		return;
	case RELAY_WAY_FAILED_FROM:
		end(x, HTTP_EXCHANGE_CLIENT_FAILED);
		return;
	case RELAY_WAY_FAILED_TO:
		http_way_stop(&x->up);
		on_server_end(x, true);
		return;
	}
}

static void move_down(struct http_exchange *x, bool is_drained)
{
	uint64_t n;
	enum relay_way_step step = http_way_move(&x->down, is_drained, &n);
	http_response_pass(x->response, n);
	look_behind(x);
	switch (step) {
	case RELAY_WAY_ON:
		if (http_response_has_ended(x->response)) {
			end_if_whole(x);
		} else if (x->down.relay.n_left == 0 && !x->down.is_blocked) { /* of a chunk */
			aim_down(x);
			http_way_read(&x->down);
		}
		return;
	case RELAY_WAY_ENDED:
	case RELAY_WAY_FAILED_FROM:
		on_server_end(x, step == RELAY_WAY_FAILED_FROM);
		return;
	case RELAY_WAY_FAILED_TO:
		end(x, HTTP_EXCHANGE_CLIENT_FAILED);
		return;
	}
}

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner)
{
	struct http_exchange *x = owner;
	x->active_at_ms = loop_now_ms(client->loop);
	switch (event) {
	case STREAM_DATA:
		if (x->up.relay.is_splicing)
			move_up(x, false);
		else
			on_body(x, data);
		return;
	case STREAM_DRAINED:
		move_down(x, true);
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
		if (x->down.relay.is_splicing)
			move_down(x, false);
		else
			on_answer(x, data);
		return;
	case STREAM_DRAINED:
		move_up(x, true);
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
	if (x->up.shape.is_in_line || x->down.shape.is_in_line)
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
	loop_timer_start(client->loop, &x->sweep, SWEEP_MS, on_sweep);
	http_way_init(&x->up, client, server, options->kit, options->shapers, SHAPER_UP);
	http_way_init(&x->down, server, client, options->kit, options->shapers, SHAPER_DOWN);
	http_way_write(&x->up, request->first);
	if (options->shapers != NULL) /* what came with the request's head */
		shaper_set_charge(options->shapers, SHAPER_UP, request->first.len, loop_clock_us());
	aim_down(x);
	http_way_read(&x->down);
	aim_up(x);
	http_way_read(&x->up);
	watch_client(x, http_body_has_ended(&x->body));
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
	*ret_up = exchange->up.relay.n_bytes;
	*ret_down = exchange->down.relay.n_bytes;
}
