#include "chain/cli_secret.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

/* A terminal without echo. Signals that end or stop the process wait until it shows again. */
struct quiet {
	struct termios terminal; /* as before */
	sigset_t mask;           /* as before */
	int ends;                /* readable when a signal that ends waits */
};

static enum cli_exit fail(const char *what)
{
	fprintf(stderr, "chain: %s\n", what);
	return CLI_FAILED;
}

static bool quiet_start(struct quiet *quiet)
{
	sigset_t held;
	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGHUP);
	sigaddset(&held, SIGQUIT);
	quiet->ends = signalfd(-1, &held, SFD_CLOEXEC);
	if (quiet->ends < 0)
		return false;
	sigaddset(&held, SIGTSTP);
	sigprocmask(SIG_BLOCK, &held, &quiet->mask);
	struct termios terminal;
	bool is_good = tcgetattr(STDIN_FILENO, &quiet->terminal) == 0;
	terminal = quiet->terminal;
	terminal.c_lflag = (terminal.c_lflag & ~(tcflag_t)ECHO) | ECHONL | ICANON;
	if (is_good && tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal) == 0)
		return true;
	close(quiet->ends);
	sigprocmask(SIG_SETMASK, &quiet->mask, NULL);
	return false;
}

static void quiet_end(struct quiet *quiet)
{
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet->terminal);
	close(quiet->ends);
	sigprocmask(SIG_SETMASK, &quiet->mask, NULL); /* what waited happens now */
}

enum line {
	LINE_GOOD,
	LINE_NONE, /* the end of input, an error, a signal */
	LINE_LONG,
};

/* Byte by byte: what follows the line is not ours. @ends: a descriptor, or -1. */
static enum line read_line(int ends, char to[CLI_SECRET_TEXT])
{
	size_t len = 0;
	for (;;) {
		struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = ends, .events = POLLIN } };
		char c = '\0';
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return LINE_NONE;
		if (fds[1].revents != 0)
			return LINE_NONE;
		if (fds[0].revents == 0)
			continue;
		ssize_t n = read(STDIN_FILENO, &c, 1);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0 || (n == 0 && len == 0))
			return LINE_NONE;
		if (n == 0 || c == '\n')
			break;
		if (len < CLI_SECRET_TEXT)
			to[len++] = c != '\0' ? c : '\1'; /* refused as that is */
	}
	if (len == CLI_SECRET_TEXT)
		return LINE_LONG;
	to[len] = '\0';
	return LINE_GOOD;
}

static bool has_control(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

static enum cli_exit judge(enum line line, const char *text)
{
	if (line == LINE_NONE)
		return fail("no password was given");
	if (line == LINE_LONG) {
		fprintf(stderr, "chain: a password has at most %d bytes\n", CLI_SECRET_TEXT - 1);
		return CLI_FAILED;
	}
	if (*text == '\0')
		return fail("the password is empty");
	if (has_control(text))
		return fail("the password has a control character in it");
	return CLI_OK;
}

static enum cli_exit ask_twice(const struct quiet *quiet, const char *whose, char *to)
{
	char again[CLI_SECRET_TEXT];
	fprintf(stderr, "Password of %s: ", whose);
	enum cli_exit result = judge(read_line(quiet->ends, to), to);
	if (result != CLI_OK)
		return result;
	fprintf(stderr, "The same again: ");
	enum line line = read_line(quiet->ends, again);
	if (line == LINE_NONE)
		result = judge(line, again);
	else if (line != LINE_GOOD || strcmp(to, again) != 0)
		result = fail("the two passwords differ; nothing was changed");
	explicit_bzero(again, sizeof again);
	return result;
}

enum cli_exit cli_secret_read(const char *whose, char to[CLI_SECRET_TEXT])
{
	struct quiet quiet;
	if (!isatty(STDIN_FILENO))
		return judge(read_line(-1, to), to);
	if (!quiet_start(&quiet))
		return fail("cannot ask on this terminal without showing what is typed");
	enum cli_exit result = ask_twice(&quiet, whose, to);
	quiet_end(&quiet);
	return result;
}
