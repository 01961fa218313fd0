#include "common/replay.h"

#define LOG_MODULE "replay"
#include "common/log.h"
#include "common/seal.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The file is a header page and chunks of entries; a generation is the chunks that carry its epoch,
 * filled one after the other. The file is only appended to: what finds an entry fast (shards of
 * 8-byte slots) lives in the process and is made anew at open. So a kill can strike between any two
 * stores:
 *
 *   insert       newest time of the chunk, entry, then the chunk's tail (count and checksum in one
 * word) new chunk    tail and newest, epoch, then the header's count of the generation's chunks
 *   turn         the state that is not active, then the header's active
 *
 * Everything that decides is covered by a checksum; what does not agree makes the file DAMAGED. A
 * kill of the process loses no store (the pages are the kernel's), a crash of the system may: a
 * file of another boot counts only if it was closed in order.
 */

#define VERSION       1
#define PAGE          4096
#define CHUNK_SIZE    (16 * 1024)
#define MAP_MAX       (sizeof(void *) > 4 ? (size_t)16 << 30 : (size_t)256 << 20)
#define MAP_MIN       ((size_t)1 << 20)
#define QUOTA_DEFAULT 524288
#define OFFSET_MS     500 /* random offset of sealing, protocol.md 2.12 */
#define N_SHARDS      128 /* a shard that doubles holds the lock for its part of the entries only */
#define SHARD_MIN     16
#define CLEAN         UINT64_C(0x636c6f7365642e2e)
#define FIRST_EPOCH   2
#define TIME_BITS     48 /* unix ms until the year 10889 */

static const char magic[8] = { 'h', 'c', 'r', 'e', 'p', 'l', 'a', 'y' };

struct entry {
	uint64_t owner;
	uint8_t salt[REPLAY_SALT];
};

struct chunk_head {
	_Atomic uint64_t epoch;  /* 0, or not one of the two that live: free */
	_Atomic uint64_t newest; /* ms << 16 | check */
	_Atomic uint64_t tail;   /* sum of the entries << 16 | their number */
};

#define CHUNK_ENTRIES ((CHUNK_SIZE - sizeof(struct chunk_head)) / sizeof(struct entry))

struct chunk {
	struct chunk_head head;
	struct entry entries[CHUNK_ENTRIES];
};

/* What changes together, at a turn. */
struct file_state {
	uint64_t seq;
	uint64_t epoch; /* of the present generation; the one before is the other that lives */
	uint64_t floor_ms;
	uint64_t turned_ms; /* CLOCK_MONOTONIC */
	uint64_t boot;
	uint64_t sum;
};

struct file_head {
	char magic[8];
	uint32_t version, head_size, chunk_size, entry_size;
	uint64_t sum;               /* of the above */
	_Atomic uint64_t active;    /* seq of the state that counts, states[seq % 2] */
	_Atomic uint64_t n_used[2]; /* by epoch % 2: epoch << 24 | number of its chunks */
	_Atomic uint64_t closed;    /* CLEAN = in order */
	struct file_state states[2];
};

_Static_assert(sizeof(struct entry) == 24, "entries are stored as they are");
_Static_assert(sizeof(struct chunk) <= CHUNK_SIZE && sizeof(struct file_head) <= PAGE, "layout");

struct shard {
	uint64_t *slots; /* upper half of the hash << 32 | position + 1; 0 = empty */
	uint32_t n_slots, n_entries;
};

struct owner {
	uint64_t id;
	uint32_t n; /* 0 = empty */
};

struct generation {
	uint64_t newest_ms;
	uint32_t n_entries; /* entry i lies in chunks[i / CHUNK_ENTRIES] */
	uint32_t *chunks, n_chunks, max_chunks;
	struct owner *owners;
	uint32_t n_owners, max_owners;
	struct shard shards[N_SHARDS];
};

/* A stack of chunk numbers. */
struct chunk_list {
	uint32_t *chunks, n, max;
};

/* Memory of a shard that is to be freed: one at each insert, not all at the turn. */
struct dead_slots {
	struct dead_slots *next;
};

struct replay {
	pthread_mutex_t mutex; /* of everything that changes */
	int fd;
	uint8_t *map;
	size_t map_size;
	uint32_t n_chunks;            /* in the file */
	struct chunk_list warm, cold; /* free chunks with space behind them, and without */
	struct dead_slots *dead;
	struct file_state now;            /* copy of the active state */
	struct generation generations[2]; /* by epoch % 2 */
	uint8_t hash_key[16];
	uint32_t quota;
	int error;
	enum replay_state state;
	uint64_t accept_after_ms;
};

static struct generation *present(struct replay *r)
{
	return &r->generations[r->now.epoch % 2];
}
static struct generation *previous(struct replay *r)
{
	return &r->generations[(r->now.epoch + 1) % 2];
}
static struct file_head *head_of(const struct replay *r)
{
	return (struct file_head *)(void *)r->map;
}

static off_t chunk_offset(uint32_t i)
{
	return PAGE + (off_t)i * CHUNK_SIZE;
}

static struct chunk *chunk_at(const struct replay *r, uint32_t i)
{
	return (struct chunk *)(void *)(r->map + chunk_offset(i));
}

static struct entry *entry_at(const struct replay *r, const struct generation *g, uint32_t position)
{
	return &chunk_at(r, g->chunks[position / CHUNK_ENTRIES])->entries[position % CHUNK_ENTRIES];
}

/* ---- Checksums: against accidents, not against people who can write the file. */

static uint64_t mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ sum >> 29;
}

