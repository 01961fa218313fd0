#include "chain/cli_speed_run.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK          (64 * 1024)
#define BLOCKS_MAX     16 /* of one stream before the loop turns */
#define SECOND_MS      1000
#define SILENCE_MAX_MS 30000 /* no byte comes down, or no count of what was sent up */
#define TEXT_MAX       512

/* The measuring service (docs/protocol.md 2.3): how many bytes it shall send; its own count. */
#define COUNT_LEN 8

enum speed_state {
	SPEED_CONNECTING,
	SPEED_MOVING,
	SPEED_COUNTING, /* up: everything is sent, the hop's counts are awaited */
	SPEED_CLOSING,
};

struct lane {
	struct cli_speed *speed;
	struct hopchain_stream *stream; /* NULL: closed */
	uint64_t n_bytes;
	uint8_t count[COUNT_LEN];
	size_t n_count;
	bool is_paused;
};

struct cli_speed {
	struct cli_speed_options options;
	struct cli_speed_events events;
	struct hopchain_client *client;
	uv_timer_t second, end;
	uv_idle_t eager; /* while a lane may write more */
	unsigned n_handles;
	enum speed_state state;
	bool is_up, is_stopped, has_failed;
	unsigned n_connected, n_open, n_counted;
	uint64_t start_ns, marked_ns, n_marked; /* the second that runs */
	uint64_t moved_ms;                      /* when a byte came, or went out, last */
	struct lane lanes[];
};

static const uint8_t block[BLOCK];

static void begin(struct cli_speed *speed);

static uint64_t total(const struct cli_speed *speed)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < speed->options.n_streams; i++)
		n += speed->lanes[i].n_bytes;
	return n;
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

bool cli_speed_now(const struct cli_speed *speed, struct cli_speed_span *ret)
{
	if (speed->state != SPEED_MOVING)
		return false;
	*ret = (struct cli_speed_span){
		.is_up = speed->is_up,
		.to_s = seconds(uv_hrtime() - speed->start_ns),
		.n_bytes = total(speed),
	};
	return true;
}

const char *cli_speed_phase(const struct cli_speed *speed)
{
	static const char *const phases[][2] = {
		[SPEED_CONNECTING] = { "down: connecting", "up: connecting" },
		[SPEED_MOVING] = { "down", "up" },
		[SPEED_COUNTING] = { "", "up: all is sent, waiting for the count of the last hop" },
		[SPEED_CLOSING] = { "down: ending", "up: ending" },
	};
	return phases[speed->state][speed->is_up];
}

/* What moved since the last mark. */
static void mark(struct cli_speed *speed)
{
	uint64_t now = uv_hrtime(), n = total(speed);
	struct cli_speed_span span = {
		.is_up = speed->is_up,
		.from_s = seconds(speed->marked_ns - speed->start_ns),
		.to_s = seconds(now - speed->start_ns),
		.n_bytes = n - speed->n_marked,
	};
	speed->marked_ns = now;
	speed->n_marked = n;
	speed->events.on_second(&span, speed->events.owner);
}

static void close_lanes(struct cli_speed *speed)
{
	speed->state = SPEED_CLOSING;
	uv_timer_stop(&speed->second);
	uv_timer_stop(&speed->end);
	uv_idle_stop(&speed->eager);
	for (unsigned i = 0; i < speed->options.n_streams; i++) {
		struct hopchain_stream *stream = speed->lanes[i].stream;
		if (stream != NULL && (speed->has_failed || speed->is_stopped))
			hopchain_abort(stream);
		else if (stream != NULL)
			hopchain_close(stream);
	}
}

static void fail(struct cli_speed *speed, const struct hopchain_error *error)
{
	if (!speed->has_failed && speed->state != SPEED_CLOSING)
		speed->events.on_failed(error, speed->events.owner);
	speed->has_failed = true;
	close_lanes(speed);
}

/* @why: of the last hop. */
static void fail_lost(struct cli_speed *speed, int code, const char *why)
{
	char text[TEXT_MAX];
	const struct hopchain_error lost = {
		.stage = HOPCHAIN_PAYLOAD,
		.hop = speed->options.hop,
		.n_hops = speed->options.hop,
		.code = code,
		.slug = "lost",
		.exit_code = 9,
		.text = text,
	};
	snprintf(text, sizeof text, "%s: lost: %s", speed->options.label, why);
	fail(speed, &lost);
}

