#include "common/local.h"

#include <assert.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REFRESH_MS 100   /* between two looks at the addresses, when they change often */
#define RETRY_MS   1000  /* after a look that failed */
#define GRACE_MS   10000 /* a reader is done with a snapshot long before */

/* An IP6 address, or an IP4 address in its mapped form. */
struct key {
	uint8_t ip[16];
};

/* Never changed once readers can see it. */
struct snapshot {
	struct snapshot *next; /* older one, retired before */
	uint64_t retired_at_ms;
	size_t n_keys;
	struct key keys[]; /* sorted */
};

struct local_addresses {
	_Atomic(struct snapshot *) current;
	struct snapshot *retired; /* youngest first */
	struct loop *loop;        /* NULL = not watching */
	struct poll poll;
	struct timer refresh, sweep;
	uint64_t refreshed_at_ms;
};

static struct key key_of(const union addr_sock *s)
{
	struct key key = { .ip = { [10] = 0xff, [11] = 0xff } };
	if (s->any.sa_family == AF_INET)
		memcpy(key.ip + 12, &s->ip4.sin_addr, 4);
	else
		memcpy(key.ip, &s->ip6.sin6_addr, 16);
	return key;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct key));
}

static struct snapshot *snapshot_new(size_t n_max)
{
	struct snapshot *snapshot = malloc(sizeof *snapshot + n_max * sizeof(struct key));
	if (snapshot != NULL)
		*snapshot = (struct snapshot){ 0 };
	return snapshot;
}

static void snapshot_sort(struct snapshot *snapshot)
{
	qsort(snapshot->keys, snapshot->n_keys, sizeof(struct key), compare);
}

static int snapshot_read(struct snapshot **ret)
{
	struct ifaddrs *list;
	size_t n = 0;
	if (getifaddrs(&list) != 0)
		return -errno;
	for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
		n++;
	struct snapshot *snapshot = snapshot_new(n);
	for (const struct ifaddrs *i = list; i != NULL && snapshot != NULL; i = i->ifa_next) {
		union addr_sock s;
		if (i->ifa_addr == NULL)
			continue;
		sa_family_t family = i->ifa_addr->sa_family;
		if (family != AF_INET && family != AF_INET6)
			continue;
		memcpy(&s, i->ifa_addr, family == AF_INET ? sizeof s.ip4 : sizeof s.ip6);
		snapshot->keys[snapshot->n_keys++] = key_of(&s);
	}
	freeifaddrs(list);
	if (snapshot == NULL)
		return ERR_NOMEM;
	snapshot_sort(snapshot);
	*ret = snapshot;
	return 0;
}

static int local_new(struct snapshot *snapshot, struct local_addresses **ret)
{
	struct local_addresses *local = calloc(1, sizeof *local);
	if (local == NULL) {
		free(snapshot);
		return ERR_NOMEM;
	}
	atomic_init(&local->current, snapshot);
	local->poll.fd = -1;
	*ret = local;
	return 0;
}

int local_addresses_new(struct local_addresses **ret)
{
	struct snapshot *snapshot;
	int error = snapshot_read(&snapshot);
	return error != 0 ? error : local_new(snapshot, ret);
}

