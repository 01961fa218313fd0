#ifndef COMMON_LOCAL_H
#define COMMON_LOCAL_H
/*
 * Does: knows all addresses of this host and keeps them current (rtnetlink; getifaddrs).
 * Never knows: policy. Shared by workers: reading is lock-free (an immutable snapshot is swapped).
 */
#include "common/addr.h"
#include "common/loop.h"

struct local_addresses;
/** local_addresses_new() - reads the addresses once. */
NODISCARD int local_addresses_new(struct local_addresses **ret);
/** local_addresses_new_fixed() - for tests: exactly these. */
NODISCARD int local_addresses_new_fixed(
	const union addr_sock *addresses, size_t n, struct local_addresses **ret);
void local_addresses_free(struct local_addresses *local); /* after watching ended. NULL ok */
/** local_addresses_watch() - reads the addresses again, and from then on @loop keeps them current
 * until local_addresses_unwatch() (same thread). */
NODISCARD int local_addresses_watch(struct local_addresses *local, struct loop *loop);
void local_addresses_unwatch(struct local_addresses *local);
/** local_addresses_has() - whether @s (any port; mapped forms too) is an address of this host. */
bool local_addresses_has(const struct local_addresses *local, const union addr_sock *s);

#endif