static uint64_t silent_ms(const struct cli_speed *speed)
{
	return uv_now(speed->end.loop) - speed->moved_ms;
}

static void fail_silent(struct cli_speed *speed)
{
	char why[128];
	snprintf(why, sizeof why, "nothing came from it for %" PRIu64 " s%s",
		silent_ms(speed) / 1000, speed->is_up ? ": its count of the bytes is missing" : "");
	fail_lost(speed, -ETIMEDOUT, why);
}

/* The last part of a direction is told when its time is over. Upwards nobody can tell silence from
 * large buffers in front of a slow chain before. */
static void on_second(uv_timer_t *timer)
{
	struct cli_speed *speed = timer->data;
	double end_s = speed->options.time_ms / 1000.0;
	if (!speed->is_up && silent_ms(speed) >= SILENCE_MAX_MS)
		fail_silent(speed);
	else if (seconds(uv_hrtime() - speed->start_ns) + 0.5 < end_s)
		mark(speed);
}

/* What went out while we wait makes us wait longer. */
static void on_count_late(uv_timer_t *timer)
{
	struct cli_speed *speed = timer->data;
	uint64_t silent = silent_ms(speed);
	if (silent >= SILENCE_MAX_MS)
		fail_silent(speed);
	else
		uv_timer_start(timer, on_count_late, SILENCE_MAX_MS - silent, 0);
}

static void write_blocks(struct lane *lane)
{
	for (unsigned i = 0; i < BLOCKS_MAX && !lane->is_paused; i++) {
		lane->is_paused = hopchain_write(lane->stream, block, BLOCK);
		lane->n_bytes += BLOCK;
	}
}

static void on_eager(uv_idle_t *idle)
{
	struct cli_speed *speed = idle->data;
	bool is_eager = false;
	for (unsigned i = 0; i < speed->options.n_streams; i++) {
		if (speed->lanes[i].stream != NULL && !speed->lanes[i].is_paused)
			write_blocks(&speed->lanes[i]);
		is_eager = is_eager || !speed->lanes[i].is_paused;
	}
	if (!is_eager)
		uv_idle_stop(idle);
}

/* All of a direction has been told, or it is given up. */
static void sum(struct cli_speed *speed)
{
	struct cli_speed_span span = {
		.is_up = speed->is_up,
		.to_s = seconds(uv_hrtime() - speed->start_ns),
		.n_bytes = total(speed),
		.has_count = speed->is_up,
	};
	for (unsigned i = 0; i < speed->options.n_streams; i++) {
		uint64_t count;
		memcpy(&count, speed->lanes[i].count, COUNT_LEN);
		span.n_counted += be64toh(count);
	}
	speed->events.on_sum(&span, speed->events.owner);
	close_lanes(speed);
}

/* The time of a direction is over. */
static void end_direction(struct cli_speed *speed)
{
	uv_timer_stop(&speed->second);
	uv_idle_stop(&speed->eager);
	mark(speed);
	if (!speed->is_up) {
		if (total(speed) > 0 || speed->is_stopped)
			sum(speed);
		else
			fail_silent(speed);
		return;
	}
	speed->state = SPEED_COUNTING;
	uv_timer_start(&speed->end, on_count_late, SILENCE_MAX_MS, 0);
	for (unsigned i = 0; i < speed->options.n_streams; i++)
		(void)hopchain_shutdown(speed->lanes[i].stream);
}

static void on_end(uv_timer_t *timer)
{
	end_direction(timer->data);
}

static void start_moving(struct cli_speed *speed)
{
	uint64_t wanted = htobe64(speed->is_up ? 0 : UINT64_MAX);
	speed->state = SPEED_MOVING;
	speed->start_ns = speed->marked_ns = uv_hrtime();
	uv_update_time(speed->second.loop);
	speed->moved_ms = uv_now(speed->end.loop);
	uv_timer_start(&speed->second, on_second, SECOND_MS, SECOND_MS);
	uv_timer_start(&speed->end, on_end, speed->options.time_ms, 0);
	for (unsigned i = 0; i < speed->options.n_streams; i++) {
		struct lane *lane = &speed->lanes[i];
		lane->is_paused = hopchain_write(lane->stream, &wanted, sizeof wanted);
		hopchain_read_start(lane->stream);
	}
	if (speed->is_up)
		uv_idle_start(&speed->eager, on_eager);
}

