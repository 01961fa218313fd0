#include "chain/cli_screen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define DRAW_MS    100
#define WIDTH_MIN  20
#define WIDTH_MAX  1000
#define ENTER      "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
#define LEAVE      "\x1b[?7h\x1b[?25h\x1b[?1049l"
/* Not after the line: in the last column it would take a character. */
#define LINE_START "\x1b[K"

struct cli_screen {
	struct cli_screen_events events;
	const char *help;
	int key_fd; /* -1: no keys */
	struct termios before;
	bool has_before;
	uv_poll_t keys;
	uv_signal_t resized, stopped;
	uv_timer_t timer;
	uint64_t drawn_at_ms;
	unsigned n_handles; /* open */
	bool is_closed;
};

static void write_all(const char *text, size_t len)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);
		if (n < 0 && errno == EAGAIN)
			(void)poll(&out, 1, -1); /* somebody else made it non-blocking */
		else if (n < 0 && errno != EINTR)
			return;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void get_size(unsigned *ret_width, unsigned *ret_height)
{
	struct winsize size = { 0 };
	const char *columns = getenv("COLUMNS");
	bool is_terminal = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
	int width = is_terminal ? size.ws_col : columns != NULL ? atoi(columns) : 0;
	width = width <= 0 ? 80 : width < WIDTH_MIN ? WIDTH_MIN : width;
	*ret_width = width > WIDTH_MAX ? WIDTH_MAX : (unsigned)width;
	*ret_height = is_terminal && size.ws_row > 0 ? size.ws_row : 24;
}

unsigned cli_screen_width(void)
{
	unsigned width, height;
	get_size(&width, &height);
	return width;
}

/* The page in @text, at most @height - 1 lines of it, and the help line. */
static void print_frame(
	const struct cli_screen *screen, const char *text, unsigned height, FILE *to)
{
	unsigned n_lines = 0;
	fputs("\x1b[H", to);
	while (*text != '\0' && n_lines + 1 < height) {
		size_t len = strcspn(text, "\n");
		fprintf(to, LINE_START "%.*s\r\n", (int)len, text);
		text += len + (text[len] == '\n' ? 1 : 0);
		n_lines++;
	}
	fprintf(to, "\x1b[J\x1b[%u;1H%s", height, screen->help);
}

static void on_timer(uv_timer_t *timer);

/* A terminal that is stopped (Ctrl-S) must not stop what is measured. */
static bool is_writable(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
	return poll(&out, 1, 0) == 1;
}

static void draw(struct cli_screen *screen)
{
	char *page = NULL, *frame = NULL;
	size_t page_len = 0, frame_len = 0;
	unsigned width, height;
	get_size(&width, &height);
	screen->drawn_at_ms = uv_now(screen->timer.loop);
	if (!is_writable()) {
		uv_timer_start(&screen->timer, on_timer, DRAW_MS, 0);
		return;
	}
	FILE *to = open_memstream(&page, &page_len);
	if (to == NULL)
		return;
	screen->events.draw(width, to, screen->events.owner);
	(void)fclose(to);
	to = page != NULL ? open_memstream(&frame, &frame_len) : NULL;
	if (to != NULL) {
		print_frame(screen, page, height, to);
		(void)fclose(to);
		write_all(frame, frame_len);
	}
	free(page);
	free(frame);
}

static void on_timer(uv_timer_t *timer)
{
	draw(timer->data);
}

void cli_screen_change(struct cli_screen *screen)
{
	uint64_t now = uv_now(screen->timer.loop), next = screen->drawn_at_ms + DRAW_MS;
	if (!screen->is_closed && !uv_is_active((uv_handle_t *)&screen->timer))
		uv_timer_start(&screen->timer, on_timer, next > now ? next - now : 0, 0);
}

static void enter(struct cli_screen *screen)
{
	struct termios raw = screen->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (screen->has_before)
		tcsetattr(screen->key_fd, TCSADRAIN, &raw);
	write_all(ENTER, strlen(ENTER));
}

