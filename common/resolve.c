#include "common/resolve.h"

#include "common/resolve_channel.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define CLASS_IN 1
#define TYPE_SRV 33

struct resolve_query {
	struct resolver *resolver;
	struct lookup *lookup; /* whose answer we wait for; NULL = refused at once */
	struct timer deadline;
	struct resolve_query *next, *prev; /* in lookup->waiting or resolver->ready */
	resolve_fn *fn;                    /* of addresses */
	resolve_srv_fn *srv_fn;            /* of services */
	void *owner;
	int error; /* of a query without lookup */
	bool is_ready;
};

enum lookup_kind {
	LOOKUP_ADDRESSES,
	LOOKUP_SERVICES,
};

/* A name: being looked up, or answered and cached. */
struct lookup {
	struct resolver *resolver;
	enum lookup_kind kind;
	char *name;                    /* lower case, owned */
	struct resolve_query *waiting; /* for c-ares */
	struct lookup *next, *prev;    /* in resolver->cached, the oldest first */
	unsigned n_queries;            /* waiting or ready; the lookup stays for them */
	bool is_pending;
	uint64_t expires_at_ms;  /* in the cache */
	uint64_t holds_until_ms; /* as the servers say */
	int error;
	size_t n_addresses, n_services;
	union addr_sock *addresses;   /* owned */
	struct resolve_srv *services; /* owned */
};

struct resolver {
	struct loop *loop;
	struct resolve_channel *channel;
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
	const struct lookup *x = a, *y = b;
	return x->kind != y->kind ? (int)x->kind - (int)y->kind : strcmp(x->name, y->name);
}

static struct lookup *lookup_find(struct resolver *r, enum lookup_kind kind, char *name)
{
	struct lookup key = { .kind = kind, .name = name };
	struct lookup **node = tfind(&key, &r->names, compare);
	return node != NULL ? *node : NULL;
}

