#include "hop/udp_stream.h"

#include "chain/wire_frame.h"
#include "common/record.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#define LOG_MODULE "hop"
#include "common/log.h"

#define TICK_MS  1000
#define QUIET_MS 60000 /* see stream_is_stalled() */
#define LAST_MS  5000  /* for the last frames of a flow the client has ended */

static_assert(WIRE_FRAME_HEADER + WIRE_FRAME_MAX <= LOOP_BUFFER, "a frame is put together in it");

/* Frames of one batch of events: they share a record and a system call. */
struct batch {
	size_t n;
	uint8_t data[RECORD_CONTENT_MAX];
};

struct udp_stream {
	const struct hop_worker *worker;
	struct udp_target *target; /* while it is opened */
	struct udp *udp;
	struct stream *payload;
	struct wire_frames frames; /* from the client */
	struct batch *batch;       /* to the client; NULL = nothing waits */
	struct task flush;
	struct timer timer;
	uint64_t active_ms;
	uint32_t unanswered_ms, answered_ms;
	struct shaper_set shapers;
	uint64_t n_up, n_down, n_dropped, n_errors; /* datagrams; n_errors: ICMP and the like */
	struct udp_stream_result result;
	bool is_blocked; /* the client does not read */
	bool is_ending;
	bool is_gone; /* the queued flush only frees */
	udp_stream_opened_fn *on_opened;
	udp_stream_done_fn *on_done;
	void *owner;
};

/* The flow's own memory; the stream has closed or was given away, or there was none yet. */
static void let_go(struct udp_stream *f)
{
	loop_timer_stop(f->worker->loop, &f->timer);
	udp_close(f->udp);
	shaper_set_release(&f->shapers);
	wire_frames_deinit(&f->frames);
	free(f->batch);
	f->batch = NULL;
	f->is_gone = true;
	if (!f->flush.is_queued)
		free(f);
}

static void finish(struct udp_stream *f)
{
	udp_stream_done_fn *on_done = f->on_done;
	void *owner = f->owner;
	struct udp_stream_result result = f->result;
	let_go(f);
	on_done(&result, owner);
}

/* Nothing is carried any more. Return: false if that was so before. */
static bool begin_end(struct udp_stream *f, const char *end)
{
	if (f->is_ending)
		return false;
	f->is_ending = true;
	f->result.end = end;
	loop_timer_stop(f->worker->loop, &f->timer);
	udp_close(f->udp);
	f->udp = NULL;
	free(f->batch);
	f->batch = NULL;
	LOG_DEBUG("udp over a stream ends end=%s up=%" PRIu64 " down=%" PRIu64 " dropped=%" PRIu64
		  " errors=%" PRIu64,
		end, f->n_up, f->n_down, f->n_dropped, f->n_errors);
	return true;
}

static void abort_flow(struct udp_stream *f, const char *end)
{
	if (begin_end(f, end))
		stream_abort(f->payload);
}

static void on_last(struct timer *timer)
{
	struct udp_stream *f =
		(struct udp_stream *)((char *)timer - offsetof(struct udp_stream, timer));
	stream_abort(f->payload);
}

static void flush(struct udp_stream *f)
{
	struct batch *batch = f->batch;
	if (batch == NULL)
		return;
	f->batch = NULL;
	f->is_blocked = stream_write(f->payload, bytes_of(batch->data, batch->n));
	free(batch);
}

static void on_flush(struct task *task)
{
	struct udp_stream *f =
		(struct udp_stream *)((char *)task - offsetof(struct udp_stream, flush));
	if (f->is_gone)
		free(f);
	else
		flush(f);
}

static void put_frame(const struct udp_packet *packet, uint8_t *to)
{
	wire_frame_header(packet->len, to);
	memcpy(to + WIRE_FRAME_HEADER, packet->data, packet->len);
}

/* Return: false if a batch is not for it: too long, or no memory. */
static bool add_to_batch(struct udp_stream *f, const struct udp_packet *packet)
{
	if (WIRE_FRAME_HEADER + packet->len > sizeof f->batch->data)
		return false;
	if (f->batch == NULL) {
		f->batch = malloc(sizeof *f->batch);
		if (f->batch == NULL)
			return false;
		f->batch->n = 0;
		loop_defer(f->worker->loop, &f->flush, on_flush);
	}
	put_frame(packet, f->batch->data + f->batch->n);
	f->batch->n += WIRE_FRAME_HEADER + packet->len;
	return true;
}

static void write_alone(struct udp_stream *f, const struct udp_packet *packet)
{
	uint8_t *frame = loop_scratch(f->worker->loop, LOOP_PLAIN);
	put_frame(packet, frame);
	f->is_blocked = stream_write(f->payload, bytes_of(frame, WIRE_FRAME_HEADER + packet->len));
}

/* The client said close_notify: that is the flow's end, for both directions. */
static void on_client_end(struct udp_stream *f)
{
	if (wire_frames_is_partial(&f->frames)) {
		abort_flow(f, "bad-frame");
		return;
	}
	flush(f);
	if (!begin_end(f, "client"))
		return;
	if (stream_shutdown(f->payload))
		loop_timer_start(f->worker->loop, &f->timer, LAST_MS, on_last);
	else
		stream_close(f->payload);
}

static void end_idle(struct udp_stream *f)
{
	if (!begin_end(f, "idle"))
		return;
	drain_linger(f->worker->drain, f->payload);
	finish(f);
}

