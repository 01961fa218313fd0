/*
 * Any bytes as the replay file, then use it: no crash, and what was accepted is known afterwards,
 * also after another open. Short inputs are spread over the file so that they reach the heads:
 * HEAD_BYTES for the header, then CHUNK_BYTES for each chunk; from a page on an input is the file
 * as it is.
 */
#include "common/log.h"
#include "common/replay.h"
#include "common/seal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WALL        UINT64_C(1760000000000)
#define MONO        UINT64_C(5000000)
#define HEAD        4096
#define CHUNK       (16 * 1024)
#define HEAD_BYTES  192
#define CHUNK_BYTES 264
#define N_INSERTS   200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_replay: %s\n", what);
	abort();
}

static void remove_file(void)
{
	unlink(path);
}

static int make_file(void)
{
	if (path[0] == '\0') {
		demand(seal_start() == 0, "seal_start");
		log_set_level(LOG_LEVEL_ERROR);
		snprintf(path, sizeof path, "%s/fuzz_replay_%d",
			access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
		atexit(remove_file);
	}
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	demand(fd >= 0, "open");
	return fd;
}

static void put(int fd, const uint8_t *data, size_t size, off_t offset)
{
	demand(pwrite(fd, data, size, offset) == (ssize_t)size, "pwrite");
}

static void fill(int fd, const uint8_t *data, size_t size)
{
	if (size >= HEAD) {
		put(fd, data, size, 0);
		return;
	}
	off_t offset = 0;
	for (size_t at = 0, n; at < size; at += n) {
		n = offset == 0 ? HEAD_BYTES : CHUNK_BYTES;
		n = n < size - at ? n : size - at;
		put(fd, data + at, n, offset);
		offset += offset == 0 ? HEAD : CHUNK;
	}
	demand(ftruncate(fd, offset) == 0, "ftruncate");
}

static struct replay *open_store(uint64_t mono)
{
	struct replay_options options = { .path = path };
	struct replay *r = NULL;
	demand(replay_open(&options, WALL, mono, &r) == 0, "replay_open");
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t salt[REPLAY_SALT] = { 0 };
	bool is_fresh[N_INSERTS];
	int fd = make_file();
	fill(fd, data, size);
	close(fd);

	struct replay *r = open_store(MONO);
	for (uint8_t i = 0; i < N_INSERTS; i++) {
		salt[0] = i;
		enum replay_verdict verdict =
			replay_insert(r, i % 3, salt, WALL + 9000, WALL, MONO + i);
		is_fresh[i] = verdict == REPLAY_FRESH;
		demand(verdict == REPLAY_OLD || replay_find(r, i % 3, salt),
			"an accepted salt is not found");
	}
	replay_close(r);
	r = open_store(MONO + N_INSERTS);
	demand(replay_state(r) == REPLAY_INTACT, "our own file is damaged");
	for (uint8_t i = 0; i < N_INSERTS; i++) {
		salt[0] = i;
		demand(!is_fresh[i] || replay_find(r, i % 3, salt), "a salt is forgotten");
	}
	replay_insert(r, 1, salt, WALL + 140000, WALL + 140000, MONO + 140000);
	replay_close(r);
	return 0;
}