static uint64_t sum_bytes(uint64_t sum, const void *from, size_t len)
{
	const uint8_t *p = from;
	for (uint64_t word; len >= sizeof word; p += sizeof word, len -= sizeof word) {
		memcpy(&word, p, sizeof word);
		sum = mix(sum, word);
	}
	return mix(sum, VERSION);
}

static uint64_t tail_empty(uint64_t epoch, uint32_t i_chunk)
{
	return mix(mix(VERSION, epoch), i_chunk) >> 16 << 16;
}

static uint64_t tail_add(uint64_t tail, const struct entry *entry)
{
	return sum_bytes(tail >> 16, entry, sizeof *entry) >> 16 << 16 | ((tail + 1) & 0xffff);
}

static uint64_t newest_encode(uint64_t ms)
{
	return ms << 16 | mix(VERSION, ms) >> TIME_BITS;
}

static uint64_t state_sum(const struct file_state *s)
{
	return sum_bytes(1, s, offsetof(struct file_state, sum));
}

static uint64_t head_sum(const struct file_head *h)
{
	return sum_bytes(2, h, offsetof(struct file_head, sum));
}

/* ---- Finding entries: in the process's memory only. */

static uint64_t hash_of(const struct replay *r, const struct entry *entry)
{
	return seal_siphash(r->hash_key, bytes_of(entry, sizeof *entry));
}

static struct shard *shard_of(struct generation *g, uint64_t hash)
{
	return &g->shards[hash % N_SHARDS];
}

/* Where the search for a slot begins: the tag scaled to the table. */
static uint32_t shard_first(const struct shard *shard, uint64_t slot)
{
	return (uint32_t)((slot >> 32) * shard->n_slots >> 32);
}

static uint32_t shard_next(const struct shard *shard, uint32_t i)
{
	return i + 1 < shard->n_slots ? i + 1 : 0;
}

static void shard_put(struct shard *shard, uint64_t slot)
{
	uint32_t i = shard_first(shard, slot);
	while (shard->slots[i] != 0)
		i = shard_next(shard, i);
	shard->slots[i] = slot;
}

/* Makes room for one more. Return: 0, ERR_NOMEM. */
static int shard_reserve(struct shard *shard)
{
	if (shard->n_entries < shard->n_slots / 4 * 3)
		return 0;
	struct shard old = *shard;
	uint32_t n = old.n_slots > 0 ? old.n_slots / 2 * 3 : SHARD_MIN;
	uint64_t *slots = calloc(n, sizeof *slots);
	if (slots == NULL)
		return ERR_NOMEM;
	shard->slots = slots;
	shard->n_slots = n;
	for (uint32_t i = 0; i < old.n_slots; i++)
		if (old.slots[i] != 0)
			shard_put(shard, old.slots[i]);
	free(old.slots);
	return 0;
}

