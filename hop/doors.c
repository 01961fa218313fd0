#include "hop/doors.h"

#include "common/listener.h"
#include "common/place.h"
#include "common/proxy_reader.h"
#include "hop/session.h"

#include <stdlib.h>
#include <utlist.h>

#define PORT_TRIES 16 /* for a port that is free for streams and datagrams */

struct door {
	struct door *prev, *next;
	struct hop_doors *doors;
	struct hop_site *site; /* held */
	struct listener *listener;
	struct udp *udp; /* of the datagrams; or NULL */
	bool is_wanted;  /* by the generation that is prepared */
	bool is_new;     /* opened for it */
};

struct hop_doors {
	struct hop_worker *worker;
	struct hop_datagrams *datagrams;
	struct door *list;
	struct proxy_reader *proxies;
	const struct hop_generation *next; /* while it is prepared; borrowed */
};

static void on_client(struct stream *stream, const union addr_sock *peer, void *owner)
{
	struct hop_doors *doors = owner;
	hop_session_start(doors->worker, stream, peer);
}

/* docs/protocol.md 2.11: as one whose first header is none of ours. */
static void on_stranger(const struct proxy_stranger *stranger, void *owner)
{
	const struct hop_worker *worker = ((struct hop_doors *)owner)->worker;
	if (worker->options->on_bad == HOP_BAD_RESET)
		stream_drop(stranger->stream);
	else
		drain_silent(
			worker->drain, stranger->stream, stranger->n_received, stranger->start_ms);
}

int hop_doors_new(
	struct hop_worker *worker, struct hop_datagrams *datagrams, struct hop_doors **ret)
{
	struct hop_doors *doors = calloc(1, sizeof *doors);
	if (doors == NULL)
		return ERR_NOMEM;
	struct proxy_reader_options proxies = { .loop = worker->loop,
		.on_client = on_client,
		.on_stranger = on_stranger,
		.owner = doors };
	if (proxy_reader_new(&proxies, &doors->proxies) != 0) {
		free(doors);
		return ERR_NOMEM;
	}
	doors->worker = worker;
	doors->datagrams = datagrams;
	*ret = doors;
	return 0;
}

static const struct netset *find_proxies(const struct door *door, const struct hop_generation *g)
{
	for (size_t i = 0; g != NULL && i < g->options.n_listen; i++) {
		if (g->sites[i] == door->site)
			return &g->options.listen[i].proxies;
	}
	return NULL;
}

/* Whose word is taken for who their clients are, by the configuration in use; by the next one while
 * other workers prepare it and somebody comes to a new door. */
static const struct netset *proxies_of(const struct door *door)
{
	const struct netset *proxies = find_proxies(door, door->doors->worker->generation);
	return proxies != NULL ? proxies : find_proxies(door, door->doors->next);
}

static void on_accept(struct stream *stream, const union addr_sock *peer, void *owner)
{
	struct door *door = owner;
	const struct netset *proxies = proxies_of(door);
	if (proxies != NULL && netset_find_sock(proxies, peer) != NULL)
		proxy_reader_take(door->doors->proxies, stream, peer);
	else
		on_client(stream, peer, door->doors);
}

static void close_door(struct hop_doors *doors, struct door *door)
{
	DL_DELETE(doors->list, door);
	listener_close(door->listener);
	place_leave(door->site->place);
	hop_datagrams_leave(doors->datagrams, door->udp);
	hop_site_release(door->site);
	free(door);
}

/* The first socket that listens of those that were passed under one name. */
static int open_place(struct hop_doors *doors, struct door *door)
{
	int fd = place_fd(door->site->place, SOCK_STREAM, 0);
	return fd < 0 ? -ENOENT
		      : listener_open_fd(doors->worker->loop, fd, on_accept, door, &door->listener);
}

/* Datagrams are taken at the port of the streams. A port that the kernel chose may be another
 * program's for datagrams: then both try the next one. */
static int open_port(struct hop_doors *doors, struct door *door, bool takes_udp, bool shares_port)
{
	bool is_chosen = door->site->at.port == 0;
	int error = 0;
	for (int n_tries = 0; n_tries < PORT_TRIES; n_tries++) {
		struct addr at = door->site->at;
		error = listener_open(
			doors->worker->loop, &at, shares_port, on_accept, door, &door->listener);
		if (error != 0 || !takes_udp)
			return error;
		at.port = listener_port(door->listener);
		error = hop_datagrams_listen(doors->datagrams, &at, shares_port, &door->udp);
		if (error == 0)
			return 0;
		listener_close(door->listener);
		door->listener = NULL;
		if (error != -EADDRINUSE || !is_chosen)
			return error;
	}
	return error;
}

