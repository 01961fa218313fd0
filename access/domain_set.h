#ifndef ACCESS_DOMAIN_SET_H
#define ACCESS_DOMAIN_SET_H
/*
 * Does: a large set of domain names and of everything below some; says whether a name is in it.
 * Knows: DNS names. Never knows: where the list comes from, what is done with a name that is in it.
 *
 * All names stand in one block of text; a table of offsets finds them: some 35 bytes for a name of
 * 17 letters.
 */
#include "common/err.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>

#define DOMAIN_SET_MAX 1000000 /* entries */

struct domain_set;
/** domain_set_new() - Return: NULL without memory. */
NODISCARD struct domain_set *domain_set_new(void);
void domain_set_free(struct domain_set *set); /* NULL ok */
/** domain_set_add() - "example.org": exactly that name; "*.example.org": every name below it;
 * ".example.org": both. Letter case and one trailing dot do not matter. Return: 0, ERR_NOMEM,
 * ERR_INVAL: no domain, -ENOSPC: DOMAIN_SET_MAX; then @set is as it was. */
NODISCARD int domain_set_add(struct domain_set *set, struct bytes text);
/** domain_set_trim() - gives back the memory that was meant for more. */
void domain_set_trim(struct domain_set *set);
/** domain_set_has() - whether @name, in any case, without a trailing dot, is in it. */
bool domain_set_has(const struct domain_set *set, const char *name);
/** domain_set_count() - entries: "a.b" and "*.a.b" are one. */
size_t domain_set_count(const struct domain_set *set);
/** domain_set_size() - bytes of memory. */
size_t domain_set_size(const struct domain_set *set);

#endif
