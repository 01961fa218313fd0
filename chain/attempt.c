#include "chain/attempt.h"

#include <stdlib.h>

struct chain_attempt {
	struct chain_upstream *upstream;
	struct chain_way *way;
	struct chain_session *session;
	chain_attempt_fn *on_done;
	void *owner;
};

static void on_session(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct chain_attempt *a = owner;
	struct chain_way *way = a->way;
	chain_attempt_fn *on_done = a->on_done;
	void *on_done_owner = a->owner;
	(void)chain_way_report(way, error, 0);
	free(a);
	on_done(stream, chain_client_spec(chain_way_client(way)), error, on_done_owner);
	chain_way_release(way);
}

int chain_attempt_start(struct chain_upstream *upstream,
	const struct chain_attempt_options *options, chain_attempt_fn *on_done, void *owner,
	struct chain_attempt **ret)
{
	struct chain_who who = { .target = options->target, .source = options->source };
	struct chain_session_options session = {
		.purpose = options->purpose,
		.target = options->target,
		.timeout_ms = options->timeout_ms,
	};
	struct chain_attempt *a = calloc(1, sizeof *a);
	if (a == NULL)
		return ERR_NOMEM;
	a->upstream = upstream;
	a->on_done = on_done;
	a->owner = owner;
	a->way = chain_upstream_choose(upstream, &who);
	int error = a->way == NULL ? ERR_NOMEM
				   : chain_session_start(chain_way_client(a->way), &session,
					     on_session, a, &a->session);
	if (error != 0) {
		chain_way_release(a->way);
		free(a);
		return error;
	}
	*ret = a;
	return 0;
}

void chain_attempt_cancel(struct chain_attempt *attempt)
{
	chain_session_cancel(attempt->session);
	chain_way_release(attempt->way);
	free(attempt);
}