static void leave(struct cli_screen *screen)
{
	write_all(LEAVE, strlen(LEAVE));
	if (screen->has_before)
		tcsetattr(screen->key_fd, TCSADRAIN, &screen->before);
}

static void on_resized(uv_signal_t *handle, int signum)
{
	(void)signum;
	if (is_writable())
		write_all("\x1b[2J", 4);
	draw(handle->data);
}

/* Ctrl-Z: the shell gets its terminal back, and we take it again when it lets us go on. */
static void on_stopped(uv_signal_t *handle, int signum)
{
	struct cli_screen *screen = handle->data;
	(void)signum;
	leave(screen);
	/* Not SIGSTOP: where nobody could let us go on, the kernel does not stop us either. */
	signal(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);
	uv_signal_stop(handle);
	uv_signal_start(handle, on_stopped, SIGTSTP);
	enter(screen);
	draw(screen);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct cli_screen *screen = handle->data;
	unsigned char keys[64];
	(void)events;
	ssize_t n = status == 0 ? read(screen->key_fd, keys, sizeof keys) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		uv_poll_stop(handle);
		screen->events.on_key('q', screen->events.owner);
	}
	for (ssize_t i = 0; i < n && !screen->is_closed; i++)
		screen->events.on_key(keys[i], screen->events.owner);
}

static void on_closed(uv_handle_t *handle)
{
	struct cli_screen *screen = handle->data;
	if (--screen->n_handles > 0)
		return;
	if (screen->key_fd >= 0)
		close(screen->key_fd);
	free(screen);
}

void cli_screen_close(struct cli_screen *screen)
{
	if (screen == NULL || screen->is_closed)
		return;
	screen->is_closed = true;
	leave(screen);
	uv_close((uv_handle_t *)&screen->resized, on_closed);
	uv_close((uv_handle_t *)&screen->stopped, on_closed);
	uv_close((uv_handle_t *)&screen->timer, on_closed);
	if (screen->key_fd >= 0)
		uv_close((uv_handle_t *)&screen->keys, on_closed);
}

/* A description of our own: libuv makes it non-blocking, and the terminal's is the shell's too. */
static int open_terminal(void)
{
	static const char *const paths[] = { "/proc/self/fd/0", "/dev/tty" };
	int fd = -1;
	for (size_t i = isatty(STDIN_FILENO) ? 0 : 1; i < 2 && fd < 0; i++)
		fd = open(paths[i], O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd;
}

static void open_keys(uv_loop_t *loop, struct cli_screen *screen)
{
	screen->key_fd = open_terminal();
	if (screen->key_fd < 0)
		return;
	if (uv_poll_init(loop, &screen->keys, screen->key_fd) != 0) {
		close(screen->key_fd);
		screen->key_fd = -1;
		return;
	}
	screen->n_handles++;
	screen->keys.data = screen;
	screen->has_before = tcgetattr(screen->key_fd, &screen->before) == 0;
	uv_poll_start(&screen->keys, UV_READABLE, on_readable);
}

int cli_screen_open(uv_loop_t *loop, const char *help, const struct cli_screen_events *events,
	struct cli_screen **ret)
{
	struct cli_screen *screen = calloc(1, sizeof *screen);
	if (screen == NULL)
		return UV_ENOMEM;
	screen->events = *events;
	screen->help = help;
	screen->resized.data = screen->stopped.data = screen->timer.data = screen;
	uv_timer_init(loop, &screen->timer);
	uv_signal_init(loop, &screen->resized);
	uv_signal_init(loop, &screen->stopped);
	screen->n_handles = 3;
	open_keys(loop, screen);
	uv_signal_start(&screen->resized, on_resized, SIGWINCH);
	uv_signal_start(&screen->stopped, on_stopped, SIGTSTP);
	enter(screen);
	cli_screen_change(screen);
	*ret = screen;
	return 0;
}
