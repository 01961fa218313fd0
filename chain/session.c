#include "chain/session.h"

#include "chain/dialled.h"
#include "chain/pool.h"
#include "common/dial.h"
#include "common/loop.h"
#include "common/secure.h"
#include "common/tcp.h"

#include <stddef.h>
#include <stdlib.h>

struct chain_session {
	struct chain_client *client;
	struct addr target;
	union addr_sock client_at;   /* AF_UNSPEC: is not told */
	struct resolve_query *query; /* of the target's name, with dns: local */
	struct dial *dial;           /* to the first step */
	struct chain_leg *leg;       /* under way on stream */
	struct stream *stream;
	struct timer deadline;
	uint64_t start_ms, leg_ms; /* leg_ms: when the leg began */
	enum chain_purpose purpose;
	size_t n_hops, i_step;  /* i_step: where the stream leads, 0-based */
	bool is_trace, is_warm; /* is_warm: the stream was lent, and has not answered yet */
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
	chain_leg_free(s->leg);
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
	chain_leg_fail(s->leg, code, &error);
	fail(s, &error);
}

static void succeed(struct chain_session *s, struct stream *payload)
{
	chain_session_fn *on_done = s->on_done;
	void *owner = s->owner;
	s->stream = NULL;
	end(s);
	on_done(payload, NULL, owner);
}

/* ---- legs ---- */

static int start_leg(struct chain_session *s);

/* Records on the stream, if the leg's hop was asked to seal. */
static int seal_stream(struct chain_session *s)
{
	struct secure_options options = { 0 };
	struct wire_secrets secrets;
	uint8_t cipher;
	if (!chain_leg_secrets(s->leg, &cipher, &secrets))
		return 0;
	options.cipher = cipher;
	memcpy(options.secret_out, secrets.up, sizeof secrets.up);
	memcpy(options.secret_in, secrets.down, sizeof secrets.down);
	int error = secure_open(s->stream, &options, &s->stream);
	seal_wipe(&options, sizeof options);
	seal_wipe(&secrets, sizeof secrets);
	return error;
}

static void end_leg(struct chain_session *s)
{
	loop_timer_stop(loop_of(s), &s->deadline);
	chain_leg_warn(s->leg);
	s->i_step = chain_leg_end(s->leg);
	int error = seal_stream(s);
	if (error == 0 && s->i_step == s->n_hops) {
		succeed(s, s->stream);
		return;
	}
	if (error == 0)
		error = start_leg(s);
	if (error != 0)
		fail_setup(s, error);
}

static void on_late(struct timer *timer)
{
	struct chain_session *s =
		(struct chain_session *)((char *)timer - offsetof(struct chain_session, deadline));
	fail_waiting(s, ERR_TIMEOUT);
}

/* The deadline of the answer awaited counts from the begin of the leg. */
static void go_on(struct chain_session *s)
{
	struct bytes out = chain_leg_output(s->leg);
	size_t n_wanted = chain_leg_wants(s->leg);
	if (out.len > 0)
		stream_write(s->stream, out);
	if (n_wanted == 0) {
		if (s->answers != NULL)
			chain_leg_note(s->leg, CHAIN_LEG_DONE, s->answers, loop_clock_us());
		end_leg(s);
		return;
	}
	loop_timer_start(loop_of(s), &s->deadline,
		left_ms(s, s->leg_ms, chain_leg_deadline_ms(s->leg)), on_late);
	stream_read_limit(s->stream, n_wanted);
}

static void on_answer(struct chain_session *s, struct bytes data)
{
	uint64_t now_us = s->answers != NULL ? loop_clock_us() : 0;
	enum chain_leg_step step = chain_leg_feed(s->leg, data);
	if (s->answers != NULL)
		chain_leg_note(s->leg, step, s->answers, now_us);
	switch (step) {
	case CHAIN_LEG_MORE:
		go_on(s);
		return;
	case CHAIN_LEG_DONE:
		end_leg(s);
		return;
	case CHAIN_LEG_FAILED:
		fail(s, chain_leg_error(s->leg));
		return;
	}
}

static int dial_first(struct chain_session *s);

/* The stream ended. One that was lent and has not said a byte has died unseen while it was idle:
 * once, a fresh one takes its place (docs/protocol.md 2.7.7). */
static void on_end(struct chain_session *s, int code)
{
	if (!s->is_warm || !chain_leg_is_silent(s->leg)) {
		fail_waiting(s, code);
		return;
	}
	chain_pools_died(s->client, s->i_step + 1);
	loop_timer_stop(loop_of(s), &s->deadline);
	stream_drop(s->stream);
	s->stream = NULL;
	chain_leg_free(s->leg);
	s->leg = NULL;
	s->is_warm = false;
	s->i_step = 0;
	if (s->answers != NULL)
		*s->answers = (struct chain_answers){ .start_us = s->answers->start_us };
	int error = dial_first(s);
	if (error != 0)
		fail_setup(s, error);
}

