#include "access/associate_session.h"

#include "access/udp_associate.h"
#include "common/loop.h"
#include "common/tcp.h"

#include <stdlib.h>

struct associate_session {
	struct udp_associate *associate;
	associate_session_fn *on_done;
	void *owner;
};

static void on_client(
	struct stream *client, enum stream_event event, struct bytes data, void *owner)
{
	struct associate_session *a = owner;
	(void)data; /* it has nothing more to say */
	if (event == STREAM_FAILED)
		a->on_done(err_name(client->error), a->owner);
	else if (event == STREAM_EOF)
		a->on_done("client-fin", a->owner);
}

static void on_flows_idle(void *owner)
{
	struct associate_session *a = owner;
	a->on_done("stopped", a->owner);
}

static int open_socket(const struct access_connection *connection, struct stream *client,
	const struct greeting_request *request, struct udp_associate **ret)
{
	union addr_sock local;
	if (!tcp_local(client, &local))
		return -ENOTCONN;
	return udp_associate_open(connection->ingress, access_connection_worker(connection)->io,
		&local, &connection->peer, &request->target, request->user, ret);
}

int associate_session_start(const struct access_connection *connection, struct stream *client,
	struct opening *opening, associate_session_fn *on_done, void *owner,
	struct associate_session **ret)
{
	union addr_sock bound;
	struct associate_session *a = calloc(1, sizeof *a);
	if (a == NULL)
		return ERR_NOMEM;
	int error = open_socket(connection, client, opening_request(opening), &a->associate);
	if (error != 0) {
		free(a);
		return error;
	}
	a->on_done = on_done;
	a->owner = owner;
	udp_associate_bound(a->associate, &bound);
	opening_answer(opening, NULL, &bound);
	stream_own(client, on_client, a);
	stream_read_start(client);
	/* Nothing is sent on it, so only the kernel can find out that its host has gone. */
	(void)stream_is_stalled(client, loop_now_ms(client->loop), true);
	if (access_connection_worker(connection)->is_draining)
		associate_session_drain(a);
	*ret = a;
	return 0;
}

void associate_session_free(struct associate_session *session)
{
	if (session == NULL)
		return;
	udp_associate_close(session->associate);
	free(session);
}

void associate_session_drain(struct associate_session *session)
{
	udp_associate_drain(session->associate, on_flows_idle, session);
}

void associate_session_counts(
	const struct associate_session *session, uint64_t *ret_up, uint64_t *ret_down)
{
	const struct udp_associate_counters *n = udp_associate_counters(session->associate);
	*ret_up = n->n_up_bytes;
	*ret_down = n->n_down_bytes;
}
