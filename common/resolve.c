#include "common/resolve.h"

#include <ares.h>
#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <uv.h>

#define TRY_TIMEOUT_MS 2000 /* the first wait for a server; doubled with each round */
#define N_ROUNDS       2    /* over all servers */

struct resolve_query {
	struct resolver *resolver;
	struct lookup *lookup; /* whose answer we wait for; NULL = refused at once */
	struct timer deadline;
	struct resolve_query *next, *prev; /* in lookup->waiting or resolver->ready */
	resolve_fn *fn;
	void *owner;
	int error; /* of a query without lookup */
	bool is_ready;
};

/* A name: being looked up, or answered and cached. */
struct lookup {
	struct resolver *resolver;
	char *name;                    /* lower case, owned */
	struct resolve_query *waiting; /* for c-ares */
	struct lookup *next, *prev;    /* in resolver->cached, the oldest first */
	unsigned n_queries;            /* waiting or ready; the lookup stays for them */
	bool is_pending;
	uint64_t expires_at_ms;
	int error;
	size_t n_addresses;
	union addr_sock *addresses; /* owned */
};

/* One socket of c-ares. */
struct watch {
	uv_poll_t handle;
	struct resolver *resolver;
	ares_socket_t fd;
	struct watch *next, *prev;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	struct watch *watches;
	struct timer timeout; /* of c-ares */
	void *names; /* tree of all lookups (search.h): no hash that a client could fill with
			collisions */
	struct lookup *cached;
	size_t n_pending, n_cached;
	struct resolve_query *ready;
	struct task deliver;
	bool is_freed; /* the queued task frees */
};

static void on_deliver(struct task *task);

static int error_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENODATA:
		return ERR_NO_ADDRESS;
	case ARES_ENOTFOUND:
	case ARES_ENONAME:
	case ARES_EBADNAME:
		return ERR_NOT_FOUND;
	case ARES_EFORMERR:
	case ARES_ESERVFAIL:
	case ARES_ENOTIMP:
	case ARES_EREFUSED:
	case ARES_EBADRESP:
	case ARES_ECONNREFUSED: /* c-ares says this when each server failed, refused or is not there
				 */
		return ERR_DNS_SERVER;
	case ARES_ETIMEOUT:
		return ERR_DNS_TIMEOUT;
	case ARES_ENOMEM:
		return ERR_NOMEM;
	default:
		return ERR_DNS_TEMPORARY;
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct lookup *)a)->name, ((const struct lookup *)b)->name);
}

static struct lookup *lookup_find(struct resolver *r, char *name)
{
	struct lookup key = { .name = name };
	struct lookup **node = tfind(&key, &r->names, compare);
	return node != NULL ? *node : NULL;
}

static void lookup_free(struct lookup *l)
{
	free(l->name);
	free(l->addresses);
	free(l);
}

/* Takes an answered lookup that nobody waits for out of the cache. */
static void lookup_drop(struct lookup *l)
{
	struct resolver *r = l->resolver;
	assert(!l->is_pending && l->n_queries == 0);
	DL_DELETE(r->cached, l);
	r->n_cached--;
	tdelete(l, &r->names, compare);
	lookup_free(l);
}

static bool is_expired(const struct lookup *l)
{
	return loop_now_ms(l->resolver->loop) >= l->expires_at_ms;
}

/* Keeps the cache within its limit; lookups with queries leave as soon as those are gone. */
static void evict(struct resolver *r)
{
	struct lookup *l, *next;
	DL_FOREACH_SAFE (r->cached, l, next) {
		if (r->n_cached <= RESOLVE_CACHE_MAX)
			return;
		if (l->n_queries == 0)
			lookup_drop(l);
	}
}

/* --- c-ares' sockets and timer --- */

static void restart_timeout(struct resolver *r);

static void on_timeout(struct timer *timer)
{
	struct resolver *r =
		(struct resolver *)((char *)timer - offsetof(struct resolver, timeout));
	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	restart_timeout(r);
}

