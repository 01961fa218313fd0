#include "greet.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ends.h"

/* What is said, and how much the answer to it has; 0: as far as an empty line. */
struct line {
	char text[96];
	unsigned n_text, n_answer;
};

static struct line lines[2];
static int n_lines;

bool greet_set(const char *protocol, int port)
{
	static const char hello[] = { 5, 1, 0 };
	char connect[] = { 5, 1, 0, 1, 127, 0, 0, 1, (char)(port >> 8), (char)port };

	if (strcmp(protocol, "http") == 0) {
		n_lines = 1;
		lines[0].n_text = (unsigned)snprintf(lines[0].text, sizeof(lines[0].text),
			"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", port, port);
		return true;
	}
	if (strcmp(protocol, "socks5") != 0)
		return false;
	n_lines = 2;
	memcpy(lines[0].text, hello, sizeof(hello));
	lines[0].n_text = sizeof(hello);
	lines[0].n_answer = 2;
	memcpy(lines[1].text, connect, sizeof(connect));
	lines[1].n_text = sizeof(connect);
	lines[1].n_answer = 10;
	return true;
}

/* Return: 1 for a good and whole answer, 0 for a part of one, -1 for another. */
static int judge(const struct line *line, const struct greet *greet)
{
	if (line->n_answer > 0) {
		if (greet->n_in < line->n_answer)
			return 0;
		return greet->in[0] == 5 && greet->in[1] == 0 ? 1 : -1;
	}
	if (greet->n_in < 4 || memcmp(greet->in + greet->n_in - 4, "\r\n\r\n", 4) != 0)
		return greet->n_in < sizeof(greet->in) ? 0 : -1;
	return memcmp(greet->in, "HTTP/1.", 7) == 0 && memcmp(greet->in + 8, " 200", 4) == 0 ? 1
											     : -1;
}

/* The origin says nothing unasked: all that can be read belongs to the answer. */
static int hear(struct greet *greet, int fd, const struct line *line)
{
	while (true) {
		size_t room = line->n_answer > 0 ? line->n_answer - greet->n_in
						 : sizeof(greet->in) - greet->n_in;
		ssize_t n = recv(fd, greet->in + greet->n_in, room, 0);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return -1;
		greet->n_in += (unsigned)n;
		int outcome = judge(line, greet);
		if (outcome != 0)
			return outcome;
	}
}

/* Even stages say, odd ones hear. */
int greet_step(struct greet *greet, int fd)
{
	while (greet->stage < 2 * n_lines) {
		const struct line *line = &lines[greet->stage / 2];

		if (greet->stage % 2 == 0) {
			if (send(fd, line->text, line->n_text, MSG_NOSIGNAL) !=
				(ssize_t)line->n_text)
				return -1;
			greet->n_in = 0;
		} else {
			int outcome = hear(greet, fd, line);
			if (outcome != 1)
				return outcome;
		}
		greet->stage++;
	}
	return 1;
}

void greet_whole(int fd)
{
	struct greet greet = { 0 };

	errno = 0;
	if (greet_step(&greet, fd) != 1)
		die("greeting");
}
