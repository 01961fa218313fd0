#ifndef ACCESS_CONTROL_H
#define ACCESS_CONTROL_H
/*
 * Does: what an access server answers its operators: status, where a target goes, reload. Knows:
 * plans, candidates. Never knows: HTTP, JSON files.
 */
#include "access/doors.h"
#include "common/control.h"

struct access_control;
/** access_control_new() - of worker 0; borrows all. @plan: where the plan in use is told. *ret
 * NULL: there is no admin socket. Return: 0, -errno. */
NODISCARD int access_control_new(struct access_worker *worker, struct access_plan *const *plan,
	const struct access_doors *doors, struct reload *reload, struct access_control **ret);
void access_control_free(struct access_control *control); /* NULL ok */

#endif
