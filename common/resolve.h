#ifndef COMMON_RESOLVE_H
#define COMMON_RESOLVE_H
/*
 * Does: names to addresses or services on the loop (c-ares), with deadline, cancel and a small TTL
 * cache.
 * Knows: DNS, /etc/hosts. Never knows: connecting. Literals never reach it.
 */
#include "common/addr.h"
#include "common/loop.h"
#include "common/resolve_srv.h"

#define RESOLVE_MAX_ADDRESSES 16 /* of one name; the rest is dropped */
#define RESOLVE_MAX_PENDING                                                                        \
	1024 /* names being looked up by one resolver; more: ERR_DNS_TEMPORARY */
#define RESOLVE_CACHE_MAX       1024 /* cached names */
#define RESOLVE_CACHE_TTL_MAX_S 60
#define RESOLVE_CACHE_BAD_TTL_S                                                                    \
	5 /* "no such name" and "no address"; other errors are not cached                          \
	   */

struct resolver;
struct resolve_query;
/** resolve_fn - @error 0: @n addresses (port 0) in the order to try (interleaved families, IP6
 * first); else one of ERR_NOT_FOUND, ERR_NO_ADDRESS, ERR_DNS_TEMPORARY, ERR_DNS_SERVER,
 * ERR_DNS_TIMEOUT, ERR_NOMEM. Addresses are valid only during the call. Exactly once unless
 * cancelled; never from inside resolve_start(). The query is gone when it returns. */
typedef void resolve_fn(int error, const union addr_sock *addresses, size_t n, void *owner);

/** resolver_new() - @servers: comma-separated "IP[:PORT]", "[IP6]:PORT", or NULL for
 * /etc/resolv.conf. Return: 0, ERR_NOMEM, ERR_INVAL (@servers). */
NODISCARD int resolver_new(struct loop *loop, const char *servers, struct resolver **ret);
/** resolver_free() - cancels what is pending without calling back; not from inside a resolve_fn,
 * and the loop must live on until loop_free(). NULL ok. */
void resolver_free(struct resolver *resolver);
/** resolve_library() - the version of c-ares that runs. Static. */
const char *resolve_library(void);

/** resolve_start() - looks @name up, as it is (no search domains); copies it. Questions for one
 * name share one lookup, so a question that joins a running one may hear ERR_DNS_TIMEOUT before its
 * own @timeout_ms. Return: 0, ERR_NOMEM. */
NODISCARD int resolve_start(struct resolver *resolver, const char *name, uint64_t timeout_ms,
	resolve_fn *fn, void *owner, struct resolve_query **ret);
/** resolve_srv_fn - as resolve_fn, with records in the order of the answer (resolve_srv_order()).
 * ERR_NO_ADDRESS: no record names a host, as where the service is not offered (target "."). @ttl_s:
 * how long the records hold from now on. */
typedef void resolve_srv_fn(
	int error, const struct resolve_srv *records, size_t n, uint32_t ttl_s, void *owner);
/** resolve_srv_start() - looks the SRV records of @name ("_hop._tcp.example.net") up; limits and
 * cache are those of resolve_start(). /etc/hosts knows none. Return: 0, ERR_NOMEM. */
NODISCARD int resolve_srv_start(struct resolver *resolver, const char *name, uint64_t timeout_ms,
	resolve_srv_fn *fn, void *owner, struct resolve_query **ret);
/** resolve_cancel() - no callback will come. */
void resolve_cancel(struct resolve_query *query);

#endif
