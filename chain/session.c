#include "chain/session.h"

#include "chain/open.h"
#include "common/dial.h"
#include "common/loop.h"
#include "common/secure.h"
#include "common/tcp.h"

#include <stddef.h>
#include <stdlib.h>

#define LOG_MODULE "chain"
#include "common/log.h"

#define SKEW_WARN_MS 5000 /* docs/protocol.md 2.12 */

struct chain_session {
	struct chain_client *client;
	struct addr target;
	struct resolve_query *query; /* of the target's name, with dns: local */
	struct dial *dial;           /* to hop 1 */
	struct chain_open *open;
	struct stream *stream;
	struct timer deadline;
	uint64_t start_ms, written_ms;
	enum chain_purpose purpose;
	size_t n_hops;
	bool is_trace;
	uint32_t timeout_ms;
	struct chain_answers *answers; /* the owner's, or NULL */
	chain_session_fn *on_done;     /* NULL = cancelled or told */
	void *owner;
};

static struct loop *loop_of(const struct chain_session *s)
{
	return chain_client_loop(s->client);
}

static const struct chain_spec *spec_of(const struct chain_session *s)
{
	return chain_client_spec(s->client);
}

/* What is left of @limit_ms, that began at @since_ms, and of the session's own timeout. */
static uint64_t left_ms(const struct chain_session *s, uint64_t since_ms, uint64_t limit_ms)
{
	uint64_t now_ms = loop_now_ms(loop_of(s));
	uint64_t end_ms = since_ms + limit_ms;
	if (s->timeout_ms > 0 && s->start_ms + s->timeout_ms < end_ms)
		end_ms = s->start_ms + s->timeout_ms;
	return end_ms > now_ms ? end_ms - now_ms : 0;
}

/* The one place where a session ends: everything it holds is let go, the stream only when it is
 * still its own. */
static void end(struct chain_session *s)
{
	loop_timer_stop(loop_of(s), &s->deadline);
	if (s->query != NULL)
		resolve_cancel(s->query);
	if (s->dial != NULL)
		dial_cancel(s->dial);
	if (s->stream != NULL)
		stream_drop(s->stream);
	chain_open_free(s->open);
	free(s);
}

static void fail(struct chain_session *s, const struct chain_error *error)
{
	chain_session_fn *on_done = s->on_done;
	void *owner = s->owner;
	struct chain_error copy = *error;
	copy.n_hops = (uint8_t)spec_of(s)->n_hops;
	copy.elapsed_ms = (uint32_t)(loop_now_ms(loop_of(s)) - s->start_ms);
	end(s);
	on_done(NULL, &copy, owner);
}

static void fail_setup(struct chain_session *s, int code)
{
	struct chain_error error = { .stage = CHAIN_SETUP, .hop = 1, .code = code };
	fail(s, &error);
}

static void fail_waiting(struct chain_session *s, int code)
{
	struct chain_error error;
	chain_open_fail(s->open, code, &error);
	fail(s, &error);
}

static void warn_of_skew(const struct chain_session *s)
{
	uint64_t now_ms = loop_wall_ms();
	for (unsigned i = 1; i <= s->n_hops; i++) {
		int64_t skew_ms = (int64_t)(chain_open_response(s->open, i)->val - now_ms);
		if (skew_ms <= SKEW_WARN_MS && skew_ms >= -SKEW_WARN_MS)
			continue;
		LOG_LIMITED(LOG_LEVEL_WARNING,
			"this machine's clock differs from a hop's hop=%u behind_s=%lld", i,
			(long long)(skew_ms / 1000));
	}
}

static void succeed(struct chain_session *s, struct stream *payload)
{
	chain_session_fn *on_done = s->on_done;
	void *owner = s->owner;
	s->stream = NULL;
	end(s);
	on_done(payload, NULL, owner);
}

/* Every hop said OK. */
static void hand_over(struct chain_session *s)
{
	struct secure_options options = { 0 };
	struct wire_secrets secrets;
	uint8_t cipher;
	struct stream *payload = s->stream;
	warn_of_skew(s);
	if (chain_open_secrets(s->open, &cipher, &secrets)) {
		options.cipher = cipher;
		memcpy(options.secret_out, secrets.up, sizeof secrets.up);
		memcpy(options.secret_in, secrets.down, sizeof secrets.down);
		int error = secure_open(s->stream, &options, &payload);
		seal_wipe(&options, sizeof options);
		seal_wipe(&secrets, sizeof secrets);
		if (error != 0) {
			fail_setup(s, error);
			return;
		}
	}
	succeed(s, payload);
}

