#include "access/session.h"

#include "access/associate_session.h"
#include "access/http_session.h"
#include "access/opening.h"
#include "chain/wire_status.h"
#include "common/loop.h"
#include "common/tcp.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define LOG_MODULE "access"
#include "common/log.h"

enum state {
	STATE_GREET,
	STATE_HTTP,
	STATE_CHAIN,
	STATE_RELAY,
	STATE_ASSOCIATE,
	STATE_CLOSING,
	N_STATES,
};

static const struct {
	const char *name;
	unsigned next;
} states[N_STATES] = {
	[STATE_GREET] = { "greet", 1u << STATE_CHAIN | 1u << STATE_HTTP | 1u << STATE_ASSOCIATE |
					   1u << STATE_CLOSING },
	[STATE_HTTP] = { "http", 1u << STATE_CHAIN | 1u << STATE_RELAY | 1u << STATE_CLOSING },
	[STATE_CHAIN] = { "chain", 1u << STATE_RELAY | 1u << STATE_CLOSING },
	[STATE_RELAY] = { "relay", 1u << STATE_CLOSING },
	[STATE_ASSOCIATE] = { "associate", 1u << STATE_CLOSING },
	[STATE_CLOSING] = { "closing", 0 },
};

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner);

struct access_session {
	struct access_session *prev, *next;
	struct access_connection connection;
	struct stream *client;
	struct opening *opening;             /* of a proxy's client, up to RELAY or HTTP */
	struct http_session *http;           /* only in HTTP */
	struct chain_attempt *chain;         /* only in CHAIN */
	struct relay *relay;                 /* only in RELAY */
	struct associate_session *associate; /* only in ASSOCIATE */
	char *told;            /* what the opening said, for the log; NULL until READY */
	uint64_t n_up, n_down; /* of requests before a tunnel */
	struct access_charges charges;
	uint8_t state;
};

static struct access_worker *worker_of(const struct access_session *s)
{
	return access_connection_worker(&s->connection);
}

static void enter(struct access_session *s, enum state next)
{
	assert(states[s->state].next & 1u << next);
	LOG_DEBUG("state conn=%u.%" PRIu32 " from=%s to=%s", worker_of(s)->i_worker,
		s->connection.id, states[s->state].name, states[next].name);
	s->state = (uint8_t)next;
}

static void log_end(const struct access_session *s, const char *end, uint64_t up, uint64_t down)
{
	access_connection_log_end(&s->connection, s->told, end, up, down);
}

/* The one place a session ends. Its client stream has closed or belongs to nobody any more. */
static void finish(struct access_session *s)
{
	struct access_worker *worker = worker_of(s);
	opening_free(s->opening);
	http_session_free(s->http);
	access_charges_return(&s->charges);
	DL_DELETE(worker->sessions, s);
	access_ingress_release(s->connection.ingress);
	free(s->told);
	free(s);
	worker->on_session_end(worker);
}

/* What is left of it is what it has moved. */
static void end_http(struct access_session *s)
{
	uint64_t up, down;
	const char *told = http_session_told(s->http);
	http_session_counts(s->http, &up, &down);
	s->n_up += up;
	s->n_down += down;
	free(s->told);
	s->told = told != NULL ? strdup(told) : NULL;
	http_session_free(s->http);
	s->http = NULL;
}

/* From here on the client's events are CLOSED alone, and nothing else goes on. */
static void begin_closing(struct access_session *s)
{
	if (s->chain != NULL)
		chain_attempt_cancel(s->chain);
	s->chain = NULL;
	opening_free(s->opening);
	s->opening = NULL;
	http_session_free(s->http);
	s->http = NULL;
	associate_session_free(s->associate);
	s->associate = NULL;
	stream_own(s->client, on_client, s);
	enter(s, STATE_CLOSING);
}

/* Ends before the relay. A plain TCP client can be told only by a reset that there is no
 * connection. */
static void abort_client(struct access_session *s)
{
	if (s->state == STATE_CLOSING)
		return;
	begin_closing(s);
	stream_abort(s->client);
}

static void end_early(struct access_session *s, const char *end)
{
	log_end(s, end, s->n_up, s->n_down);
	abort_client(s);
}

/* Ends a proxy's client without a word: it has left, or speaks something else. */
static void end_quietly(struct access_session *s, const char *end)
{
	log_end(s, end, s->n_up, s->n_down);
	begin_closing(s);
	stream_close(s->client);
}

/* Ends after an answer was written: gently, so that no unread byte turns it into a reset. */
static void end_answered(struct access_session *s, const char *end)
{
	log_end(s, end, s->n_up, s->n_down);
	enter(s, STATE_CLOSING);
	tcp_watch_end(s->client, false);
	drain_linger(worker_of(s)->drain, s->client);
	finish(s);
}

static void stop_http(struct access_session *s)
{
	end_http(s);
	end_early(s, "stopped");
}

