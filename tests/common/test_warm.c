#include "common/loop.h"
#include "common/warm.h"

#include <criterion/criterion.h>

#define N 4

static const bool never = false;

struct holder {
	struct warm warm;
	bool is_cooled;
};

static void on_cool(struct warm *warm)
{
	((struct holder *)warm)->is_cooled = true;
}

Test(warm, the_quiet_cool_and_the_used_do_not)
{
	struct loop *loop;
	struct warm_list list;
	struct holder holders[2] = { 0 };
	cr_assert_eq(loop_new(&loop), 0);
	warm_list_init(&list, loop, N, 100, on_cool);
	warm_use(&list, &holders[0].warm);
	warm_use(&list, &holders[1].warm);
	for (int i = 0; i < 10; i++) {
		loop_run_until(loop, &never, 20);
		warm_use(&list, &holders[0].warm);
	}
	cr_expect_not(holders[0].is_cooled);
	cr_expect(holders[1].is_cooled);
	cr_expect_not(holders[1].warm.is_warm);
	cr_expect_eq(list.n, 1);
	loop_run_until(loop, &holders[0].is_cooled, 3000);
	cr_expect(holders[0].is_cooled);
	cr_expect_not(timer_is_running(&list.timer), "nobody is left to be timed");
	warm_list_deinit(&list);
	loop_free(loop);
}

Test(warm, one_too_many_cools_the_one_unused_for_longest)
{
	struct loop *loop;
	struct warm_list list;
	struct holder holders[N + 2] = { 0 };
	cr_assert_eq(loop_new(&loop), 0);
	warm_list_init(&list, loop, N, 60000, on_cool);
	for (int i = 0; i < N; i++)
		warm_use(&list, &holders[i].warm);
	warm_use(&list, &holders[0].warm); /* 1 is the longest unused now */
	warm_use(&list, &holders[N].warm);
	cr_expect_eq(list.n, N);
	for (int i = 0; i <= N; i++)
		cr_expect_eq(holders[i].is_cooled, i == 1, "holder %d", i);
	warm_remove(&list, &holders[2].warm);
	warm_remove(&list, &holders[2].warm);
	cr_expect_not(holders[2].is_cooled, "who left is not asked");
	warm_use(&list, &holders[N + 1].warm);
	cr_expect_not(holders[3].is_cooled, "there was room");
	for (int i = 0; i < N + 2; i++)
		warm_remove(&list, &holders[i].warm);
	warm_list_deinit(&list);
	warm_list_deinit(&list);
	loop_free(loop);
}
