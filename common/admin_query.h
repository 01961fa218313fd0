#ifndef COMMON_ADMIN_QUERY_H
#define COMMON_ADMIN_QUERY_H
/*
 * Does: values in a query (RFC 3986, 3.4), and back. Knows: %XX. Never knows: what they mean.
 */
#include <stddef.h>
#include <stdio.h>

enum admin_value {
	ADMIN_VALUE_NONE, /* it is not there */
	ADMIN_VALUE_GOOD,
	ADMIN_VALUE_BAD, /* it does not fit, or has %XX that is none, or control characters */
};
/** admin_query() - the value of @name in @query, with %XX and "+" decoded, to @to; "" unless it is
 * good. */
enum admin_value admin_query(const char *query, const char *name, char *to, size_t size);
/** admin_put_query() - "@before@name=@value" with all encoded that must be. */
void admin_put_query(FILE *to, char before, const char *name, const char *value);

#endif
