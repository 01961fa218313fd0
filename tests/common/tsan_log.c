/* Threads log while the level changes and the writer stops and starts: every line arrives or is
 * counted. */
#define LOG_MODULE "test"
#include "common/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define N_THREADS 4
#define N_LINES   5000

static void *log_much(void *arg)
{
	(void)arg;
	for (int i = 0; i < N_LINES; i++) {
		LOG_NOTICE("line n=%d", i);
		LOG_DEBUG("sometimes n=%d", i);
		LOG_LIMITED(LOG_LEVEL_DEBUG, "limited n=%d", i);
		if (i % 500 == 0)
			log_set_level(i % 1000 == 0 ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO);
	}
	return NULL;
}

static unsigned count_lines(int fd)
{
	char buffer[4096];
	unsigned n_lines = 0;
	off_t at = 0;
	for (ssize_t n; (n = pread(fd, buffer, sizeof buffer, at)) > 0; at += n)
		for (ssize_t i = 0; i < n; i++)
			n_lines += buffer[i] == '\n';
	return n_lines;
}

int main(void)
{
	pthread_t threads[N_THREADS];
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0 || log_start(fd, LOG_LEVEL_INFO, LOG_FORMAT_JSON) != 0)
		return 1;
	for (int i = 0; i < N_THREADS; i++)
		if (pthread_create(&threads[i], NULL, log_much, NULL) != 0)
			return 1;
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	log_stop();
	unsigned n = count_lines(fd);
	uint64_t n_dropped = log_n_dropped();
	printf("lines %u, dropped %u\n", n, (unsigned)n_dropped);
	/* Lines that tell of the dropped come on top. */
	return n + n_dropped < N_THREADS * N_LINES || (n_dropped == 0 && n != N_THREADS * N_LINES);
}
