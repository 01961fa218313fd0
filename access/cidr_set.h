#ifndef ACCESS_CIDR_SET_H
#define ACCESS_CIDR_SET_H
/*
 * Does: a large set of IP networks and classes of addresses; says whether an address is in it.
 * Knows: rules of netset.h. Never knows: text, names, ports.
 *
 * Networks become ranges that are sorted, and merged where they touch: 8 bytes for one of IPv4, 32
 * of IPv6. An address that embeds an IPv4 address (mapped, NAT64, 6to4) is in the set as either.
 */
#include "common/netset.h"

#define CIDR_SET_MAX 1000000 /* networks as added */

struct cidr_set;
/** cidr_set_new() - Return: NULL without memory. */
NODISCARD struct cidr_set *cidr_set_new(void);
void cidr_set_free(struct cidr_set *set); /* NULL ok */
/** cidr_set_add() - a rule of kind ANY, CIDR or CLASS; its ports are not looked at. Return: 0,
 * ERR_NOMEM, ERR_INVAL: another kind, or the class "own", -ENOSPC: CIDR_SET_MAX. */
NODISCARD int cidr_set_add(struct cidr_set *set, const struct net_rule *rule);
/** cidr_set_finish() - sorts and merges: once, after the last and before the first question. */
void cidr_set_finish(struct cidr_set *set);
bool cidr_set_has(const struct cidr_set *set, const union addr_sock *s);
/** cidr_set_count() - ranges and classes. */
size_t cidr_set_count(const struct cidr_set *set);
/** cidr_set_size() - bytes of memory. */
size_t cidr_set_size(const struct cidr_set *set);

#endif
