#ifndef ACCESS_CAPS_H
#define ACCESS_CAPS_H
/*
 * Does: the limits of a listener, or of the whole server, that are not mere counts of connections:
 * new ones a second, bytes per second, each user's and each source's. Knows: options. Never knows:
 * clients. Shared by all workers.
 */
#include "access/options.h"
#include "common/keyed_limits.h"
#include "common/quota.h"
#include "common/resolve.h"
#include "common/shaper.h"

/* Names one source has looked up here at a time: an eighth of what a resolver takes. */
#define ACCESS_LOOKUPS_MAX (RESOLVE_MAX_PENDING / 8)

struct access_caps {
	struct rate connects;
	struct shaper *shaper;
	struct keyed_limits *sources, *users;
	struct source_quota *lookups; /* pending, of one source */
};
NODISCARD int access_caps_new(const struct access_caps_options *options, struct access_caps **ret);
/** access_caps_set() - other limits from now on; what was taken stays. */
void access_caps_set(struct access_caps *caps, const struct access_caps_options *options);
void access_caps_free(struct access_caps *caps); /* nothing is taken any more. NULL ok */

#endif