static void on_late(struct timer *timer)
{
	struct chain_session *s =
		(struct chain_session *)((char *)timer - offsetof(struct chain_session, deadline));
	fail_waiting(s, ERR_TIMEOUT);
}

/* The deadline of the answer awaited counts from the write of the stack. */
static void await(struct chain_session *s)
{
	loop_timer_start(loop_of(s), &s->deadline,
		left_ms(s, s->written_ms, chain_open_deadline_ms(s->open)), on_late);
	stream_read_limit(s->stream, chain_open_wants(s->open));
}

/* How many S are here: that of a hop that refuses counts. */
static size_t n_answered(const struct chain_session *s, enum chain_open_step step)
{
	bool is_read =
		step == CHAIN_OPEN_DONE ||
		(step == CHAIN_OPEN_FAILED && chain_open_error(s->open)->stage == CHAIN_STATUS);
	return chain_open_hop(s->open) - (is_read ? 0 : 1);
}

static void note_answers(struct chain_session *s, enum chain_open_step step, uint64_t now_us)
{
	size_t n = n_answered(s, step);
	uint64_t wall_us = loop_wall_us();
	for (size_t i = s->answers->n_answers; i < n; i++)
		chain_answers_set(s->answers, i, chain_open_response(s->open, (unsigned)i + 1),
			true, now_us, wall_us);
}

static void on_answer(struct chain_session *s, struct bytes data)
{
	uint64_t now_us = s->answers != NULL ? loop_clock_us() : 0;
	enum chain_open_step step =
		chain_open_feed(s->open, data, loop_wall_ms(), loop_now_ms(loop_of(s)));
	if (s->answers != NULL)
		note_answers(s, step, now_us);
	switch (step) {
	case CHAIN_OPEN_MORE:
		await(s);
		return;
	case CHAIN_OPEN_DONE:
		hand_over(s);
		return;
	case CHAIN_OPEN_FAILED:
		fail(s, chain_open_error(s->open));
		return;
	}
}

static void on_event(struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct chain_session *s = owner;
	switch (event) {
	case STREAM_DATA:
		on_answer(s, data);
		return;
	case STREAM_EOF:
		fail_waiting(s, ERR_PIPE);
		return;
	case STREAM_FAILED:
		fail_waiting(s, stream->error);
		return;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
	case STREAM_CLOSED:
		return;
	}
}

static uint8_t command_of(enum chain_purpose purpose)
{
	switch (purpose) {
	case CHAIN_TO_TARGET:
		return WIRE_CONNECT;
	case CHAIN_TO_FLOW:
		return WIRE_CMD_UDP;
	case CHAIN_TO_MEASURE:
		return WIRE_MEASURE;
	case CHAIN_TO_ECHO:
		break;
	}
	return WIRE_ECHO;
}

/* Datagrams are sealed through a header-only chain, too; an echo has no payload. */
static bool is_sealed(const struct chain_session *s)
{
	if (s->purpose == CHAIN_TO_ECHO)
		return false;
	return s->purpose == CHAIN_TO_FLOW || !spec_of(s)->is_header_only;
}

static int seal_headers(struct chain_session *s)
{
	struct chain_open_options options = {
		.spec = spec_of(s),
		.n_hops = s->n_hops,
		.cmd = command_of(s->purpose),
		.target = &s->target,
		.is_trace = s->is_trace,
		.left_ms = s->timeout_ms > 0 ? left_ms(s, s->start_ms, s->timeout_ms) : 0,
		.ephemeral = is_sealed(s) ? chain_client_ephemeral(s->client) : NULL,
	};
	return chain_open_new(&options, loop_wall_ms(), loop_now_ms(loop_of(s)), &s->open);
}

static void note_dial(struct chain_session *s, const struct dial_result *result)
{
	struct chain_answers *a = s->answers;
	if (a == NULL)
		return;
	a->resolve_us = result->resolve_us;
	a->connect_us = result->connect_us;
	a->tries = result->n_tries;
	a->has_address = result->n_tries > 0;
	a->address = result->address;
}

