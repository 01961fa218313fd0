#include "access/session.h"

#include "access/http_upload.h"
#include "access/opening.h"
#include "access/udp_associate.h"
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
	[STATE_GREET] = { "greet",
		1u << STATE_CHAIN | 1u << STATE_ASSOCIATE | 1u << STATE_CLOSING },
	[STATE_CHAIN] = { "chain", 1u << STATE_RELAY | 1u << STATE_CLOSING },
	[STATE_RELAY] = { "relay", 1u << STATE_CLOSING },
	[STATE_ASSOCIATE] = { "associate", 1u << STATE_CLOSING },
	[STATE_CLOSING] = { "closing", 0 },
};

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner);

struct access_session {
	struct access_session *prev, *next;
	struct access_ingress *ingress;
	struct stream *client;
	struct opening *opening;         /* of a proxy's client; NULL from RELAY on */
	struct chain_attempt *chain;     /* only in CHAIN */
	struct relay *relay;             /* only in RELAY */
	struct udp_associate *associate; /* only in ASSOCIATE */
	char *told;                      /* what the opening said, for the log; NULL until READY */
	size_t n_first;                  /* bytes to the target that came with the greeting */
	struct access_charges charges;
	uint64_t start_ms;
	union addr_sock peer;
	uint32_t id;
	uint8_t state;
};

static struct access_worker *worker_of(const struct access_session *s)
{
	return s->ingress->worker;
}

static void enter(struct access_session *s, enum state next)
{
	assert(states[s->state].next & 1u << next);
	LOG_DEBUG("state conn=%u.%" PRIu32 " from=%s to=%s", worker_of(s)->i_worker, s->id,
		states[s->state].name, states[next].name);
	s->state = (uint8_t)next;
}

static void log_end(const struct access_session *s, const char *end, uint64_t up, uint64_t down)
{
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], forward[ADDR_TEXT_MAX + 8];
	const char *told = s->told;
	if (!worker_of(s)->options->logs_connections)
		return;
	if (told == NULL && s->ingress->options->protocols != 0)
		told = "protocol=- user=- target=-";
	if (told == NULL) {
		snprintf(forward, sizeof forward, "target=%s",
			addr_print(&s->ingress->options->to, to));
		told = forward;
	}
	LOG_INFO("closed conn=%u.%" PRIu32 " from=%s %s up=%" PRIu64 " down=%" PRIu64
		 " age_ms=%" PRIu64 " end=%s",
		worker_of(s)->i_worker, s->id, addr_sock_print(&s->peer, from), told, up, down,
		loop_now_ms(worker_of(s)->loop) - s->start_ms, end);
}

/* The one place a session ends. Its client stream has closed or belongs to nobody any more. */
static void finish(struct access_session *s)
{
	struct access_worker *worker = worker_of(s);
	opening_free(s->opening);
	access_charges_return(&s->charges);
	DL_DELETE(worker->sessions, s);
	access_ingress_release(s->ingress);
	free(s->told);
	free(s);
	worker->on_session_end(worker);
}

/* From here on the client's events are CLOSED alone, and nothing else goes on. */
static void begin_closing(struct access_session *s)
{
	if (s->chain != NULL)
		chain_attempt_cancel(s->chain);
	s->chain = NULL;
	opening_free(s->opening);
	s->opening = NULL;
	udp_associate_close(s->associate);
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
	log_end(s, end, 0, 0);
	abort_client(s);
}

/* Ends a proxy's client without a word: it has left, or speaks something else. */
static void end_quietly(struct access_session *s, const char *end)
{
	log_end(s, end, 0, 0);
	begin_closing(s);
	stream_close(s->client);
}

/* Ends after an answer was written: gently, so that no unread byte turns it into a reset. */
static void end_answered(struct access_session *s, const char *end)
{
	log_end(s, end, 0, 0);
	enter(s, STATE_CLOSING);
	tcp_watch_end(s->client, false);
	drain_linger(worker_of(s)->drain, s->client);
	finish(s);
}

static void end_associate(struct access_session *s, const char *end)
{
	const struct udp_associate_counters *n = udp_associate_counters(s->associate);
	log_end(s, end, n->n_up_bytes, n->n_down_bytes);
	begin_closing(s);
	stream_close(s->client);
}

static void on_flows_idle(void *owner)
{
	end_associate(owner, "stopped");
}

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner)
{
	struct access_session *s = owner;
	(void)data;
	switch (event) {
	case STREAM_FAILED:
		if (s->state == STATE_ASSOCIATE)
			end_associate(s, err_name(client->error));
		else
			end_early(s, err_name(client->error));
		return;
	case STREAM_CLOSED:
		finish(s);
		return;
	case STREAM_EOF: /* only of a proxy's client in CHAIN that has sent nothing more: it gave
			    up. The others are not read: they may end their half before the chain
			    stands */
		if (s->state == STATE_ASSOCIATE)
			end_associate(s, "client-fin");
		else
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
			worker_of(s)->i_worker, s->id, err_name(result->error),
			err_text(result->error));
	log_end(s, end, s->n_first + result->n_bytes_ab, result->n_bytes_ba);
	finish(s);
}

static void answer_failure(struct access_session *s, const struct chain_error *error)
{
	opening_answer(s->opening, error, NULL);
	end_answered(s, chain_error_slug(error));
}

static void on_chain_failed(struct access_session *s, const struct chain_error *error)
{
	char text[512], quoted[600];
	LOG_WARNING("failed conn=%u.%" PRIu32 " hop=%u stage=%s status=%s why=%s",
		worker_of(s)->i_worker, s->id, error->hop, chain_stage_name(error->stage),
		chain_error_slug(error),
		log_quote(chain_error_print(error, text, sizeof text), quoted, sizeof quoted));
	if (s->opening != NULL)
		answer_failure(s, error);
	else
		end_early(s, chain_error_slug(error));
}

