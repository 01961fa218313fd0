#include "access/session.h"

#include "common/loop.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

#define LOG_MODULE "access"
#include "common/log.h"

enum state {
	STATE_CHAIN,
	STATE_RELAY,
	STATE_CLOSING,
	N_STATES,
};

static const struct {
	const char *name;
	unsigned next;
} states[N_STATES] = {
	[STATE_CHAIN] = { "chain", 1u << STATE_RELAY | 1u << STATE_CLOSING },
	[STATE_RELAY] = { "relay", 1u << STATE_CLOSING },
	[STATE_CLOSING] = { "closing", 0 },
};

struct access_session {
	struct access_session *prev, *next;
	const struct access_ingress *ingress;
	struct stream *client;
	struct chain_session *chain; /* only in CHAIN */
	struct relay *relay;         /* only in RELAY */
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
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
	if (!worker_of(s)->options->logs_connections)
		return;
	LOG_INFO("closed conn=%u.%" PRIu32 " from=%s target=%s up=%" PRIu64 " down=%" PRIu64
		 " age_ms=%" PRIu64 " end=%s",
		worker_of(s)->i_worker, s->id, addr_sock_print(&s->peer, from),
		addr_print(&s->ingress->options->to, to), up, down,
		loop_now_ms(worker_of(s)->loop) - s->start_ms, end);
}

/* The one place a session ends. Its client stream has closed or belongs to nobody any more. */
static void finish(struct access_session *s)
{
	struct access_worker *worker = worker_of(s);
	access_charges_return(&s->charges);
	DL_DELETE(worker->sessions, s);
	free(s);
	worker->on_session_end(worker);
}

/* Ends before the relay. A plain TCP client can be told only by a reset that there is no
 * connection. */
static void abort_client(struct access_session *s)
{
	if (s->state == STATE_CLOSING)
		return;
	if (s->state == STATE_CHAIN && s->chain != NULL)
		chain_session_cancel(s->chain);
	s->chain = NULL;
	enter(s, STATE_CLOSING);
	stream_abort(s->client);
}

static void end_early(struct access_session *s, const char *end)
{
	log_end(s, end, 0, 0);
	abort_client(s);
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
	case STREAM_EOF: /* reading has not begun: a client may end its half before the chain stands
			  */
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
	log_end(s, end, result->n_bytes_ab, result->n_bytes_ba);
	finish(s);
}

static void on_chain_failed(struct access_session *s, const struct chain_error *error)
{
	char text[512], quoted[600];
	LOG_WARNING("failed conn=%u.%" PRIu32 " hop=%u stage=%s status=%s why=%s",
		worker_of(s)->i_worker, s->id, error->hop, chain_stage_name(error->stage),
		chain_error_slug(error),
		log_quote(chain_error_print(error, text, sizeof text), quoted, sizeof quoted));
	end_early(s, chain_error_slug(error));
}

static void on_chain(struct stream *payload, const struct chain_error *error, void *owner)
{
	struct access_session *s = owner;
	struct relay_options options = { .idle_timeout_ms =
						 s->ingress->options->chain->idle_timeout_ms };
	s->chain = NULL;
	if (error != NULL) {
		on_chain_failed(s, error);
		return;
	}
	enter(s, STATE_RELAY);
	if (relay_new(worker_of(s)->relays, s->client, payload, &options, on_relayed, s,
		    &s->relay) == 0)
		return;
	stream_drop(payload);
	end_early(s, "local");
}

void access_session_start(
	const struct access_ingress *ingress, struct stream *client, const union addr_sock *peer)
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
	s->client = client;
	s->peer = *peer;
	s->id = ++worker->n_accepted;
	s->start_ms = loop_now_ms(worker->loop);
	stream_own(client, on_client, s);
	DL_APPEND(worker->sessions, s);
	if (!access_charges_take(&s->charges, ingress, peer)) {
		abort_client(s);
		return;
	}
	struct chain_session_options options = { .purpose = CHAIN_TO_TARGET,
		.target = &ingress->options->to };
	if (chain_session_start(ingress->chain, &options, on_chain, s, &s->chain) != 0)
		end_early(s, "local");
}

void access_sessions_stop(struct access_worker *worker)
{
	struct access_session *s;
	DL_FOREACH (worker->sessions, s) {
		if (s->state == STATE_RELAY)
			relay_stop(s->relay);
		else if (s->state == STATE_CHAIN)
			end_early(s, "stopped");
	}
}
