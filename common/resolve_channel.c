#include "common/resolve_channel.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>
#include <uv.h>

#define TRY_TIMEOUT_MS 2000 /* the first wait for a server; doubled with each round */
#define N_ROUNDS       2    /* over all servers */

/* One socket of c-ares. */
struct watch {
	uv_poll_t handle;
	struct resolve_channel *channel;
	ares_socket_t fd;
	struct watch *next, *prev;
};

struct resolve_channel {
	struct loop *loop;
	ares_channel ares;
	struct watch *watches;
	struct timer timeout; /* of c-ares */
};

static void restart_timeout(struct resolve_channel *c);

static void on_timeout(struct timer *timer)
{
	struct resolve_channel *c =
		(struct resolve_channel *)((char *)timer -
					   offsetof(struct resolve_channel, timeout));
	ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	restart_timeout(c);
}

static void restart_timeout(struct resolve_channel *c)
{
	struct timeval left;
	if (ares_timeout(c->ares, NULL, &left) == NULL) {
		loop_timer_stop(c->loop, &c->timeout);
		return;
	}
	uint64_t ms = (uint64_t)left.tv_sec * 1000 + ((uint64_t)left.tv_usec + 999) / 1000;
	loop_timer_start(c->loop, &c->timeout, ms > 0 ? ms : 1, on_timeout);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct watch *w = handle->data;
	struct resolve_channel *c = w->channel;
	bool can_read = status < 0 || (events & UV_READABLE) != 0;
	bool can_write = status < 0 || (events & UV_WRITABLE) != 0;
	/* c-ares may close the socket, and @w with it. */
	ares_socket_t fd = w->fd;
	ares_process_fd(c->ares, can_read ? fd : ARES_SOCKET_BAD, can_write ? fd : ARES_SOCKET_BAD);
	restart_timeout(c);
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void watch_close(struct watch *w)
{
	struct resolve_channel *c = w->channel;
	(void)loop_uv(c->loop);
	DL_DELETE(c->watches, w);
	uv_poll_stop(&w->handle); /* before c-ares closes the descriptor */
	uv_close((uv_handle_t *)&w->handle, on_watch_closed);
}

static struct watch *watch_open(struct resolve_channel *c, ares_socket_t fd)
{
	struct watch *w = calloc(1, sizeof *w);
	if (w == NULL)
		return NULL;
	if (uv_poll_init(loop_uv(c->loop), &w->handle, fd) != 0) {
		free(w);
		return NULL;
	}
	uv_unref((uv_handle_t *)&w->handle); /* a guest's loop is held by who waits, not by us */
	w->handle.data = w;
	w->channel = c;
	w->fd = fd;
	DL_APPEND(c->watches, w);
	return w;
}

/* ares_sock_state_cb. A socket that cannot be watched ends in c-ares' own timeout. */
static void on_socket(void *owner, ares_socket_t fd, int readable, int writable)
{
	struct resolve_channel *c = owner;
	struct watch *w;
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
	DL_SEARCH_SCALAR(c->watches, w, fd, fd);
	if (events == 0) {
		if (w != NULL)
			watch_close(w);
		return;
	}
	if (w == NULL)
		w = watch_open(c, fd);
	if (w == NULL)
		return;
	(void)loop_uv(c->loop);
	if (uv_poll_start(&w->handle, events, on_poll) != 0)
		watch_close(w);
}

/* ares_sock_config_callback, before it connects. What leaves unmarked could be captured again. */
static int on_new_socket(ares_socket_t fd, int type, void *owner)
{
	const struct resolve_channel *c = owner;
	(void)type;
	return loop_mark_socket(c->loop, fd) == 0 ? 0 : -1;
}

static int open_ares(struct resolve_channel *c, const char *servers)
{
	char lookups[] = "fb"; /* /etc/hosts, then DNS */
	struct ares_options options = {
		/* The name is the client's business: search domains of this host are not tried. */
		.flags = ARES_FLAG_NOSEARCH,
		.timeout = TRY_TIMEOUT_MS,
		.tries = N_ROUNDS,
		.lookups = lookups,
		.sock_state_cb = on_socket,
		.sock_state_cb_data = c,
	};
	/* ares_library_init() does nothing but count on this system. */
	int status = ares_init_options(&c->ares, &options,
		ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
			ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS)
		return status == ARES_ENOMEM ? ERR_NOMEM : -EIO;
	ares_set_socket_configure_callback(c->ares, on_new_socket, c);
	if (servers == NULL)
		return 0;
	status = ares_set_servers_ports_csv(c->ares, servers);
	if (status == ARES_SUCCESS && *servers != '\0')
		return 0;
	ares_destroy(c->ares);
	return status == ARES_ENOMEM ? ERR_NOMEM : ERR_INVAL;
}

int resolve_channel_open(struct loop *loop, const char *servers, struct resolve_channel **ret)
{
	struct resolve_channel *c = calloc(1, sizeof *c);
	if (c == NULL)
		return ERR_NOMEM;
	c->loop = loop;
	int error = open_ares(c, servers);
	if (error != 0) {
		free(c);
		return error;
	}
	*ret = c;
	return 0;
}

void resolve_channel_close(struct resolve_channel *channel)
{
	if (channel == NULL)
		return;
	ares_destroy(channel->ares); /* answers all questions, closes all sockets */
	assert(channel->watches == NULL);
	loop_timer_stop(channel->loop, &channel->timeout);
	free(channel);
}

ares_channel resolve_channel_ares(const struct resolve_channel *channel)
{
	return channel->ares;
}

void resolve_channel_asked(struct resolve_channel *channel)
{
	restart_timeout(channel);
}
