#ifndef COMMON_RESOLVE_SRV_H
#define COMMON_RESOLVE_SRV_H
/*
 * Does: SRV records (RFC 2782): out of a DNS answer, and in the order to try them. Knows: the DNS
 * message. Never knows: who is asked.
 */
#include "common/addr.h"

#define RESOLVE_MAX_SRV 64 /* records of one name; the rest is dropped */

struct resolve_srv {
	uint16_t priority, weight, port; /* the lowest priority comes first */
	char name[ADDR_NAME_MAX + 1];    /* a host's, without trailing dot */
};

/** resolve_srv_parse() - the records of @answer, in its order; at most @max. Records without a
 * host ("."), without a port or with a name that no host can have are left out. *ret_ttl_s: the
 * least of the answer. Return: 0, ERR_NO_ADDRESS (nothing is left), ERR_DNS_SERVER (malformed). */
NODISCARD int resolve_srv_parse(struct bytes answer, struct resolve_srv *records, size_t max,
	size_t *ret_n, uint32_t *ret_ttl_s);

/* A number from 0 to @max, both included. */
typedef uint32_t resolve_random_fn(uint32_t max, void *owner);
/** resolve_srv_order() - sorts by priority; among equals by lot, where the chance of each to come
 * first is as its weight. */
void resolve_srv_order(struct resolve_srv *records, size_t n, resolve_random_fn *draw, void *owner);

#endif