static bool generation_has(
	const struct replay *r, struct generation *g, uint64_t hash, const struct entry *entry)
{
	const struct shard *shard = shard_of(g, hash);
	uint32_t tag = (uint32_t)(hash >> 32);
	if (shard->n_slots == 0)
		return false;
	for (uint32_t i = shard_first(shard, hash); shard->slots[i] != 0; i = shard_next(shard, i))
		if (shard->slots[i] >> 32 == tag &&
			memcmp(entry_at(r, g, (uint32_t)shard->slots[i] - 1), entry,
				sizeof *entry) == 0)
			return true;
	return false;
}

/* Remembers where the last entry of @g is; the shard has room. */
static void generation_put(struct generation *g, uint64_t hash)
{
	struct shard *shard = shard_of(g, hash);
	shard_put(shard, hash >> 32 << 32 | (g->n_entries + 1));
	shard->n_entries++;
	g->n_entries++;
}

static struct owner *owner_slot(
	struct owner *owners, uint32_t max, const struct replay *r, uint64_t id)
{
	uint32_t i = (uint32_t)seal_siphash(r->hash_key, bytes_of(&id, sizeof id)) & (max - 1);
	while (owners[i].n != 0 && owners[i].id != id)
		i = (i + 1) & (max - 1);
	return &owners[i];
}

/* The counter of @id; n = 0 and not yet its own if it is new. Return: NULL without memory. */
static struct owner *owner_find(const struct replay *r, struct generation *g, uint64_t id)
{
	if (g->n_owners >= g->max_owners / 2) {
		uint32_t max = g->max_owners > 0 ? g->max_owners * 2 : SHARD_MIN;
		struct owner *owners = calloc(max, sizeof *owners);
		if (owners == NULL)
			return NULL;
		for (uint32_t i = 0; i < g->max_owners; i++)
			if (g->owners[i].n != 0)
				*owner_slot(owners, max, r, g->owners[i].id) = g->owners[i];
		free(g->owners);
		g->owners = owners;
		g->max_owners = max;
	}
	return owner_slot(g->owners, g->max_owners, r, id);
}

static void owner_count(struct generation *g, struct owner *owner, uint64_t id)
{
	owner->id = id;
	g->n_owners += owner->n++ == 0;
}

/* ---- Chunks. */

static int grow_array(uint32_t **array, uint32_t *max, uint32_t n)
{
	if (n < *max)
		return 0;
	uint32_t more = *max > 0 ? *max * 2 : 16;
	uint32_t *grown = realloc(*array, more * sizeof **array);
	if (grown == NULL)
		return ERR_NOMEM;
	*array = grown;
	*max = more;
	return 0;
}

/* Space for the range must exist before the mapping is touched there: a full disk would be SIGBUS.
 */
static int allocate_space(int fd, off_t offset, off_t len)
{
	int error;
	do
		error = posix_fallocate(fd, offset, len);
	while (error == EINTR);
	if (error != EOPNOTSUPP && error != EINVAL)
		return -error;
	static const uint8_t zeros[PAGE];
	for (off_t end = offset + len; offset < end; offset += PAGE) {
		ssize_t n = pwrite(fd, zeros, sizeof zeros, offset);
		if (n != (ssize_t)sizeof zeros)
			return n < 0 ? -errno : -ENOSPC;
	}
	return 0;
}

/* Takes a chunk that nothing lives in. Its place in the lists is reserved for the way back. */
static int chunk_take(struct replay *r, uint32_t *ret)
{
	struct chunk_list *from = r->warm.n > 0 ? &r->warm : &r->cold;
	bool is_new = from->n == 0;
	uint32_t i = is_new ? r->n_chunks : from->chunks[from->n - 1];
	if ((size_t)chunk_offset(i) + CHUNK_SIZE > r->map_size)
		return -ENOSPC;
	int error = grow_array(&r->warm.chunks, &r->warm.max, r->n_chunks);
	if (error == 0)
		error = grow_array(&r->cold.chunks, &r->cold.max, r->n_chunks);
	if (error == 0 && from != &r->warm)
		error = allocate_space(r->fd, chunk_offset(i), CHUNK_SIZE);
	if (error != 0)
		return error;
	if (is_new)
		r->n_chunks++;
	else
		from->n--;
	*ret = i;
	return 0;
}

