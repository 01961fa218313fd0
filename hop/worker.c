#include "hop/worker.h"

#include <stddef.h>

static void on_expiry(struct timer *timer)
{
	struct hop_worker *w =
		(struct hop_worker *)((char *)timer - offsetof(struct hop_worker, expiry));
	uint64_t due_ms = wire_ephemeral_expire(w->ephemeral, loop_now_ms(w->loop));
	if (due_ms != UINT64_MAX)
		loop_timer_start(w->loop, timer, due_ms, on_expiry);
}

void hop_worker_watch_ephemeral(struct hop_worker *worker)
{
	if (!timer_is_running(&worker->expiry))
		on_expiry(&worker->expiry);
}

void hop_worker_forget(struct hop_worker *worker)
{
	if (worker->loop != NULL)
		loop_timer_stop(worker->loop, &worker->expiry);
	wire_ephemeral_free(worker->ephemeral);
	worker->ephemeral = NULL;
}
