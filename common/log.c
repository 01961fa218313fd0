#include "common/log.h"

#include "common/utf8.h"

#include <ctype.h>
#include <fcntl.h>
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

#define RING_SIZE    (256 * 1024)
#define COLLECT_MS   20   /* how long the writer waits for more lines before it writes */
#define STOP_MS      1000 /* how long log_stop() waits for a sink that takes nothing */
#define PIPE_CHUNK   4096 /* what a pipe that polls as writable takes without blocking */
#define FILE_CHUNK   (16 * 1024)
#define LINE_MAX_OUT (FILE_CHUNK) /* each byte becomes six at most in JSON, and 128 are added */
#define WINDOW_MS    10000

_Static_assert(LINE_MAX_OUT >= 6 * LOG_LINE_MAX + 128, "a line must fit however it is escaped");

static const struct {
	const char *name;
	int priority; /* syslog(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_NOTICE] = { "notice", 5 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};
#define N_LEVELS (sizeof levels / sizeof *levels)

/* What the caller stores; the writer renders it. The message follows. */
struct entry {
	uint64_t wall_ms;
	const char *module;
	uint16_t len;
	uint8_t level;
};

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

/* The length of a character (RFC 3629) that a terminal shows and does not obey; or 0. */
static size_t printable_len(const char *p, size_t n)
{
	size_t len = utf8_length((const unsigned char *)p, n);
	uint8_t first = (uint8_t)p[0];
	if (len == 1)
		return first >= 0x20 && first != 0x7f;
	return len == 2 && first == 0xc2 && (uint8_t)p[1] < 0xa0 ? 0 : len;
}

/* ---- Rendering: on the writer's thread, or on the caller's while there is none. */

struct out {
	size_t len;
	char data[LINE_MAX_OUT];
};

static void put(struct out *out, const char *from, size_t len)
{
	if (len > sizeof out->data - out->len)
		len = sizeof out->data - out->len;
	memcpy(out->data + out->len, from, len);
	out->len += len;
}

static void put_text(struct out *out, const char *text)
{
	put(out, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(
	struct out *out, const char *format, ...)
{
	char text[64];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	put_text(out, text);
}

static void put_time(struct out *out, uint64_t wall_ms, bool is_local)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	char text[32];
	if (is_local) {
		localtime_r(&seconds, &tm);
		strftime(text, sizeof text, "%H:%M:%S", &tm);
	} else {
		gmtime_r(&seconds, &tm);
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	}
	put_format(out, "%s.%03u%s", text, (unsigned)(wall_ms % 1000), is_local ? "" : "Z");
}

/* What would control a terminal or break the line becomes \xNN. */
static void put_printable(struct out *out, const char *from, size_t len)
{
	while (len > 0) {
		size_t n = printable_len(from, len);
		if (n > 0)
			put(out, from, n);
		else
			put_format(out, "\\x%02x", (uint8_t)*from);
		n = n > 0 ? n : 1;
		from += n;
		len -= n;
	}
}

static void put_json_bytes(struct out *out, const char *from, size_t len)
{
	while (len > 0) {
		size_t n = utf8_length((const unsigned char *)from, len);
		if (n == 0)
			put_text(out, "\xef\xbf\xbd"); /* U+FFFD */
		else if (*from == '"' || *from == '\\')
			put_format(out, "\\%c", *from);
		else if (*from == '\n')
			put_text(out, "\\n");
		else if ((uint8_t)*from < 0x20)
			put_format(out, "\\u%04x", (uint8_t)*from);
		else
			put(out, from, n);
		n = n > 0 ? n : 1;
		from += n;
		len -= n;
	}
}

static bool is_integer(const char *text, size_t len)
{
	size_t i = len > 1 && text[0] == '-';
	if (len == i || len - i > 20 || (text[i] == '0' && (len - i > 1 || i > 0)))
		return false;
	for (; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

/* A word of a message, or a pair if it has a key. */
struct word {
	const char *text;
	size_t len;     /* all of it */
	size_t key_len; /* 0 = not a pair */
};

static size_t key_len(const char *p, size_t len)
{
	size_t i = 0;
	while (i < len && (isalnum((unsigned char)p[i]) || strchr("_.-", p[i]) != NULL) &&
		p[i] != '\0')
		i++;
	return i > 0 && i < len && p[i] == '=' && (isalpha((unsigned char)p[0]) || p[0] == '_') ? i
												: 0;
}

/* Takes the next word off the message. Return: false at its end. */
static bool next_word(const char **pos, const char *end, struct word *word)
{
	const char *p = *pos;
	while (p < end && *p == ' ')
		p++;
	if (p == end)
		return false;
	word->text = p;
	word->key_len = key_len(p, (size_t)(end - p));
	if (word->key_len > 0 && p + word->key_len + 1 < end && p[word->key_len + 1] == '"') {
		for (p += word->key_len + 2; p < end && *p != '"'; p++)
			if (*p == '\\' && p + 1 < end)
				p++;
		p += p < end;
	}
	while (p < end && *p != ' ')
		p++;
	word->len = (size_t)(p - word->text);
	*pos = p;
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reverses log_quote(): @from is what follows the opening quote. Return: the length written. */
static size_t unquote(const char *from, size_t len, char to[LOG_LINE_MAX])
{
	size_t n = 0;
	for (size_t i = 0; i < len && from[i] != '"'; i++) {
		char c = from[i];
		if (c == '\\' && i + 1 < len) {
			c = from[++i];
			if (c == 'n') {
				c = '\n';
			} else if (c == 'x' && i + 2 < len && hex_value(from[i + 1]) >= 0 &&
				   hex_value(from[i + 2]) >= 0) {
				c = (char)(hex_value(from[i + 1]) * 16 + hex_value(from[i + 2]));
				i += 2;
			}
		}
		to[n++] = c;
	}
	return n;
}

static void put_json_pair(struct out *out, const struct word *word)
{
	static const char *const ours[] = { "ts", "level", "msg", "module" };
	const char *value = word->text + word->key_len + 1;
	size_t len = word->len - word->key_len - 1;
	char plain[LOG_LINE_MAX];

	put_text(out, ",\"");
	put(out, word->text, word->key_len);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (word->key_len == strlen(ours[i]) &&
			memcmp(word->text, ours[i], word->key_len) == 0)
			put_text(out, "_");
	put_text(out, "\":");
	if (is_integer(value, len)) {
		put(out, value, len);
		return;
	}
	put_text(out, "\"");
	if (len > 0 && *value == '"')
		put_json_bytes(out, plain, unquote(value + 1, len - 1, plain));
	else
		put_json_bytes(out, value, len);
	put_text(out, "\"");
}

static void render_json(struct out *out, const struct entry *entry, const char *message)
{
	const char *end = message + entry->len, *pos = message;
	struct word word;
	bool is_first = true;

	put_text(out, "{\"ts\":\"");
	put_time(out, entry->wall_ms, false);
	put_format(out, "\",\"level\":\"%s\",\"msg\":\"", levels[entry->level].name);
	while (next_word(&pos, end, &word)) {
		if (word.key_len > 0)
			continue;
		if (!is_first)
			put_text(out, " ");
		put_json_bytes(out, word.text, word.len);
		is_first = false;
	}
	put_text(out, "\"");
	if (entry->level == LOG_LEVEL_DEBUG)
		put_format(out, ",\"module\":\"%.40s\"", entry->module);
	for (pos = message; next_word(&pos, end, &word);)
		if (word.key_len > 0)
			put_json_pair(out, &word);
	put_text(out, "}\n");
}

/* One line for the sink. */
static void render(struct out *out, enum log_format format, bool is_tty, const struct entry *entry,
	const char *message)
{
	if (format == LOG_FORMAT_JSON) {
		render_json(out, entry, message);
		return;
	}
	if (format == LOG_FORMAT_JOURNAL) {
		put_format(out, "<%d>", levels[entry->level].priority);
	} else {
		put_time(out, entry->wall_ms, is_tty);
		put_format(out, " %-5s ", levels[entry->level].name);
	}
	if (entry->level == LOG_LEVEL_DEBUG)
		put_format(out, "%.40s: ", entry->module);
	put_printable(out, message, entry->len);
	put_text(out, "\n");
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
	struct out out, line;
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
	struct batch *b, const struct entry *entry, const char *message, uint64_t tail)
{
	size_t limit = state.is_file ? FILE_CHUNK : PIPE_CHUNK;
	b->line.len = 0;
	render(&b->line, state.format, state.is_tty, entry, message);
	if (b->out.len > 0 && b->out.len + b->line.len > limit)
		batch_write(b, tail);
	put(&b->out, b->line.data, b->line.len);
	b->n_lines++;
}

static void batch_tell_dropped(struct batch *b, uint64_t tail)
{
	uint64_t n_dropped = atomic_load(&state.n_dropped);
	char message[64];
	struct entry entry = {
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
		struct entry entry;
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
static void write_direct(const struct entry *entry, const char *message)
{
	struct out out;
	sigset_t pipe_signal, old, pending;
	const struct timespec at_once = { .tv_sec = 0 };

	out.len = 0;
	render(&out, state.format, isatty(STDERR_FILENO) == 1, entry, message);
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
static bool enqueue(const struct entry *entry, const char *message)
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
	struct entry entry = {
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

bool log_level_parse(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < N_LEVELS; i++)
		if (strcmp(text, levels[i].name) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	return false;
}

bool log_format_parse(const char *text, enum log_format *ret)
{
	static const char *const names[] = {
		[LOG_FORMAT_AUTO] = "auto",
		[LOG_FORMAT_TEXT] = "text",
		[LOG_FORMAT_JSON] = "json",
		[LOG_FORMAT_JOURNAL] = "journal",
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum log_format)i;
			return true;
		}
	return false;
}

/* The window's start and its count change together: the start is in the upper 56 bits. */
bool log_limit_take(struct log_limit *limit)
{
	uint64_t now_ms = clock_ms(CLOCK_MONOTONIC_COARSE) + WINDOW_MS; /* after the zero window */
	uint64_t old = atomic_load(&limit->window), new;
	do {
		bool is_over = now_ms - (old >> 8) >= WINDOW_MS && now_ms > old >> 8;
		if (!is_over && (old & 0xff) >= LOG_BURST) {
			atomic_fetch_add(&limit->n_skipped, 1);
			return false;
		}
		new = is_over ? now_ms << 8 | 1 : old + 1;
	} while (!atomic_compare_exchange_weak(&limit->window, &old, new));
	return true;
}

void log_limit_tell(struct log_limit *limit, enum log_level level, const char *module)
{
	uint32_t n = atomic_exchange(&limit->n_skipped, 0);
	if (n > 0)
		log_line(level, module, "more lines like the next were left out n=%" PRIu32, n);
}

const char *log_quote(const char *text, char *to, size_t size)
{
	size_t n_text = text != NULL ? strlen(text) : 0, n = 0;
	bool is_plain = n_text > 0 && !is_integer(text, n_text);

	if (size == 0)
		return to;
	if (text == NULL) {
		snprintf(to, size, "-");
		return to;
	}
	for (size_t i = 0, len; i < n_text && is_plain; i += len) {
		len = printable_len(text + i, n_text - i);
		is_plain = len > 0 && strchr(" \"\\", text[i]) == NULL;
	}
	size_t quote = is_plain ? 0 : 1;
	if (!is_plain && size > 2)
		to[n++] = '"';
	for (size_t i = 0, len; size > 2 && i < n_text; i += len) {
		char piece[8];
		len = printable_len(text + i, n_text - i);
		if (len == 0)
			snprintf(piece, sizeof piece, "\\x%02x", (uint8_t)text[i]);
		else
			snprintf(piece, sizeof piece, "%s%.*s",
				text[i] == '"' || text[i] == '\\' ? "\\" : "", (int)len, text + i);
		len = len > 0 ? len : 1;
		if (n + strlen(piece) + quote >= size)
			break;
		memcpy(to + n, piece, strlen(piece));
		n += strlen(piece);
	}
	if (!is_plain && size > 2)
		to[n++] = '"';
	to[n] = '\0';
	return to;
}
