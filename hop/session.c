#include "hop/session.h"

#include "common/tcp.h"
#include "hop/measure.h"
#include "hop/opening.h"
#include "hop/reach.h"
#include "hop/udp_stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

#define LOG_MODULE "hop"
#include "common/log.h"

enum state {
	STATE_HEADER,
	STATE_DIAL,
	STATE_RELAY,
	STATE_CLOSING,
	N_STATES,
};

static const struct {
	const char *name;
	unsigned next;
} states[N_STATES] = {
	[STATE_HEADER] = { "header", 1u << STATE_DIAL | 1u << STATE_RELAY | 1u << STATE_CLOSING },
	[STATE_DIAL] = { "dial", 1u << STATE_RELAY | 1u << STATE_CLOSING },
	[STATE_RELAY] = { "relay", 1u << STATE_CLOSING },
	[STATE_CLOSING] = { "closing", 0 },
};

struct hop_session {
	struct hop_session *prev, *next;
	struct hop_worker *worker;
	struct stream *client;
	struct hop_opening *opening;       /* NULL from RELAY on, so that an idle relay is small */
	struct hop_reach *reach;           /* only in DIAL */
	struct relay *relay;               /* only in RELAY; NULL for datagrams */
	struct udp_stream *udp;            /* the same for command UDP */
	const struct hop_entry *entry;     /* once known */
	struct hop_generation *generation; /* of @entry; held */
	char *target;                      /* for the log; NULL until known */
	struct charge connection, user_connection;
	struct source_charge source;
	uint64_t start_ms;
	union addr_sock peer;
	uint32_t id;
	uint8_t state;
};

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner);

static void enter(struct hop_session *s, enum state next)
{
	assert(states[s->state].next & 1u << next);
	LOG_DEBUG("state conn=%u.%" PRIu32 " from=%s to=%s", s->worker->i_worker, s->id,
		states[s->state].name, states[next].name);
	s->state = (uint8_t)next;
}

static void free_opening(struct hop_session *s)
{
	if (s->reach != NULL)
		hop_reach_cancel(s->reach);
	s->reach = NULL;
	hop_opening_free(s->opening);
	s->opening = NULL;
}

static const struct wire_request *request_of(const struct hop_session *s)
{
	return hop_opening_header(s->opening)->request;
}

static void log_end(const struct hop_session *s, const char *end, uint64_t up, uint64_t down)
{
	char from[ADDR_TEXT_MAX];
	if (!s->worker->options->logs_connections || s->entry == NULL)
		return;
	LOG_INFO("closed conn=%u.%" PRIu32 " user=%s from=%s target=%s up=%" PRIu64 " down=%" PRIu64
		 " age_ms=%" PRIu64 " end=%s",
		s->worker->i_worker, s->id, s->entry->user->name, addr_sock_print(&s->peer, from),
		s->target != NULL ? s->target : "-", up, down,
		loop_now_ms(s->worker->loop) - s->start_ms, end);
}

/* The one place a session ends. Its client stream has been given away or has closed. */
static void finish(struct hop_session *s)
{
	struct hop_worker *worker = s->worker;
	free_opening(s);
	charge_return(&s->connection);
	charge_return(&s->user_connection);
	source_charge_return(&s->source);
	DL_DELETE(worker->sessions, s);
	hop_generation_release(s->generation);
	free(s->target);
	free(s);
	worker->on_session_end(worker);
}

/* Ends before the relay: nothing more is said to the client. */
static void close_now(struct hop_session *s, bool is_broken)
{
	if (s->state == STATE_CLOSING)
		return;
	enter(s, STATE_CLOSING);
	free_opening(s);
	if (is_broken)
		stream_abort(s->client);
	else
		stream_close(s->client);
}

/* Ends an authentic session before its relay, with its line in the log. */
static void end_early(struct hop_session *s, const char *end)
{
	if (s->state == STATE_CLOSING)
		return;
	log_end(s, end, 0, 0);
	close_now(s, true);
}

/* What strangers get (docs/protocol.md 2.11). */
static void fall_silent(struct hop_session *s)
{
	if (s->worker->options->on_bad == HOP_BAD_RESET) {
		close_now(s, true);
		return;
	}
	enter(s, STATE_CLOSING);
	hop_opening_fall_silent(s->opening);
	finish(s);
}

/* Seals the reply. Return: false after the session was ended because that failed. */
static bool seal_reply(struct hop_session *s, struct hop_reply *reply)
{
	if (hop_opening_seal(s->opening, reply) == 0)
		return true;
	end_early(s, "local");
	return false;
}

/* Answers and closes gently, so that no unread byte turns the answer into a reset (2.7.3). */
static void answer_and_linger(struct hop_session *s, struct hop_reply *reply)
{
	struct stream *client = s->client;
	if (!seal_reply(s, reply))
		return;
	enter(s, STATE_CLOSING);
	tcp_watch_hangup(client, false);
	stream_write(client, bytes_of(reply->bytes, reply->len));
	drain_linger(s->worker->drain, client);
	log_end(s, wire_status_find(reply->response.status)->slug, 0, 0);
	finish(s);
}

