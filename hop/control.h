#ifndef HOP_CONTROL_H
#define HOP_CONTROL_H
/*
 * Does: what a hop answers its operators: status, reload. Knows: generations, listeners. Never
 * knows: HTTP, JSON files.
 */
#include "common/control.h"
#include "hop/doors.h"

struct hop_control;
/** hop_control_new() - of worker 0; borrows all. *ret NULL: there is no admin socket. Return: 0,
 * -errno. */
NODISCARD int hop_control_new(struct hop_worker *worker, const struct hop_doors *doors,
	struct reload *reload, struct hop_control **ret);
void hop_control_free(struct hop_control *control); /* NULL ok */

#endif
