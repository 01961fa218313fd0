/* Threads insert the same salts: each is FRESH for exactly one, through turns of the generations.
 */
#include "common/replay.h"
#include "common/seal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define N_THREADS 4
#define N_SALTS   20000
#define WALL      UINT64_C(1760000000000)

static struct replay *replay;
static _Atomic uint32_t n_fresh, n_wrong;

static void *insert_all(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < N_SALTS; i++) {
		uint8_t salt[REPLAY_SALT] = { 0 };
		uint64_t ms = i * 5; /* 100 s in all */
		memcpy(salt, &i, sizeof i);
		switch (replay_insert(replay, i % 3, salt, WALL + ms, WALL + ms, 1000 + ms)) {
		case REPLAY_FRESH:
			atomic_fetch_add(&n_fresh, 1);
			break;
		case REPLAY_SEEN:
		case REPLAY_OLD: /* a thread that is two turns behind */
			break;
		case REPLAY_FULL:
		case REPLAY_EARLY:
			atomic_fetch_add(&n_wrong, 1);
		}
		if (!replay_find(replay, i % 3, salt))
			atomic_fetch_add(&n_wrong, 1);
		(void)replay_check_time(replay, WALL + ms, WALL + ms);
	}
	return NULL;
}

static int run(const char *path)
{
	struct replay_options options = { .path = path };
	pthread_t threads[N_THREADS];
	n_fresh = n_wrong = 0;
	if (replay_open(&options, WALL - 1000, 1000, &replay) != 0)
		return 1;
	for (int i = 0; i < N_THREADS; i++)
		if (pthread_create(&threads[i], NULL, insert_all, NULL) != 0)
			return 1;
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	replay_close(replay);
	printf("fresh %u of %u, wrong %u\n", n_fresh, N_SALTS, n_wrong);
	return n_fresh != N_SALTS || n_wrong != 0;
}

int main(void)
{
	char path[64];
	if (seal_start() != 0)
		return 1;
	snprintf(path, sizeof path, "/tmp/tsan_replay_%d", (int)getpid());
	int failed = run(path) | run(NULL);
	unlink(path);
	return failed;
}
