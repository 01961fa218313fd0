#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H
/*
 * Does: what every server answers its operators: POST /v1/reload, and the beginning of /v1/status.
 * Knows: reloads, admin sockets. Never knows: what is configured.
 */
#include "common/admin.h"
#include "common/reload.h"

#include <stdio.h>

/* Where operators ask. */
struct control_options {
	char *path;    /* of the socket file; NULL: nowhere. Owned */
	uint32_t mode; /* 0 = ADMIN_MODE */
	bool is_named; /* somebody wants it there: without it there is no server */
};
void control_options_deinit(struct control_options *options);

/** control_open() - admin_new() as @options say. A default place that is taken or cannot be made
 * is told, and *ret is NULL. Return: 0, or -errno, logged. */
NODISCARD int control_open(const struct control_options *options, struct loop *loop,
	const struct admin_route *routes, size_t n_routes, void *owner, struct admin **ret);
/** control_reload() - reloads and answers: 200, or 422 with what is wrong. */
void control_reload(struct admin_exchange *exchange, struct reload *reload);
/** control_put_head() - the opening brace and the members every status has; a comma follows. */
void control_put_head(FILE *to, const char *program, uint64_t uptime_ms, unsigned n_workers);

#endif