/* What the client waits for, and what it has said already. What the kernel does not take now is
 * queued by the streams; the relay goes on behind it. */
static bool say_ready(struct access_session *s, struct stream *payload)
{
	const struct greeting_request *request = opening_request(s->opening);
	struct bytes first = request->first;
	tcp_watch_end(s->client, false);
	opening_answer(s->opening, NULL, NULL);
	if (first.len > 0)
		stream_write(payload, first);
	if (request->is_followed) /* the next request, which goes nowhere: its client shall hear */
		stream_shutdown(payload);
	s->n_first = first.len;
	bool is_ready =
		request->body == NULL || http_upload_new(s->client, request->body, &s->client) == 0;
	opening_free(s->opening);
	s->opening = NULL;
	return is_ready;
}

static void on_chain(struct stream *payload, const struct chain_spec *way,
	const struct chain_error *error, void *owner)
{
	struct access_session *s = owner;
	struct relay_options options = { .idle_timeout_ms = way->idle_timeout_ms };
	s->chain = NULL;
	if (error != NULL) {
		on_chain_failed(s, error);
		return;
	}
	bool is_ready = s->opening == NULL || say_ready(s, payload);
	enter(s, STATE_RELAY);
	if (is_ready && relay_new(worker_of(s)->relays, s->client, payload, &options, on_relayed, s,
				&s->relay) == 0)
		return;
	stream_drop(payload);
	end_early(s, "local");
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
	const struct route_rule *rule;
	struct route_query query = {
		.target = target,
		.source = &s->peer,
		.user = s->opening != NULL ? opening_request(s->opening)->user : NULL,
		.listener = s->ingress->options->name,
		.protocol = protocol_of(s),
	};
	struct chain_attempt_options options = {
		.purpose = CHAIN_TO_TARGET, .target = target, .source = &s->peer
	};
	struct chain_upstream *upstream = access_ingress_route(s->ingress, &query, &rule);
	if (upstream == NULL) {
		struct chain_error blocked = access_ingress_blocked(target);
		on_chain_failed(s, &blocked);
		return;
	}
	if (chain_attempt_start(upstream, &options, on_chain, s, &s->chain) != 0)
		end_early(s, "local");
}

/* The connection has nothing more to say; how long it lives says how long the association does. */
static void start_associate(struct access_session *s)
{
	static const struct chain_error no_socket = {
		.stage = CHAIN_STATUS, .status = STATUS_LOCAL, .detail = DETAIL_LOCAL_OTHER
	};
	union addr_sock local, bound;
	if (!tcp_local(s->client, &local) ||
		udp_associate_open(s->ingress, worker_of(s)->io, &local, &s->peer,
			&opening_request(s->opening)->target, opening_request(s->opening)->user,
			&s->associate) != 0) {
		answer_failure(s, &no_socket);
		return;
	}
	udp_associate_bound(s->associate, &bound);
	opening_answer(s->opening, NULL, &bound);
	opening_free(s->opening);
	s->opening = NULL;
	enter(s, STATE_ASSOCIATE);
	stream_read_start(s->client);
	/* Nothing is sent on it, so only the kernel can find out that its host has gone. */
	(void)stream_is_stalled(s->client, loop_now_ms(worker_of(s)->loop), true);
	if (worker_of(s)->is_draining)
		udp_associate_drain(s->associate, on_flows_idle, s);
}

static void serve_request(struct access_session *s)
{
	const struct greeting_request *request = opening_request(s->opening);
	s->told = opening_tell(s->opening);
	if (s->told == NULL) {
		end_early(s, "local");
		return;
	}
	if (request->command == GREETING_ASSOCIATE) {
		start_associate(s);
		return;
	}
	enter(s, STATE_CHAIN);
	if (request->first.len == 0) /* else there is something to do although it ends */
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

void access_session_start(
	struct access_ingress *ingress, struct stream *client, const union addr_sock *peer)
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
	s->ingress = ingress;
	access_ingress_hold(ingress);
	s->client = client;
	s->peer = *peer;
	s->id = ++worker->n_accepted;
	s->start_ms = loop_now_ms(worker->loop);
	s->state = ingress->options->protocols != 0 ? STATE_GREET : STATE_CHAIN;
	stream_own(client, on_client, s);
	DL_APPEND(worker->sessions, s);
	if (!access_charges_take(&s->charges, ingress, peer)) {
		abort_client(s);
		return;
	}
	if (s->state == STATE_CHAIN)
		start_chain(s, &ingress->options->to);
	else if (opening_start(ingress, client, peer, on_opened, s, &s->opening) != 0)
		end_early(s, "local");
}

void access_sessions_drain(struct access_worker *worker)
{
	struct access_session *s;
	worker->is_draining = true;
	DL_FOREACH (worker->sessions, s) {
		if (s->state == STATE_GREET && !opening_has_begun(s->opening))
			end_quietly(s, "stopped");
		else if (s->state == STATE_ASSOCIATE)
			udp_associate_drain(s->associate, on_flows_idle, s);
	}
}

void access_sessions_stop(struct access_worker *worker)
{
	struct access_session *s;
	DL_FOREACH (worker->sessions, s) {
		if (s->state == STATE_RELAY)
			relay_stop(s->relay);
		else if (s->state == STATE_ASSOCIATE)
			end_associate(s, "stopped");
		else if (s->state != STATE_CLOSING)
			end_early(s, "stopped");
	}
}