static void restart_timeout(struct resolver *r)
{
	struct timeval left;
	if (ares_timeout(r->channel, NULL, &left) == NULL) {
		loop_timer_stop(r->loop, &r->timeout);
		return;
	}
	uint64_t ms = (uint64_t)left.tv_sec * 1000 + ((uint64_t)left.tv_usec + 999) / 1000;
	loop_timer_start(r->loop, &r->timeout, ms > 0 ? ms : 1, on_timeout);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct watch *w = handle->data;
	struct resolver *r = w->resolver;
	bool can_read = status < 0 || (events & UV_READABLE) != 0;
	bool can_write = status < 0 || (events & UV_WRITABLE) != 0;
	/* c-ares may close the socket, and @w with it. */
	ares_socket_t fd = w->fd;
	ares_process_fd(
		r->channel, can_read ? fd : ARES_SOCKET_BAD, can_write ? fd : ARES_SOCKET_BAD);
	restart_timeout(r);
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void watch_close(struct watch *w)
{
	struct resolver *r = w->resolver;
	(void)loop_uv(r->loop);
	DL_DELETE(r->watches, w);
	uv_poll_stop(&w->handle); /* before c-ares closes the descriptor */
	uv_close((uv_handle_t *)&w->handle, on_watch_closed);
}

static struct watch *watch_open(struct resolver *r, ares_socket_t fd)
{
	struct watch *w = calloc(1, sizeof *w);
	if (w == NULL)
		return NULL;
	if (uv_poll_init(loop_uv(r->loop), &w->handle, fd) != 0) {
		free(w);
		return NULL;
	}
	uv_unref((uv_handle_t *)&w->handle); /* a guest's loop is held by who waits, not by us */
	w->handle.data = w;
	w->resolver = r;
	w->fd = fd;
	DL_APPEND(r->watches, w);
	return w;
}

/* ares_sock_state_cb. A socket that cannot be watched ends in c-ares' own timeout. */
static void on_socket(void *owner, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = owner;
	struct watch *w;
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
	DL_SEARCH_SCALAR(r->watches, w, fd, fd);
	if (events == 0) {
		if (w != NULL)
			watch_close(w);
		return;
	}
	if (w == NULL)
		w = watch_open(r, fd);
	if (w == NULL)
		return;
	(void)loop_uv(r->loop);
	if (uv_poll_start(&w->handle, events, on_poll) != 0)
		watch_close(w);
}

/* --- answers --- */

static size_t count(const struct ares_addrinfo_node *node, int family, size_t *ttl_s)
{
	size_t n = 0;
	for (; node != NULL; node = node->ai_next) {
		if (node->ai_family != family)
			continue;
		n++;
		if (node->ai_ttl >= 0 && (size_t)node->ai_ttl < *ttl_s)
			*ttl_s = (size_t)node->ai_ttl;
	}
	return n;
}

static const struct ares_addrinfo_node *skip_to(const struct ares_addrinfo_node *node, int family)
{
	while (node != NULL && node->ai_family != family)
		node = node->ai_next;
	return node;
}

/* Copies the addresses: IP6, IP4, IP6 … in the server's order within each family. */
static int take_addresses(struct lookup *l, const struct ares_addrinfo *info, size_t *ret_ttl_s)
{
	size_t ttl_s = RESOLVE_CACHE_TTL_MAX_S;
	const struct ares_addrinfo_node *next[2] = { skip_to(info->nodes, AF_INET6),
		skip_to(info->nodes, AF_INET) };
	size_t n = count(info->nodes, AF_INET6, &ttl_s) + count(info->nodes, AF_INET, &ttl_s);
	if (n == 0)
		return ERR_NO_ADDRESS;
	if (n > RESOLVE_MAX_ADDRESSES)
		n = RESOLVE_MAX_ADDRESSES;
	l->addresses = calloc(n, sizeof l->addresses[0]);
	if (l->addresses == NULL)
		return ERR_NOMEM;
	for (int turn = 0; l->n_addresses < n; turn ^= 1) {
		const struct ares_addrinfo_node *node = next[turn];
		if (node == NULL)
			continue;
		union addr_sock *s = &l->addresses[l->n_addresses++];
		memcpy(s, node->ai_addr,
			node->ai_family == AF_INET ? sizeof s->ip4 : sizeof s->ip6);
		addr_sock_set_port(s, 0);
		next[turn] = skip_to(node->ai_next, node->ai_family);
	}
	*ret_ttl_s = ttl_s;
	return 0;
}

static void query_set_ready(struct resolve_query *q)
{
	struct resolver *r = q->resolver;
	q->is_ready = true;
	DL_APPEND(r->ready, q);
	loop_defer(r->loop, &r->deliver, on_deliver);
}

/* ares_addrinfo_callback, exactly once per lookup; maybe from inside ares_getaddrinfo(). */
static void on_answer(void *arg, int status, int n_timeouts, struct ares_addrinfo *info)
{
	struct lookup *l = arg;
	struct resolver *r = l->resolver;
	struct resolve_query *q, *next;
	size_t ttl_s = 0;
	(void)n_timeouts;
	l->error = error_of(status);
	if (l->error == 0)
		l->error = take_addresses(l, info, &ttl_s);
	if (info != NULL)
		ares_freeaddrinfo(info);
	if (l->error == ERR_NOT_FOUND || l->error == ERR_NO_ADDRESS)
		ttl_s = RESOLVE_CACHE_BAD_TTL_S;
	l->expires_at_ms = loop_now_ms(r->loop) + ttl_s * 1000;
	l->is_pending = false;
	r->n_pending--;
	DL_APPEND(r->cached, l);
	r->n_cached++;
	DL_FOREACH_SAFE (l->waiting, q, next) {
		DL_DELETE(l->waiting, q);
		query_set_ready(q);
	}
	evict(r);
}

/* --- queries --- */

/* Takes @q out of everything and frees it. */
static void query_free(struct resolve_query *q)
{
	struct resolver *r = q->resolver;
	struct lookup *l = q->lookup;
	loop_timer_stop(r->loop, &q->deadline);
	if (q->is_ready)
		DL_DELETE(r->ready, q);
	else if (l != NULL)
		DL_DELETE(l->waiting, q);
	free(q);
	if (l != NULL && --l->n_queries == 0 && !l->is_pending && is_expired(l))
		lookup_drop(l);
}

static void query_answer(struct resolve_query *q, int error)
{
	union addr_sock addresses[RESOLVE_MAX_ADDRESSES];
	resolve_fn *fn = q->fn;
	void *owner = q->owner;
	size_t n = error == 0 && q->lookup != NULL ? q->lookup->n_addresses : 0;
	if (n > 0)
		memcpy(addresses, q->lookup->addresses, n * sizeof addresses[0]);
	query_free(q);
	fn(error, addresses, n, owner);
}

static void on_deliver(struct task *task)
{
	struct resolver *r = (struct resolver *)((char *)task - offsetof(struct resolver, deliver));
	if (r->is_freed) {
		free(r);
		return;
	}
	/* A callback may start and cancel queries. Each turn takes the first one out of the list.
	 */
	while (r->ready != NULL) {
		struct resolve_query *q = r->ready;
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that q is ready */
		query_answer(q, q->lookup != NULL ? q->lookup->error : q->error);
	}
}

static void on_deadline(struct timer *timer)
{
	struct resolve_query *q =
		(struct resolve_query *)((char *)timer - offsetof(struct resolve_query, deadline));
	query_answer(q, ERR_DNS_TIMEOUT);
}

static char *lower(const char *name)
{
	char *copy = strdup(name);
	for (char *c = copy; c != NULL && *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c | 0x20);
	}
	return copy;
}

