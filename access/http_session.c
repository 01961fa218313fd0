#include "access/http_session.h"

#include "access/http_answer.h"
#include "access/http_exchange.h"
#include "access/http_server.h"
#include "common/loop.h"
#include "common/relay.h"

#include <stddef.h>
#include <stdlib.h>

struct http_session {
	struct access_connection *connection;
	struct stream *client;
	struct opening *opening;     /* of the request that is served or waited for */
	struct chain_attempt *chain; /* while one is built */
	struct http_exchange *exchange;
	struct http_server server;
	char *told;
	unsigned n_requests;
	uint64_t n_up, n_down; /* of the exchanges that ended */
	struct task begin;
	bool is_freed; /* while that is to run */
	http_session_fn *on_done;
	void *owner;
};

static void serve(struct http_session *h);
static void on_opened(enum opening_end end, void *owner);

static struct access_worker *worker_of(const struct http_session *h)
{
	return access_connection_worker(h->connection);
}

static const struct http_request *request_of(const struct http_session *h)
{
	return opening_request(h->opening)->http;
}

/* Nothing of @h may be touched behind it. */
static void report(struct http_session *h, enum http_session_end end, const char *why)
{
	struct http_session_result result = { .end = end, .why = why };
	if (end == HTTP_SESSION_CONNECT) {
		result.opening = h->opening;
		h->opening = NULL;
	} else if (end == HTTP_SESSION_TUNNEL) {
		result.server = h->server.stream;
		result.idle_timeout_ms = h->server.idle_timeout_ms;
		h->server.stream = NULL;
	}
	h->on_done(&result, h->owner);
}

/* While a chain is built: there is something to do although the client may have ended. */
static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner)
{
	(void)data;
	if (event == STREAM_FAILED)
		report(owner, HTTP_SESSION_BROKEN, err_name(client->error));
}

/* An exchange ended before anything but interim answers reached the client: our own words. */
static void answer_for_server(struct http_session *h, const struct http_exchange_result *result)
{
	char text[HTTP_ANSWER_TEXT_MAX], out[HTTP_ANSWER_MAX];
	struct http_answer answer;
	http_exchange_answer(result, text, &answer);
	answer.has_body = !request_of(h)->is_head;
	size_t len = http_answer_print(&answer, out);
	stream_write(h->client, bytes_of(out, len));
	h->n_down += len;
	access_connection_log_request(h->connection, h->n_requests, &h->server.addr, answer.status,
		result->n_up, result->n_down + len);
}

static void await_next(struct http_session *h, struct bytes rest)
{
	struct opening *before = h->opening;
	if (worker_of(h)->is_draining) {
		report(h, HTTP_SESSION_ANSWERED, "stopped");
		return;
	}
	h->opening = NULL;
	int error = opening_start_next(h->connection->ingress, h->client, &h->connection->peer,
		rest, on_opened, h, &h->opening);
	opening_free(before); /* @rest may be in it */
	if (error != 0)
		report(h, HTTP_SESSION_ANSWERED, "local");
}

static void on_done(struct http_session *h, const struct http_exchange_result *result)
{
	access_connection_log_request(h->connection, h->n_requests, &h->server.addr, result->status,
		result->n_up, result->n_down);
	if (result->keeps_server && result->keeps_client)
		http_server_keep(&h->server);
	else
		http_server_leave(&h->server);
	if (result->keeps_client)
		await_next(h, result->rest);
	else if (result->client_ended)
		report(h, HTTP_SESSION_OVER, "client-fin");
	else
		report(h, HTTP_SESSION_ANSWERED, "target-fin");
}

/* What the client sent ahead is for the server, now that they have agreed. */
static void on_switched(struct http_session *h, const struct http_exchange_result *result)
{
	access_connection_log_request(h->connection, h->n_requests, &h->server.addr, result->status,
		result->n_up, result->n_down);
	if (result->rest.len > 0)
		stream_write(h->server.stream, result->rest);
	h->n_up += result->rest.len;
	if (result->client_ended)
		stream_shutdown(h->server.stream);
	report(h, HTTP_SESSION_TUNNEL, "switched");
}

