#ifndef CHAIN_EXPLAIN_H
#define CHAIN_EXPLAIN_H
/*
 * Does: the pages about every way a chain can fail: what happened, who says so, what to do. One
 * table behind "chain explain" and hopchain-status(7). Knows: words. Never knows: who shows them.
 *
 * A meaning is sentences; a remedy is steps, one a line. Summaries of statuses are those of
 * wire_status.h. The order is that of the page: nothing here, the way there, rules, requests.
 */
#include "chain/hopchain.h"

#define EXPLAIN_NO_CODE (-1) /* a word of the client alone: never on the wire */

size_t explain_n_pages(void);
/** explain_page() - @i < explain_n_pages(). Static. */
const struct hopchain_status *explain_page(size_t i);
/** explain_find() - by slug, or by code: "35", "0x23". Case does not matter. NULL: none. Static. */
const struct hopchain_status *explain_find(const char *slug);

/* A part of the table; each has a file of its own. */
struct explain_part {
	const struct hopchain_status *pages;
	size_t n_pages;
};
extern const struct explain_part explain_way;  /* answers, names, connections */
extern const struct explain_part explain_rule; /* what a hop refuses, and all else */

#endif
