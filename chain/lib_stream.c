#include "chain/attempt.h"
#include "chain/lib_state.h"
#include "common/tcp.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#define QUIET_MS 60000 /* then a vanished path may be noticed later (decisions/0007) */

enum state {
	STATE_CHAIN, /* waits for the hops' answers */
	STATE_OPEN,
	STATE_FAILED,  /* waits for the caller to close */
	STATE_CLOSING, /* CLOSED is on its way */
	N_STATES,
};

static const unsigned next_states[N_STATES] = {
	[STATE_CHAIN] = 1u << STATE_OPEN | 1u << STATE_FAILED | 1u << STATE_CLOSING,
	[STATE_OPEN] = 1u << STATE_FAILED | 1u << STATE_CLOSING,
	[STATE_FAILED] = 1u << STATE_CLOSING,
};

struct hopchain_stream {
	struct lib_item item;
	hopchain_stream_fn *fn;
	void *owner;
	struct chain_attempt *attempt; /* CHAIN */
	struct stream *stream;         /* the payload, from OPEN until it has closed */
	uint64_t started_ms, moved_ms;
	struct addr first, exit; /* of the way it goes, from OPEN on */
	uint8_t state;
	bool wants_read;
	struct chain_answers answers;
	struct lib_answers *told; /* NULL until asked for */
	struct lib_error error;
};

static struct loop *loop_of(const struct hopchain_stream *s)
{
	return s->item.client->loop;
}

static void enter(struct hopchain_stream *s, enum state next)
{
	bool is_allowed = (next_states[s->state] & 1u << next) != 0;
	assert(is_allowed);
	(void)is_allowed;
	s->state = (uint8_t)next;
}

static void emit(struct hopchain_stream *s, enum hopchain_event event, const void *data, size_t len)
{
	s->fn(s, event, data, len, s->owner);
}

/* The one place a stream goes. */
static void finish(struct hopchain_stream *s)
{
	emit(s, HOPCHAIN_CLOSED, NULL, 0);
	lib_client_remove(&s->item);
	free(s->told);
	free(s);
}

static void on_closed(struct task *task)
{
	finish((struct hopchain_stream *)((char *)task -
					  offsetof(struct hopchain_stream, item.task)));
}

static void fail(struct hopchain_stream *s, const struct chain_error *error)
{
	enter(s, STATE_FAILED);
	lib_error_set(&s->error, error);
	emit(s, HOPCHAIN_FAILED, NULL, 0); /* may close @s */
}

/* The exit's word is authentic; whatever else breaks a stream is seen at the first hop. */
static void fail_payload(struct hopchain_stream *s, int code)
{
	size_t n_hops = s->item.client->chain->spec->n_hops;
	size_t hop = code == ERR_CANCELED ? n_hops : 1;
	struct chain_error error = {
		.stage = CHAIN_PAYLOAD,
		.hop = (uint8_t)hop,
		.n_hops = (uint8_t)n_hops,
		.code = code,
		.elapsed_ms = (uint32_t)(loop_now_ms(loop_of(s)) - s->started_ms),
		.address = code == ERR_CANCELED ? s->exit : s->first,
	};
	stream_read_stop(s->stream);
	fail(s, &error);
}

static void on_event(struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct hopchain_stream *s = owner;
	if (event == STREAM_CLOSED) {
		finish(s);
		return;
	}
	if (s->state != STATE_OPEN)
		return;
	switch (event) {
	case STREAM_DATA:
		s->moved_ms = loop_now_ms(loop_of(s));
		emit(s, HOPCHAIN_DATA, data.ptr, data.len);
		return;
	case STREAM_DRAINED:
		emit(s, HOPCHAIN_DRAINED, NULL, 0);
		return;
	case STREAM_EOF:
		emit(s, HOPCHAIN_EOF, NULL, 0);
		return;
	case STREAM_FAILED:
		fail_payload(s, stream->error);
		return;
	case STREAM_CONNECTED:
	case STREAM_CLOSED:
		return;
	}
}

static void on_attempt(struct stream *stream, const struct chain_spec *way,
	const struct chain_error *error, void *owner)
{
	struct hopchain_stream *s = owner;
	s->attempt = NULL;
	if (error != NULL) {
		fail(s, error);
		return;
	}
	enter(s, STATE_OPEN);
	s->first = way->hops[0].addr;
	s->exit = way->hops[way->n_hops - 1].addr;
	s->stream = stream;
	s->moved_ms = loop_now_ms(loop_of(s));
	stream_own(stream, on_event, s);
	if (tcp_is(stream))
		tcp_cut_on_death(stream);
	if (s->wants_read)
		stream_read_start(stream);
	lib_client_watch(s->item.client);
	emit(s, HOPCHAIN_CONNECTED, NULL, 0); /* may close @s */
}