static void start_chain(struct http_session *h);

static void on_unanswered(struct http_session *h, const struct http_exchange_result *result)
{
	bool may_repeat =
		h->server.is_used && request_of(h)->is_repeatable && !result->client_ended;
	http_server_drop(&h->server);
	if (may_repeat) {
		stream_own(h->client, on_client, h);
		start_chain(h);
		return;
	}
	answer_for_server(h, result);
	report(h, HTTP_SESSION_ANSWERED, http_exchange_end_name(result->end));
}

static void on_exchanged(const struct http_exchange_result *result, void *owner)
{
	struct http_session *h = owner;
	const char *why = http_exchange_end_name(result->end);
	h->exchange = NULL;
	h->n_up += result->n_up;
	h->n_down += result->n_down;
	switch (result->end) {
	case HTTP_EXCHANGE_DONE:
		on_done(h, result);
		return;
	case HTTP_EXCHANGE_SWITCHED:
		on_switched(h, result);
		return;
	case HTTP_EXCHANGE_UNANSWERED:
		on_unanswered(h, result);
		return;
	case HTTP_EXCHANGE_BAD:
	case HTTP_EXCHANGE_INCOMPLETE:
	case HTTP_EXCHANGE_IDLE:
	case HTTP_EXCHANGE_STALLED:
		http_server_drop(&h->server);
		answer_for_server(h, result);
		report(h, HTTP_SESSION_ANSWERED, why);
		return;
	case HTTP_EXCHANGE_CLIENT_ENDED:
		http_server_drop(&h->server);
		report(h, HTTP_SESSION_OVER, why);
		return;
	case HTTP_EXCHANGE_CUT:
	case HTTP_EXCHANGE_CLIENT_FAILED:
		http_server_drop(&h->server);
		access_connection_log_request(h->connection, h->n_requests, &h->server.addr,
			result->status, result->n_up, result->n_down);
		report(h, HTTP_SESSION_BROKEN, why);
		return;
	}
}

static void start_exchange(struct http_session *h)
{
	struct http_exchange_options options = {
		.ends_client = { &worker_of(h)->is_draining, &h->connection->ingress->is_retired },
		.idle_timeout_ms = h->server.idle_timeout_ms,
		.shapers = &h->connection->charges->shapers,
		.kit = relay_group_kit(worker_of(h)->relays),
	};
	if (http_exchange_start(h->client, h->server.stream, request_of(h), &options, on_exchanged,
		    h, &h->exchange) != 0)
		report(h, HTTP_SESSION_BROKEN, "local");
}

static void on_chain_failed(struct http_session *h, const struct chain_error *error)
{
	access_connection_log_failed(h->connection, error);
	opening_answer(h->opening, error, NULL);
	report(h, HTTP_SESSION_ANSWERED, chain_error_slug(error));
}

static void on_chain(struct stream *server, const struct chain_spec *way,
	const struct chain_error *error, void *owner)
{
	struct http_session *h = owner;
	h->chain = NULL;
	access_charges_return_lookup(h->connection->charges);
	if (error != NULL) {
		on_chain_failed(h, error);
		return;
	}
	http_server_begin(&h->server, server, opening_request(h->opening), way->idle_timeout_ms);
	start_exchange(h);
}

static void start_chain(struct http_session *h)
{
	const struct greeting_request *request = opening_request(h->opening);
	struct access_wish wish = {
		.target = &request->target, .user = request->user, .protocol = ROUTE_HTTP
	};
	int error = access_connection_open(h->connection, &wish, on_chain, h, &h->chain);
	if (error == ERR_DENIED) {
		struct chain_error blocked =
			access_connection_blocked(h->connection, &request->target);
		on_chain_failed(h, &blocked);
	} else if (error == ERR_AGAIN) {
		struct chain_error refused = access_charges_refused(&request->target);
		on_chain_failed(h, &refused);
	} else if (error != 0) {
		report(h, HTTP_SESSION_BROKEN, "local");
	}
}

