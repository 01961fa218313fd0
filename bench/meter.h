#ifndef BENCH_METER_H
#define BENCH_METER_H
/*
 * Does: the clocks, counts and latencies of one measurement, and its answer on stdout. Knows: the
 * processes whose CPU time is sampled. Never knows: what is measured.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define METER_PROCESSES_MAX 64

/* Everything that is counted, at one moment; what counts, tells the rest: @done bytes or exchanges,
 * and, where datagrams can be lost, @sent. */
struct mark {
	double at;
	uint64_t done, sent;
	double cpu_s[METER_PROCESSES_MAX + 2]; /* the proxies, then client and origin */
};

double now(void); /* seconds, monotonic */
/** meter_add_proxies() - @pids: "1,2,3"; overwritten. */
void meter_add_proxies(char *pids);
/** meter_set_origin() - after the proxies; the client is this process. */
void meter_set_origin(pid_t origin);
struct mark mark_now(uint64_t done, uint64_t sent);

void sample_add(double seconds);
void samples_forget(void);
/** print_answer() - what was done between two marks, how long it took, what CPU time it cost, and
 * the latencies; of what was sent between them, @n_lost is lost. */
void print_answer(
	const struct mark *from, const struct mark *to, uint64_t n_failed, uint64_t n_lost);

#endif