static void refuse(struct hop_session *s, uint8_t status, uint8_t detail)
{
	struct hop_reply reply = { .response = { .status = status, .detail = detail } };
	answer_and_linger(s, &reply);
}

static void on_relayed(const struct relay_result *result, void *owner)
{
	struct hop_session *s = owner;
	enter(s, STATE_CLOSING);
	log_end(s, relay_end_name(result->end), result->n_bytes_ab, result->n_bytes_ba);
	finish(s);
}

/* The hop R addresses last says OK only while nothing came behind R (2.7.1). */
static bool has_early_data(struct hop_session *s)
{
	return wire_request_is_last(request_of(s)) && tcp_has_input(s->client) != 0;
}

/* Says OK; from then on s->client is the payload. Return: false after the session was ended. */
static bool say_ok(struct hop_session *s, struct hop_reply *reply)
{
	struct stream *payload;
	if (!seal_reply(s, reply))
		return false;
	tcp_watch_hangup(s->client, false);
	if (wire_request_is_last(request_of(s)))
		stream_write(s->client, bytes_of(reply->bytes, reply->len));
	else
		tcp_write_more(s->client,
			bytes_of(reply->bytes, reply->len)); /* the next hop's answer follows */
	if (hop_opening_payload(s->opening, reply, &payload) != 0) {
		end_early(s, "local");
		return false;
	}
	s->client = payload;
	return true;
}

static void start_relay(struct hop_session *s, struct stream *next, struct hop_reply *reply)
{
	if (!say_ok(s, reply)) {
		stream_drop(next);
		return;
	}
	struct relay_options options = s->worker->options->relay;
	hop_user_shapers(s->entry->limits, s->worker->shaper, &options.shapers);
	enter(s, STATE_RELAY);
	free_opening(s);
	int error =
		relay_new(s->worker->relays, s->client, next, &options, on_relayed, s, &s->relay);
	shaper_set_release(&options.shapers);
	if (error != 0) {
		stream_drop(next);
		stream_own(s->client, on_client, s);
		end_early(s, "local");
	}
}

static void on_flow_done(const struct udp_stream_result *result, void *owner)
{
	struct hop_session *s = owner;
	enter(s, STATE_CLOSING);
	log_end(s, result->end, result->n_bytes_up, result->n_bytes_down);
	finish(s);
}

static void start_flow(struct hop_session *s, struct udp_stream *flow, struct hop_reply *reply)
{
	if (!say_ok(s, reply)) {
		udp_stream_cancel(flow);
		return;
	}
	s->udp = flow;
	enter(s, STATE_RELAY);
	free_opening(s);
	udp_stream_run(flow, s->client, on_flow_done, s);
}

static void on_reached(struct hop_reached *reached, void *owner)
{
	struct hop_session *s = owner;
	s->reach = NULL;
	if (reached->reply.response.status != STATUS_OK) {
		answer_and_linger(s, &reached->reply);
		return;
	}
	if (has_early_data(s)) {
		hop_reached_drop(reached);
		end_early(s, "early-data");
		return;
	}
	if (reached->flow != NULL) {
		start_flow(s, reached->flow, &reached->reply);
		return;
	}
	hop_reached_name_client(reached, s->entry->user, request_of(s));
	start_relay(s, reached->stream, &reached->reply);
}

/* For the log, if there is one. @to: or NULL, what is measured is the way to this hop. */
static void keep_target(struct hop_session *s, const struct addr *to)
{
	char text[ADDR_TEXT_MAX];
	if (!s->worker->options->logs_connections)
		return;
	free(s->target);
	s->target = strdup(to != NULL ? addr_print(to, text) : "measure");
}

static void reach_target(struct hop_session *s)
{
	struct hop_reach_wish wish = {
		.worker = s->worker,
		.entry = s->entry,
		.options = s->generation != NULL ? &s->generation->options : s->worker->options,
		.request = request_of(s),
	};
	struct policy_verdict refusal;
	keep_target(s, &wish.request->to);
	enter(s, STATE_DIAL);
	tcp_watch_hangup(s->client, true);
	if (!hop_reach_start(&wish, on_reached, s, &s->reach, &refusal))
		refuse(s, (uint8_t)refusal.status, refusal.detail);
}

/* ECHO and NOOP end here; a NOOP with KEEP begins again. */
static void answer_probe(struct hop_session *s)
{
	struct hop_reply reply = { .response = { .status = STATUS_OK } };
	const struct wire_request *r = request_of(s);
	bool keeps = r->cmd == WIRE_NOOP && (r->flags & WIRE_KEEP);
	if (has_early_data(s)) {
		end_early(s, "early-data");
		return;
	}
	if (!keeps) {
		answer_and_linger(s, &reply);
		return;
	}
	if (!seal_reply(s, &reply))
		return;
	if (stream_write(s->client, bytes_of(reply.bytes, reply.len))) {
		end_early(s, "unread-answers"); /* a client that reads none of its answers */
		return;
	}
	hop_opening_await_next(s->opening);
}