static void on_event(struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct chain_session *s = owner;
	switch (event) {
	case STREAM_DATA:
		on_answer(s, data);
		return;
	case STREAM_EOF:
		on_end(s, ERR_PIPE);
		return;
	case STREAM_FAILED:
		on_end(s, stream->error);
		return;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
	case STREAM_CLOSED:
		return;
	}
}

/* From the step where the stream leads. */
static int start_leg(struct chain_session *s)
{
	struct chain_leg_options options = {
		.client = s->client,
		.purpose = s->purpose,
		.first = s->i_step,
		.n_hops = s->n_hops,
		.target = &s->target,
		.client_at = s->client_at.any.sa_family != AF_UNSPEC ? &s->client_at : NULL,
		.is_trace = s->is_trace,
		.left_ms = s->timeout_ms > 0 ? left_ms(s, s->start_ms, s->timeout_ms) : 0,
	};
	chain_leg_free(s->leg);
	s->leg = NULL;
	int error = chain_leg_new(&options, &s->leg);
	if (error != 0)
		return error;
	stream_own(s->stream, on_event, s);
	s->leg_ms = loop_now_ms(loop_of(s));
	if (s->answers != NULL && s->answers->written_us == 0)
		s->answers->written_us = loop_clock_us() - s->answers->start_us;
	go_on(s);
	return 0;
}

/* ---- the way to the first step ---- */

/* What is dialled here: hop 1, or the target where there is none. */
static const struct addr *first_address(const struct chain_session *s)
{
	return s->n_hops > 0 ? &spec_of(s)->hops[0].addr : &s->target;
}

static void on_dialled(const struct dial_result *result, void *owner)
{
	struct chain_session *s = owner;
	s->dial = NULL;
	if (s->answers != NULL)
		chain_dialled_note(result, s->answers);
	if (result->error != 0) {
		struct chain_error error = { .hop = s->n_hops > 0 ? 1 : 0,
			.address = *first_address(s) };
		chain_dialled_fail(result, &error);
		fail(s, &error);
		return;
	}
	s->stream = result->stream;
	if (s->n_hops == 0) {
		succeed(s, s->stream);
		return;
	}
	int error = start_leg(s);
	if (error != 0)
		fail_setup(s, error);
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

/* Who measures wants the whole way. */
static bool may_borrow(const struct chain_session *s)
{
	bool has_payload = s->purpose == CHAIN_TO_TARGET || s->purpose == CHAIN_TO_FLOW ||
			   s->purpose == CHAIN_TO_MEASURE;
	return has_payload && !s->is_trace;
}

static int begin(struct chain_session *s)
{
	struct chain_warm warm;
	if (!may_borrow(s) || !chain_pools_take(s->client, &warm))
		return dial_first(s);
	s->stream = warm.stream;
	s->is_warm = true;
	s->i_step = warm.n_hops - 1;
	if (s->answers != NULL)
		s->answers->n_warm = s->i_step;
	return start_leg(s);
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
	error = begin(s);
	if (error != 0)
		fail_setup(s, error);
}

static void on_impossible(struct timer *timer)
{
	struct chain_session *s =
		(struct chain_session *)((char *)timer - offsetof(struct chain_session, deadline));
	struct chain_error error;
	(void)chain_leg_is_possible(spec_of(s), s->purpose, s->n_hops, &error);
	fail(s, &error);
}

static int start(struct chain_session *s)
{
	struct resolver *resolver = chain_client_resolver(s->client);
	struct chain_error error;
	if (!chain_leg_is_possible(spec_of(s), s->purpose, s->n_hops, &error)) {
		loop_timer_start(loop_of(s), &s->deadline, 0, on_impossible);
		return 0;
	}
	if (s->n_hops > 0 && spec_of(s)->resolves_locally && s->target.kind == ADDR_NAME &&
		resolver != NULL)
		return resolve_start(resolver, s->target.name,
			left_ms(s, s->start_ms, spec_of(s)->connect_timeout_ms), on_target_resolved,
			s, &s->query);
	return begin(s);
}

int chain_session_start(struct chain_client *client, const struct chain_session_options *options,
	chain_session_fn *on_done, void *owner, struct chain_session **ret)
{
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
	if (options->client != NULL)
		s->client_at = *options->client;
	s->start_ms = loop_now_ms(loop_of(s));
	s->on_done = on_done;
	s->owner = owner;
	int error = start(s);
	if (error != 0) {
		end(s);
		return error;
	}
	*ret = s;
	return 0;
}

void chain_session_late(const struct chain_session *s, struct chain_error *ret)
{
	*ret = (struct chain_error){ .code = ERR_TIMEOUT, .address = *first_address(s) };
	if (s->leg != NULL) {
		chain_leg_fail(s->leg, ERR_TIMEOUT, ret);
	} else if (s->query != NULL) {
		ret->stage = CHAIN_RESOLVE;
	} else {
		ret->stage = CHAIN_DIAL;
		ret->hop = s->n_hops > 0 ? 1 : 0;
	}
	ret->n_hops = (uint8_t)spec_of(s)->n_hops;
	ret->elapsed_ms = (uint32_t)(loop_now_ms(loop_of(s)) - s->start_ms);
}

void chain_session_cancel(struct chain_session *session)
{
	end(session);
}
