#include "chain/flow_stream.h"

#include "chain/waiting.h"
#include "chain/wire_frame.h"
#include "common/loop.h"

#include <stdlib.h>

#define LOG_MODULE "chain"
#include "common/log.h"

#define SMALL 2048 /* up to here header and datagram go out in one write, as one record */

struct flow_stream {
	struct chain_client *client;
	struct addr target;
	const struct flow_stream_ops *ops;
	void *owner;
	struct chain_session *session; /* while the stream is built */
	struct stream *stream;         /* NULL = the next datagram builds one */
	struct wire_frames frames;
	struct waiting waiting;
	uint64_t open_ms;
	bool is_blocked;   /* until the stream has DRAINED */
	bool *ret_is_gone; /* told by free; for the callback that is running */
};

/* An orderly end: the exit hears close_notify. */
static void let_go(struct flow_stream *f)
{
	struct stream *stream = f->stream;
	if (stream == NULL)
		return;
	f->stream = NULL;
	stream_leave(stream);
	wire_frames_deinit(&f->frames);
	f->is_blocked = false;
}

static void on_end(struct flow_stream *f, int code)
{
	const struct chain_spec *spec = chain_client_spec(f->client);
	uint64_t age_ms = loop_now_ms(chain_client_loop(f->client)) - f->open_ms;
	let_go(f);
	if (age_ms >= FLOW_STREAM_BRIEF_MS) {
		LOG_DEBUG("udp stream ended age_ms=%llu error=%s", (unsigned long long)age_ms,
			err_name(code));
		return;
	}
	struct chain_error error = {
		.stage = CHAIN_PAYLOAD,
		.hop = (uint8_t)spec->n_hops,
		.n_hops = (uint8_t)spec->n_hops,
		.code = code,
		.elapsed_ms = (uint32_t)age_ms,
		.address = f->target,
		.hop_address = spec->hops[spec->n_hops - 1].addr,
	};
	f->ops->on_fail(&error, f->owner);
}

static void on_data(struct flow_stream *f, struct bytes data)
{
	bool is_gone = false;
	struct bytes datagram;
	int result;
	/* cppcheck-suppress autoVariables ; who frees @f tells it, who comes back resets it */
	f->ret_is_gone = &is_gone;
	while ((result = wire_frames_next(&f->frames, &data, &datagram)) == 1) {
		f->ops->deliver(datagram, f->owner);
		if (is_gone)
			return;
	}
	f->ret_is_gone = NULL;
	if (result != 0) { /* no orderly end of what is broken */
		stream_drop(f->stream);
		f->stream = NULL;
		wire_frames_deinit(&f->frames);
		f->is_blocked = false;
		on_end(f, result);
	}
}

static void write_frame(struct bytes data, void *owner)
{
	struct flow_stream *f = owner;
	uint8_t small[WIRE_FRAME_HEADER + SMALL];
	wire_frame_header(data.len, small);
	if (data.len <= SMALL) {
		if (data.len > 0)
			memcpy(small + WIRE_FRAME_HEADER, data.ptr, data.len);
		f->is_blocked =
			stream_write(f->stream, bytes_of(small, WIRE_FRAME_HEADER + data.len));
		return;
	}
	stream_write(f->stream, bytes_of(small, WIRE_FRAME_HEADER));
	f->is_blocked = stream_write(f->stream, data);
}

static void on_event(struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct flow_stream *f = owner;
	switch (event) {
	case STREAM_DATA:
		on_data(f, data);
		return;
	case STREAM_DRAINED:
		f->is_blocked = false;
		waiting_flush(&f->waiting, write_frame, f);
		return;
	case STREAM_EOF:
		on_end(f, ERR_PIPE);
		return;
	case STREAM_FAILED:
		on_end(f, stream->error);
		return;
	case STREAM_CONNECTED:
	case STREAM_CLOSED:
		return;
	}
}

static void on_built(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct flow_stream *f = owner;
	f->session = NULL;
	if (error != NULL) {
		f->ops->on_fail(error, f->owner);
		return;
	}
	f->stream = stream;
	f->open_ms = loop_now_ms(chain_client_loop(f->client));
	stream_own(stream, on_event, f);
	waiting_flush(&f->waiting, write_frame, f);
	stream_read_start(stream);
	f->ops->on_open(f->owner);
}

int flow_stream_new(struct chain_client *client, const struct addr *target,
	const struct flow_stream_ops *ops, void *owner, struct flow_stream **ret)
{
	struct flow_stream *f = calloc(1, sizeof *f);
	if (f == NULL)
		return ERR_NOMEM;
	f->client = client;
	f->target = *target;
	f->ops = ops;
	f->owner = owner;
	*ret = f;
	return 0;
}

void flow_stream_free(struct flow_stream *flow)
{
	if (flow == NULL)
		return;
	if (flow->ret_is_gone != NULL)
		*flow->ret_is_gone = true;
	if (flow->session != NULL)
		chain_session_cancel(flow->session);
	let_go(flow);
	wire_frames_deinit(&flow->frames);
	waiting_deinit(&flow->waiting);
	free(flow);
}

int flow_stream_build(struct flow_stream *flow)
{
	if (flow->session != NULL || flow->stream != NULL)
		return 0;
	struct chain_session_options options = { .purpose = CHAIN_TO_FLOW,
		.target = &flow->target };
	return chain_session_start(flow->client, &options, on_built, flow, &flow->session);
}

bool flow_stream_send(struct flow_stream *flow, struct bytes data)
{
	if (data.len > WIRE_FRAME_MAX || flow_stream_build(flow) != 0)
		return false;
	if (flow->stream == NULL || flow->is_blocked)
		return waiting_add(&flow->waiting, data);
	write_frame(data, flow);
	return true;
}

struct waiting flow_stream_take_waiting(struct flow_stream *flow)
{
	struct waiting waiting = flow->waiting;
	flow->waiting = (struct waiting){ 0 };
	return waiting;
}
