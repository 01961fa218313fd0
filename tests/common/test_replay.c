/* The replay store (docs/protocol.md 2.12): against a model, over restarts, kills, damage and a
 * full disk. */
#include "common/replay.h"
#include "common/seal.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WALL  UINT64_C(1760000000000)
#define MONO  UINT64_C(5000000)
#define HEAD  4096
#define CHUNK (16 * 1024)

static char folder[64], path[80];

static void set_up(void)
{
	cr_assert_eq(seal_start(), 0);
	strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test_replay_XXXXXX"
						     : "/tmp/test_replay_XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/replay", folder);
}

static void tear_down(void)
{
	unlink(path);
	rmdir(folder);
}

TestSuite(replay, .init = set_up, .fini = tear_down);

static struct replay *open_at(bool in_memory, uint32_t quota, uint64_t wall, uint64_t mono)
{
	struct replay_options options = { .path = in_memory ? NULL : path, .quota = quota };
	struct replay *r = NULL;
	int error = replay_open(&options, wall, mono, &r);
	cr_assert_eq(error, 0, "%d", error);
	return r;
}

static void salt_of(uint64_t n, uint8_t salt[16])
{
	memset(salt, 0x55, 16);
	memcpy(salt, &n, sizeof n);
}

static enum replay_verdict insert(
	struct replay *r, uint64_t owner, uint64_t n, uint64_t time, uint64_t wall, uint64_t mono)
{
	uint8_t salt[16];
	salt_of(n, salt);
	return replay_insert(r, owner, salt, time, wall, mono);
}

static bool find(struct replay *r, uint64_t owner, uint64_t n)
{
	uint8_t salt[16];
	salt_of(n, salt);
	return replay_find(r, owner, salt);
}

Test(replay, a_salt_is_accepted_once_per_owner)
{
	for (int in_memory = 0; in_memory < 2; in_memory++) {
		struct replay *r = open_at(in_memory, 0, WALL, MONO);
		cr_assert_not(find(r, 1, 7));
		cr_assert_eq(insert(r, 1, 7, WALL + 600, WALL, MONO), REPLAY_FRESH);
		cr_assert(find(r, 1, 7));
		cr_assert_not(find(r, 2, 7));
		cr_assert_eq(insert(r, 1, 7, WALL + 700, WALL, MONO), REPLAY_SEEN);
		cr_assert_eq(insert(r, 2, 7, WALL + 600, WALL, MONO), REPLAY_FRESH);
		cr_assert_eq(replay_error(r), 0);
		replay_close(r);
	}
	replay_close(NULL);
}

Test(replay, the_window_includes_its_ends_and_never_wraps)
{
	static const struct {
		uint64_t time, wall;
		enum replay_verdict verdict;
	} cases[] = {
		{ WALL + 100000 - 30000, WALL + 100000, REPLAY_FRESH },
		{ WALL + 100000 - 30001, WALL + 100000, REPLAY_OLD },
		{ WALL + 100000 + 10000, WALL + 100000, REPLAY_FRESH },
		{ WALL + 100000 + 10001, WALL + 100000, REPLAY_EARLY },
		{ 0, WALL, REPLAY_OLD },
		{ UINT64_MAX, WALL, REPLAY_EARLY },
		{ UINT64_MAX, UINT64_MAX, REPLAY_EARLY },
		{ 0, UINT64_MAX, REPLAY_OLD },
		{ UINT64_MAX, 0, REPLAY_EARLY },
		{ 5000, 0, REPLAY_OLD },           /* inside the window, under the floor */
		{ WALL - 1000, WALL, REPLAY_OLD }, /* the floor itself */
		{ WALL - 999, WALL, REPLAY_FRESH },
	};
	struct replay *r = open_at(false, 0, WALL, MONO);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_assert_eq(replay_check_time(r, cases[i].time, cases[i].wall), cases[i].verdict,
			"case %zu", i);
		cr_assert_eq(insert(r, 1, i, cases[i].time, cases[i].wall, MONO), cases[i].verdict,
			"case %zu", i);
		cr_assert_eq(find(r, 1, i), cases[i].verdict == REPLAY_FRESH);
	}
	replay_close(r);
}