/* The relay's other end is this hop's own service. */
static void start_measure(struct hop_session *s)
{
	struct hop_reply reply = { .response = { .status = STATUS_OK } };
	struct stream *service;
	if (has_early_data(s)) {
		end_early(s, "early-data");
		return;
	}
	if (measure_open(s->worker->loop, &service) != 0) {
		refuse(s, STATUS_LOCAL, DETAIL_LOCAL_MEMORY);
		return;
	}
	start_relay(s, service, &reply);
}

/* Line 17. */
static void serve(struct hop_session *s)
{
	switch (request_of(s)->cmd) {
	case WIRE_ECHO:
	case WIRE_NOOP:
		answer_probe(s);
		return;
	case WIRE_MEASURE:
		keep_target(s, NULL);
		start_measure(s);
		return;
	default:
		reach_target(s);
	}
}

/* Lines 14 to 17 for an authentic, legal request. */
static void on_request(struct hop_session *s)
{
	struct hop_user_limits *limits = s->entry->limits;
	struct policy_verdict refusal;
	if (request_of(s)->cmd == WIRE_MEASURE && s->worker->options->refuses_measure) {
		refuse(s, STATUS_DENIED_CMD, 0);
		return;
	}
	if (s->user_connection.quota == NULL &&
		!charge_take(&s->user_connection, &limits->connections)) {
		refuse(s, STATUS_LIMIT, 0);
		return;
	}
	if (!rate_take(&limits->connects, loop_now_ms(s->worker->loop))) {
		refuse(s, STATUS_RATE, 0);
		return;
	}
	if (hop_opening_agree(s->opening, &refusal))
		serve(s);
	else
		refuse(s, (uint8_t)refusal.status, refusal.detail);
}

/* Who sent the header is the user from now on. A kept connection holds its charge between its
 * headers: it is the same user's, or another's. */
static void take_entry(struct hop_session *s)
{
	const struct hop_entry *entry = hop_opening_header(s->opening)->entry;
	if (s->user_connection.quota != &entry->limits->connections)
		charge_return(&s->user_connection);
	s->entry = entry;
	hop_generation_release(s->generation);
	s->generation = hop_opening_generation(s->opening);
}

static void on_header_bytes(struct hop_session *s, struct bytes data)
{
	const struct hop_header *h = hop_opening_header(s->opening);
	switch (hop_opening_feed(s->opening, data)) {
	case HOP_HEADER_MORE:
		return;
	case HOP_HEADER_OK:
		take_entry(s);
		on_request(s);
		return;
	case HOP_HEADER_REFUSED:
		take_entry(s);
		refuse(s, h->status, h->detail);
		return;
	case HOP_HEADER_SILENT:
		hop_opening_log_stranger(s->opening, &s->peer);
		fall_silent(s);
		return;
	}
}

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner)
{
	struct hop_session *s = owner;
	switch (event) {
	case STREAM_DATA:
		on_header_bytes(s, data);
		return;
	case STREAM_EOF: /* 2.7.5: the client may not end before our answer */
		if (s->state == STATE_DIAL)
			log_end(s, "client-gone", 0, 0);
		close_now(s, s->state == STATE_DIAL);
		return;
	case STREAM_FAILED:
		if (s->state == STATE_DIAL)
			log_end(s, err_name(client->error), 0, 0);
		close_now(s, true);
		return;
	case STREAM_CLOSED:
		finish(s);
		return;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
		return;
	}
}

static void on_header_late(void *owner)
{
	fall_silent(owner);
}

void hop_session_start(
	struct hop_worker *worker, struct stream *client, const union addr_sock *peer)
{
	struct hop_session *s = calloc(1, sizeof *s);
	if (s == NULL || hop_opening_new(worker, client, on_header_late, s, &s->opening) != 0) {
		free(s);
		stream_drop(client);
		return;
	}
	s->worker = worker;
	s->client = client;
	s->peer = *peer;
	s->id = ++worker->n_accepted;
	s->start_ms = loop_now_ms(worker->loop);
	stream_own(client, on_client, s);
	DL_APPEND(worker->sessions, s);
	if (!charge_take(&s->connection, worker->connections) ||
		!source_charge_take(&s->source, worker->sources, peer) ||
		!rate_take(worker->handshakes, s->start_ms)) {
		char from[ADDR_TEXT_MAX];
		LOG_LIMITED(LOG_LEVEL_WARNING, "refused: connection limit reached from=%s",
			addr_sock_print(peer, from));
		close_now(s, true);
		return;
	}
	hop_opening_await(s->opening);
}

void hop_sessions_drain(struct hop_worker *worker)
{
	struct hop_session *s;
	DL_FOREACH (worker->sessions, s) {
		if (s->state == STATE_HEADER)
			close_now(s, false);
	}
}

void hop_sessions_stop(struct hop_worker *worker)
{
	struct hop_session *s;
	DL_FOREACH (worker->sessions, s) {
		if (s->state == STATE_RELAY && s->udp != NULL)
			udp_stream_stop(s->udp);
		else if (s->state == STATE_RELAY)
			relay_stop(s->relay);
		else
			end_early(s, "stopped");
	}
}
