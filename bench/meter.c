#include "meter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ends.h"

static clockid_t clocks[METER_PROCESSES_MAX + 2];
static int n_proxies;

static float *samples_us;
static size_t n_samples, cap_samples;

static double seconds_of(clockid_t clock)
{
	struct timespec t = { 0 };

	if (clock_gettime(clock, &t))
		return 0;
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double now(void)
{
	return seconds_of(CLOCK_MONOTONIC);
}

void meter_add_proxies(char *pids)
{
	for (char *pid = strtok(pids, ","); pid; pid = strtok(NULL, ",")) {
		if (n_proxies == METER_PROCESSES_MAX)
			die("too many processes");
		if (clock_getcpuclockid(atoi(pid), &clocks[n_proxies++]))
			die("a proxy is gone");
	}
}

void meter_set_origin(pid_t origin)
{
	clocks[n_proxies] = CLOCK_PROCESS_CPUTIME_ID;
	if (clock_getcpuclockid(origin, &clocks[n_proxies + 1]))
		die("clock of the origin");
}

struct mark mark_now(uint64_t done, uint64_t sent)
{
	struct mark mark = { .at = now(), .done = done, .sent = sent };

	for (int i = 0; i < n_proxies + 2; i++)
		mark.cpu_s[i] = seconds_of(clocks[i]);
	return mark;
}

void sample_add(double seconds)
{
	if (n_samples == cap_samples) {
		cap_samples = cap_samples ? 2 * cap_samples : 65536;
		samples_us = realloc(samples_us, cap_samples * sizeof(*samples_us));
		if (!samples_us)
			die("samples");
	}
	samples_us[n_samples++] = (float)(seconds * 1e6);
}

void samples_forget(void)
{
	n_samples = 0;
}

static int sample_compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

void print_answer(
	const struct mark *from, const struct mark *to, uint64_t n_failed, uint64_t n_lost)
{
	static const int percents[] = { 50, 90, 99 };
	int n = n_proxies;

	printf("{\"done\": %llu, \"failed\": %llu, \"sent\": %llu, \"lost\": %llu, \"secs\": %.6f",
		(unsigned long long)(to->done - from->done), (unsigned long long)n_failed,
		(unsigned long long)(to->sent - from->sent), (unsigned long long)n_lost,
		to->at - from->at);
	printf(", \"client_cpu_s\": %.6f, \"origin_cpu_s\": %.6f, \"cpu_s\": [",
		to->cpu_s[n] - from->cpu_s[n], to->cpu_s[n + 1] - from->cpu_s[n + 1]);
	for (int i = 0; i < n; i++)
		printf("%s%.6f", i ? ", " : "", to->cpu_s[i] - from->cpu_s[i]);
	printf("]");
	if (n_samples)
		qsort(samples_us, n_samples, sizeof(*samples_us), sample_compare);
	for (size_t i = 0; n_samples && i < 3; i++)
		printf(", \"p%d_us\": %.2f", percents[i],
			(double)samples_us[(n_samples - 1) * (size_t)percents[i] / 100]);
	printf("}\n");
}