/* The lowest stamp that is accepted, minus one. */
static uint64_t floor_of(struct replay *r)
{
	uint64_t low = 0, high = WALL * 2;
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		if (replay_check_time(r, middle, middle) == REPLAY_FRESH)
			high = middle;
		else
			low = middle;
	}
	return low;
}

static void spoil(off_t offset, uint8_t with)
{
	uint8_t byte;
	int fd = open(path, O_RDWR);
	cr_assert_eq(pread(fd, &byte, 1, offset), 1);
	byte ^= with;
	cr_assert_eq(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

Test(replay, the_floor_at_start_is_that_of_the_table)
{
	for (int strict = 0; strict < 2; strict++) {
		struct replay_options options = { .path = path, .is_strict = strict };
		struct replay *r;
		uint64_t floor;
		unlink(path);
		cr_assert_eq(replay_open(&options, WALL, MONO, &r), 0);
		cr_assert_eq(replay_state(r), REPLAY_MISSING);
		floor = strict ? WALL + 10000 : WALL - 1000;
		cr_assert_eq(floor_of(r), floor);
		cr_assert_eq(replay_accept_after_ms(r), strict ? WALL + 10500 : WALL);
		replay_close(r);

		cr_assert_eq(replay_open(&options, WALL + 20000, MONO + 20000, &r), 0);
		cr_assert_eq(replay_state(r), REPLAY_INTACT);
		cr_assert_eq(floor_of(r), floor);
		cr_assert_eq(replay_accept_after_ms(r), WALL + 20000);
		replay_close(r);

		spoil(0, 1);
		cr_assert_eq(replay_open(&options, WALL + 30000, MONO + 30000, &r), 0);
		cr_assert_eq(replay_state(r), REPLAY_DAMAGED);
		floor = WALL + 30000 + (strict ? 10000 : 500);
		cr_assert_eq(floor_of(r), floor);
		cr_assert_eq(replay_accept_after_ms(r), floor + 500);
		replay_close(r);

		options.path = NULL;
		cr_assert_eq(replay_open(&options, WALL, MONO, &r), 0);
		cr_assert_eq(replay_state(r), REPLAY_MEMORY);
		cr_assert_eq(floor_of(r), WALL + (strict ? 10000 : 500));
		replay_close(r);
	}
}

Test(replay, entries_live_between_65_and_130_s)
{
	struct replay *r = open_at(false, 0, WALL, MONO);
	uint64_t start = WALL + 64999;
	cr_assert_eq(insert(r, 1, 1, WALL + 5, WALL, MONO), REPLAY_FRESH);
	cr_assert_eq(insert(r, 1, 2, start + 10000, start, MONO + 64999), REPLAY_FRESH);
	cr_assert_eq(insert(r, 1, 3, WALL + 65000, WALL + 65000, MONO + 65000), REPLAY_FRESH);
	cr_assert(find(r, 1, 1) && find(r, 1, 2) && find(r, 1, 3));
	cr_assert_eq(insert(r, 1, 4, WALL + 129999, WALL + 129999, MONO + 129999), REPLAY_FRESH);
	cr_assert(find(r, 1, 1));
	cr_assert_eq(floor_of(r), WALL - 1000);
	/* The turn: 1 and 2 go, the newest of them is the floor. */
	cr_assert_eq(insert(r, 1, 5, WALL + 130000, WALL + 130000, MONO + 130000), REPLAY_FRESH);
	cr_assert(!find(r, 1, 1) && !find(r, 1, 2) && find(r, 1, 3) && find(r, 1, 4));
	cr_assert_eq(floor_of(r), start + 10000);
	/* A clock set back is refused, not re-admitted. */
	cr_assert_eq(insert(r, 1, 2, start + 10000, start, MONO + 130001), REPLAY_OLD);
	/* A long silence turns both. */
	cr_assert_eq(insert(r, 1, 6, WALL + 900000, WALL + 900000, MONO + 900000), REPLAY_FRESH);
	cr_assert(!find(r, 1, 3) && !find(r, 1, 5) && find(r, 1, 6));
	cr_assert_eq(floor_of(r), WALL + 130000);
	replay_close(r);
}

Test(replay, quota_is_per_owner_and_generation)
{
	struct replay *r = open_at(false, 10, WALL, MONO);
	for (uint64_t i = 0; i < 10; i++)
		cr_assert_eq(insert(r, 1, i, WALL, WALL, MONO), REPLAY_FRESH);
	cr_assert_eq(insert(r, 1, 10, WALL, WALL, MONO), REPLAY_FULL);
	cr_assert_eq(insert(r, 1, 3, WALL, WALL, MONO), REPLAY_SEEN);
	cr_assert_eq(insert(r, 2, 10, WALL, WALL, MONO), REPLAY_FRESH);
	cr_assert_eq(replay_error(r), 0);
	replay_close(r);
	r = open_at(false, 10, WALL, MONO + 1);
	cr_assert_eq(insert(r, 1, 10, WALL, WALL, MONO), REPLAY_FULL);
	cr_assert_eq(insert(r, 1, 10, WALL + 65000, WALL + 65000, MONO + 65000), REPLAY_FRESH);
	replay_close(r);
}

Test(replay, a_second_process_is_refused_and_the_mode_is_0600)
{
	struct replay_options options = { .path = path };
	struct replay *r = open_at(false, 0, WALL, MONO), *second = NULL;
	struct stat st;
	cr_assert_eq(replay_open(&options, WALL, MONO, &second), -EWOULDBLOCK);
	cr_assert_null(second);
	cr_assert_eq(insert(r, 1, 1, WALL, WALL, MONO), REPLAY_FRESH);
	replay_close(r);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	chmod(path, 0644);
	r = open_at(false, 0, WALL, MONO);
	cr_assert_eq(replay_state(r), REPLAY_INTACT);
	cr_assert(find(r, 1, 1));
	replay_close(r);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(replay, what_is_not_a_file_in_a_folder_is_an_error)
{
	struct replay *r = NULL;
	struct replay_options options = { .path = folder };
	cr_assert_eq(replay_open(&options, WALL, MONO, &r), -EISDIR);
	options.path = "/nonexistent/folder/file";
	cr_assert_eq(replay_open(&options, WALL, MONO, &r), -ENOENT);
	cr_assert_eq(symlink("/dev/null", path), 0);
	options.path = path;
	cr_assert_eq(replay_open(&options, WALL, MONO, &r), -ELOOP);
	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_assert_eq(replay_open(&options, WALL, MONO, &r), ERR_INVAL);
	cr_assert_null(r);
}

Test(replay, a_reboot_after_an_orderly_end_keeps_the_refusals)
{
	struct replay *r = open_at(false, 0, WALL, MONO);
	cr_assert_eq(insert(r, 1, 1, WALL + 9000, WALL, MONO), REPLAY_FRESH);
	replay_close(r);
	r = open_at(false, 0, WALL + 5000, 1000);
	cr_assert_eq(replay_state(r), REPLAY_INTACT);
	cr_assert_eq(floor_of(r), WALL + 9000);
	cr_assert_eq(insert(r, 1, 1, WALL + 9000, WALL + 5000, 1000), REPLAY_OLD);
	cr_assert_eq(insert(r, 1, 2, WALL + 9001, WALL + 5000, 1000), REPLAY_FRESH);
	replay_close(r);
}

static struct progress {
	_Atomic uint64_t n_done;  /* salts below it returned FRESH */
	_Atomic uint64_t step_ms; /* the clocks move so much per 100 inserts */
	_Atomic uint64_t start_ms;
	uint64_t n_start;
} * shared;

/* Runs @child in a process of its own and kills it @us after its first insert. (Killed before, it
 * may leave half a header: a damaged file in which nothing was.) */
static void run_and_kill(void (*child)(void), useconds_t us)
{
	int status;
	uint64_t n_before = shared->n_done;
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		child();
		_exit(0);
	}
	while (shared->n_done == n_before && waitpid(pid, &status, WNOHANG) == 0)
		usleep(100);
	usleep(us);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void insert_for_ever(void)
{
	struct replay_options options = { .path = path };
	struct replay *r;
	uint64_t ms = shared->start_ms;
	if (replay_open(&options, WALL + ms, MONO + ms, &r) != 0 ||
		replay_state(r) == REPLAY_DAMAGED)
		_exit(1);
	for (uint64_t n = shared->n_start;; n++) {
		if (n % 100 == 0)
			ms += shared->step_ms;
		atomic_store(&shared->start_ms,
			ms); /* before: time must not go back for who opens next */
		if (insert(r, n % 3, n, WALL + ms, WALL + ms, MONO + ms) != REPLAY_FRESH)
			_exit(2);
		atomic_store(&shared->n_done, n + 1);
	}
}

Test(replay, a_reboot_without_an_orderly_end_is_damage)
{
	shared = mmap(
		NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	run_and_kill(insert_for_ever, 20000);
	struct replay *r = open_at(false, 0, WALL + 5000, 1000);
	cr_assert_eq(replay_state(r), REPLAY_DAMAGED);
	cr_assert_eq(floor_of(r), WALL + 5500);
	replay_close(r);
}

/* Everything that was FRESH before the kill is SEEN, or refused by the floor, after it. */
static void check_after_kill(uint64_t n_first)
{
	uint64_t n_done = atomic_load(&shared->n_done), ms = shared->start_ms;
	struct replay *r = open_at(false, 0, WALL + ms, MONO + ms);
	cr_assert_eq(replay_state(r), REPLAY_INTACT);
	uint64_t floor = floor_of(r);
	for (uint64_t n = n_first; n < n_done; n++)
		if (!find(r, n % 3, n)) {
			/* its stamp, computed again from its number */
			uint64_t stamp = WALL + shared->step_ms * (n / 100 + 1);
			cr_assert(shared->step_ms != 0 && stamp <= floor, "salt %d is forgotten",
				(int)n);
		}
	replay_close(r);
}

Test(replay, a_kill_loses_nothing, .timeout = 100)
{
	shared = mmap(
		NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t seed = 7;
	for (int round = 0; round < 60; round++) {
		unlink(path);
		memset(shared, 0, sizeof *shared);
		shared->step_ms =
			round % 2 == 0 ? 0 : 3000; /* odd rounds turn every 2 200 inserts */
		seed = seed * 1664525 + 1013904223;
		run_and_kill(insert_for_ever, 3000 + (seed >> 16) % 15000);
		check_after_kill(0);
	}
}

Test(replay, many_kills_in_a_row_lose_nothing, .timeout = 100)
{
	shared = mmap(
		NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int round = 0; round < 30; round++) {
		shared->n_start =
			shared->n_done + 1; /* the one in flight may be in the file already */
		run_and_kill(insert_for_ever, 2000 + 500 * (useconds_t)(round % 7));
		uint64_t n_done = shared->n_done;
		struct replay *r = open_at(false, 0, WALL, MONO);
		cr_assert_eq(replay_state(r), REPLAY_INTACT);
		for (uint64_t n = shared->n_start; n < n_done; n++)
			cr_assert(find(r, n % 3, n), "salt %d", (int)n);
		replay_close(r);
	}
}

/* Every byte of the heads, some of the rest. */
static off_t next_byte(off_t at)
{
	off_t next_chunk = at < HEAD ? HEAD : at - (at - HEAD) % CHUNK + CHUNK;
	if (at < 300 || (at >= HEAD && (at - HEAD) % CHUNK < 64))
		return at + 1;
	return at + 997 < next_chunk ? at + 997 : next_chunk;
}

Test(replay, damage_anywhere_is_seen_or_harmless, .timeout = 100)
{
	enum {
		N = 1500
	}; /* two full chunks and a bit */
	struct replay *r = open_at(false, 0, WALL, MONO);
	for (uint64_t n = 0; n < N; n++)
		cr_assert_eq(insert(r, n % 5, n, WALL + n, WALL + n, MONO + (n < 700 ? 0 : 65000)),
			REPLAY_FRESH);
	replay_close(r);
	int fd = open(path, O_RDONLY);
	off_t size = lseek(fd, 0, SEEK_END);
	uint8_t *good = malloc((size_t)size);
	cr_assert_eq(pread(fd, good, (size_t)size, 0), size);
	close(fd);
	unsigned n_damaged = 0;
	for (off_t at = 0; at < size; at = next_byte(at)) {
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		cr_assert_eq(pwrite(fd, good, (size_t)size, 0), size);
		close(fd);
		spoil(at, (uint8_t)(1 << at % 8));
		r = open_at(false, 0, WALL + 2000, MONO + 65001);
		n_damaged += replay_state(r) == REPLAY_DAMAGED;
		for (uint64_t n = 0; n < N; n++)
			if (!find(r, n % 5, n))
				cr_assert_eq(
					insert(r, n % 5, n, WALL + n, WALL + 2000, MONO + 65001),
					REPLAY_OLD, "byte %d", (int)at);
		replay_close(r);
	}
	cr_assert_gt(n_damaged, 200, "%u", n_damaged);
	/* Cut anywhere. */
	for (off_t cut = 0; cut < size; cut += cut < HEAD ? 511 : 4096) {
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		cr_assert_eq(pwrite(fd, good, (size_t)cut, 0), cut);
		close(fd);
		r = open_at(false, 0, WALL + 2000, MONO + 65001);
		cr_assert_eq(replay_state(r), REPLAY_DAMAGED, "cut at %d", (int)cut);
		replay_close(r);
	}
	/* A page of zeros, as after a crash of the system. */
	for (off_t page = 0; page < size; page += 4096) {
		static const uint8_t zeros[4096];
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		cr_assert_eq(pwrite(fd, good, (size_t)size, 0), size);
		cr_assert_eq(pwrite(fd, zeros, sizeof zeros, page), 4096);
		close(fd);
		bool was_zero = memcmp(good + page, zeros, sizeof zeros) == 0;
		r = open_at(false, 0, WALL + 2000, MONO + 65001);
		cr_assert_eq(replay_state(r), was_zero ? REPLAY_INTACT : REPLAY_DAMAGED, "page %d",
			(int)page);
		replay_close(r);
	}
	free(good);
}

Test(replay, a_full_disk_refuses_and_recovers)
{
	struct rlimit old, limit;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	struct replay *r = open_at(false, 0, WALL, MONO);
	limit.rlim_cur = HEAD + CHUNK + 100;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	uint64_t n = 0;
	while (insert(r, 1, n, WALL, WALL, MONO) == REPLAY_FRESH)
		n++;
	cr_assert_gt(n, 600);
	cr_assert_lt(n, 700);
	cr_assert_eq(replay_error(r), -EFBIG);
	cr_assert_eq(insert(r, 1, n, WALL, WALL, MONO), REPLAY_FULL);
	cr_assert_not(find(r, 1, n));
	cr_assert_eq(insert(r, 1, 0, WALL, WALL, MONO), REPLAY_SEEN);
	setrlimit(RLIMIT_FSIZE, &old);
	cr_assert_eq(insert(r, 1, n, WALL, WALL, MONO), REPLAY_FRESH);
	replay_close(r);
	r = open_at(false, 0, WALL, MONO);
	cr_assert_eq(replay_state(r), REPLAY_INTACT);
	for (uint64_t i = 0; i <= n; i++)
		cr_assert(find(r, 1, i));
	replay_close(r);

	/* Not even the header. */
	struct replay_options options = { .path = path };
	unlink(path);
	limit.rlim_cur = 100;
	setrlimit(RLIMIT_FSIZE, &limit);
	cr_assert_eq(replay_open(&options, WALL, MONO, &r), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	r = open_at(false, 0, WALL, MONO);
	cr_assert_eq(
		replay_state(r), REPLAY_DAMAGED); /* it was there: nobody can tell what was in it */
	replay_close(r);
}

Test(replay, space_of_an_old_burst_is_given_back)
{
	struct stat st;
	struct replay *r = open_at(false, 0, WALL, MONO);
	for (uint64_t n = 0; n < 200000; n++)
		cr_assert_eq(insert(r, 1, n, WALL, WALL, MONO), REPLAY_FRESH);
	cr_assert_eq(stat(path, &st), 0);
	off_t full = st.st_blocks;
	for (uint64_t i = 1; i < 4; i++)
		for (uint64_t n = 0; n < 2000; n++)
			cr_assert_eq(insert(r, 1, i * 1000000 + n, WALL + i * 65000,
					     WALL + i * 65000, MONO + i * 65000),
				REPLAY_FRESH);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_lt(st.st_blocks, full / 10);
	replay_close(r);
	r = open_at(false, 0, WALL + 4 * 65000 - 1, MONO + 4 * 65000 - 1);
	cr_assert_eq(replay_state(r), REPLAY_INTACT);
	for (uint64_t i = 2; i < 4; i++)
		for (uint64_t n = 0; n < 2000; n++)
			cr_assert(find(r, 1, i * 1000000 + n));
	replay_close(r);
}

/* ---- Against the model. */

#define N_SALTS     3000
#define MODEL_QUOTA 400

static struct model {
	uint64_t turned, floor, wall, mono;
	uint64_t newest[2]; /* present, previous */
	uint32_t n[2][4];
	uint8_t where[4]
		     [N_SALTS]; /* bit 0 = in the present generation, bit 1 = in the previous one */
} m;

static void model_turn(void)
{
	m.floor = m.newest[1] > m.floor ? m.newest[1] : m.floor;
	m.newest[1] = m.newest[0];
	m.newest[0] = 0;
	memcpy(m.n[1], m.n[0], sizeof m.n[0]);
	memset(m.n[0], 0, sizeof m.n[0]);
	for (int o = 0; o < 4; o++)
		for (int i = 0; i < N_SALTS; i++)
			m.where[o][i] = (uint8_t)(m.where[o][i] << 1 & 2);
}

static enum replay_verdict model_insert(uint32_t owner, uint32_t n, uint64_t time)
{
	uint64_t turns = (m.mono - m.turned) / 65000;
	for (uint64_t i = 0; i < turns && i < 2; i++)
		model_turn();
	m.turned += turns * 65000;
	if (time > m.wall + 10000)
		return REPLAY_EARLY;
	if (time + 30000 < m.wall || time <= m.floor)
		return REPLAY_OLD;
	if (m.where[owner][n] != 0)
		return REPLAY_SEEN;
	if (m.n[0][owner] >= MODEL_QUOTA)
		return REPLAY_FULL;
	m.n[0][owner]++;
	m.where[owner][n] = 1;
	m.newest[0] = time > m.newest[0] ? time : m.newest[0];
	return REPLAY_FRESH;
}

static uint32_t seed;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)seed * below >> 32);
}

static void move_clocks(void)
{
	uint64_t ms = next_random(next_random(100) == 0 ? 100000 : 60);
	m.mono += ms;
	m.wall += ms;
	if (next_random(2000) == 0)
		m.wall += next_random(40000);
	if (next_random(2000) == 0)
		m.wall -= next_random(40000);
}

Test(replay, agrees_with_a_naive_model, .timeout = 100)
{
	for (uint32_t round = 1; round <= 6; round++) {
		bool in_memory = round % 3 == 0;
		seed = round;
		unlink(path);
		memset(&m, 0, sizeof m);
		m = (struct model){ .turned = MONO, .mono = MONO, .wall = WALL };
		m.floor = in_memory ? WALL + 500 : WALL - 1000;
		struct replay *r = open_at(in_memory, MODEL_QUOTA, WALL, MONO);
		for (int step = 0; step < 60000; step++) {
			uint32_t owner = next_random(4), n = next_random(N_SALTS);
			move_clocks();
			uint64_t time = m.wall - 500 + next_random(1001);
			if (next_random(20) == 0)
				time = m.wall - 35000 + next_random(50000);
			enum replay_verdict expected = model_insert(owner, n, time);
			enum replay_verdict got = insert(r, owner, n, time, m.wall, m.mono);
			cr_assert_eq(got, expected, "round %u step %d: %s, not %s", round, step,
				replay_verdict_name(got), replay_verdict_name(expected));
			n = next_random(N_SALTS);
			cr_assert_eq(find(r, owner, n), m.where[owner][n] != 0);
			if (!in_memory && next_random(3000) == 0) {
				replay_close(r);
				move_clocks();
				r = open_at(false, MODEL_QUOTA, m.wall, m.mono);
				cr_assert_eq(replay_state(r), REPLAY_INTACT);
			}
		}
		replay_close(r);
	}
}
