#ifndef COMMON_RELAY_SPLICE_H
#define COMMON_RELAY_SPLICE_H
/*
 * Does: lends pipes and moves bytes from one TCP stream to another inside the kernel.
 * Knows: pipes, tcp.h. Never knows: when to change to splicing (relay_way.c decides).
 */
#include "common/stream.h"

#include <stddef.h>

#define PIPE_SIZE_WANTED (256 * 1024)
#define PIPE_POOL_MAX    16 /* empty pipes kept by a loop */

struct pipe_pool;
struct pipe; /* a lent pipe */
NODISCARD int pipe_pool_new(struct pipe_pool **ret);
void pipe_pool_free(struct pipe_pool *pool); /* NULL ok */
/** pipe_borrow() - an empty pipe, or NULL when none can be had (then copy instead). */
struct pipe *pipe_borrow(struct pipe_pool *pool);
/** pipe_return() - an empty pipe goes back to the pool; one that still holds bytes is closed, never
 * lent again. */
void pipe_return(struct pipe_pool *pool, struct pipe *pipe);
size_t pipe_held(const struct pipe *pipe);

enum splice_outcome {
	SPLICE_AGAIN,     /* nothing to read now; pipe empty */
	SPLICE_BLOCKED,   /* the writer takes no more; pipe holds bytes; DRAINED comes */
	SPLICE_MORE,      /* stopped for fairness: call again next turn */
	SPLICE_EOF,       /* reader ended, pipe empty */
	SPLICE_FAILED_IN, /* *ret_error */
	SPLICE_FAILED_OUT,
};
/**
 * splice_run() - moves what is there from @from to @to through @pipe; reads at most @budget bytes.
 * *ret_moved: bytes written to @to. *ret_last: size of the last chunk read (0: none).
 */
enum splice_outcome splice_run(struct stream *from, struct stream *to, struct pipe *pipe,
	size_t budget, size_t *ret_moved, size_t *ret_last, int *ret_error);

#endif