static bool on_tick(struct lib_item *item, uint64_t now_ms)
{
	struct hopchain_stream *s = (struct hopchain_stream *)item;
	uint32_t idle_ms = item->client->chain->spec->idle_timeout_ms;
	uint64_t quiet_ms = now_ms - s->moved_ms;
	if (s->state == STATE_CHAIN)
		return true;
	if (s->state != STATE_OPEN)
		return false;
	if (stream_is_stalled(s->stream, now_ms, quiet_ms >= QUIET_MS))
		fail_payload(s, ERR_STALLED);
	else if (idle_ms > 0 && quiet_ms >= idle_ms)
		fail_payload(s, ERR_IDLE);
	else
		return true;
	return false;
}

static void end(struct hopchain_stream *s, bool is_orderly)
{
	if (s->state == STATE_CLOSING)
		return;
	bool is_open = s->state == STATE_OPEN;
	enter(s, STATE_CLOSING);
	if (s->attempt != NULL)
		chain_attempt_cancel(s->attempt);
	s->attempt = NULL;
	if (s->stream == NULL) {
		loop_defer(loop_of(s), &s->item.task, on_closed);
	} else if (is_open && is_orderly) {
		(void)stream_shutdown(s->stream);
		stream_close(s->stream);
	} else {
		stream_abort(s->stream);
	}
}

static void drop(struct lib_item *item)
{
	end((struct hopchain_stream *)item, false);
}

static int start(struct hopchain_client *client, const struct chain_attempt_options *options,
	hopchain_stream_fn *fn, void *owner, struct hopchain_stream **ret)
{
	static const struct lib_item_ops ops = { .drop = drop, .tick = on_tick };
	struct chain_attempt_options mine = *options;
	if (client->is_closing)
		return ERR_CANCEL;
	struct hopchain_stream *s = calloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	mine.is_trace = true;
	mine.answers = &s->answers;
	s->fn = fn;
	s->owner = owner;
	s->started_ms = loop_now_ms(client->loop);
	int error = chain_attempt_start(client->upstream, &mine, on_attempt, s, &s->attempt);
	if (error != 0) {
		free(s);
		return error;
	}
	lib_client_add(client, &s->item, &ops);
	*ret = s;
	return 0;
}

int hopchain_connect(struct hopchain_client *client, const char *target, hopchain_stream_fn *fn,
	void *owner, struct hopchain_stream **ret)
{
	struct addr addr;
	struct chain_attempt_options options = { .purpose = CHAIN_TO_TARGET, .target = &addr };
	int error = lib_target(client->chain, target, &addr);
	return error != 0 ? error : start(client, &options, fn, owner, ret);
}

int hopchain_connect_measure(struct hopchain_client *client, hopchain_stream_fn *fn, void *owner,
	struct hopchain_stream **ret)
{
	struct chain_attempt_options options = { .purpose = CHAIN_TO_MEASURE };
	return start(client, &options, fn, owner, ret);
}

void hopchain_read_start(struct hopchain_stream *stream)
{
	if (stream->wants_read)
		return;
	stream->wants_read = true;
	if (stream->state == STATE_OPEN)
		stream_read_start(stream->stream);
}

void hopchain_read_stop(struct hopchain_stream *stream)
{
	stream->wants_read = false;
	if (stream->state == STATE_OPEN)
		stream_read_stop(stream->stream);
}

bool hopchain_write(struct hopchain_stream *stream, const void *data, size_t len)
{
	if (stream->state != STATE_OPEN)
		return false;
	stream->moved_ms = loop_now_ms(loop_of(stream));
	return stream_write(stream->stream, bytes_of(data, len));
}

bool hopchain_shutdown(struct hopchain_stream *stream)
{
	return stream->state == STATE_OPEN && stream_shutdown(stream->stream);
}

void hopchain_close(struct hopchain_stream *stream)
{
	end(stream, true);
}

void hopchain_abort(struct hopchain_stream *stream)
{
	end(stream, false);
}

const struct hopchain_error *hopchain_stream_error(const struct hopchain_stream *stream)
{
	return stream->error.error.slug != NULL ? &stream->error.error : NULL;
}

const struct hopchain_answer *hopchain_stream_answers(
	const struct hopchain_stream *stream, size_t *ret_n)
{
	/* What was told is a copy for the caller: no part of the stream's state. */
	struct hopchain_stream *s = (struct hopchain_stream *)(uintptr_t)stream;
	*ret_n = 0;
	if (s->told == NULL)
		s->told = calloc(1, sizeof *s->told);
	if (s->told == NULL)
		return NULL;
	lib_answers_set(s->told, &s->answers, s->item.client->chain);
	*ret_n = s->told->n;
	return s->told->list;
}

void hopchain_stream_set_owner(struct hopchain_stream *stream, void *owner)
{
	stream->owner = owner;
}
