#include "common/warm.h"

#include "common/loop.h"

#include <assert.h>
#include <stddef.h>
#include <utlist.h>

void warm_list_init(struct warm_list *list, struct loop *loop, unsigned max, uint32_t rest_ms,
	warm_cool_fn *cool)
{
	assert(max >= 1);
	*list = (struct warm_list){ .loop = loop, .cool = cool, .rest_ms = rest_ms, .max = max };
}

void warm_list_deinit(struct warm_list *list)
{
	assert(list->first == NULL);
	if (list->loop != NULL)
		loop_timer_stop(list->loop, &list->timer);
}

void warm_remove(struct warm_list *list, struct warm *warm)
{
	if (!warm->is_warm)
		return;
	DL_DELETE(list->first, warm);
	warm->is_warm = false;
	list->n--;
}

static void cool(struct warm_list *list, struct warm *warm)
{
	warm_remove(list, warm);
	list->cool(warm);
}

/* They lie in the order of their last use. */
static void on_rest(struct timer *timer)
{
	struct warm_list *list =
		(struct warm_list *)((char *)timer - offsetof(struct warm_list, timer));
	uint64_t now_ms = loop_now_ms(list->loop);
	while (list->first != NULL && now_ms - list->first->used_ms >= list->rest_ms)
		cool(list, list->first);
	if (list->first != NULL)
		loop_timer_start(
			list->loop, timer, list->first->used_ms + list->rest_ms - now_ms, on_rest);
}

static void append(struct warm_list *list, struct warm *warm)
{
	DL_APPEND(list->first, warm);
	warm->is_warm = true;
	list->n++;
}

void warm_use(struct warm_list *list, struct warm *warm)
{
	warm->used_ms = loop_now_ms(list->loop);
	if (warm->is_warm && warm->next == NULL)
		return; /* the last one */
	warm_remove(list, warm);
	if (list->n == list->max) {
		assert(list->first != NULL);
		cool(list, list->first);
	}
	append(list, warm);
	if (!timer_is_running(&list->timer))
		loop_timer_start(list->loop, &list->timer, list->rest_ms, on_rest);
}
