#ifndef COMMON_SYSTEMD_H
#define COMMON_SYSTEMD_H
/*
 * Does: the sockets that systemd passes to a service (sd_listen_fds(3)). Knows: its environment
 * variables. Never knows: what they are for.
 */
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

struct systemd_sockets;
/** systemd_take() - what was passed to this process, non-blocking and closed on exec; the variables
 * are unset. Before any thread runs. *ret NULL: nothing. Return: 0, ERR_NOMEM. */
NODISCARD int systemd_take(struct systemd_sockets **ret);
void systemd_free(struct systemd_sockets *sockets); /* closes them. NULL ok */
/** systemd_find() - the descriptor of the @i-th socket of @type (SOCK_STREAM: one that listens;
 * SOCK_DGRAM) under @name. Return: -1 if there are fewer; @sockets may be NULL. */
int systemd_find(const struct systemd_sockets *sockets, const char *name, int type, size_t i);
/** systemd_print_names() - "a, b" without repetitions, or "nothing". Returns @to. */
const char *systemd_print_names(const struct systemd_sockets *sockets, char *to, size_t size);

#endif