/* No socket could be made: no hop is at fault. */
static bool is_local(int code)
{
	return code == -EMFILE || code == -ENFILE || code == ERR_NOMEM || code == -ENOBUFS;
}

/* What is dialled here: hop 1, or the target where there is none. */
static const struct addr *first_address(const struct chain_session *s)
{
	return s->n_hops > 0 ? &spec_of(s)->hops[0].addr : &s->target;
}

/* No address was tried: the name is what failed. */
static void fail_dial(struct chain_session *s, const struct dial_result *result)
{
	if (is_local(result->error)) {
		fail_setup(s, result->error);
		return;
	}
	struct chain_error error = {
		.hop = s->n_hops > 0 ? 1 : 0,
		.stage = result->n_tries == 0 ? CHAIN_RESOLVE : CHAIN_DIAL,
		.code = result->is_resolving ? ERR_DNS_TIMEOUT : result->error,
		.address = *first_address(s),
	};
	fail(s, &error);
}

static void on_dialled(const struct dial_result *result, void *owner)
{
	struct chain_session *s = owner;
	s->dial = NULL;
	note_dial(s, result);
	if (result->error != 0) {
		fail_dial(s, result);
		return;
	}
	s->stream = result->stream;
	if (s->n_hops == 0) {
		succeed(s, s->stream);
		return;
	}
	stream_own(s->stream, on_event, s);
	int error = seal_headers(s);
	if (error != 0) {
		fail_setup(s, error);
		return;
	}
	s->written_ms = loop_now_ms(loop_of(s));
	if (s->answers != NULL)
		s->answers->written_us = loop_clock_us() - s->answers->start_us;
	stream_write(s->stream, chain_open_request(s->open));
	await(s);
}

static int dial_first(struct chain_session *s)
{
	struct dial_options options = {
		.loop = loop_of(s),
		.resolver = chain_client_resolver(s->client),
		.timeout_ms = left_ms(s, loop_now_ms(loop_of(s)), spec_of(s)->connect_timeout_ms),
		.speaks_first = s->n_hops > 0,
	};
	return dial_start(&options, first_address(s), on_dialled, s, &s->dial);
}

static void on_target_resolved(int error, const union addr_sock *addresses, size_t n, void *owner)
{
	struct chain_session *s = owner;
	uint16_t port = s->target.port;
	s->query = NULL;
	if (error == 0 && n == 0)
		error = ERR_NO_ADDRESS;
	if (error != 0) {
		struct chain_error told = {
			.stage = CHAIN_RESOLVE, .code = error, .address = s->target
		};
		fail(s, &told);
		return;
	}
	addr_from_sock(&addresses[0], &s->target);
	s->target.port = port;
	error = dial_first(s);
	if (error != 0)
		fail_setup(s, error);
}

int chain_session_start(struct chain_client *client, const struct chain_session_options *options,
	chain_session_fn *on_done, void *owner, struct chain_session **ret)
{
	int error;
	if (chain_client_spec(client)->n_hops == 0 && options->purpose != CHAIN_TO_TARGET)
		return ERR_INVAL;
	struct chain_session *s = calloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	s->client = client;
	s->purpose = options->purpose;
	s->n_hops = options->n_hops != 0 ? options->n_hops : spec_of(s)->n_hops;
	s->is_trace = options->is_trace;
	s->timeout_ms = options->timeout_ms;
	s->answers = options->answers;
	if (s->answers != NULL)
		s->answers->start_us = loop_clock_us();
	if (options->target != NULL)
		s->target = *options->target;
	s->start_ms = loop_now_ms(loop_of(s));
	s->on_done = on_done;
	s->owner = owner;
	if (s->n_hops > 0 && spec_of(s)->resolves_locally && s->target.kind == ADDR_NAME &&
		chain_client_resolver(client) != NULL)
		error = resolve_start(chain_client_resolver(client), s->target.name,
			left_ms(s, s->start_ms, spec_of(s)->connect_timeout_ms), on_target_resolved,
			s, &s->query);
	else
		error = dial_first(s);
	if (error != 0) {
		free(s);
		return error;
	}
	*ret = s;
	return 0;
}

void chain_session_cancel(struct chain_session *session)
{
	end(session);
}