static void end_associate(const char *end, void *owner)
{
	struct access_session *s = owner;
	associate_session_counts(s->associate, &s->n_up, &s->n_down);
	end_quietly(s, end);
}

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner)
{
	struct access_session *s = owner;
	(void)data;
	switch (event) {
	case STREAM_FAILED:
		end_early(s, err_name(client->error));
		return;
	case STREAM_CLOSED:
		finish(s);
		return;
	case STREAM_EOF: /* only of a proxy's client in CHAIN that has sent nothing more: it gave
			    up. The others are not read: they may end their half before the chain
			    stands */
		end_quietly(s, "client-fin");
		return;
	case STREAM_DATA:
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
		return;
	}
}

static void on_relayed(const struct relay_result *result, void *owner)
{
	struct access_session *s = owner;
	const char *end = relay_end_name(result->end);
	if (result->end == RELAY_FAILED_B)
		end = result->error == ERR_CANCELED ? "target-failed" : "chain-failed";
	enter(s, STATE_CLOSING);
	if (result->end == RELAY_FAILED_B || result->end == RELAY_STALLED_B)
		LOG_LIMITED(LOG_LEVEL_WARNING, "lost conn=%u.%" PRIu32 " error=%s why=\"%s\"",
			worker_of(s)->i_worker, s->connection.id, err_name(result->error),
			err_text(result->error));
	log_end(s, end, s->n_up + result->n_bytes_ab, s->n_down + result->n_bytes_ba);
	finish(s);
}

static void answer_failure(struct access_session *s, const struct chain_error *error)
{
	opening_answer(s->opening, error, NULL);
	end_answered(s, chain_error_slug(error));
}

static void on_chain_failed(struct access_session *s, const struct chain_error *error)
{
	access_connection_log_failed(&s->connection, error);
	if (s->opening != NULL)
		answer_failure(s, error);
	else
		end_early(s, chain_error_slug(error));
}

static void start_relay(struct access_session *s, struct stream *payload, uint32_t idle_timeout_ms)
{
	struct relay_options options = { .idle_timeout_ms = idle_timeout_ms,
		.shapers = s->charges.shapers };
	enter(s, STATE_RELAY);
	if (relay_new(worker_of(s)->relays, s->client, payload, &options, on_relayed, s,
		    &s->relay) == 0)
		return;
	stream_drop(payload);
	end_early(s, "local");
}

/* What the kernel does not take of the answer now is queued by the stream; the relay goes on behind
 * it. */
static void on_chain(struct stream *payload, const struct chain_spec *way,
	const struct chain_error *error, void *owner)
{
	struct access_session *s = owner;
	s->chain = NULL;
	access_charges_return_lookup(&s->charges);
	if (error != NULL) {
		on_chain_failed(s, error);
		return;
	}
	if (s->opening != NULL) {
		tcp_watch_end(s->client, false);
		opening_answer(s->opening, NULL, NULL);
		opening_free(s->opening);
		s->opening = NULL;
	}
	start_relay(s, payload, way->idle_timeout_ms);
}

/* What a client of a listener speaks, as rules name it. */
static enum route_protocol protocol_of(const struct access_session *s)
{
	const struct greeting_request *request =
		s->opening != NULL ? opening_request(s->opening) : NULL;
	if (request == NULL)
		return ROUTE_TCP;
	return strncmp(request->protocol, "http", 4) == 0 ? ROUTE_HTTP : ROUTE_SOCKS;
}

static void start_chain(struct access_session *s, const struct addr *target)
{
	struct access_wish wish = {
		.target = target,
		.user = s->opening != NULL ? opening_request(s->opening)->user : NULL,
		.protocol = protocol_of(s),
	};
	int error = access_connection_open(&s->connection, &wish, on_chain, s, &s->chain);
	if (error == ERR_DENIED) {
		struct chain_error blocked = access_connection_blocked(&s->connection, target);
		on_chain_failed(s, &blocked);
	} else if (error == ERR_AGAIN) {
		struct chain_error refused = access_charges_refused(target);
		on_chain_failed(s, &refused);
	} else if (error != 0) {
		end_early(s, "local");
	}
}

static void start_associate(struct access_session *s)
{
	static const struct chain_error no_socket = {
		.stage = CHAIN_STATUS, .status = STATUS_LOCAL, .detail = DETAIL_LOCAL_OTHER
	};
	if (associate_session_start(
		    &s->connection, s->client, s->opening, end_associate, s, &s->associate) != 0) {
		answer_failure(s, &no_socket);
		return;
	}
	opening_free(s->opening);
	s->opening = NULL;
	enter(s, STATE_ASSOCIATE);
}

static void serve_request(struct access_session *s);