/* A new lookup of @name, which it takes. */
static struct lookup *lookup_new(struct resolver *r, char *name)
{
	struct lookup *l = calloc(1, sizeof *l);
	if (l == NULL)
		return NULL;
	l->resolver = r;
	l->name = name;
	if (tsearch(l, &r->names, compare) == NULL) {
		free(l);
		return NULL;
	}
	l->is_pending = true;
	r->n_pending++;
	return l;
}

static void lookup_run(struct lookup *l)
{
	static const struct ares_addrinfo_hints hints = {
		.ai_family = AF_UNSPEC,
		.ai_flags = ARES_AI_NOSORT, /* sorting would open a socket per address */
	};
	struct resolver *r = l->resolver;
	ares_getaddrinfo(r->channel, l->name, NULL, &hints, on_answer, l);
	restart_timeout(r);
}

static void query_join(struct resolve_query *q, struct lookup *l)
{
	q->lookup = l;
	l->n_queries++;
	if (l->is_pending)
		DL_APPEND(l->waiting, q);
	else
		query_set_ready(q);
}

/* Joins @q to the lookup of @name (taken), which may have to be made. */
static int ask(struct resolve_query *q, char *name)
{
	struct resolver *r = q->resolver;
	struct lookup *l = lookup_find(r, name);
	if (l != NULL && !l->is_pending && l->n_queries == 0 && is_expired(l)) {
		lookup_drop(l);
		l = NULL;
	}
	if (l != NULL) { /* an expired one that is being delivered is young enough, too */
		free(name);
		query_join(q, l);
		return 0;
	}
	if (r->n_pending >= RESOLVE_MAX_PENDING) {
		free(name);
		q->error = ERR_DNS_TEMPORARY;
		query_set_ready(q);
		return 0;
	}
	l = lookup_new(r, name);
	if (l == NULL) {
		free(name);
		return ERR_NOMEM;
	}
	query_join(q, l);
	lookup_run(l);
	return 0;
}

