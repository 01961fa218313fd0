#include "common/relay_splice.h"

#include "common/tcp.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct pipe {
	struct pipe *next; /* in the pool */
	int read_fd, write_fd;
	size_t size; /* bytes it takes at most */
	size_t n_held;
};

struct pipe_pool {
	struct pipe *free;
	unsigned n_free;
};

int pipe_pool_new(struct pipe_pool **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret == NULL ? ERR_NOMEM : 0;
}

static void pipe_free(struct pipe *pipe)
{
	close(pipe->read_fd);
	close(pipe->write_fd);
	free(pipe);
}

void pipe_pool_free(struct pipe_pool *pool)
{
	if (pool == NULL)
		return;
	while (pool->free != NULL) {
		struct pipe *pipe = pool->free;
		pool->free = pipe->next;
		pipe_free(pipe);
	}
	free(pool);
}

static struct pipe *pipe_new(void)
{
	int fds[2];
	struct pipe *pipe = calloc(1, sizeof *pipe);
	if (pipe == NULL)
		return NULL;
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) {
		free(pipe);
		return NULL;
	}
	/* A user without CAP_SYS_RESOURCE may not grow more than pipe-user-pages-soft: any size
	 * will do. */
	int size = fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE_WANTED);
	if (size < 0)
		size = fcntl(fds[1], F_GETPIPE_SZ);
	pipe->read_fd = fds[0];
	pipe->write_fd = fds[1];
	pipe->size = size > 0 ? (size_t)size : 4096;
	return pipe;
}

struct pipe *pipe_borrow(struct pipe_pool *pool)
{
	struct pipe *pipe = pool->free;
	if (pipe == NULL)
		return pipe_new();
	pool->free = pipe->next;
	pool->n_free--;
	return pipe;
}

void pipe_return(struct pipe_pool *pool, struct pipe *pipe)
{
	if (pipe->n_held > 0 || pool->n_free == PIPE_POOL_MAX) {
		pipe_free(pipe); /* what it holds belongs to the connection that died: never lend it
				    again */
		return;
	}
	pipe->next = pool->free;
	pool->free = pipe;
	pool->n_free++;
}

size_t pipe_held(const struct pipe *pipe)
{
	return pipe->n_held;
}

/* Empties the pipe into @to. Return: 0, ERR_AGAIN, or an error. */
static int empty_pipe(struct stream *to, struct pipe *pipe, size_t *moved)
{
	while (pipe->n_held > 0) {
		ssize_t n = tcp_splice_out(to, pipe->read_fd, pipe->n_held);
		if (n <= 0)
			return n == 0 ? ERR_PIPE : (int)n;
		pipe->n_held -= (size_t)n;
		*moved += (size_t)n;
	}
	return 0;
}

enum splice_outcome splice_run(struct stream *from, struct stream *to, struct pipe *pipe,
	size_t budget, size_t *ret_moved, size_t *ret_last, int *ret_error)
{
	size_t moved = 0, last = 0, n_read = 0;
	enum splice_outcome outcome = SPLICE_MORE;
	while (outcome == SPLICE_MORE) {
		int error = empty_pipe(to, pipe, &moved);
		if (error == ERR_AGAIN) {
			outcome = SPLICE_BLOCKED;
			break;
		}
		if (error != 0) {
			*ret_error = error;
			outcome = SPLICE_FAILED_OUT;
			break;
		}
		if (n_read >= budget)
			break;
		/* The pipe is empty here, so EAGAIN can only mean that the socket is. */
		size_t wanted = budget - n_read < pipe->size ? budget - n_read : pipe->size;
		ssize_t n = tcp_splice_in(from, pipe->write_fd, wanted);
		if (n > 0) {
			n_read += (size_t)n;
			pipe->n_held = (size_t)n;
			last = (size_t)n;
		} else if (n == 0) {
			outcome = SPLICE_EOF;
		} else if (n == ERR_AGAIN) {
			outcome = SPLICE_AGAIN;
		} else {
			*ret_error = (int)n;
			outcome = SPLICE_FAILED_IN;
		}
	}
	*ret_moved = moved;
	*ret_last = last;
	return outcome;
}
