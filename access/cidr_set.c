#include "access/cidr_set.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 8

/* Both ends are in it. */
struct range4 {
	uint32_t low, high;
};
struct range6 {
	uint8_t low[16], high[16];
};

/* Ranges of one family; of the other size the same. */
struct ranges {
	void *list; /* owned */
	size_t n, room, size;
	int (*order)(const void *a, const void *b);
};

struct cidr_set {
	struct ranges ip4, ip6;
	unsigned classes; /* 1u << enum addr_class */
	size_t n_added;
	bool has_any;
};

static int order4(const void *a, const void *b)
{
	const struct range4 *x = a, *y = b;
	return (x->low > y->low) - (x->low < y->low);
}

static int order6(const void *a, const void *b)
{
	const struct range6 *x = a, *y = b;
	return memcmp(x->low, y->low, sizeof x->low);
}

struct cidr_set *cidr_set_new(void)
{
	struct cidr_set *set = calloc(1, sizeof *set);
	if (set == NULL)
		return NULL;
	set->ip4 = (struct ranges){ .size = sizeof(struct range4), .order = order4 };
	set->ip6 = (struct ranges){ .size = sizeof(struct range6), .order = order6 };
	return set;
}

void cidr_set_free(struct cidr_set *set)
{
	if (set == NULL)
		return;
	free(set->ip4.list);
	free(set->ip6.list);
	free(set);
}

static int append(struct ranges *r, const void *range)
{
	if (r->n == r->room) {
		size_t room = r->room > 0 ? 2 * r->room : FIRST_ROOM;
		void *list = reallocarray(r->list, room, r->size);
		if (list == NULL)
			return ERR_NOMEM;
		r->list = list;
		r->room = room;
	}
	memcpy((uint8_t *)r->list + r->n++ * r->size, range, r->size);
	return 0;
}

static int add_net(struct cidr_set *set, const struct net_rule *rule)
{
	unsigned bits = rule->prefix_bits;
	if (rule->net.any.sa_family == AF_INET) {
		uint32_t low = ntohl(rule->net.ip4.sin_addr.s_addr);
		struct range4 range = { low, low | (uint32_t)(UINT64_C(0xffffffff) >> bits) };
		return append(&set->ip4, &range);
	}
	struct range6 range;
	memcpy(range.low, &rule->net.ip6.sin6_addr, sizeof range.low);
	for (unsigned i = 0; i < sizeof range.low; i++) {
		unsigned own = bits <= 8 * i ? 0 : bits >= 8 * i + 8 ? 8 : bits - 8 * i;
		range.high[i] = (uint8_t)(range.low[i] | 0xffu >> own);
	}
	return append(&set->ip6, &range);
}

int cidr_set_add(struct cidr_set *set, const struct net_rule *rule)
{
	int error = 0;
	if (set->n_added == CIDR_SET_MAX)
		return -ENOSPC;
	switch (rule->kind) {
	case NET_ANY:
		set->has_any = true;
		break;
	case NET_CLASS:
		if (rule->class == ADDR_OWN)
			return ERR_INVAL;
		set->classes |= 1u << rule->class;
		break;
	case NET_CIDR:
		error = add_net(set, rule);
		break;
	case NET_NAME:
		return ERR_INVAL;
	}
	if (error == 0)
		set->n_added++;
	return error;
}

static void merge4(struct ranges *r)
{
	struct range4 *list = r->list;
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct range4 *last = n > 0 ? &list[n - 1] : NULL;
		if (last == NULL || (uint64_t)last->high + 1 < list[i].low)
			list[n++] = list[i];
		else if (last->high < list[i].high)
			last->high = list[i].high;
	}
	r->n = n;
}

static void merge6(struct ranges *r)
{
	struct range6 *list = r->list;
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct range6 *last = n > 0 ? &list[n - 1] : NULL;
		if (last == NULL || memcmp(last->high, list[i].low, sizeof last->high) < 0)
			list[n++] = list[i];
		else if (memcmp(last->high, list[i].high, sizeof last->high) < 0)
			memcpy(last->high, list[i].high, sizeof last->high);
	}
	r->n = n;
}

static void trim(struct ranges *r)
{
	void *list = r->n > 0 ? reallocarray(r->list, r->n, r->size) : NULL;
	if (list == NULL)
		return;
	r->list = list;
	r->room = r->n;
}

void cidr_set_finish(struct cidr_set *set)
{
	struct ranges *both[] = { &set->ip4, &set->ip6 };
	for (size_t i = 0; i < 2; i++) {
		if (both[i]->n > 0)
			qsort(both[i]->list, both[i]->n, both[i]->size, both[i]->order);
	}
	merge4(&set->ip4);
	merge6(&set->ip6);
	trim(&set->ip4);
	trim(&set->ip6);
}

/* The last range that does not begin behind @range, or NULL. */
static const void *find(const struct ranges *r, const void *range)
{
	size_t low = 0, high = r->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (r->order((const uint8_t *)r->list + middle * r->size, range) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? (const uint8_t *)r->list + (low - 1) * r->size : NULL;
}

static bool has_ip4(const struct cidr_set *set, const union addr_sock *s)
{
	struct range4 range = { .low = ntohl(s->ip4.sin_addr.s_addr) };
	const struct range4 *found = find(&set->ip4, &range);
	return found != NULL && found->high >= range.low;
}

static bool has_ip6(const struct cidr_set *set, const union addr_sock *s)
{
	struct range6 range;
	memcpy(range.low, &s->ip6.sin6_addr, sizeof range.low);
	const struct range6 *found = find(&set->ip6, &range);
	return found != NULL && memcmp(found->high, range.low, sizeof range.low) >= 0;
}

/* The address as it is written; its class too. */
static bool has_one(const struct cidr_set *set, const union addr_sock *s)
{
	bool is_ip4 = s->any.sa_family == AF_INET;
	if (set->classes != 0 && (set->classes >> addr_classify_net(s, is_ip4 ? 32 : 128) & 1) != 0)
		return true;
	return is_ip4 ? has_ip4(set, s) : has_ip6(set, s);
}

bool cidr_set_has(const struct cidr_set *set, const union addr_sock *s)
{
	union addr_sock inner;
	return set->has_any || has_one(set, s) ||
	       (addr_embedded(s, &inner) && has_one(set, &inner));
}

size_t cidr_set_count(const struct cidr_set *set)
{
	size_t n = set->ip4.n + set->ip6.n + (set->has_any ? 1 : 0);
	for (unsigned classes = set->classes; classes != 0; classes >>= 1)
		n += classes & 1;
	return n;
}

size_t cidr_set_size(const struct cidr_set *set)
{
	return sizeof *set + set->ip4.room * set->ip4.size + set->ip6.room * set->ip6.size;
}
