#ifndef CONFIG_READ_LISTENER_H
#define CONFIG_READ_LISTENER_H
/*
 * Does: one listener of an access server's file → struct access_listener. Knows: the schema of a
 * listener. Never knows: the rest of the file, but which chains and groups it names.
 */
#include "access/options.h"
#include "config/document.h"

#define READ_USES_MAX 512

#define READ_USE_DIRECT "direct" /* straight to the target, without a chain */
#define READ_USE_BLOCK  "block"  /* of rules only: not at all */

/* What listeners and rules may name: chains, groups, "direct". */
struct read_uses {
	const char *names[READ_USES_MAX];          /* borrowed */
	const struct json *members[READ_USES_MAX]; /* where each is defined; NULL of "direct" */
	const struct chain_upstream_spec *upstreams[READ_USES_MAX]; /* NULL: it is wrong itself */
	size_t n;
	size_t n_chains; /* of the file; they come first */
	bool is_open;    /* every listener may serve any source (--open) */
};

/** read_use() - the upstream that @value names. Return: false with an error in the report, or where
 * what it names is wrong itself. */
bool read_use(struct document *d, const struct json *value, const struct read_uses *uses,
	const struct chain_upstream_spec **ret);
/** read_listener() - adds the listener @object to @options. */
void read_listener(struct document *d, const struct json *object, const struct read_uses *uses,
	struct access_options *options);

#endif
