#ifndef COMMON_RELOAD_H
#define COMMON_RELOAD_H
/*
 * Does: takes a new configuration to all workers, or to none: it is read on a thread, prepared by
 * each worker, and used by each only once all have prepared. Knows: workers' loops, threads. Never
 * knows: what is configured.
 *
 *   phase       what goes on                                        next
 *   IDLE        nothing                                             LOAD
 *   LOAD        ops->load() on a thread                             IDLE, PREPARE
 *   PREPARE     worker 0, then all others at once                   COMMIT, CANCEL
 *   COMMIT      each worker takes what it prepared into use         IDLE
 *   CANCEL      each worker undoes what it prepared                 IDLE
 *
 * Asked for during a reload, another one follows, once for all who asked meanwhile.
 */
#include "common/loop.h"

/* What a reload led to; texts are heap. */
struct reload_report {
	bool is_done;
	char *text;     /* failed: what is wrong, for people; lines. Or NULL */
	char *findings; /* failed: the same as elements of a JSON array. Or NULL */
	char *summary;  /* done: key=value, for the log and for people. Or NULL */
	char *warnings; /* lines: what holds only after a restart. Or NULL */
	uint32_t took_us;
};
/** reload_report_fail() - one sentence that belongs to no file. The first one stays. */
void reload_report_fail(struct reload_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/** reload_report_warn() - one line more of warnings. */
void reload_report_warn(struct reload_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/** reload_report_log() - what it says, as lines of the log. */
void reload_report_log(const struct reload_report *report);

struct reload_ops {
	/* On a thread: reads and checks everything anew. Return: the next configuration, or NULL:
	 * it is wrong, as @report says. */
	void *(*load)(void *owner, struct reload_report *report);
	/* On the worker's thread, worker 0's first. Return: 0, or negative: all cancel. Only one
	 * worker at a time may be expected to say why. */
	int (*prepare)(void *worker, void *next, struct reload_report *report);
	void (*commit)(void *worker);
	void (*cancel)(void *worker); /* also after a prepare that failed */
	/* On worker 0's thread: all have committed (report->is_done), or nobody has: @next is not
	 * wanted (NULL if it could not be read). */
	void (*end)(void *owner, void *next, struct reload_report *report);
};

struct reload;
/** reload_new() - @owner is of load() and end(). */
NODISCARD int reload_new(
	unsigned n_workers, const struct reload_ops *ops, void *owner, struct reload **ret);
/** reload_free() - after all loops have been freed: a load may be under way until then. NULL ok. */
void reload_free(struct reload *reload);
/** reload_join() - worker @i, while it starts. */
void reload_join(struct reload *reload, unsigned i, struct loop *loop, void *worker);
/** reload_heed() - whenever worker @i was woken. */
void reload_heed(struct reload *reload, unsigned i);
/** reload_stop() - worker 0's thread: nothing is begun any more, and nobody is told. */
void reload_stop(struct reload *reload);

/** reload_done_fn - @report is borrowed. */
typedef void reload_done_fn(const struct reload_report *report, void *owner);
/** reload_start() - worker 0's thread. @fn, unless NULL, runs once after a reload that has begun
 * after this call; never from inside; not after reload_stop(). Return: 0, ERR_NOMEM, ERR_AGAIN: it
 * was stopped. */
NODISCARD int reload_start(struct reload *reload, reload_done_fn *fn, void *owner);

#endif
