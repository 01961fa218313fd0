#include "chain/probe.h"

#include "common/loop.h"

#include <stdlib.h>

struct chain_probe {
	struct chain_client *client;
	struct chain_session *session;
	struct chain_answers answers;
	chain_probe_fn *on_done;
	void *owner;
};

/* The last word; @probe is gone when the callback returns. */
static void finish(struct chain_probe *p, const struct chain_error *error)
{
	size_t n = p->answers.n_answers;
	uint64_t total_us = error == NULL && n > 0 ? p->answers.hops[n - 1].at_us
						   : loop_clock_us() - p->answers.start_us;
	p->on_done(error, &p->answers, total_us, p->owner);
	free(p);
}

static void on_forgotten(
	struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	(void)stream;
	(void)event;
	(void)data;
	(void)owner;
}

/* An orderly end: a hop that answered ECHO lingers until it hears of it. */
static void let_go(struct stream *stream)
{
	stream_own(stream, on_forgotten, NULL);
	stream_shutdown(stream);
	stream_close(stream);
}

static void on_session(struct stream *stream, const struct chain_error *error, void *owner)
{
	struct chain_probe *p = owner;
	p->session = NULL;
	if (stream != NULL)
		let_go(stream);
	finish(p, error);
}

static int start_session(struct chain_probe *p, const struct chain_probe_options *options)
{
	struct chain_session_options session = {
		.purpose = options->n_hops > 0 ? CHAIN_TO_ECHO : CHAIN_TO_TARGET,
		.target = options->n_hops > 0 ? NULL : options->target,
		.n_hops = options->n_hops,
		.is_trace = true,
		.timeout_ms = options->timeout_ms,
		.answers = &p->answers,
	};
	return chain_session_start(p->client, &session, on_session, p, &p->session);
}

static bool is_possible(const struct chain_client *client, const struct chain_probe_options *o)
{
	size_t n_hops = chain_client_spec(client)->n_hops;
	return o->n_hops <= n_hops && (o->n_hops > 0 || o->target != NULL);
}

int chain_probe_start(struct chain_client *client, struct udp_io *io,
	const struct chain_probe_options *options, chain_probe_fn *on_done, void *owner,
	struct chain_probe **ret)
{
	(void)io;
	if (!is_possible(client, options))
		return ERR_INVAL;
	struct chain_probe *p = calloc(1, sizeof *p);
	if (p == NULL)
		return ERR_NOMEM;
	p->client = client;
	p->on_done = on_done;
	p->owner = owner;
	int error = start_session(p, options);
	if (error != 0) {
		free(p);
		return error;
	}
	*ret = p;
	return 0;
}

void chain_probe_cancel(struct chain_probe *probe)
{
	chain_session_cancel(probe->session);
	free(probe);
}
