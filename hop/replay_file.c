#include "hop/replay_file.h"

#include <time.h>

#define LOG_MODULE "hop"
#include "common/log.h"

static const char *state_text(enum replay_state state)
{
	switch (state) {
	case REPLAY_INTACT:
		return "intact";
	case REPLAY_MISSING:
		return "new";
	case REPLAY_DAMAGED:
		return "damaged-and-replaced";
	case REPLAY_MEMORY:
		return "memory";
	}
	return "?";
}

/* docs/protocol.md 2.12: without the old table, headers sealed before the start are refused;
 * accepting begins late enough that no client whose clock is right meets silence. */
int hop_replay_open(const struct hop_options *o, struct replay **ret)
{
	struct replay_options options = {
		.path = o->replay_file,
		.quota = o->replay_quota,
		.is_strict = o->is_replay_strict,
	};
	uint64_t wall_ms = loop_wall_ms();
	int error = replay_open(&options, wall_ms, loop_clock_us() / 1000, ret);
	if (error != 0) {
		LOG_ERROR("cannot open the replay store file=%s error=%s why=\"%s\"",
			o->replay_file, err_name(error),
			error == -EWOULDBLOCK
				? "another process uses it: each hop needs a file of its own"
				: err_text(error));
		return error;
	}
	LOG_NOTICE("replay store state=%s file=%s", state_text(replay_state(*ret)),
		o->replay_file != NULL ? o->replay_file : "-");
	uint64_t accept_ms = replay_accept_after_ms(*ret);
	if (accept_ms > wall_ms) {
		struct timespec pause = { .tv_sec = (time_t)((accept_ms - wall_ms) / 1000),
			.tv_nsec = (long)((accept_ms - wall_ms) % 1000) * 1000000 };
		nanosleep(&pause, NULL); /* before any loop runs: nobody waits for us yet */
	}
	return 0;
}
