#ifndef COMMON_RESOLVE_CHANNEL_H
#define COMMON_RESOLVE_CHANNEL_H
/*
 * Does: c-ares on the loop: its sockets, its timer. Knows: DNS servers. Never knows: what is asked.
 */
#include "common/loop.h"

#include <ares.h>

struct resolve_channel;
/** resolve_channel_open() - @servers as in resolver_new(). Return: 0, ERR_NOMEM, ERR_INVAL. */
NODISCARD int resolve_channel_open(
	struct loop *loop, const char *servers, struct resolve_channel **ret);
/** resolve_channel_close() - ends every question, each with its callback, and frees. NULL ok. */
void resolve_channel_close(struct resolve_channel *channel);
/** resolve_channel_ares() - to ask; resolve_channel_asked() after each question. */
ares_channel resolve_channel_ares(const struct resolve_channel *channel);
void resolve_channel_asked(struct resolve_channel *channel);

#endif
