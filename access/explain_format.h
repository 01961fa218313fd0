#ifndef ACCESS_EXPLAIN_FORMAT_H
#define ACCESS_EXPLAIN_FORMAT_H
/*
 * Does: says in words, or as JSON, which rule a target meets, why the rules before it do not match,
 * and where it goes. Knows: options, rules, candidates. Never knows: files, sockets, how what is
 * asked came here.
 */
#include "access/options.h"

#include <stdio.h>

#define EXPLAIN_SKIPPED_MAX                                                                        \
	20 /* rules that do not match are told up to here; the rest is counted */

/* What is asked, and what is known. All borrowed. */
struct access_explain {
	const struct access_options *options;
	const struct access_listener *listener;
	const struct route_query *query; /* .listener is @listener's name */
	const char *file;                /* that the rules came from, or NULL */
	/* What chain_upstream_explain() said about the upstream that access_explain_use() returns,
	 * in its order; NULL: nothing runs, and only what the file says is told. */
	const struct chain_candidate *candidates;
	size_t n_candidates;
};
/** access_explain_protocol() - what a client of @listener speaks, if nobody says. */
enum route_protocol access_explain_protocol(const struct access_listener *listener);
/** access_explain_use() - where it goes; NULL: it is blocked. */
const struct chain_upstream_spec *access_explain_use(const struct access_explain *explain);
void access_explain_text(const struct access_explain *explain, FILE *to);
/** access_explain_json() - one object, and a newline. */
void access_explain_json(const struct access_explain *explain, FILE *to);

#endif
