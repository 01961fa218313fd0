#ifndef CHAIN_CLI_PUMP_H
#define CHAIN_CLI_PUMP_H
/*
 * Does: standard input and output on a libuv loop, whatever they are: terminal, pipe, socket, file,
 * nothing. Knows: descriptors, readiness. Never knows: chains.
 *
 * One event of readiness, armed again only when it is wanted: a paused direction costs nothing, not
 * even where the other side is gone.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct cli_pump;
enum cli_pump_event {
	CLI_PUMP_INPUT,         /* bytes, valid during the call; only while reading */
	CLI_PUMP_END,           /* once: the input has ended */
	CLI_PUMP_DRAINED,       /* after a write that asked for a pause: all went out */
	CLI_PUMP_INPUT_FAILED,  /* once: @error */
	CLI_PUMP_OUTPUT_FAILED, /* once: @error; -EPIPE: nobody reads it */
	CLI_PUMP_CLOSED,        /* last: the pump is gone */
};
/* @data, @len of INPUT; @error, negative, of the FAILED ones. */
typedef void cli_pump_fn(
	enum cli_pump_event event, const void *data, size_t len, int error, void *owner);

/** cli_pump_open() - @size: how much is read at a time (a datagram's limit). Reads nothing yet. */
int cli_pump_open(uv_loop_t *loop, int in, int out, size_t size, cli_pump_fn *fn, void *owner,
	struct cli_pump **ret);
/** cli_pump_close() - leads to CLOSED. Drops what is queued. Idempotent. */
void cli_pump_close(struct cli_pump *pump);

/** cli_pump_read_start(), cli_pump_read_stop() - events come from the loop only. */
void cli_pump_read_start(struct cli_pump *pump);
void cli_pump_read_stop(struct cli_pump *pump);
/** cli_pump_write() - keeps a copy of what does not go out at once. Return: true: pause until
 * DRAINED. What goes wrong comes as OUTPUT_FAILED, from the loop. */
bool cli_pump_write(struct cli_pump *pump, const void *data, size_t len);
/** cli_pump_end() - its reader sees the end, after what is queued: a socket is shut, all else
 * closed. DRAINED follows. */
void cli_pump_end(struct cli_pump *pump);
/** cli_pump_n_queued() - bytes that wait for the output. */
size_t cli_pump_n_queued(const struct cli_pump *pump);

#endif
