#ifndef COMMON_PLACE_H
#define COMMON_PLACE_H
/*
 * Does: a place to listen at that is no port: a socket file, or what systemd passed. Opened once;
 * its descriptors are shared by all workers. Knows: files, systemd.h. Never knows: loops, who is
 * served.
 */
#include "common/addr.h"
#include "common/systemd.h"

#define PLACE_MODE 0660 /* of a socket file */

struct place;
/** place_open() - @at is a socket file of @mode, or a name of @passed. A socket file that nobody
 * listens on any more is replaced; what is no socket stays. Return: 0; -EADDRINUSE: somebody
 * listens there; -EEXIST: it is no socket; -ENOENT: nothing of that name was passed, or no such
 * folder; any other -errno. */
NODISCARD int place_open(const struct addr *at, uint32_t mode, const struct systemd_sockets *passed,
	struct place **ret);
/** place_fd() - the @i-th descriptor of @type (SOCK_STREAM: it listens; SOCK_DGRAM), or -1. */
int place_fd(const struct place *place, int type, size_t i);
/** place_set_mode() - of a socket file that is ours. 0 = PLACE_MODE. NULL ok. */
void place_set_mode(const struct place *place, uint32_t mode);
/** place_leave() - we accept nothing more: a socket file is unlinked if it is still ours, and who
 * connects is refused. What systemd passed keeps its queue for who comes after us. By any thread,
 * any number of times. NULL ok. */
void place_leave(struct place *place);
void place_free(struct place *place); /* leaves, too. NULL ok */

#endif