/* The session of requests reports; it is freed here or with what ends ours. */
static void on_http(const struct http_session_result *result, void *owner)
{
	struct access_session *s = owner;
	stream_own(s->client, on_client, s);
	end_http(s);
	switch (result->end) {
	case HTTP_SESSION_CONNECT:
		s->opening = result->opening;
		serve_request(s);
		return;
	case HTTP_SESSION_TUNNEL:
		start_relay(s, result->server, result->idle_timeout_ms);
		return;
	case HTTP_SESSION_ANSWERED:
		end_answered(s, result->why);
		return;
	case HTTP_SESSION_OVER:
		end_quietly(s, result->why);
		return;
	case HTTP_SESSION_BROKEN:
		end_early(s, result->why);
		return;
	}
}

static void start_http(struct access_session *s)
{
	if (http_session_start(&s->connection, s->client, s->opening, on_http, s, &s->http) != 0) {
		end_early(s, "local");
		return;
	}
	s->opening = NULL;
	enter(s, STATE_HTTP);
}

/* For the log, if there is one. */
static bool note_request(struct access_session *s)
{
	bool is_logged = worker_of(s)->options->logs_connections;
	free(s->told);
	s->told = is_logged ? opening_tell(s->opening) : NULL;
	return s->told != NULL || !is_logged;
}

static void serve_request(struct access_session *s)
{
	const struct greeting_request *request = opening_request(s->opening);
	if (request->http != NULL) {
		start_http(s);
		return;
	}
	if (!note_request(s)) {
		end_early(s, "local");
		return;
	}
	if (!access_charges_take_user(
		    &s->charges, s->connection.ingress, &s->connection.peer, request->user)) {
		struct chain_error refused = access_charges_refused(&request->target);
		answer_failure(s, &refused);
		return;
	}
	if (request->command == GREETING_ASSOCIATE) {
		start_associate(s);
		return;
	}
	enter(s, STATE_CHAIN);
	tcp_watch_end(s->client, true);
	start_chain(s, &request->target);
}

static void on_opened(enum opening_end end, void *owner)
{
	struct access_session *s = owner;
	stream_own(s->client, on_client, s);
	switch (end) {
	case OPENING_READY:
		serve_request(s);
		return;
	case OPENING_REFUSED:
	case OPENING_REJECTED:
		end_answered(s, opening_end_name(end));
		return;
	case OPENING_SILENT:
	case OPENING_LEFT:
	case OPENING_LATE:
		end_quietly(s, opening_end_name(end));
		return;
	case OPENING_FAILED:
		end_early(s, err_name(s->client->error));
		return;
	case OPENING_BUSY:
	case OPENING_NO_MEMORY:
		end_early(s, opening_end_name(end));
		return;
	}
}

static char *tell_target(const struct addr *target)
{
	char to[ADDR_TEXT_MAX], *told;
	return asprintf(&told, "target=%s", addr_print(target, to)) < 0 ? NULL : told;
}

void access_session_start(
	struct access_ingress *ingress, struct stream *client, const union addr_sock *peer)
{
	access_session_start_to(ingress, client, peer, NULL);
}

void access_session_start_to(struct access_ingress *ingress, struct stream *client,
	const union addr_sock *peer, const struct addr *target)
{
	struct access_worker *worker = ingress->worker;
	if (!access_ingress_serves(ingress, peer)) {
		stream_drop(client);
		return;
	}
	struct access_session *s = calloc(1, sizeof *s);
	if (s == NULL) {
		stream_drop(client);
		return;
	}
	s->connection.ingress = ingress;
	s->connection.charges = &s->charges;
	access_ingress_hold(ingress);
	s->client = client;
	s->connection.peer = *peer;
	s->connection.id = ++worker->n_accepted;
	s->connection.start_ms = loop_now_ms(worker->loop);
	s->state = ingress->options->protocols != 0 ? STATE_GREET : STATE_CHAIN;
	stream_own(client, on_client, s);
	DL_APPEND(worker->sessions, s);
	if (!access_charges_take(&s->charges, ingress, peer)) {
		abort_client(s);
		return;
	}
	if (target != NULL)
		s->told = tell_target(target);
	if (s->state == STATE_CHAIN)
		start_chain(s, target != NULL ? target : &ingress->options->to);
	else if (opening_start(ingress, client, peer, on_opened, s, &s->opening) != 0)
		end_early(s, "local");
}

void access_sessions_drain(struct access_worker *worker)
{
	struct access_session *s, *next;
	worker->is_draining = true;
	DL_FOREACH_SAFE (worker->sessions, s, next) {
		if (s->state == STATE_GREET && !opening_has_begun(s->opening))
			end_quietly(s, "stopped");
		else if (s->state == STATE_HTTP)
			http_session_drain(s->http);
		else if (s->state == STATE_ASSOCIATE)
			associate_session_drain(s->associate);
	}
}

void access_sessions_stop(struct access_worker *worker)
{
	struct access_session *s;
	DL_FOREACH (worker->sessions, s) {
		if (s->state == STATE_RELAY)
			relay_stop(s->relay);
		else if (s->state == STATE_ASSOCIATE)
			end_associate("stopped", s);
		else if (s->state == STATE_HTTP)
			stop_http(s);
		else if (s->state != STATE_CLOSING)
			end_early(s, "stopped");
	}
}