static void on_data(struct lane *lane, const uint8_t *data, size_t len)
{
	lane->speed->moved_ms = uv_now(lane->speed->end.loop);
	if (!lane->speed->is_up) {
		lane->n_bytes += lane->speed->state == SPEED_MOVING ? len : 0;
		return;
	}
	for (size_t i = 0; i < len && lane->n_count < COUNT_LEN; i++)
		lane->count[lane->n_count++] = data[i];
}

static void on_eof(struct lane *lane)
{
	struct cli_speed *speed = lane->speed;
	if (speed->state == SPEED_CLOSING)
		return;
	if (speed->state != SPEED_COUNTING || lane->n_count < COUNT_LEN)
		fail_lost(speed, -EPROTO,
			"it ended the measurement before its count of the bytes was here");
	else if (++speed->n_counted == speed->options.n_streams)
		sum(speed);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct cli_speed *speed = handle->data;
	if (--speed->n_handles == 0)
		free(speed);
}

static void finish(struct cli_speed *speed)
{
	uv_close((uv_handle_t *)&speed->second, on_handle_closed);
	uv_close((uv_handle_t *)&speed->end, on_handle_closed);
	uv_close((uv_handle_t *)&speed->eager, on_handle_closed);
	speed->events.on_done(speed->events.owner);
}

static void on_closed(struct lane *lane)
{
	struct cli_speed *speed = lane->speed;
	lane->stream = NULL;
	if (--speed->n_open > 0)
		return;
	bool has_next = speed->is_up && speed->options.has_down;
	if (speed->has_failed || speed->is_stopped || !has_next) {
		finish(speed);
		return;
	}
	speed->is_up = false;
	begin(speed);
}

static void on_stream(struct hopchain_stream *stream, enum hopchain_event event, const void *data,
	size_t len, void *owner)
{
	struct lane *lane = owner;
	struct cli_speed *speed = lane->speed;
	if (event == HOPCHAIN_CONNECTED && ++speed->n_connected == speed->options.n_streams) {
		start_moving(speed);
	} else if (event == HOPCHAIN_DATA) {
		on_data(lane, data, len);
	} else if (event == HOPCHAIN_DRAINED) {
		lane->is_paused = false;
		speed->moved_ms = uv_now(speed->end.loop);
		if (speed->state == SPEED_MOVING && speed->is_up)
			uv_idle_start(&speed->eager, on_eager);
	} else if (event == HOPCHAIN_EOF) {
		on_eof(lane);
	} else if (event == HOPCHAIN_FAILED) {
		fail(speed, hopchain_stream_error(stream));
	} else if (event == HOPCHAIN_CLOSED) {
		on_closed(lane);
	}
}

/* The streams of a direction. */
static void begin(struct cli_speed *speed)
{
	speed->state = SPEED_CONNECTING;
	speed->n_connected = speed->n_counted = 0;
	speed->n_marked = 0;
	for (unsigned i = 0; i < speed->options.n_streams; i++) {
		struct lane *lane = &speed->lanes[i];
		*lane = (struct lane){ .speed = speed };
		int error = hopchain_connect_measure(speed->client, on_stream, lane, &lane->stream);
		if (error == 0) {
			speed->n_open++;
			continue;
		}
		const struct hopchain_error failed = {
			.stage = HOPCHAIN_SETUP,
			.code = error,
			.slug = "setup",
			.exit_code = 1,
			.text = hopchain_strerror(error),
		};
		lane->stream = NULL;
		fail(speed, &failed);
		break;
	}
	if (speed->n_open == 0)
		finish(speed);
}

int cli_speed_start(uv_loop_t *loop, struct hopchain_client *client,
	const struct cli_speed_options *options, const struct cli_speed_events *events,
	struct cli_speed **ret)
{
	struct cli_speed *speed =
		calloc(1, sizeof *speed + options->n_streams * sizeof speed->lanes[0]);
	if (speed == NULL)
		return UV_ENOMEM;
	speed->options = *options;
	speed->events = *events;
	speed->client = client;
	speed->is_up = options->has_up;
	uv_timer_init(loop, &speed->second);
	uv_timer_init(loop, &speed->end);
	uv_idle_init(loop, &speed->eager);
	speed->second.data = speed->end.data = speed->eager.data = speed;
	speed->n_handles = 3;
	*ret = speed;
	begin(speed);
	return 0;
}

void cli_speed_stop(struct cli_speed *speed)
{
	speed->is_stopped = true;
	if (speed->state == SPEED_MOVING)
		end_direction(speed);
	else if (speed->state == SPEED_CONNECTING)
		close_lanes(speed);
}
