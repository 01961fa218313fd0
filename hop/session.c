#include "hop/session.h"

#include "common/dial.h"
#include "common/loop.h"
#include "common/proxy_header.h"
#include "common/secure.h"
#include "common/tcp.h"
#include "hop/header.h"
#include "hop/measure.h"
#include "hop/reply.h"
#include "hop/target.h"
#include "hop/udp_stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#define LOG_MODULE "hop"
#include "common/log.h"

#define NEXT_HEADER_MS                                                                             \
	90000 /* a new R may start so long after S(OK, KEEP) (docs/protocol.md 2.7.6) */

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

/* What a session needs until its relay runs; freed then, so that an idle relay is small. */
struct opening {
	struct hop_session *session;
	struct hop_header header;
	const struct hop_users *users;     /* among whom the header is looked up */
	struct hop_generation *generation; /* of these; held */
	struct timer deadline;
	uint64_t start_ms; /* accept, or end of the last good header: N and T of 2.11 count from
			      here */
	struct dial *dial;
	struct target_check check;
	struct udp_stream *udp; /* command UDP, in place of dial */
	struct wire_pair *pair; /* exit with FS */
	uint8_t ss[SEAL_CURVE];
};

struct hop_session {
	struct hop_session *prev, *next;
	struct hop_worker *worker;
	struct stream *client;
	struct opening *opening;           /* NULL from RELAY on */
	struct relay *relay;               /* only in RELAY; NULL for datagrams */
	struct udp_stream *udp;            /* the same for command UDP */
	const struct hop_entry *entry;     /* once known */
	struct hop_generation *generation; /* of @entry; held */
	char *target;                      /* for the log; NULL until known */
	struct charge connection, user_connection, lookup;
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

/* Those of the user, who may be of a configuration that was replaced meanwhile. */
static const struct hop_options *options_of(const struct hop_session *s)
{
	return s->generation != NULL ? &s->generation->options : s->worker->options;
}

static void free_opening(struct hop_session *s)
{
	struct opening *o = s->opening;
	if (o == NULL)
		return;
	loop_timer_stop(s->worker->loop, &o->deadline);
	if (o->dial != NULL)
		dial_cancel(o->dial);
	if (o->udp != NULL)
		udp_stream_cancel(o->udp);
	wire_pair_release(o->pair);
	hop_header_deinit(&o->header);
	hop_generation_release(o->generation);
	seal_wipe(o->ss, sizeof o->ss);
	free(o);
	s->opening = NULL;
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
	charge_return(&s->lookup);
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
	struct opening *o = s->opening;
	struct stream *client = s->client;
	uint64_t n_received = o->header.n_in, start_ms = o->start_ms;
	if (s->worker->options->on_bad == HOP_BAD_RESET) {
		close_now(s, true);
		return;
	}
	enter(s, STATE_CLOSING);
	drain_silent(s->worker->drain, client, n_received, start_ms);
	finish(s);
}

static void log_stranger(const struct hop_session *s)
{
	const struct hop_header *h = &s->opening->header;
	char from[ADDR_TEXT_MAX];
	const char *user = h->entry != NULL ? h->entry->user->name : "-";
	addr_sock_print(&s->peer, from);
	if (h->reason == HOP_REASON_CLOCK)
		LOG_LIMITED(LOG_LEVEL_NOTICE,
			"rejected: authentic, but its clock differs reason=clock from=%s user=%s "
			"off_s=%.1f",
			from, user, (double)h->skew_ms / 1000);
	else
		LOG_LIMITED(LOG_LEVEL_NOTICE, "rejected reason=%s from=%s user=%s",
			hop_header_reason_name(h->reason), from, user);
}

/* Seals the reply. Return: false after the session was ended because that failed. */
static bool seal_reply(struct hop_session *s, struct hop_reply *reply)
{
	const struct opening *o = s->opening;
	const uint8_t *public = o->pair != NULL ? wire_pair_public(o->pair) : NULL;
	if (hop_reply_seal(reply, &o->header, public, loop_wall_us() / 1000) == 0)
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

/* The client's payload stream: the socket itself, or at an exit the records on it. */
static int open_payload(struct hop_session *s, const struct hop_reply *reply, struct stream **ret)
{
	struct secure_options options = { .cipher = s->opening->header.cipher };
	struct wire_secrets secrets;
	*ret = s->client;
	if ((s->opening->header.request->flags & WIRE_E2E) == 0)
		return 0;
	hop_reply_secrets(reply, &s->opening->header, s->opening->ss, &secrets);
	memcpy(options.secret_in, secrets.up, sizeof secrets.up);
	memcpy(options.secret_out, secrets.down, sizeof secrets.down);
	int error = secure_open(s->client, &options, ret);
	seal_wipe(&options, sizeof options);
	seal_wipe(&secrets, sizeof secrets);
	return error;
}

/* A middle hop has the next header in hand; behind all others nothing may come before the answer.
 */
static bool is_addressed_last(const struct wire_request *r)
{
	return r->cmd != WIRE_CONNECT || (r->flags & WIRE_EXIT);
}

/* The hop R addresses last says OK only while nothing came behind R (2.7.1). */
static bool has_early_data(struct hop_session *s)
{
	return is_addressed_last(s->opening->header.request) && tcp_has_input(s->client) != 0;
}

/* Says OK; from then on s->client is the payload. Return: false after the session was ended. */
static bool say_ok(struct hop_session *s, struct hop_reply *reply)
{
	struct stream *payload;
	if (!seal_reply(s, reply))
		return false;
	tcp_watch_hangup(s->client, false);
	if (is_addressed_last(s->opening->header.request))
		stream_write(s->client, bytes_of(reply->bytes, reply->len));
	else
		tcp_write_more(s->client,
			bytes_of(reply->bytes, reply->len)); /* the next hop's answer follows */
	if (open_payload(s, reply, &payload) != 0) {
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

/* docs/protocol.md 2.2, CLIENT: its user's targets hear first whose connection this is. */
static void name_client(
	const struct hop_session *s, struct stream *target, const union addr_sock *address)
{
	const struct wire_request *r = s->opening->header.request;
	uint8_t header[PROXY_HEADER_WRITE];
	if (!s->entry->user->has_proxy_header || !r->has_client || !(r->flags & WIRE_EXIT))
		return;
	size_t len = proxy_header_write(&r->client, address, header);
	stream_write(target, bytes_of(header, len));
}

static void on_dialled(const struct dial_result *result, void *owner)
{
	struct hop_session *s = owner;
	struct opening *o = s->opening;
	struct hop_reply reply = { .response = {
					   .tries = result->n_tries,
					   .resolve_us = result->resolve_us,
					   .connect_us = result->connect_us,
				   } };
	o->dial = NULL;
	charge_return(&s->lookup);
	if (result->error == ERR_DENIED) {
		reply.response.status = (uint8_t)o->check.refusal.status;
		reply.response.detail = o->check.refusal.detail;
	} else if (result->error != 0) {
		hop_reply_status(result, &reply.response.status, &reply.response.detail);
	}
	if (o->header.request->flags & WIRE_TRACE && result->n_tries > 0) {
		reply.response.has_address = true;
		reply.response.address = result->address;
	}
	if (result->error != 0) {
		answer_and_linger(s, &reply);
		return;
	}
	if (has_early_data(s)) {
		stream_drop(result->stream);
		end_early(s, "early-data");
		return;
	}
	name_client(s, result->stream, &result->address);
	start_relay(s, result->stream, &reply);
}

static void on_flow_done(const struct udp_stream_result *result, void *owner)
{
	struct hop_session *s = owner;
	enter(s, STATE_CLOSING);
	log_end(s, result->end, result->n_bytes_up, result->n_bytes_down);
	finish(s);
}

static void on_flow_opened(const struct hop_flow_outcome *outcome, void *owner)
{
	struct hop_session *s = owner;
	struct opening *o = s->opening;
	struct udp_stream *udp = o->udp;
	struct hop_reply reply = { .response = {
					   .status = outcome->status,
					   .detail = outcome->detail,
					   .tries = outcome->tries,
					   .resolve_us = outcome->resolve_us,
					   .connect_us = outcome->connect_us,
					   .has_address = outcome->has_address &&
							  (o->header.request->flags & WIRE_TRACE),
					   .address = outcome->address,
				   } };
	if (outcome->status != STATUS_OK) {
		o->udp = NULL;
		answer_and_linger(s, &reply);
		return;
	}
	if (has_early_data(s)) {
		end_early(s, "early-data");
		return;
	}
	if (!say_ok(s, &reply))
		return;
	o->udp = NULL;
	s->udp = udp;
	enter(s, STATE_RELAY);
	free_opening(s);
	udp_stream_run(udp, s->client, on_flow_done, s);
}

static int open_flow(struct hop_session *s)
{
	struct opening *o = s->opening;
	const struct wire_request *r = o->header.request;
	struct udp_stream_options options = {
		.worker = s->worker,
		.entry = s->entry,
		.to = &r->to,
		.timeout_ms = target_timeout_ms(s->worker->options, r->timeout),
		.unanswered_ms = HOP_FLOW_UNREPLIED_MS,
		.answered_ms = hop_flow_answered_ms(r->to.port),
	};
	hop_user_shapers(s->entry->limits, s->worker->shaper, &options.shapers);
	int error = udp_stream_open(&options, on_flow_opened, s, &o->udp);
	shaper_set_release(&options.shapers);
	return error;
}

static int dial(struct hop_session *s)
{
	struct opening *o = s->opening;
	const struct wire_request *r = o->header.request;
	struct dial_options options = {
		.loop = s->worker->loop,
		.resolver = s->worker->resolver,
		.filter = target_filter,
		.filter_owner = &o->check,
		.timeout_ms = target_timeout_ms(s->worker->options, r->timeout),
		.speaks_first = !is_addressed_last(r),
	};
	o->check = (struct target_check){
		.options = options_of(s),
		.local = s->worker->local,
		.user = s->entry->user,
		.to = &r->to,
	};
	if (!target_check_name(&o->check)) {
		refuse(s, (uint8_t)o->check.refusal.status, o->check.refusal.detail);
		return 0;
	}
	if (r->to.kind == ADDR_NAME && !charge_take(&s->lookup, &s->entry->limits->lookups)) {
		refuse(s, STATUS_LIMIT, 0);
		return 0;
	}
	return dial_start(&options, &r->to, on_dialled, s, &o->dial);
}

static void keep_target(struct hop_session *s, const char *name)
{
	free(s->target);
	s->target = strdup(name);
}

static void reach_target(struct hop_session *s)
{
	const struct wire_request *r = s->opening->header.request;
	char text[ADDR_TEXT_MAX];
	keep_target(s, addr_print(&r->to, text));
	enter(s, STATE_DIAL);
	loop_timer_stop(s->worker->loop, &s->opening->deadline);
	tcp_watch_hangup(s->client, true);
	if ((r->cmd == WIRE_CMD_UDP ? open_flow(s) : dial(s)) != 0)
		refuse(s, STATUS_LOCAL, DETAIL_LOCAL_MEMORY);
}

static void on_expiry(struct timer *timer)
{
	struct hop_worker *w =
		(struct hop_worker *)((char *)timer - offsetof(struct hop_worker, expiry));
	uint64_t due_ms = wire_ephemeral_expire(w->ephemeral, loop_now_ms(w->loop));
	if (due_ms != UINT64_MAX)
		loop_timer_start(w->loop, timer, due_ms, on_expiry);
}

void hop_worker_watch_ephemeral(struct hop_worker *worker)
{
	if (!timer_is_running(&worker->expiry))
		on_expiry(&worker->expiry);
}

void hop_worker_forget(struct hop_worker *worker)
{
	if (worker->loop != NULL)
		loop_timer_stop(worker->loop, &worker->expiry);
	wire_ephemeral_free(worker->ephemeral);
	worker->ephemeral = NULL;
}

/* Line 16: the exit's half of the key agreement. Return: false after an answer was given. */
static bool agree(struct hop_session *s)
{
	struct opening *o = s->opening;
	if ((o->header.request->flags & WIRE_FS) == 0)
		return true;
	o->pair = wire_pair_acquire(s->worker->ephemeral, loop_now_ms(s->worker->loop));
	if (o->pair == NULL) {
		refuse(s, STATUS_LOCAL, DETAIL_LOCAL_MEMORY);
		return false;
	}
	hop_worker_watch_ephemeral(s->worker);
	if (!wire_pair_agree(o->pair, o->header.request->eph, o->ss)) {
		refuse(s, STATUS_BAD_REQUEST, 48);
		return false;
	}
	return true;
}

static void await_header(struct hop_session *s, uint64_t timeout_ms);

/* ECHO and NOOP end here; a NOOP with KEEP begins again. */
static void answer_probe(struct hop_session *s)
{
	struct hop_reply reply = { .response = { .status = STATUS_OK } };
	const struct wire_request *r = s->opening->header.request;
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
	hop_header_deinit(&s->opening->header);
	s->opening->start_ms = loop_now_ms(s->worker->loop);
	await_header(s, NEXT_HEADER_MS);
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
	switch (s->opening->header.request->cmd) {
	case WIRE_ECHO:
	case WIRE_NOOP:
		answer_probe(s);
		return;
	case WIRE_MEASURE:
		keep_target(s, "measure");
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
	if (s->opening->header.request->cmd == WIRE_MEASURE &&
		s->worker->options->refuses_measure) {
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
	if (agree(s))
		serve(s);
}

/* A header is looked up among the users of the moment in which it begins. */
static void begin_header(struct hop_session *s)
{
	struct opening *o = s->opening;
	hop_generation_release(o->generation);
	o->generation = hop_generation_hold(s->worker->generation);
	o->users = s->worker->users;
}

/* Who sent the header is the user from now on. A kept connection holds its charge between its
 * headers: it is the same user's, or another's. */
static void take_entry(struct hop_session *s)
{
	const struct hop_entry *entry = s->opening->header.entry;
	if (s->user_connection.quota != &entry->limits->connections)
		charge_return(&s->user_connection);
	s->entry = entry;
	hop_generation_release(s->generation);
	s->generation = hop_generation_hold(s->opening->generation);
}

static void on_header_bytes(struct hop_session *s, struct bytes data)
{
	struct hop_worker *w = s->worker;
	struct hop_header *h = &s->opening->header;
	bool is_first = h->n_in == 0;
	if (is_first)
		begin_header(s);
	struct hop_header_context context = { .users = s->opening->users, .replay = w->replay };
	enum hop_header_step step =
		hop_header_feed(h, &context, data, loop_wall_ms(), loop_now_ms(w->loop));
	switch (step) {
	case HOP_HEADER_MORE:
		if (is_first && s->entry != NULL)
			await_header(s,
				w->options
					->header_timeout_ms); /* after KEEP: from the first byte */
		else
			stream_read_limit(s->client, hop_header_wants(h));
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
		log_stranger(s);
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

static void on_header_late(struct timer *timer)
{
	struct opening *o = (struct opening *)((char *)timer - offsetof(struct opening, deadline));
	fall_silent(o->session);
}

static void await_header(struct hop_session *s, uint64_t timeout_ms)
{
	loop_timer_start(s->worker->loop, &s->opening->deadline, timeout_ms, on_header_late);
	stream_read_limit(s->client, hop_header_wants(&s->opening->header));
}

void hop_session_start(
	struct hop_worker *worker, struct stream *client, const union addr_sock *peer)
{
	struct hop_session *s = calloc(1, sizeof *s);
	if (s == NULL || (s->opening = calloc(1, sizeof *s->opening)) == NULL) {
		free(s);
		stream_drop(client);
		return;
	}
	s->worker = worker;
	s->client = client;
	s->peer = *peer;
	s->id = ++worker->n_accepted;
	s->start_ms = s->opening->start_ms = loop_now_ms(worker->loop);
	s->opening->session = s;
	hop_header_init(&s->opening->header);
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
	await_header(s, worker->options->header_timeout_ms);
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