static void lookup_free(struct lookup *l)
{
	free(l->name);
	free(l->addresses);
	free(l->services);
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

/* Exactly once per lookup; maybe from inside lookup_run(). @ttl_s is that of a good answer. */
static void lookup_end(struct lookup *l, int error, size_t ttl_s)
{
	struct resolver *r = l->resolver;
	struct resolve_query *q, *next;
	uint64_t now_ms = loop_now_ms(r->loop);
	if (error == ERR_NOT_FOUND || error == ERR_NO_ADDRESS)
		ttl_s = RESOLVE_CACHE_BAD_TTL_S;
	else if (error != 0)
		ttl_s = 0;
	l->error = error;
	l->holds_until_ms = now_ms + (uint64_t)ttl_s * 1000;
	l->expires_at_ms =
		now_ms +
		(uint64_t)(ttl_s < RESOLVE_CACHE_TTL_MAX_S ? ttl_s : RESOLVE_CACHE_TTL_MAX_S) *
			1000;
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

/* ares_addrinfo_callback */
static void on_addresses(void *arg, int status, int n_timeouts, struct ares_addrinfo *info)
{
	struct lookup *l = arg;
	size_t ttl_s = 0;
	int error = error_of(status);
	(void)n_timeouts;
	if (error == 0)
		error = take_addresses(l, info, &ttl_s);
	if (info != NULL)
		ares_freeaddrinfo(info);
	lookup_end(l, error, ttl_s);
}

static int take_services(struct lookup *l, struct bytes answer, uint32_t *ret_ttl_s)
{
	l->services = calloc(RESOLVE_MAX_SRV, sizeof l->services[0]);
	if (l->services == NULL)
		return ERR_NOMEM;
	int error =
		resolve_srv_parse(answer, l->services, RESOLVE_MAX_SRV, &l->n_services, ret_ttl_s);
	struct resolve_srv *fit =
		error == 0 ? realloc(l->services, l->n_services * sizeof *fit) : NULL;
	if (fit != NULL)
		l->services = fit;
	return error;
}

/* ares_callback */
static void on_services(void *arg, int status, int n_timeouts, unsigned char *answer, int len)
{
	struct lookup *l = arg;
	uint32_t ttl_s = 0;
	int error = error_of(status);
	(void)n_timeouts;
	if (error == 0)
		error = take_services(l, bytes_of(answer, (size_t)len), &ttl_s);
	lookup_end(l, error, ttl_s);
}

/* --- queries --- */

static void lookup_release(struct lookup *l)
{
	if (--l->n_queries == 0 && !l->is_pending && is_expired(l))
		lookup_drop(l);
}

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
	if (l != NULL)
		lookup_release(l);
}

static uint32_t holds_s(const struct lookup *l)
{
	uint64_t now_ms = loop_now_ms(l->resolver->loop);
	return l->holds_until_ms > now_ms ? (uint32_t)((l->holds_until_ms - now_ms) / 1000) : 0;
}

static void tell(const struct resolve_query *q, int error)
{
	static const union addr_sock no_address;
	static const struct resolve_srv no_service;
	const struct lookup *l = q->lookup;
	if (error != 0 && q->srv_fn != NULL)
		q->srv_fn(error, &no_service, 0, 0, q->owner);
	else if (error != 0)
		q->fn(error, &no_address, 0, q->owner);
	else if (q->srv_fn != NULL)
		q->srv_fn(0, l->services, l->n_services, holds_s(l), q->owner);
	else
		q->fn(0, l->addresses, l->n_addresses, q->owner);
}

static void query_answer(struct resolve_query *q, int error)
{
	const struct resolve_query told = *q;
	if (told.lookup != NULL)
		told.lookup->n_queries++; /* what it found must outlive the callback */
	query_free(q);
	tell(&told, error);
	if (told.lookup != NULL)
		lookup_release(told.lookup);
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
static struct lookup *lookup_new(struct resolver *r, enum lookup_kind kind, char *name)
{
	struct lookup *l = calloc(1, sizeof *l);
	if (l == NULL)
		return NULL;
	l->resolver = r;
	l->kind = kind;
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
	ares_channel ares = resolve_channel_ares(r->channel);
	if (l->kind == LOOKUP_SERVICES)
		ares_query(ares, l->name, CLASS_IN, TYPE_SRV, on_services, l);
	else
		ares_getaddrinfo(ares, l->name, NULL, &hints, on_addresses, l);
	resolve_channel_asked(r->channel);
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
	enum lookup_kind kind = q->srv_fn != NULL ? LOOKUP_SERVICES : LOOKUP_ADDRESSES;
	struct lookup *l = lookup_find(r, kind, name);
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
	l = lookup_new(r, kind, name);
	if (l == NULL) {
		free(name);
		return ERR_NOMEM;
	}
	query_join(q, l);
	lookup_run(l);
	return 0;
}

/* @asked: fn or srv_fn, and owner. */
static int start(struct resolver *resolver, const char *name, uint64_t timeout_ms,
	const struct resolve_query *asked, struct resolve_query **ret)
{
	struct resolve_query *q = malloc(sizeof *q);
	char *key = lower(name);
	if (q == NULL || key == NULL) {
		free(q);
		free(key);
		return ERR_NOMEM;
	}
	*q = *asked;
	q->resolver = resolver;
	int error = ask(q, key);
	if (error != 0) {
		free(q);
		return error;
	}
	loop_timer_start(resolver->loop, &q->deadline, timeout_ms, on_deadline);
	*ret = q;
	return 0;
}

int resolve_start(struct resolver *resolver, const char *name, uint64_t timeout_ms, resolve_fn *fn,
	void *owner, struct resolve_query **ret)
{
	const struct resolve_query asked = { .fn = fn, .owner = owner };
	return start(resolver, name, timeout_ms, &asked, ret);
}

int resolve_srv_start(struct resolver *resolver, const char *name, uint64_t timeout_ms,
	resolve_srv_fn *fn, void *owner, struct resolve_query **ret)
{
	const struct resolve_query asked = { .srv_fn = fn, .owner = owner };
	return start(resolver, name, timeout_ms, &asked, ret);
}

void resolve_cancel(struct resolve_query *query)
{
	query_free(query);
}

/* --- the resolver --- */

int resolver_new(struct loop *loop, const char *servers, struct resolver **ret)
{
	struct resolver *r = calloc(1, sizeof *r);
	if (r == NULL)
		return ERR_NOMEM;
	r->loop = loop;
	int error = resolve_channel_open(loop, servers, &r->channel);
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
	resolve_channel_close(resolver->channel); /* answers every lookup: all queries are ready */
	assert(resolver->n_pending == 0);
	while (resolver->ready != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that it is ready */
		query_free(resolver->ready);
	tdestroy(resolver->names, node_free);
	resolver->is_freed = true;
	if (!resolver->deliver.is_queued)
		free(resolver);
}

const char *resolve_library(void)
{
	return ares_version(NULL);
}