/* The opening has a request. */
static void serve(struct http_session *h)
{
	const struct greeting_request *request = opening_request(h->opening);
	if (request->http == NULL) {
		http_server_leave(&h->server);
		report(h, HTTP_SESSION_CONNECT, "connect");
		return;
	}
	free(h->told);
	h->told = opening_tell(h->opening);
	if (h->told == NULL) {
		report(h, HTTP_SESSION_BROKEN, "local");
		return;
	}
	h->n_requests++;
	stream_own(h->client, on_client, h);
	if (!access_charges_take_user(h->connection->charges, h->connection->ingress,
		    &h->connection->peer, request->user)) {
		struct chain_error refused = access_charges_refused(&request->target);
		on_chain_failed(h, &refused);
		return;
	}
	if (http_server_serves(&h->server, request)) {
		start_exchange(h);
		return;
	}
	http_server_leave(&h->server);
	start_chain(h);
}

static void on_opened(enum opening_end end, void *owner)
{
	struct http_session *h = owner;
	switch (end) {
	case OPENING_READY:
		serve(h);
		return;
	case OPENING_REFUSED:
	case OPENING_REJECTED:
		report(h, HTTP_SESSION_ANSWERED, opening_end_name(end));
		return;
	case OPENING_SILENT:
	case OPENING_LEFT:
		report(h, HTTP_SESSION_OVER, opening_end_name(end));
		return;
	case OPENING_LATE:
		report(h, HTTP_SESSION_OVER,
			opening_has_begun(h->opening) ? opening_end_name(end) : "idle-timeout");
		return;
	case OPENING_FAILED:
		report(h, HTTP_SESSION_BROKEN, err_name(h->client->error));
		return;
	case OPENING_BUSY:
	case OPENING_NO_MEMORY:
		report(h, HTTP_SESSION_BROKEN, opening_end_name(end));
		return;
	}
}

static void on_begin(struct task *task)
{
	struct http_session *h =
		(struct http_session *)((char *)task - offsetof(struct http_session, begin));
	if (h->is_freed)
		free(h);
	else
		serve(h);
}

int http_session_start(struct access_connection *connection, struct stream *client,
	struct opening *opening, http_session_fn *on_done_fn, void *owner,
	struct http_session **ret)
{
	struct http_session *h = calloc(1, sizeof *h);
	if (h == NULL)
		return ERR_NOMEM;
	h->connection = connection;
	h->client = client;
	h->opening = opening;
	h->on_done = on_done_fn;
	h->owner = owner;
	stream_own(client, on_client, h);
	loop_defer(client->loop, &h->begin, on_begin);
	*ret = h;
	return 0;
}

void http_session_free(struct http_session *session)
{
	struct http_session *h = session;
	if (h == NULL)
		return;
	if (h->chain != NULL)
		chain_attempt_cancel(h->chain);
	if (h->exchange != NULL) {
		http_exchange_cancel(h->exchange);
		http_server_drop(&h->server);
	}
	http_server_leave(&h->server);
	opening_free(h->opening);
	free(h->told);
	h->is_freed = true;
	if (!h->begin.is_queued)
		free(h);
}

void http_session_drain(struct http_session *session)
{
	struct http_session *h = session;
	bool is_waiting = h->chain == NULL && h->exchange == NULL && !h->begin.is_queued;
	if (is_waiting && !opening_has_begun(h->opening))
		report(h, HTTP_SESSION_OVER, "stopped");
}

const char *http_session_told(const struct http_session *session)
{
	return session->told;
}

void http_session_counts(const struct http_session *session, uint64_t *ret_up, uint64_t *ret_down)
{
	*ret_up = *ret_down = 0;
	if (session->exchange != NULL)
		http_exchange_counts(session->exchange, ret_up, ret_down);
	*ret_up += session->n_up;
	*ret_down += session->n_down;
}
