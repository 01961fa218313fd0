#ifndef CHAIN_CLI_SPEED_RUN_H
#define CHAIN_CLI_SPEED_RUN_H
/*
 * Does: measures how many bytes a chain moves to its last hop's measuring service, and back. Knows:
 * streams, seconds. Never knows: how they are shown.
 */
#include "chain/hopchain.h"

#include <uv.h>

struct cli_speed_options {
	uint32_t time_ms; /* of each direction */
	unsigned n_streams;
	bool has_up, has_down; /* up first */
	unsigned hop;          /* the last one */
	const char *label;     /* … in sentences: "hop 3 (ADDRESS)". Borrowed */
};

/* A part of a direction, or all of it. */
struct cli_speed_span {
	bool is_up;
	double from_s, to_s; /* since the direction's start */
	uint64_t n_bytes;
	/* Of all of "up": the hop's own count; to_s is when it came. */
	bool has_count;
	uint64_t n_counted;
};

struct cli_speed;
struct cli_speed_events {
	void (*on_second)(const struct cli_speed_span *span, void *owner);
	void (*on_sum)(const struct cli_speed_span *span, void *owner);
	void (*on_failed)(const struct hopchain_error *error, void *owner); /* once at most */
	void (*on_done)(void *owner); /* last; the memory goes when the loop runs */
	void *owner;
};

/** cli_speed_start() - on_failed and on_done may run from inside. Return: 0, or negative. */
int cli_speed_start(uv_loop_t *loop, struct hopchain_client *client,
	const struct cli_speed_options *options, const struct cli_speed_events *events,
	struct cli_speed **ret) __attribute__((warn_unused_result));
/** cli_speed_stop() - ends the present direction now, and begins none. on_done follows. */
void cli_speed_stop(struct cli_speed *speed);
/** cli_speed_now() - the present direction until now. Return: false between directions. */
bool cli_speed_now(const struct cli_speed *speed, struct cli_speed_span *ret);
/** cli_speed_phase() - what is done now, in words: "up: connecting". Static. */
const char *cli_speed_phase(const struct cli_speed *speed);

#endif