static void share(const struct door *door, bool shares_port)
{
	listener_share(door->listener, shares_port);
	if (door->udp != NULL)
		udp_share(door->udp, shares_port);
}

static bool has_port(const struct door *door, uint16_t port)
{
	return port != 0 && door->site->place == NULL && listener_port(door->listener) == port;
}

/* Whether ours have the port; those are told to share it, or not to. */
static bool share_port(struct hop_doors *doors, uint16_t port, bool shares_port)
{
	struct door *door;
	bool is_ours = hop_datagrams_share(doors->datagrams, port, shares_port);
	DL_FOREACH (doors->list, door) {
		if (!has_port(door, port))
			continue;
		share(door, shares_port);
		is_ours = true;
	}
	return is_ours;
}

/* Beside a door of ours that is about to go, if need be: "*:7000" becomes "10.0.0.1:7000". */
static int open_somewhere(struct hop_doors *doors, struct door *door,
	const struct hop_generation *generation, size_t i)
{
	bool takes_udp = generation->options.listen[i].takes_udp;
	bool shares_port = generation->options.n_workers > 1;
	uint16_t port = door->site->at.port;
	if (door->site->place != NULL)
		return open_place(doors, door);
	int error = open_port(doors, door, takes_udp, shares_port);
	if (error != -EADDRINUSE || shares_port || !share_port(doors, port, true))
		return error;
	error = open_port(doors, door, takes_udp, true);
	share_port(doors, port, false);
	if (error == 0)
		share(door, false);
	return error;
}

static int open_door(struct hop_doors *doors, const struct hop_generation *generation, size_t i)
{
	struct door *door = calloc(1, sizeof *door);
	if (door == NULL)
		return ERR_NOMEM;
	door->doors = doors;
	door->site = generation->sites[i];
	int error = open_somewhere(doors, door, generation, i);
	if (error != 0) {
		free(door);
		return error;
	}
	hop_site_hold(door->site);
	door->is_wanted = true;
	door->is_new = true;
	DL_APPEND(doors->list, door);
	return 0;
}

static struct door *find_door(const struct hop_doors *doors, const struct hop_site *site)
{
	struct door *door;
	DL_SEARCH_SCALAR(doors->list, door, site, site);
	return door;
}

int hop_doors_prepare(
	struct hop_doors *doors, const struct hop_generation *generation, size_t *ret_i)
{
	doors->next = generation;
	for (size_t i = 0; i < generation->options.n_listen; i++) {
		struct door *door = find_door(doors, generation->sites[i]);
		int error = 0;
		if (door != NULL)
			door->is_wanted = true;
		else
			error = open_door(doors, generation, i);
		if (error != 0) {
			*ret_i = i;
			return error;
		}
	}
	return 0;
}

void hop_doors_commit(struct hop_doors *doors)
{
	struct door *door, *next;
	doors->next = NULL;
	DL_FOREACH_SAFE (doors->list, door, next) {
		if (!door->is_wanted)
			close_door(doors, door);
		else
			door->is_wanted = door->is_new = false;
	}
}

void hop_doors_cancel(struct hop_doors *doors)
{
	struct door *door, *next;
	doors->next = NULL;
	DL_FOREACH_SAFE (doors->list, door, next) {
		door->is_wanted = false;
		if (door->is_new)
			close_door(doors, door);
	}
}

void hop_doors_close(struct hop_doors *doors)
{
	struct door *door, *next;
	doors->next = NULL;
	DL_FOREACH_SAFE (doors->list, door, next)
		close_door(doors, door);
	proxy_reader_free(doors->proxies);
	doors->proxies = NULL;
}

void hop_doors_free(struct hop_doors *doors)
{
	if (doors == NULL)
		return;
	hop_doors_close(doors);
	free(doors);
}

uint16_t hop_doors_port(const struct hop_doors *doors, const struct hop_site *site)
{
	const struct door *door = find_door(doors, site);
	return door != NULL && site->place == NULL ? listener_port(door->listener) : 0;
}