/* Gives the memory of a free chunk back, while more are free than the next generation will want. */
static void cool(struct replay *r)
{
	if (r->warm.n <= previous(r)->n_chunks)
		return;
	uint32_t i = r->warm.chunks[--r->warm.n];
	if (fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, chunk_offset(i),
		    CHUNK_SIZE) == 0)
		r->cold.chunks[r->cold.n++] = i;
	else
		r->warm.chunks[r->warm.n++] = i;
}

/* The chunk for the next entry. */
static int chunk_for_insert(struct replay *r, struct generation *g, struct chunk **ret)
{
	uint32_t i;
	if (g->n_entries < g->n_chunks * CHUNK_ENTRIES) {
		*ret = chunk_at(r, g->chunks[g->n_chunks - 1]);
		return 0;
	}
	if (g->n_entries > UINT32_MAX - CHUNK_ENTRIES - 1)
		return -ENOSPC;
	int error = grow_array(&g->chunks, &g->max_chunks, g->n_chunks);
	if (error == 0)
		error = chunk_take(r, &i);
	if (error != 0)
		return error;
	struct chunk *chunk = chunk_at(r, i);
	uint64_t epoch = r->now.epoch;
	atomic_store(&chunk->head.epoch, 0);
	atomic_store(&chunk->head.tail, tail_empty(epoch, i));
	atomic_store(&chunk->head.newest, newest_encode(0));
	atomic_store(&chunk->head.epoch, epoch);
	g->chunks[g->n_chunks++] = i;
	atomic_store(&head_of(r)->n_used[epoch % 2], epoch << 24 | g->n_chunks);
	*ret = chunk;
	return 0;
}

/* ---- Generations. */

/* Forgets everything in @g; its chunks become free, its memory is freed bit by bit. */
static void generation_drop(struct replay *r, struct generation *g)
{
	for (uint32_t i = 0; i < g->n_chunks; i++)
		r->warm.chunks[r->warm.n++] = g->chunks[i];
	for (size_t i = 0; i < N_SHARDS; i++) {
		struct dead_slots *dead = (struct dead_slots *)(void *)g->shards[i].slots;
		if (dead == NULL)
			continue;
		dead->next = r->dead;
		r->dead = dead;
	}
	free(g->chunks);
	free(g->owners);
	memset(g, 0, sizeof *g);
}

static void bury_one(struct replay *r)
{
	struct dead_slots *dead = r->dead;
	if (dead == NULL)
		return;
	r->dead = dead->next;
	free(dead);
}

/* Writes r->now as the active state. */
static void state_store(struct replay *r)
{
	struct file_head *head = head_of(r);
	struct file_state *to = &head->states[++r->now.seq % 2];
	r->now.sum = state_sum(&r->now);
	*to = r->now;
	atomic_store(&head->active, r->now.seq);
}

/* One generation becomes the previous one, the one before is thrown away: whatever was in it is
 * below the floor from now on. */
static void turn(struct replay *r, uint64_t turned_ms)
{
	struct generation *gone = previous(r);
	if (gone->newest_ms > r->now.floor_ms)
		r->now.floor_ms = gone->newest_ms;
	generation_drop(r, gone);
	r->now.epoch++;
	r->now.turned_ms = turned_ms;
	state_store(r);
	atomic_store(&head_of(r)->n_used[r->now.epoch % 2], r->now.epoch << 24);
}

static void turn_when_due(struct replay *r, uint64_t mono_ms)
{
	if (mono_ms < r->now.turned_ms) /* another worker's clock reading is newer */
		return;
	uint64_t n = (mono_ms - r->now.turned_ms) / REPLAY_GENERATION_MS;
	uint64_t turned_ms = r->now.turned_ms + n * REPLAY_GENERATION_MS;
	for (uint64_t i = 0; i < n && i < 2; i++)
		turn(r, turned_ms);
}

/* ---- Opening. */

static uint64_t boot_id(void)
{
	char text[64] = { 0 };
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof text);
	close(fd);
	return n > 0 ? sum_bytes(3, text, sizeof text) : 0;
}

