#include "chain/session.h"

#include "chain/datagram.h"
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

struct chain_client {
	struct loop *loop;
	struct resolver *resolver;
	const struct chain_spec *spec;
	struct wire_ephemeral *ephemeral;
	struct timer expiry; /* of the ephemeral pair: wiped also when nobody connects any more */
	enum chain_udp_path udp_path;
	uint64_t udp_lost_ms; /* when it was found LOST */
};

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
	chain_session_fn *on_done; /* NULL = cancelled or told */
	void *owner;
};

int chain_client_new(struct loop *loop, struct resolver *resolver, const struct chain_spec *spec,
	struct chain_client **ret)
{
	struct chain_client *client = calloc(1, sizeof *client);
	if (client == NULL)
		return ERR_NOMEM;
	client->loop = loop;
	client->resolver = resolver;
	client->spec = spec;
	/* Of a header-only chain, too: datagrams are always sealed. It is empty until used. */
	int error = wire_ephemeral_new(spec->ephemeral_window_ms, &client->ephemeral);
	if (error != 0) {
		free(client);
		return error;
	}
	*ret = client;
	return 0;
}

void chain_client_free(struct chain_client *client)
{
	if (client == NULL)
		return;
	loop_timer_stop(client->loop, &client->expiry);
	wire_ephemeral_free(client->ephemeral);
	free(client);
}

static void on_expiry(struct timer *timer)
{
	struct chain_client *client =
		(struct chain_client *)((char *)timer - offsetof(struct chain_client, expiry));
	uint64_t due_ms = wire_ephemeral_expire(client->ephemeral, loop_now_ms(client->loop));
	if (due_ms != UINT64_MAX)
		loop_timer_start(client->loop, timer, due_ms, on_expiry);
}

struct loop *chain_client_loop(const struct chain_client *client)
{
	return client->loop;
}

struct resolver *chain_client_resolver(const struct chain_client *client)
{
	return client->resolver;
}

const struct chain_spec *chain_client_spec(const struct chain_client *client)
{
	return client->spec;
}

struct wire_ephemeral *chain_client_ephemeral(struct chain_client *client)
{
	if (!timer_is_running(&client->expiry))
		loop_timer_start(client->loop, &client->expiry, client->spec->ephemeral_window_ms,
			on_expiry);
	return client->ephemeral;
}

enum chain_udp_path chain_client_udp_path(const struct chain_client *client)
{
	if (client->udp_path == CHAIN_UDP_LOST &&
		loop_now_ms(client->loop) - client->udp_lost_ms >= CHAIN_UDP_AGAIN_MS)
		return CHAIN_UDP_UNKNOWN;
	return client->udp_path;
}

void chain_client_set_udp_path(struct chain_client *client, enum chain_udp_path path)
{
	client->udp_path = path;
	client->udp_lost_ms = loop_now_ms(client->loop);
}

/* The one place where a session ends: everything it holds is let go, the stream only when it is
 * still its own. */
static void end(struct chain_session *s)
{
	loop_timer_stop(s->client->loop, &s->deadline);
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
	copy.n_hops = (uint8_t)s->client->spec->n_hops;
	copy.elapsed_ms = (uint32_t)(loop_now_ms(s->client->loop) - s->start_ms);
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
	int64_t now_ms = (int64_t)loop_wall_ms();
	for (unsigned i = 1; i <= s->n_hops; i++) {
		int64_t skew_ms = (int64_t)chain_open_response(s->open, i)->val - now_ms;
		if (skew_ms <= SKEW_WARN_MS && skew_ms >= -SKEW_WARN_MS)
			continue;
		LOG_LIMITED(LOG_LEVEL_WARNING,
			"this machine's clock differs from a hop's hop=%u behind_s=%lld", i,
			(long long)(skew_ms / 1000));
	}
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
	chain_session_fn *on_done = s->on_done;
	void *owner = s->owner;
	s->stream = NULL;
	end(s);
	on_done(payload, NULL, owner);
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
	uint64_t passed_ms = loop_now_ms(s->client->loop) - s->written_ms;
	uint64_t due_ms = chain_open_deadline_ms(s->open);
	loop_timer_start(s->client->loop, &s->deadline, due_ms > passed_ms ? due_ms - passed_ms : 0,
		on_late);
	stream_read_limit(s->stream, chain_open_wants(s->open));
}

static void on_answer(struct chain_session *s, struct bytes data)
{
	switch (chain_open_feed(s->open, data, loop_wall_ms(), loop_now_ms(s->client->loop))) {
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
	return s->purpose == CHAIN_TO_FLOW || !s->client->spec->is_header_only;
}

static int seal_headers(struct chain_session *s)
{
	struct chain_open_options options = {
		.spec = s->client->spec,
		.n_hops = s->n_hops,
		.cmd = command_of(s->purpose),
		.target = &s->target,
		.is_trace = s->is_trace,
		.ephemeral = is_sealed(s) ? chain_client_ephemeral(s->client) : NULL,
	};
	return chain_open_new(&options, loop_wall_ms(), loop_now_ms(s->client->loop), &s->open);
}

static void on_dialled(const struct dial_result *result, void *owner)
{
	struct chain_session *s = owner;
	s->dial = NULL;
	if (result->error != 0) {
		struct chain_error error = {
			.hop = 1,
			.stage = result->is_resolving ? CHAIN_RESOLVE : CHAIN_DIAL,
			.code = result->error,
			.address = s->client->spec->hops[0].addr,
		};
		fail(s, &error);
		return;
	}
	s->stream = result->stream;
	stream_own(s->stream, on_event, s);
	int error = seal_headers(s);
	if (error != 0) {
		fail_setup(s, error);
		return;
	}
	s->written_ms = loop_now_ms(s->client->loop);
	stream_write(s->stream, chain_open_request(s->open));
	await(s);
}

static int dial_first(struct chain_session *s)
{
	struct dial_options options = {
		.loop = s->client->loop,
		.resolver = s->client->resolver,
		.timeout_ms = s->client->spec->connect_timeout_ms,
		.speaks_first = true,
	};
	return dial_start(&options, &s->client->spec->hops[0].addr, on_dialled, s, &s->dial);
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
	struct chain_session *s = calloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	s->client = client;
	s->purpose = options->purpose;
	s->n_hops = options->n_hops != 0 ? options->n_hops : client->spec->n_hops;
	s->is_trace = options->is_trace;
	s->timeout_ms = options->timeout_ms;
	if (options->target != NULL)
		s->target = *options->target;
	s->start_ms = loop_now_ms(client->loop);
	s->on_done = on_done;
	s->owner = owner;
	if (client->spec->resolves_locally && s->target.kind == ADDR_NAME &&
		client->resolver != NULL)
		error = resolve_start(client->resolver, s->target.name,
			client->spec->connect_timeout_ms, on_target_resolved, s, &s->query);
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