int resolve_start(struct resolver *resolver, const char *name, uint64_t timeout_ms, resolve_fn *fn,
	void *owner, struct resolve_query **ret)
{
	struct resolve_query *q = calloc(1, sizeof *q);
	char *key = lower(name);
	if (q == NULL || key == NULL) {
		free(q);
		free(key);
		return ERR_NOMEM;
	}
	q->resolver = resolver;
	q->fn = fn;
	q->owner = owner;
	int error = ask(q, key);
	if (error != 0) {
		free(q);
		return error;
	}
	loop_timer_start(resolver->loop, &q->deadline, timeout_ms, on_deadline);
	*ret = q;
	return 0;
}

void resolve_cancel(struct resolve_query *query)
{
	query_free(query);
}

/* --- the resolver --- */

static int channel_open(struct resolver *r, const char *servers)
{
	char lookups[] = "fb"; /* /etc/hosts, then DNS */
	struct ares_options options = {
		/* The name is the client's business: search domains of this host are not tried. */
		.flags = ARES_FLAG_NOSEARCH,
		.timeout = TRY_TIMEOUT_MS,
		.tries = N_ROUNDS,
		.lookups = lookups,
		.sock_state_cb = on_socket,
		.sock_state_cb_data = r,
	};
	/* ares_library_init() does nothing but count on this system. */
	int status = ares_init_options(&r->channel, &options,
		ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
			ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS)
		return status == ARES_ENOMEM ? ERR_NOMEM : -EIO;
	if (servers == NULL)
		return 0;
	status = ares_set_servers_ports_csv(r->channel, servers);
	if (status == ARES_SUCCESS && *servers != '\0')
		return 0;
	ares_destroy(r->channel);
	return status == ARES_ENOMEM ? ERR_NOMEM : ERR_INVAL;
}

int resolver_new(struct loop *loop, const char *servers, struct resolver **ret)
{
	struct resolver *r = calloc(1, sizeof *r);
	if (r == NULL)
		return ERR_NOMEM;
	r->loop = loop;
	int error = channel_open(r, servers);
	if (error != 0) {
		free(r);
		return error;
	}
	*ret = r;
	return 0;
}

static void node_free(void *lookup)
{
	lookup_free(lookup);
}

void resolver_free(struct resolver *resolver)
{
	if (resolver == NULL)
		return;
	ares_destroy(resolver->channel); /* answers every lookup: all queries are ready, all sockets
					    closed */
	assert(resolver->watches == NULL && resolver->n_pending == 0);
	while (resolver->ready != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that it is ready */
		query_free(resolver->ready);
	tdestroy(resolver->names, node_free);
	loop_timer_stop(resolver->loop, &resolver->timeout);
	resolver->is_freed = true;
	if (!resolver->deliver.is_queued)
		free(resolver);
}

const char *resolve_library(void)
{
	return ares_version(NULL);
}