static void on_tick(struct timer *timer)
{
	struct udp_stream *f =
		(struct udp_stream *)((char *)timer - offsetof(struct udp_stream, timer));
	uint64_t now_ms = loop_now_ms(f->worker->loop), passed_ms = now_ms - f->active_ms;
	uint64_t idle_ms = f->n_down + f->n_dropped > 0 ? f->answered_ms : f->unanswered_ms;
	if (stream_is_stalled(f->payload, now_ms, passed_ms > QUIET_MS)) {
		abort_flow(f, "stalled");
		return;
	}
	if (passed_ms >= idle_ms) {
		end_idle(f);
		return;
	}
	uint64_t left_ms = idle_ms - passed_ms;
	loop_timer_start(f->worker->loop, timer, left_ms < TICK_MS ? left_ms : TICK_MS, on_tick);
}

/* Whether the rates let a datagram pass. */
static bool carries(const struct udp_stream *f, enum shaper_lane lane, size_t len)
{
	return f->shapers.n == 0 || shaper_set_take(&f->shapers, lane, len, loop_clock_us());
}

static void on_frames(struct udp_stream *f, struct bytes in)
{
	struct bytes datagram;
	int got;
	while ((got = wire_frames_next(&f->frames, &in, &datagram)) > 0) {
		if (!carries(f, SHAPER_UP, datagram.len)) {
			f->n_dropped++;
			continue;
		}
		udp_send(f->udp, NULL, NULL, bytes_of(NULL, 0), datagram);
		f->n_up++;
		f->result.n_bytes_up += datagram.len;
		f->active_ms = loop_now_ms(f->worker->loop);
	}
	if (got < 0)
		abort_flow(f, got == ERR_BAD_RECORD ? "bad-frame" : "local");
}

static void on_payload(
	struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct udp_stream *f = owner;
	switch (event) {
	case STREAM_DATA:
		if (!f->is_ending)
			on_frames(f, data);
		return;
	case STREAM_DRAINED:
		f->is_blocked = false;
		if (f->is_ending)
			stream_close(stream);
		return;
	case STREAM_EOF:
		on_client_end(f);
		return;
	case STREAM_FAILED:
		if (f->is_ending)
			stream_abort(stream);
		else
			abort_flow(f, err_name(stream->error));
		return;
	case STREAM_CLOSED:
		finish(f);
		return;
	case STREAM_CONNECTED:
		return;
	}
}

static void on_packet(struct udp *udp, const struct udp_packet *packet, void *owner)
{
	struct udp_stream *f = owner;
	(void)udp;
	if (f->batch != NULL &&
		f->batch->n + WIRE_FRAME_HEADER + packet->len > sizeof f->batch->data)
		flush(f);
	if (f->is_blocked || packet->len > WIRE_FRAME_MAX ||
		!carries(f, SHAPER_DOWN, packet->len)) {
		f->n_dropped++;
		return;
	}
	f->n_down++;
	f->result.n_bytes_down += packet->len;
	f->active_ms = loop_now_ms(f->worker->loop);
	if (!add_to_batch(f, packet))
		write_alone(f, packet);
}

/* A stream has no words for them (docs/protocol.md 2.3). */
static void on_error(struct udp *udp, int error, size_t mtu, void *owner)
{
	struct udp_stream *f = owner;
	(void)udp;
	f->n_errors++;
	LOG_DEBUG("udp over a stream: not delivered error=%s max=%zu", err_name(error), mtu);
}

static const struct udp_ops socket_ops = { .on_packet = on_packet, .on_error = on_error };

static void on_target(const struct udp_target_result *result, void *owner)
{
	struct udp_stream *f = owner;
	udp_stream_opened_fn *on_opened = f->on_opened;
	void *flow_owner = f->owner;
	f->target = NULL;
	f->udp = result->udp;
	if (result->outcome.status != STATUS_OK)
		let_go(f);
	on_opened(&result->outcome, flow_owner);
}

int udp_stream_open(const struct udp_stream_options *options, udp_stream_opened_fn *on_opened,
	void *owner, struct udp_stream **ret)
{
	struct udp_stream *f = calloc(1, sizeof *f);
	if (f == NULL)
		return ERR_NOMEM;
	f->worker = options->worker;
	f->unanswered_ms = options->unanswered_ms;
	f->answered_ms = options->answered_ms;
	f->on_opened = on_opened;
	f->owner = owner;
	shaper_set_copy(&f->shapers, &options->shapers);
	int error = udp_target_open(options->worker, options->entry, options->to,
		options->timeout_ms, &socket_ops, f, on_target, f, &f->target);
	if (error != 0) {
		shaper_set_release(&f->shapers);
		free(f);
		return error;
	}
	*ret = f;
	return 0;
}

void udp_stream_cancel(struct udp_stream *flow)
{
	if (flow->target != NULL)
		udp_target_cancel(flow->target);
	let_go(flow);
}

void udp_stream_run(
	struct udp_stream *flow, struct stream *payload, udp_stream_done_fn *on_done, void *owner)
{
	uint64_t first_ms = flow->unanswered_ms < TICK_MS ? flow->unanswered_ms : TICK_MS;
	flow->payload = payload;
	flow->on_done = on_done;
	flow->owner = owner;
	flow->active_ms = loop_now_ms(flow->worker->loop);
	stream_own(payload, on_payload, flow);
	stream_read_start(payload);
	loop_timer_start(flow->worker->loop, &flow->timer, first_ms, on_tick);
}

void udp_stream_stop(struct udp_stream *flow)
{
	abort_flow(flow, "stopped");
}
