#include "chain/cli_pump.h"

#include "chain/cli_descriptor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BURST 16 /* reads in one turn of the loop */

struct end {
	struct cli_descriptor fd;
	uint32_t events; /* what it waits for */
	bool is_known;   /* to the epoll */
	bool is_over;
};

struct cli_pump {
	uv_poll_t poll; /* of the epoll that holds both ends */
	uv_idle_t idle; /* what needs no waiting */
	int epoll;
	unsigned n_handles;
	struct end in, out;
	bool is_reading, is_ending, is_closing;
	bool wants_drained;
	int output_error; /* to be told */
	uint8_t *queue;   /* of the output: from @start, @queue_len bytes */
	size_t start, queue_len;
	size_t size;
	cli_pump_fn *fn;
	void *owner;
	uint8_t buffer[];
};

static void on_idle(uv_idle_t *idle);

static void run_soon(struct cli_pump *pump)
{
	if (!pump->is_closing)
		(void)uv_idle_start(&pump->idle, on_idle);
}

/* What an epoll refuses is always ready. */
static void probe(struct cli_pump *pump, struct end *end)
{
	struct epoll_event event = { .events = end->events };
	if (end->fd.kind != CLI_DESCRIPTOR_SHARED)
		return;
	if (epoll_ctl(pump->epoll, EPOLL_CTL_ADD, end->fd.fd, &event) == 0)
		(void)epoll_ctl(pump->epoll, EPOLL_CTL_DEL, end->fd.fd, NULL);
	else if (errno == EPERM)
		end->fd.kind = CLI_DESCRIPTOR_PLAIN;
}

/* One event of readiness. Return: 0, or negative. */
static int arm(struct cli_pump *pump, struct end *end)
{
	struct epoll_event event = { .events = end->events, .data = { .ptr = end } };
	int operation = end->is_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (end->fd.kind == CLI_DESCRIPTOR_PLAIN)
		return 0;
	if (epoll_ctl(pump->epoll, operation, end->fd.fd, &event) < 0)
		return -errno;
	end->is_known = true;
	return 0;
}

static void fail_output(struct cli_pump *pump, int error)
{
	if (pump->output_error == 0 && !pump->out.is_over)
		pump->output_error = error;
	run_soon(pump);
}

static void end_input(struct cli_pump *pump, int error)
{
	pump->in.is_over = true;
	pump->is_reading = false;
	pump->fn(error == 0 ? CLI_PUMP_END : CLI_PUMP_INPUT_FAILED, NULL, 0, error, pump->owner);
}

static void read_burst(struct cli_pump *pump)
{
	ssize_t n = 0;
	for (int i = 0; i < BURST && pump->is_reading && n != -EAGAIN; i++) {
		n = cli_descriptor_take(&pump->in.fd, pump->buffer, pump->size);
		if (n > 0)
			pump->fn(CLI_PUMP_INPUT, pump->buffer, (size_t)n, 0, pump->owner);
		else if (n != -EAGAIN)
			end_input(pump, (int)n);
	}
	if (!pump->is_reading)
		return;
	int error = arm(pump, &pump->in);
	if (error != 0)
		end_input(pump, error);
	else if (pump->in.fd.kind == CLI_DESCRIPTOR_PLAIN)
		run_soon(pump);
}

void cli_pump_read_start(struct cli_pump *pump)
{
	if (pump->is_reading || pump->in.is_over || pump->is_closing)
		return;
	pump->is_reading = true;
	/* Without asking whether it is ready: a FIFO whose writers have gone never says so. */
	run_soon(pump);
}

void cli_pump_read_stop(struct cli_pump *pump)
{
	pump->is_reading = false;
}

static void end_output(struct cli_pump *pump)
{
	struct end *out = &pump->out;
	out->is_over = true;
	/* Another process may hold it open: closing would leave it in the set. */
	if (out->is_known)
		(void)epoll_ctl(pump->epoll, EPOLL_CTL_DEL, out->fd.fd, NULL);
	pump->output_error = cli_descriptor_end(&out->fd);
}

static int append(struct cli_pump *pump, const void *data, size_t len)
{
	if (pump->start > 0)
		memmove(pump->queue, pump->queue + pump->start, pump->queue_len);
	pump->start = 0;
	uint8_t *longer = realloc(pump->queue, pump->queue_len + len);
	if (longer == NULL)
		return -ENOMEM;
	memcpy(longer + pump->queue_len, data, len);
	pump->queue = longer;
	pump->queue_len += len;
	return 0;
}

