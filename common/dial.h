#ifndef COMMON_DIAL_H
#define COMMON_DIAL_H
/*
 * Does: from an address to a connected stream: resolve once, drop what the filter refuses, happy
 * eyeballs over the rest (RFC 8305, 250 ms apart), one deadline. Knows: TCP, DNS. Never knows: who
 * asked.
 */
#include "common/addr.h"
#include "common/resolve.h"
#include "common/stream.h"

#define DIAL_STAGGER_MS 250

/** dial_filter_fn - asked once for each address, with its port, unmapped; for a literal from inside
 * dial_start(). It may not cancel the dial. 0 lets @address through; any other value refuses it
 * and, if it is the first refused, is reported in dial_result.refused. */
typedef int dial_filter_fn(const union addr_sock *address, void *owner);

struct dial_result {
	/* 0; ERR_DENIED (see refused); a DNS error of err.h; ERR_TIMEOUT; -errno of the most
	 * telling try: what the target's host said (refused, reset), else anything but what this
	 * host lacks for the family (no route, no address), else that; of equals the last. */
	int error;
	bool is_resolving;       /* the deadline passed before the name was resolved */
	int refused;             /* filter's value for the first refused address, 0 if none */
	struct stream *stream;   /* error 0: the connected stream, now the callee's */
	union addr_sock address; /* connected, or last tried */
	uint8_t n_tries;         /* addresses tried, saturating */
	uint32_t resolve_us, connect_us; /* saturating; 0 for a literal's resolve; connect: since
					    the first try */
};

typedef void dial_fn(const struct dial_result *result, void *owner);

struct dial_options {
	struct loop *loop;
	struct resolver *resolver; /* may be NULL: names then fail with ERR_NO_ADDRESS */
	dial_filter_fn *filter;    /* NULL: everything passes */
	void *filter_owner;
	uint64_t timeout_ms; /* for resolve and connect together */
	bool speaks_first;   /* the caller writes as soon as it is connected: see tcp_connect() */
};

struct dial;
/** dial_start() - copies @options and @to. @on_done runs exactly once unless cancelled, never from
 * inside; the dial is gone when it returns. Return: 0, ERR_NOMEM. */
NODISCARD int dial_start(const struct dial_options *options, const struct addr *to,
	dial_fn *on_done, void *owner, struct dial **ret);
/** dial_cancel() - closes every try; no callback will come. */
void dial_cancel(struct dial *dial);

#endif
