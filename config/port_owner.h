#ifndef CONFIG_PORT_OWNER_H
#define CONFIG_PORT_OWNER_H
/*
 * Does: says why a program cannot listen, and who is there already. Knows: /proc. Never knows:
 * listeners.
 */
#include "common/addr.h"
#include "common/systemd.h"

#include <stdio.h>

/** port_owner_find() - the process that listens on the TCP port or the socket file of @addr on this
 * host, as far as we may look. Return: false if none was found. */
NODISCARD bool port_owner_find(const struct addr *addr, char *name, size_t size, long *ret_pid);
/** port_owner_explain() - "PROGRAM: cannot listen on ADDR: …" with a hint, to @out. @error: as
 * listener_open() or place_open() returned it. @passed: what systemd did; NULL: nothing. */
void port_owner_explain(FILE *out, const char *program, const struct addr *addr,
	const struct systemd_sockets *passed, int error);
/** port_owner_explain_tproxy() - that listener @i of a configuration may not be transparent. */
void port_owner_explain_tproxy(FILE *out, const char *program, int i);

#endif
