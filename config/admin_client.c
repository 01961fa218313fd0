#include "config/admin_client.h"

#include "config/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE 65536

static bool send_all(int fd, const char *text)
{
	for (size_t left = strlen(text); left > 0;) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		text += n;
		left -= (size_t)n;
	}
	return true;
}

static int ask(const char *path, const char *request)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const struct timeval limit = { .tv_sec = ADMIN_CLIENT_TIMEOUT_S };
	if (strlen(path) >= sizeof to.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	memcpy(to.sun_path, path, strlen(path));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && send_all(fd, request))
		return fd;
	int error = errno;
	(void)close(fd);
	errno = error;
	return -1;
}

/* All that comes, with a '\0' behind; heap. */
static char *take_answer(int fd)
{
	char *text = NULL;
	for (size_t len = 0; len < ADMIN_CLIENT_ANSWER_MAX;) {
		char *longer = realloc(text, len + READ_SIZE + 1);
		if (longer == NULL)
			break;
		text = longer;
		ssize_t n = recv(fd, text + len, READ_SIZE, 0);
		if (n < 0)
			break;
		if (n == 0) {
			text[len] = '\0';
			return text;
		}
		len += (size_t)n;
	}
	free(text);
	return NULL;
}

static void on_finding(struct span at, const char *text, void *owner)
{
	(void)at;
	(void)text;
	(void)owner;
}

static void read_answer(struct admin_reply *reply)
{
	char *end = reply->text != NULL ? strstr(reply->text, "\r\n\r\n") : NULL;
	if (end == NULL || sscanf(reply->text, "HTTP/1.1 %3u ", &reply->status) != 1)
		return;
	reply->body = end + 4;
	struct bytes json = bytes_of(reply->body, strlen(reply->body));
	if (scan_json(json, on_finding, NULL))
		reply->root = json_parse(json);
}

bool admin_client_ask(
	const char *program, const char *path, const char *request, struct admin_reply *ret)
{
	*ret = (struct admin_reply){ 0 };
	int fd = ask(path, request);
	if (fd < 0) {
		fprintf(stderr, "%s: nobody answers at %s: %s\n", program, path, strerror(errno));
		return false;
	}
	ret->text = take_answer(fd);
	(void)close(fd);
	read_answer(ret);
	if (ret->root != NULL)
		return true;
	fprintf(stderr, "%s: no answer came from %s\n", program, path);
	admin_reply_deinit(ret);
	return false;
}

void admin_reply_deinit(struct admin_reply *reply)
{
	json_free(reply->root);
	free(reply->text);
	*reply = (struct admin_reply){ 0 };
}

const char *admin_reply_text(const struct json *object, const char *name)
{
	const struct json *value = object != NULL ? json_member(object, name) : NULL;
	return value != NULL && json_type(value) == JSON_STRING ? json_string(value) : "";
}
