#include "common/log.h"
#include "common/log_render.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RING_SIZE  (256 * 1024)
#define COLLECT_MS 20   /* how long the writer waits for more lines before it writes */
#define STOP_MS    1000 /* how long log_stop() waits for a sink that takes nothing */
#define PIPE_CHUNK 4096 /* what a pipe that polls as writable takes without blocking */
#define FILE_CHUNK (16 * 1024)
enum writer_state {
	WRITER_IDLE,     /* sleeps until it is called */
	WRITER_COLLECTS, /* sleeps at most COLLECT_MS */
	WRITER_WRITES,   /* looks at the ring before it sleeps */
};

/* The one static state of the project (conventions C18, architecture "Threads"): a process has one
 * stderr. */
static struct {
	_Atomic int level;
	_Atomic uint64_t n_dropped;
	_Atomic uint64_t stop_at_ms; /* 0 = not stopping; then the end of patience with the sink */
	enum log_format format;
	int fd;
	bool is_tty, is_file;
	bool is_abandoned; /* a writer that never came back from its sink owns the ring */

	pthread_mutex_t mutex; /* everything below */
	pthread_cond_t called;
	pthread_t thread;
	enum writer_state state;
	bool is_running;
	bool is_urgent;
	uint64_t head,
		tail; /* bytes ever put in and taken out, modulo the restart at an empty ring */
	char ring[RING_SIZE];
} state = { .level = LOG_LEVEL_INFO, .mutex = PTHREAD_MUTEX_INITIALIZER };

static uint64_t clock_ms(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- The writer. */

/* Writes without ever getting stuck for longer than log_stop() has patience. Return: false if the
 * sink is broken or patience is over. */
static bool write_all(const char *from, size_t len)
{
	while (len > 0) {
		size_t n = state.is_file || len < PIPE_CHUNK ? len : PIPE_CHUNK;
		struct pollfd sink = { .fd = state.fd, .events = POLLOUT };
		uint64_t stop_at_ms = atomic_load(&state.stop_at_ms);
		if (stop_at_ms != 0 && clock_ms(CLOCK_MONOTONIC) >= stop_at_ms)
			return false;
		if (!state.is_file && poll(&sink, 1, 50) == 0)
			continue;
		ssize_t written = write(state.fd, from, n);
		if (written < 0 && errno == EAGAIN)
			usleep(1000);
		else if (written < 0 && errno != EINTR)
			return false;
		if (written > 0) {
			from += written;
			len -= (size_t)written;
		}
	}
	return true;
}

static void ring_read(uint64_t pos, void *to, size_t len)
{
	size_t at = (size_t)(pos % RING_SIZE);
	size_t n = len < RING_SIZE - at ? len : RING_SIZE - at;
	memcpy(to, state.ring + at, n);
	memcpy((char *)to + n, state.ring, len - n);
}

static void ring_write(uint64_t pos, const void *from, size_t len)
{
	size_t at = (size_t)(pos % RING_SIZE);
	size_t n = len < RING_SIZE - at ? len : RING_SIZE - at;
	memcpy(state.ring + at, from, n);
	memcpy(state.ring, (const char *)from + n, len - n);
}

/* What the writer has rendered and not written yet. */
struct batch {
	struct log_out out, line;
	unsigned n_lines;
	uint64_t n_told; /* of the dropped */
};

static void batch_write(struct batch *b, uint64_t tail)
{
	if (b->out.len > 0 && !write_all(b->out.data, b->out.len))
		atomic_fetch_add(&state.n_dropped, b->n_lines);
	b->out.len = 0;
	b->n_lines = 0;
	pthread_mutex_lock(&state.mutex);
	state.tail = tail;
	pthread_mutex_unlock(&state.mutex);
}

static void batch_add(
	struct batch *b, const struct log_entry *entry, const char *message, uint64_t tail)
{
	size_t limit = state.is_file ? FILE_CHUNK : PIPE_CHUNK;
	b->line.len = 0;
	log_render(&b->line, state.format, state.is_tty, entry, message);
	if (b->out.len > 0 && b->out.len + b->line.len > limit)
		batch_write(b, tail);
	log_out_put(&b->out, b->line.data, b->line.len);
	b->n_lines++;
}

static void batch_tell_dropped(struct batch *b, uint64_t tail)
{
	uint64_t n_dropped = atomic_load(&state.n_dropped);
	char message[64];
	struct log_entry entry = {
		.wall_ms = clock_ms(CLOCK_REALTIME), .module = "log", .level = LOG_LEVEL_WARNING
	};
	if (n_dropped == b->n_told)
		return;
	entry.len = (uint16_t)snprintf(
		message, sizeof message, "log dropped n=%" PRIu64, n_dropped - b->n_told);
	b->n_told = n_dropped;
	batch_add(b, &entry, message, tail);
}

/* Writes what lies between @tail and @head, which callers do not touch before tail moves. */
static void write_batch(struct batch *b, uint64_t tail, uint64_t head)
{
	char message[LOG_LINE_MAX];
	while (tail != head) {
		struct log_entry entry;
		ring_read(tail, &entry, sizeof entry);
		ring_read(tail + sizeof entry, message, entry.len);
		batch_add(b, &entry, message, tail);
		tail += sizeof entry + entry.len;
	}
	batch_tell_dropped(b, tail);
	batch_write(b, tail);
}

static void collect(void)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += COLLECT_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	while (!state.is_urgent && state.is_running)
		if (pthread_cond_timedwait(&state.called, &state.mutex, &until) == ETIMEDOUT)
			break;
}

