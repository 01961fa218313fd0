#include "common/work.h"

#include "common/loop.h"

#include <stdlib.h>
#include <uv.h>

struct work {
	uv_work_t request; /* keeps uv_run() of loop_free() going until it has ended */
	struct loop *loop;
	work_fn *fn;
	work_done_fn *done;
	void *owner;
};

static void on_thread(uv_work_t *request)
{
	struct work *w = request->data;
	w->fn(w->owner);
}

static void on_ended(uv_work_t *request, int status)
{
	struct work *w = request->data;
	work_done_fn *done = w->done;
	void *owner = w->owner;
	free(w);
	done(status == 0, owner);
}

int work_start(struct loop *loop, work_fn *fn, work_done_fn *done, void *owner, struct work **ret)
{
	struct work *w = calloc(1, sizeof *w);
	if (w == NULL)
		return ERR_NOMEM;
	*w = (struct work){ .loop = loop, .fn = fn, .done = done, .owner = owner };
	w->request.data = w;
	int error = uv_queue_work(loop_uv(loop), &w->request, on_thread, on_ended);
	if (error != 0) {
		free(w);
		return error;
	}
	*ret = w;
	return 0;
}

void work_cancel(struct work *work)
{
	(void)loop_uv(work->loop);
	(void)uv_cancel((uv_req_t *)&work->request); /* busy: it runs to its end */
}
