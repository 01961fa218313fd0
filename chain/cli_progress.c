#include "chain/cli_progress.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_MS    250
#define NS         1e9
#define TEXT_MAX   200
#define SMOOTH     0.3 /* weight of the newest rate */
#define NO_COLUMNS 80  /* a terminal that does not know its width */

struct cli_progress {
	uv_timer_t timer;
	const struct cli_transfer *transfer;
	uint64_t last_ns, n_last;
	double rate;
	size_t n_shown; /* columns of the line that stands there */
};

const char *cli_print_amount(double bytes, char to[CLI_AMOUNT_TEXT])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	size_t i = 0;
	if (bytes < 1024) {
		snprintf(to, CLI_AMOUNT_TEXT, "%.0f byte%s", bytes, bytes == 1 ? "" : "s");
		return to;
	}
	/* What "%.1f" would show as 1024.0 is 1.0 of the next. */
	for (bytes /= 1024; bytes >= 1023.95 && i + 1 < sizeof units / sizeof units[0]; i++)
		bytes /= 1024;
	snprintf(to, CLI_AMOUNT_TEXT, "%.1f %s", bytes, units[i]);
	return to;
}

const char *cli_print_seconds(uint64_t ns, char to[CLI_SECONDS_TEXT])
{
	unsigned long long s = ns / 1000000000;
	if (ns < 1000000000)
		snprintf(to, CLI_SECONDS_TEXT, "%.1f ms", (double)ns / 1e6);
	else if (s < 60)
		snprintf(to, CLI_SECONDS_TEXT, "%.1f s", (double)ns / NS);
	else
		snprintf(to, CLI_SECONDS_TEXT, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
	return to;
}

const char *cli_transfer_print(const struct cli_transfer *t, char to[CLI_TRANSFER_TEXT])
{
	char time[CLI_SECONDS_TEXT], rate[CLI_AMOUNT_TEXT];
	uint64_t ns = t->start_ns != 0 ? uv_hrtime() - t->start_ns : 0;
	double seconds = (double)ns / NS;
	double n = (double)(t->n_sent + t->n_received);
	snprintf(to, CLI_TRANSFER_TEXT, "sent %llu byte%s, received %llu byte%s in %s, %s/s",
		(unsigned long long)t->n_sent, t->n_sent == 1 ? "" : "s",
		(unsigned long long)t->n_received, t->n_received == 1 ? "" : "s",
		cli_print_seconds(ns, time), cli_print_amount(ns > 0 ? n / seconds : 0, rate));
	return to;
}

static size_t columns(void)
{
	struct winsize size;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return NO_COLUMNS;
	return size.ws_col;
}

/* Replaces what stands there by @text, without escape sequences: blanks after it, and back. */
static void show(struct cli_progress *p, const char *text)
{
	char line[2 * TEXT_MAX + 4];
	size_t len = strlen(text), room = columns() - 1;
	if (len > room)
		len = room;
	size_t n_blank = p->n_shown > len ? p->n_shown - len : 0;
	if (len + n_blank > room)
		n_blank = room > len ? room - len : 0;
	int n = snprintf(line, sizeof line, "\r%.*s%*s\r%.*s", (int)len, text, (int)n_blank, "",
		(int)len, text);
	if (n > 0)
		(void)!write(
			STDERR_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
	p->n_shown = len;
}

static void measure(struct cli_progress *p)
{
	uint64_t now = uv_hrtime(), n = p->transfer->n_sent + p->transfer->n_received;
	double seconds = (double)(now - p->last_ns) / NS;
	double rate = seconds > 0 ? (double)(n - p->n_last) / seconds : 0;
	p->rate = p->n_last == 0 ? rate : p->rate + SMOOTH * (rate - p->rate);
	p->last_ns = now;
	p->n_last = n;
}

static void on_timer(uv_timer_t *timer)
{
	struct cli_progress *p = timer->data;
	const struct cli_transfer *t = p->transfer;
	char text[TEXT_MAX], sent[CLI_AMOUNT_TEXT], received[CLI_AMOUNT_TEXT],
		rate[CLI_AMOUNT_TEXT];
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
	measure(p);
	/* A terminal that was stopped (Ctrl-S) must not stop the transfer. */
	if (poll(&out, 1, 0) != 1)
		return;
	unsigned long long s = t->start_ns != 0 ? (uv_hrtime() - t->start_ns) / 1000000000 : 0;
	snprintf(text, sizeof text, "%llu:%02llu:%02llu  %s up  %s down  %s/s", s / 3600,
		s / 60 % 60, s % 60, cli_print_amount((double)t->n_sent, sent),
		cli_print_amount((double)t->n_received, received), cli_print_amount(p->rate, rate));
	show(p, text);
}

struct cli_progress *cli_progress_open(uv_loop_t *loop, const struct cli_transfer *transfer)
{
	if (!isatty(STDERR_FILENO) || isatty(STDOUT_FILENO))
		return NULL;
	struct cli_progress *p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->transfer = transfer;
	p->last_ns = uv_hrtime();
	(void)uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	(void)uv_timer_start(&p->timer, on_timer, DRAW_MS, DRAW_MS);
	return p;
}

void cli_progress_erase(struct cli_progress *p)
{
	if (p != NULL && p->n_shown > 0)
		show(p, "");
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void cli_progress_close(struct cli_progress *p)
{
	if (p == NULL)
		return;
	cli_progress_erase(p);
	uv_close((uv_handle_t *)&p->timer, on_closed);
}
