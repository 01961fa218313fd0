#include "access/http_pace.h"

static bool is_limited(const struct http_pace *pace)
{
	return pace->shapers != NULL && pace->shapers->n > 0;
}

static void refund(struct http_pace *pace)
{
	if (pace->n_paid > 0)
		shaper_set_refund(pace->shapers, pace->lane, pace->n_paid);
	pace->n_paid = 0;
}

static void on_again(struct timer *timer)
{
	http_pace_go_on((struct http_pace *)((char *)timer - offsetof(struct http_pace, again)));
}

static void ask(struct http_pace *pace)
{
	size_t n = shaper_set_ask(pace->shapers, pace->lane, &pace->wait, loop_clock_us());
	if (n > pace->n_wanted) {
		shaper_set_refund(pace->shapers, pace->lane, n - (size_t)pace->n_wanted);
		n = (size_t)pace->n_wanted;
	}
	pace->n_paid = n;
	if (n > 0) {
		stream_read_limit(pace->stream, n);
		return;
	}
	stream_read_stop(pace->stream);
	loop_timer_start(pace->stream->loop, &pace->again, pace->wait.ms, on_again);
}

void http_pace_start(struct http_pace *pace, uint64_t n_wanted)
{
	pace->n_wanted = n_wanted;
	if (!is_limited(pace)) {
		if (n_wanted == STREAM_NO_LIMIT)
			stream_read_start(pace->stream);
		else
			stream_read_limit(pace->stream, n_wanted);
		return;
	}
	refund(pace);
	loop_timer_stop(pace->stream->loop, &pace->again);
	ask(pace);
}

bool http_pace_took(struct http_pace *pace, size_t n)
{
	if (pace->n_wanted != STREAM_NO_LIMIT)
		pace->n_wanted -= n;
	if (is_limited(pace))
		pace->n_paid -= n;
	return pace->n_wanted == 0;
}

void http_pace_go_on(struct http_pace *pace)
{
	if (is_limited(pace) && pace->n_paid == 0 && pace->n_wanted > 0)
		ask(pace);
}

void http_pace_stop(struct http_pace *pace)
{
	if (pace->stream == NULL)
		return;
	stream_read_stop(pace->stream);
	if (!is_limited(pace))
		return;
	refund(pace);
	shaper_wait_end(&pace->wait, pace->lane);
	loop_timer_stop(pace->stream->loop, &pace->again);
}

bool http_pace_is_held_up(const struct http_pace *pace)
{
	return pace->wait.at != NULL;
}
