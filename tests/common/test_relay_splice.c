/* Pipes: lent empty, never with bytes of somebody else. */
#include "common/relay_splice.h"
#include "common/tcp.h"
#include "tests/support/streams.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/resource.h>

Test(relay_splice, an_empty_pipe_is_lent_again)
{
	struct pipe_pool *pool;
	cr_assert_eq(pipe_pool_new(&pool), 0);
	struct pipe *p = pipe_borrow(pool);
	cr_assert_not_null(p);
	pipe_return(pool, p);
	struct pipe *again = pipe_borrow(pool);
	cr_expect_eq(again, p);
	pipe_return(pool, again);
	pipe_pool_free(pool);
}

/* Moves bytes into the pipe that cannot go out, and gives the pipe back. */
Test(relay_splice, a_pipe_that_holds_bytes_is_closed)
{
	static const bool never = false;
	struct loop *loop;
	struct pipe_pool *pool;
	struct stream *left, *a, *b, *right;
	struct sink sinks[4] = { 0 };
	size_t moved, last, n = 16 * 1024 * 1024;
	int error = 0;
	cr_assert_eq(loop_new(&loop), 0);
	cr_assert_eq(pipe_pool_new(&pool), 0);
	streams_open(loop, STREAMS_TCP, &left, &a);
	streams_open(loop, STREAMS_TCP, &b, &right);
	struct stream *all[4] = { left, a, b, right };
	for (int i = 0; i < 4; i++)
		sink_take(&sinks[i], all[i]);
	uint8_t *data = calloc(1, n);
	stream_write(left, bytes_of(data, n));
	loop_run_until(loop, &never, 50);
	struct pipe *p = pipe_borrow(pool);
	enum splice_outcome outcome = SPLICE_MORE;
	for (int i = 0; i < 1000 && outcome != SPLICE_BLOCKED; i++) {
		outcome = splice_run(a, b, p, 1024 * 1024, &moved, &last, &error);
		loop_run_until(loop, &never, 1);
	}
	cr_assert_eq(outcome, SPLICE_BLOCKED);
	cr_assert_gt(pipe_held(p), 0);
	pipe_return(pool, p);
	p = pipe_borrow(pool);
	cr_expect_eq(pipe_held(p), 0);
	pipe_return(pool, p);
	for (int i = 0; i < 4; i++)
		stream_abort(all[i]);
	for (int i = 0; i < 4; i++)
		cr_assert(loop_run_until(loop, &sinks[i].is_closed, 5000));
	for (int i = 0; i < 4; i++)
		sink_free(&sinks[i]);
	free(data);
	pipe_pool_free(pool);
	loop_free(loop);
}

Test(relay_splice, without_descriptors_there_is_no_pipe)
{
	struct pipe_pool *pool;
	struct rlimit limit = { .rlim_cur = 3, .rlim_max = 4096 };
	cr_assert_eq(pipe_pool_new(&pool), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_expect_null(pipe_borrow(pool));
	limit.rlim_cur = 1024;
	setrlimit(RLIMIT_NOFILE, &limit);
	pipe_pool_free(pool);
}