/* An existing file that another process works on is -EWOULDBLOCK. */
static int open_file(struct replay *r, const char *path, bool *ret_is_new)
{
	struct stat st;
	int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	if (path == NULL) {
		r->fd = memfd_create("replay", MFD_CLOEXEC);
		return r->fd < 0 ? -errno : 0;
	}
	r->fd = open(path, flags | O_CREAT | O_EXCL, 0600);
	*ret_is_new = r->fd >= 0;
	if (r->fd < 0 && errno == EEXIST)
		r->fd = open(path, flags);
	if (r->fd < 0 || fstat(r->fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return ERR_INVAL;
	if (flock(r->fd, LOCK_EX | LOCK_NB) != 0)
		return -errno;
	if ((st.st_mode & 077) != 0 && fchmod(r->fd, 0600) != 0)
		return -errno;
	return 0;
}

/* Address space only: pages exist where chunks were allocated. */
static int map_file(struct replay *r)
{
	for (r->map_size = MAP_MAX; r->map_size >= MAP_MIN; r->map_size /= 2) {
		void *map = mmap(NULL, r->map_size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_NORESERVE, r->fd, 0);
		if (map != MAP_FAILED) {
			r->map = map;
			return 0;
		}
	}
	return -errno;
}

static bool head_is_good(struct replay *r, const struct file_head *head)
{
	uint64_t active = atomic_load(&head->active);
	r->now = head->states[active % 2];
	return memcmp(head->magic, magic, sizeof magic) == 0 && head->version == VERSION &&
	       head->head_size == PAGE && head->chunk_size == CHUNK_SIZE &&
	       head->entry_size == sizeof(struct entry) && head->sum == head_sum(head) &&
	       r->now.seq == active && r->now.sum == state_sum(&r->now) &&
	       r->now.epoch >= FIRST_EPOCH;
}

/* Reads the entries of chunk @i, the next of @g. Return: 0, ERR_NOMEM, ERR_INVAL if it is damaged.
 */
static int load_chunk(struct replay *r, struct generation *g, uint64_t epoch, uint32_t i)
{
	const struct chunk *chunk = chunk_at(r, i);
	uint64_t tail = atomic_load(&chunk->head.tail), newest = atomic_load(&chunk->head.newest);
	uint64_t sum = tail_empty(epoch, i);
	uint32_t n = tail & 0xffff;
	if (n > CHUNK_ENTRIES || newest != newest_encode(newest >> 16))
		return ERR_INVAL;
	int error = grow_array(&g->chunks, &g->max_chunks, g->n_chunks);
	if (error != 0)
		return error;
	g->chunks[g->n_chunks++] = i;
	if (newest >> 16 > g->newest_ms)
		g->newest_ms = newest >> 16;
	for (uint32_t k = 0; k < n; k++) {
		const struct entry *entry = &chunk->entries[k];
		uint64_t hash = hash_of(r, entry);
		struct owner *owner = owner_find(r, g, entry->owner);
		if (owner == NULL || shard_reserve(shard_of(g, hash)) != 0)
			return ERR_NOMEM;
		owner_count(g, owner, entry->owner);
		generation_put(g, hash);
		sum = tail_add(sum, entry);
	}
	return sum == tail ? 0 : ERR_INVAL;
}

/* Sorts the chunks of the file: the full ones of the two generations are loaded at once, the one
 * that is not full (there is at most one) is told in @partial, all others are free. */
static int load_chunks(struct replay *r, uint32_t partial[2], uint32_t n_partial[2])
{
	for (uint32_t i = r->n_chunks; i-- > 0;) {
		uint64_t head[3]; /* read, not touched in the mapping: that would fill the holes of
				     cold chunks */
		_Static_assert(sizeof head == sizeof(struct chunk_head), "layout");
		if (pread(r->fd, head, sizeof head, chunk_offset(i)) != (ssize_t)sizeof head)
			return ERR_INVAL;
		uint64_t epoch = head[0];
		int error = 0;
		if (epoch >
			r->now.epoch) { /* newer than the state: that is not the last one written */
			error = ERR_INVAL;
		} else if (epoch < r->now.epoch - 1) {
			r->cold.chunks[r->cold.n++] = i;
		} else if ((head[2] & 0xffff) < CHUNK_ENTRIES) {
			partial[epoch % 2] = i;
			n_partial[epoch % 2]++;
		} else {
			error = load_chunk(r, &r->generations[epoch % 2], epoch, i);
		}
		if (error != 0)
			return error;
	}
	return 0;
}

/* Compares what was found of @epoch with what the header says, and loads the chunk that is not
 * full. */
static int load_partial(struct replay *r, uint64_t epoch, uint32_t partial, uint32_t n_partial)
{
	struct generation *g = &r->generations[epoch % 2];
	uint64_t word = atomic_load(&head_of(r)->n_used[epoch % 2]);
	uint32_t n_used = word & 0xffffff;
	if (word >> 24 != epoch && word >> 24 != epoch - 2)
		return ERR_INVAL;
	if (word >> 24 != epoch) { /* killed in the middle of a turn, which is finished here */
		n_used = 0;
		atomic_store(&head_of(r)->n_used[epoch % 2], epoch << 24);
	}
	if (n_partial > 1)
		return ERR_INVAL;
	if (n_partial == 1 && g->n_chunks == n_used) { /* killed before the chunk was counted */
		if ((atomic_load(&chunk_at(r, partial)->head.tail) & 0xffff) != 0)
			return ERR_INVAL;
		r->cold.chunks[r->cold.n++] = partial;
		atomic_store(&chunk_at(r, partial)->head.epoch, 0);
		n_partial = 0;
	}
	if (g->n_chunks + n_partial != n_used)
		return ERR_INVAL;
	if (n_partial == 0)
		return 0;
	/* A copied file may have holes where entries are to come. */
	int error = allocate_space(r->fd, chunk_offset(partial), CHUNK_SIZE);
	return error != 0 ? error : load_chunk(r, g, epoch, partial);
}

/* Return: 0, ERR_INVAL if the file is damaged, another error. */
static int load(struct replay *r, uint64_t mono_ms)
{
	struct stat st;
	const struct file_head *head = head_of(r);
	uint32_t partial[2] = { 0 }, n_partial[2] = { 0 };
	if (fstat(r->fd, &st) != 0 || st.st_size < PAGE || (size_t)st.st_size > r->map_size)
		return ERR_INVAL;
	if (!head_is_good(r, head))
		return ERR_INVAL;
	uint64_t boot = boot_id();
	bool is_other_boot = boot != r->now.boot || mono_ms < r->now.turned_ms;
	if (is_other_boot && atomic_load(&head->closed) != CLEAN)
		return ERR_INVAL;
	r->n_chunks = (uint32_t)((st.st_size - PAGE) / CHUNK_SIZE);
	r->warm.max = r->cold.max = r->n_chunks + 1;
	r->warm.chunks = calloc(r->warm.max, sizeof *r->warm.chunks);
	r->cold.chunks = calloc(r->cold.max, sizeof *r->cold.chunks);
	if (r->warm.chunks == NULL || r->cold.chunks == NULL)
		return ERR_NOMEM;
	int error = load_chunks(r, partial, n_partial);
	for (uint64_t epoch = r->now.epoch - 1; error == 0 && epoch <= r->now.epoch; epoch++)
		error = load_partial(r, epoch, partial[epoch % 2], n_partial[epoch % 2]);
	if (error != 0 || !is_other_boot)
		return error;
	/* The generation clock means nothing any more: what it measured is over. */
	r->now.boot = boot;
	turn(r, mono_ms);
	turn(r, mono_ms);
	return 0;
}

static void forget(struct replay *r)
{
	for (size_t i = 0; i < 2; i++) {
		struct generation *g = &r->generations[i];
		for (size_t k = 0; k < N_SHARDS; k++)
			free(g->shards[k].slots);
		free(g->chunks);
		free(g->owners);
		memset(g, 0, sizeof *g);
	}
	while (r->dead != NULL)
		bury_one(r);
	free(r->warm.chunks);
	free(r->cold.chunks);
	r->warm = r->cold = (struct chunk_list){ .n = 0 };
	r->n_chunks = 0;
}

/* An empty file with a floor. The checked part of the header comes last. */
static int create(struct replay *r, uint64_t floor_ms, uint64_t mono_ms)
{
	forget(r);
	if (ftruncate(r->fd, 0) != 0)
		return -errno;
	int error = allocate_space(r->fd, 0, PAGE);
	if (error != 0)
		return error;
	struct file_head *head = head_of(r);
	for (uint64_t epoch = FIRST_EPOCH - 1; epoch <= FIRST_EPOCH; epoch++)
		atomic_store(&head->n_used[epoch % 2], epoch << 24);
	r->now = (struct file_state){
		.epoch = FIRST_EPOCH, .floor_ms = floor_ms, .turned_ms = mono_ms, .boot = boot_id()
	};
	state_store(r);
	memcpy(head->magic, magic, sizeof magic);
	head->version = VERSION;
	head->head_size = PAGE;
	head->chunk_size = CHUNK_SIZE;
	head->entry_size = sizeof(struct entry);
	head->sum = head_sum(head);
	return 0;
}

/* protocol.md 2.12, "What the floor is at start". */
static uint64_t start_floor_ms(enum replay_state state, bool is_strict, uint64_t wall_ms)
{
	if (is_strict)
		return wall_ms + REPLAY_FUTURE_MS;
	if (state == REPLAY_MISSING)
		return wall_ms > 2 * OFFSET_MS ? wall_ms - 2 * OFFSET_MS : 0;
	return wall_ms + OFFSET_MS;
}

static int open_store(
	struct replay *r, const struct replay_options *options, uint64_t wall_ms, uint64_t mono_ms)
{
	bool is_new = false;
	int error = open_file(r, options->path, &is_new);
	if (error == 0)
		error = map_file(r);
	if (error != 0)
		return error;
	r->state = options->path == NULL ? REPLAY_MEMORY : is_new ? REPLAY_MISSING : REPLAY_INTACT;
	if (r->state == REPLAY_INTACT) {
		error = load(r, mono_ms);
		if (error != 0 && error != ERR_INVAL)
			return error;
		if (error != 0)
			r->state = REPLAY_DAMAGED;
	}
	r->accept_after_ms = wall_ms;
	if (r->state != REPLAY_INTACT) {
		uint64_t floor_ms = start_floor_ms(r->state, options->is_strict, wall_ms);
		error = create(r, floor_ms, mono_ms);
		if (floor_ms >= wall_ms)
			r->accept_after_ms = floor_ms + OFFSET_MS;
	}
	if (error != 0 || options->path == NULL)
		return error;
	atomic_store(&head_of(r)->closed, 0);
	return fdatasync(r->fd) != 0 ? -errno : 0;
}

static void free_store(struct replay *r)
{
	forget(r);
	if (r->map != NULL)
		munmap(r->map, r->map_size);
	if (r->fd >= 0)
		close(r->fd); /* and unlocks */
	pthread_mutex_destroy(&r->mutex);
	free(r);
}

int replay_open(const struct replay_options *options, uint64_t wall_ms, uint64_t mono_ms,
	struct replay **ret)
{
	struct replay *r = calloc(1, sizeof *r);
	if (r == NULL)
		return ERR_NOMEM;
	r->fd = -1;
	r->quota = options->quota != 0 ? options->quota : QUOTA_DEFAULT;
	pthread_mutex_init(&r->mutex, NULL);
	seal_random(r->hash_key, sizeof r->hash_key);
	int error = open_store(r, options, wall_ms, mono_ms);
	if (error != 0) {
		free_store(r);
		return error;
	}
	*ret = r;
	return 0;
}

/* CLEAN reaches the disk after everything else. */
void replay_close(struct replay *replay)
{
	if (replay == NULL)
		return;
	if (replay->state != REPLAY_MEMORY && fsync(replay->fd) == 0) {
		atomic_store(&head_of(replay)->closed, CLEAN);
		fsync(replay->fd);
	}
	free_store(replay);
}

enum replay_state replay_state(const struct replay *replay)
{
	return replay->state;
}

uint64_t replay_accept_after_ms(const struct replay *replay)
{
	return replay->accept_after_ms;
}

/* ---- Use. */

/* Both ends belong to the window; no sum that could wrap. */
static enum replay_verdict check_time(const struct replay *r, uint64_t time_ms, uint64_t wall_ms)
{
	if (time_ms >> TIME_BITS != 0 ||
		(time_ms > wall_ms && time_ms - wall_ms > REPLAY_FUTURE_MS))
		return REPLAY_EARLY;
	if (time_ms < wall_ms && wall_ms - time_ms > REPLAY_PAST_MS)
		return REPLAY_OLD;
	return time_ms > r->now.floor_ms ? REPLAY_FRESH : REPLAY_OLD;
}

enum replay_verdict replay_check_time(struct replay *replay, uint64_t time_ms, uint64_t wall_ms)
{
	pthread_mutex_lock(&replay->mutex);
	enum replay_verdict verdict = check_time(replay, time_ms, wall_ms);
	pthread_mutex_unlock(&replay->mutex);
	return verdict;
}

static struct entry make_entry(uint64_t owner, const uint8_t salt[REPLAY_SALT])
{
	struct entry entry = { .owner = owner };
	memcpy(entry.salt, salt, REPLAY_SALT);
	return entry;
}

static bool is_known(struct replay *r, uint64_t hash, const struct entry *entry)
{
	return generation_has(r, present(r), hash, entry) ||
	       generation_has(r, previous(r), hash, entry);
}

bool replay_find(struct replay *replay, uint64_t owner, const uint8_t salt[REPLAY_SALT])
{
	struct entry entry = make_entry(owner, salt);
	uint64_t hash = hash_of(replay, &entry);
	pthread_mutex_lock(&replay->mutex);
	bool found = is_known(replay, hash, &entry);
	pthread_mutex_unlock(&replay->mutex);
	return found;
}

/* Everything that can fail comes first, then the stores in the order that survives a kill. */
static enum replay_verdict insert(
	struct replay *r, uint64_t hash, const struct entry *entry, uint64_t time_ms)
{
	struct generation *g = present(r);
	struct chunk *chunk;
	if (is_known(r, hash, entry))
		return REPLAY_SEEN;
	struct owner *owner = owner_find(r, g, entry->owner);
	if (owner != NULL && owner->n >= r->quota)
		return REPLAY_FULL;
	int error = owner == NULL ? ERR_NOMEM : shard_reserve(shard_of(g, hash));
	if (error == 0)
		error = chunk_for_insert(r, g, &chunk);
	if (error != 0) {
		r->error = error;
		return REPLAY_FULL;
	}
	if (time_ms > atomic_load_explicit(&chunk->head.newest, memory_order_relaxed) >> 16)
		atomic_store_explicit(
			&chunk->head.newest, newest_encode(time_ms), memory_order_release);
	if (time_ms > g->newest_ms)
		g->newest_ms = time_ms;
	uint64_t tail = atomic_load_explicit(&chunk->head.tail, memory_order_relaxed);
	chunk->entries[tail & 0xffff] = *entry;
	atomic_store_explicit(&chunk->head.tail, tail_add(tail, entry), memory_order_release);
	generation_put(g, hash);
	owner_count(g, owner, entry->owner);
	return REPLAY_FRESH;
}

enum replay_verdict replay_insert(struct replay *replay, uint64_t owner,
	const uint8_t salt[REPLAY_SALT], uint64_t time_ms, uint64_t wall_ms, uint64_t mono_ms)
{
	struct entry entry = make_entry(owner, salt);
	uint64_t hash = hash_of(replay, &entry);
	pthread_mutex_lock(&replay->mutex);
	int old_error = replay->error;
	replay->error = 0;
	turn_when_due(replay, mono_ms);
	bury_one(replay);
	cool(replay);
	enum replay_verdict verdict = check_time(replay, time_ms, wall_ms);
	if (verdict == REPLAY_FRESH)
		verdict = insert(replay, hash, &entry, time_ms);
	int error = replay->error;
	if (error == 0)
		replay->error = old_error;
	pthread_mutex_unlock(&replay->mutex);
	if (error != 0)
		LOG_LIMITED(LOG_LEVEL_ERROR, "replay store cannot grow, refusing error=%s",
			err_name(error));
	return verdict;
}

int replay_error(struct replay *replay)
{
	pthread_mutex_lock(&replay->mutex);
	int error = replay->error;
	pthread_mutex_unlock(&replay->mutex);
	return error;
}

const char *replay_verdict_name(enum replay_verdict verdict)
{
	static const char *const names[] = {
		[REPLAY_FRESH] = "fresh",
		[REPLAY_SEEN] = "seen",
		[REPLAY_FULL] = "full",
		[REPLAY_OLD] = "old",
		[REPLAY_EARLY] = "early",
	};
	return names[verdict];
}