static void *run_writer(void *arg)
{
	struct batch *batch = arg;
	pthread_mutex_lock(&state.mutex);
	for (;;) {
		state.state = WRITER_IDLE;
		if (state.head == state.tail)
			state.head = state.tail = 0; /* the same few pages while there is little */
		while (state.head == state.tail && state.is_running)
			pthread_cond_wait(&state.called, &state.mutex);
		if (state.head == state.tail)
			break;
		state.state = WRITER_COLLECTS;
		collect();
		state.state = WRITER_WRITES;
		state.is_urgent = false;
		uint64_t tail = state.tail, head = state.head;
		pthread_mutex_unlock(&state.mutex);
		write_batch(batch, tail, head);
		pthread_mutex_lock(&state.mutex);
	}
	pthread_mutex_unlock(&state.mutex);
	free(batch);
	return NULL;
}

static bool is_journal(int fd)
{
	const char *text = getenv("JOURNAL_STREAM");
	struct stat st;
	uint64_t device, inode;
	return text != NULL && sscanf(text, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 &&
	       fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* The writer takes no signal: SIGPIPE stays pending there, for ever. */
static int create_writer(struct batch *batch)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int error = pthread_create(&state.thread, NULL, run_writer, batch);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -error;
}

int log_start(int fd, enum log_level level, enum log_format format)
{
	struct stat st;
	pthread_condattr_t attributes;

	if (state.is_abandoned || state.is_running)
		return -EBUSY;
	struct batch *batch = malloc(sizeof *batch);
	if (batch == NULL)
		return ERR_NOMEM;
	batch->out.len = 0;
	batch->n_lines = 0;
	batch->n_told = atomic_load(&state.n_dropped);
	state.fd = fd;
	state.is_tty = isatty(fd) == 1;
	state.is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	state.format = format;
	if (format == LOG_FORMAT_AUTO)
		state.format = is_journal(fd) ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;
	atomic_store(&state.stop_at_ms, 0);
	log_set_level(level);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&state.called, &attributes);
	pthread_condattr_destroy(&attributes);
	state.state = WRITER_WRITES;
	state.is_running = true;
	int error = create_writer(batch);
	if (error != 0) {
		state.is_running = false;
		pthread_cond_destroy(&state.called);
		free(batch);
	}
	return error;
}

void log_stop(void)
{
	struct timespec until;
	pthread_mutex_lock(&state.mutex);
	bool was_running = state.is_running;
	state.is_running = false;
	if (was_running) {
		atomic_store(&state.stop_at_ms, clock_ms(CLOCK_MONOTONIC) + STOP_MS);
		pthread_cond_signal(&state.called);
	}
	pthread_mutex_unlock(&state.mutex);
	if (!was_running)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 2;
	/* A sink can still block a write that poll() promised not to: then the writer is left
	 * behind. */
	if (pthread_timedjoin_np(state.thread, NULL, &until) != 0) {
		state.is_abandoned = true;
		pthread_detach(state.thread);
		return;
	}
	pthread_cond_destroy(&state.called);
}

/* ---- The callers' side. */

/* While there is no writer. Blocks SIGPIPE around the write and takes back the one it caused. */
static void write_direct(const struct log_entry *entry, const char *message)
{
	struct log_out out;
	sigset_t pipe_signal, old, pending;
	const struct timespec at_once = { .tv_sec = 0 };

	out.len = 0;
	log_render(&out, state.format, isatty(STDERR_FILENO) == 1, entry, message);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &old);
	ssize_t n = write(STDERR_FILENO, out.data, out.len);
	if (n < 0)
		atomic_fetch_add(&state.n_dropped, 1);
	if (n < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&pipe_signal, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Return: false if there is no writer. */
static bool enqueue(const struct log_entry *entry, const char *message)
{
	size_t size = sizeof *entry + entry->len;
	pthread_mutex_lock(&state.mutex);
	if (!state.is_running) {
		pthread_mutex_unlock(&state.mutex);
		return false;
	}
	bool fits = state.head + size - state.tail <= RING_SIZE;
	if (fits) {
		ring_write(state.head, entry, sizeof *entry);
		ring_write(state.head + sizeof *entry, message, entry->len);
		state.head += size;
	} else {
		atomic_fetch_add(&state.n_dropped, 1);
	}
	bool is_urgent = !state.is_urgent && (entry->level <= LOG_LEVEL_NOTICE ||
						     state.head - state.tail > RING_SIZE / 2);
	bool calls = state.state == WRITER_IDLE || (state.state == WRITER_COLLECTS && is_urgent);
	if (is_urgent)
		state.is_urgent = true;
	if (state.state == WRITER_IDLE)
		state.state = WRITER_COLLECTS;
	pthread_mutex_unlock(&state.mutex);
	if (calls)
		pthread_cond_signal(&state.called);
	return true;
}

void log_line(enum log_level level, const char *module, const char *format, ...)
{
	char message[LOG_LINE_MAX];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(message, sizeof message, format, args);
	va_end(args);
	if (n < 0)
		return;
	size_t len = (size_t)n;
	if (len >= sizeof message) {
		len = sizeof message - sizeof "...";
		while (len > 0 && ((uint8_t)message[len] & 0xc0) == 0x80)
			len--;
		/* it has a length: NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
		memcpy(message + len, "...", 3);
		len += 3;
	}
	struct log_entry entry = {
		.wall_ms = clock_ms(CLOCK_REALTIME),
		.module = module,
		.len = (uint16_t)len,
		.level = (uint8_t)level,
	};
	if (!enqueue(&entry, message))
		write_direct(&entry, message);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&state.level, (int)level, memory_order_relaxed);
}

void log_mute(void)
{
	atomic_store_explicit(&state.level, -1, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&state.level, memory_order_relaxed);
}

uint64_t log_n_dropped(void)
{
	return atomic_load(&state.n_dropped);
}