/* Writes until it would block. Return: how much, or negative. */
static ssize_t put_all(struct cli_pump *pump, const uint8_t *data, size_t len)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = cli_descriptor_put(&pump->out.fd, data + done, len - done);
		if (n == -EAGAIN)
			break;
		if (n < 0)
			return n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static void flush(struct cli_pump *pump)
{
	ssize_t n = put_all(pump, pump->queue + pump->start, pump->queue_len);
	if (n < 0) {
		fail_output(pump, (int)n);
		return;
	}
	pump->start += (size_t)n;
	pump->queue_len -= (size_t)n;
	if (pump->queue_len > 0) {
		int error = arm(pump, &pump->out);
		if (error != 0)
			fail_output(pump, error);
		return;
	}
	pump->start = 0;
	if (pump->is_ending)
		end_output(pump);
	pump->wants_drained = true;
	run_soon(pump);
}

bool cli_pump_write(struct cli_pump *pump, const void *data, size_t len)
{
	ssize_t n = 0;
	if (pump->output_error != 0 || pump->out.is_over || pump->is_closing)
		return true;
	bool was_empty = pump->queue_len == 0;
	if (was_empty)
		n = put_all(pump, data, len);
	if (n >= 0 && (size_t)n == len)
		return pump->wants_drained;
	int error = n < 0 ? (int)n : append(pump, (const uint8_t *)data + n, len - (size_t)n);
	if (error == 0 && was_empty)
		error = arm(pump, &pump->out);
	if (error != 0)
		fail_output(pump, error);
	return true;
}

void cli_pump_end(struct cli_pump *pump)
{
	if (pump->is_ending || pump->is_closing)
		return;
	pump->is_ending = true;
	if (pump->queue_len == 0 && pump->output_error == 0)
		flush(pump);
}

size_t cli_pump_n_queued(const struct cli_pump *pump)
{
	return pump->queue_len;
}

static void on_idle(uv_idle_t *idle)
{
	struct cli_pump *pump = idle->data;
	uv_idle_stop(idle);
	if (pump->output_error != 0) {
		int error = pump->output_error;
		pump->output_error = 0;
		pump->out.is_over = true;
		pump->queue_len = 0;
		pump->wants_drained = false;
		pump->fn(CLI_PUMP_OUTPUT_FAILED, NULL, 0, error, pump->owner);
	}
	if (pump->wants_drained) {
		pump->wants_drained = false;
		pump->fn(CLI_PUMP_DRAINED, NULL, 0, 0, pump->owner);
	}
	if (pump->is_reading)
		read_burst(pump);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct cli_pump *pump = poll->data;
	struct epoll_event ready[2];
	(void)status;
	(void)events;
	int n = epoll_wait(pump->epoll, ready, 2, 0);
	for (int i = 0; i < n && !pump->is_closing; i++) {
		if (ready[i].data.ptr == &pump->out && pump->queue_len > 0 && !pump->out.is_over)
			flush(pump);
		else if (ready[i].data.ptr == &pump->in && pump->is_reading)
			read_burst(pump);
	}
}

static void free_pump(struct cli_pump *pump)
{
	if (pump->epoll >= 0)
		close(pump->epoll);
	cli_descriptor_deinit(&pump->in.fd);
	cli_descriptor_deinit(&pump->out.fd);
	free(pump->queue);
	free(pump);
}

int cli_pump_open(uv_loop_t *loop, int in, int out, size_t size, cli_pump_fn *fn, void *owner,
	struct cli_pump **ret)
{
	struct cli_pump *pump = calloc(1, sizeof *pump + size);
	if (pump == NULL)
		return -ENOMEM;
	cli_descriptor_init(&pump->in.fd, in, false);
	cli_descriptor_init(&pump->out.fd, out, true);
	pump->in.events = EPOLLIN | EPOLLONESHOT;
	pump->out.events = EPOLLOUT | EPOLLONESHOT;
	pump->size = size;
	pump->fn = fn;
	pump->owner = owner;
	pump->epoll = epoll_create1(EPOLL_CLOEXEC);
	int error = pump->epoll < 0 ? -errno : uv_poll_init(loop, &pump->poll, pump->epoll);
	if (error != 0) {
		free_pump(pump);
		return error;
	}
	(void)uv_idle_init(loop, &pump->idle);
	probe(pump, &pump->in);
	probe(pump, &pump->out);
	pump->poll.data = pump->idle.data = pump;
	pump->n_handles = 2;
	*ret = pump;
	error = uv_poll_start(&pump->poll, UV_READABLE, on_ready);
	if (error != 0)
		fail_output(pump, error);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct cli_pump *pump = handle->data;
	if (--pump->n_handles > 0)
		return;
	cli_pump_fn *fn = pump->fn;
	void *owner = pump->owner;
	free_pump(pump);
	fn(CLI_PUMP_CLOSED, NULL, 0, 0, owner);
}

void cli_pump_close(struct cli_pump *pump)
{
	if (pump->is_closing)
		return;
	pump->is_closing = true;
	pump->is_reading = false;
	uv_close((uv_handle_t *)&pump->poll, on_closed);
	uv_close((uv_handle_t *)&pump->idle, on_closed);
}