int local_addresses_new_fixed(
	const union addr_sock *addresses, size_t n, struct local_addresses **ret)
{
	struct snapshot *snapshot = snapshot_new(n);
	if (snapshot == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		snapshot->keys[i] = key_of(&addresses[i]);
	snapshot->n_keys = n;
	snapshot_sort(snapshot);
	return local_new(snapshot, ret);
}

/* Frees @list and everything older. */
static void free_snapshots(struct snapshot *list)
{
	while (list != NULL) {
		struct snapshot *next = list->next;
		free(list);
		list = next;
	}
}

void local_addresses_free(struct local_addresses *local)
{
	if (local == NULL)
		return;
	assert(local->loop == NULL);
	free_snapshots(local->retired);
	free(atomic_load(&local->current));
	free(local);
}

bool local_addresses_has(const struct local_addresses *local, const union addr_sock *s)
{
	const struct snapshot *snapshot =
		atomic_load_explicit(&local->current, memory_order_acquire);
	struct key key = key_of(s);
	return bsearch(&key, snapshot->keys, snapshot->n_keys, sizeof key, compare) != NULL;
}

static void on_sweep(struct timer *timer)
{
	struct local_addresses *local =
		(struct local_addresses *)((char *)timer - offsetof(struct local_addresses, sweep));
	uint64_t now_ms = loop_now_ms(local->loop);
	struct snapshot **at = &local->retired;
	while (*at != NULL && now_ms - (*at)->retired_at_ms < GRACE_MS)
		at = &(*at)->next;
	free_snapshots(*at);
	*at = NULL;
	if (local->retired != NULL)
		loop_timer_start(local->loop, &local->sweep, GRACE_MS, on_sweep);
}

static bool is_same(const struct snapshot *a, const struct snapshot *b)
{
	return a->n_keys == b->n_keys &&
	       memcmp(a->keys, b->keys, a->n_keys * sizeof(struct key)) == 0;
}

static void retire(struct local_addresses *local, struct snapshot *old)
{
	old->next = local->retired;
	old->retired_at_ms = loop_now_ms(local->loop);
	local->retired = old;
	if (!timer_is_running(&local->sweep))
		loop_timer_start(local->loop, &local->sweep, GRACE_MS, on_sweep);
}

static void on_refresh(struct timer *timer)
{
	struct local_addresses *local =
		(struct local_addresses *)((char *)timer -
					   offsetof(struct local_addresses, refresh));
	struct snapshot *old = atomic_load_explicit(&local->current, memory_order_relaxed);
	struct snapshot *new = NULL;
	local->refreshed_at_ms = loop_now_ms(local->loop);
	if (snapshot_read(&new) != 0 || new == NULL) {
		loop_timer_start(local->loop, &local->refresh, RETRY_MS, on_refresh);
		return;
	}
	if (is_same(old, new)) {
		free(new);
		return;
	}
	atomic_store_explicit(&local->current, new, memory_order_release);
	retire(local, old);
}

/* What the messages say is not looked at: they are the hint to read all addresses again. */
static void on_netlink(struct poll *poll, unsigned events)
{
	struct local_addresses *local =
		(struct local_addresses *)((char *)poll - offsetof(struct local_addresses, poll));
	char message[8192];
	(void)events;
	for (;;) {
		ssize_t n = recv(poll->fd, message, sizeof message, 0);
		if (n == 0 || (n < 0 && errno != EINTR && errno != ENOBUFS))
			break;
	}
	if (timer_is_running(&local->refresh))
		return;
	uint64_t since_ms = loop_now_ms(local->loop) - local->refreshed_at_ms;
	uint64_t wait_ms = since_ms < REFRESH_MS ? REFRESH_MS - since_ms : 0;
	loop_timer_start(local->loop, &local->refresh, wait_ms, on_refresh);
}

int local_addresses_watch(struct local_addresses *local, struct loop *loop)
{
	struct sockaddr_nl at = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	assert(local->loop == NULL);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	int error = bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ? -errno : 0;
	if (error == 0)
		error = poll_add(loop, &local->poll, fd, on_netlink);
	if (error != 0) {
		close(fd);
		return error;
	}
	local->loop = loop;
	/* What changed between the first look and the bind. */
	loop_timer_start(loop, &local->refresh, 0, on_refresh);
	return 0;
}

void local_addresses_unwatch(struct local_addresses *local)
{
	if (local->loop == NULL)
		return;
	int fd = local->poll.fd;
	loop_timer_stop(local->loop, &local->refresh);
	loop_timer_stop(local->loop, &local->sweep);
	poll_remove(local->loop, &local->poll);
	close(fd);
	local->loop = NULL;
}
