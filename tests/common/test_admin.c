/* The admin socket under input that is cut, slow, too long or hostile. */
#include "common/admin.h"
#include "common/admin_query.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct scene {
	char folder[32], path[64];
	struct loop *loop;
	struct admin *admin;
	unsigned n_asked;
	char body[64];
};

static void on_ask(
	struct admin_exchange *exchange, const struct admin_request *request, void *owner)
{
	struct scene *s = owner;
	s->n_asked++;
	snprintf(s->body, sizeof s->body, "%.*s", (int)request->body.len,
		(const char *)request->body.ptr);
	admin_answer(exchange, 200, strdup("{}"));
}

static const struct admin_route routes[] = {
	{ "GET", "/v1/status", on_ask },
	{ "POST", "/v1/reload", on_ask },
};

static void begin(struct scene *s)
{
	*s = (struct scene){ .folder = "/tmp/hopchain-admin-XXXXXX" };
	cr_assert_not_null(mkdtemp(s->folder));
	snprintf(s->path, sizeof s->path, "%s/socket", s->folder);
	cr_assert_eq(loop_new(&s->loop), 0);
	cr_assert_eq(admin_new(s->loop, s->path, 0, routes, 2, s, &s->admin), 0);
}

static void end(struct scene *s)
{
	struct stat st;
	admin_free(s->admin);
	loop_free(s->loop);
	cr_assert_neq(stat(s->path, &st), 0, "the socket file stays");
	cr_assert_eq(rmdir(s->folder), 0);
}

static int enter(const struct scene *s)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	strcpy(to.sun_path, s->path);
	cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static void turn(struct scene *s, int n)
{
	for (int i = 0; i < n; i++)
		loop_turn(s->loop);
}

/* The status of the answer; 0: none. */
static int answer(struct scene *s, int fd)
{
	char text[1024] = "";
	turn(s, 6);
	ssize_t n = recv(fd, text, sizeof text - 1, 0);
	close(fd);
	turn(s, 6);
	return n > 12 ? atoi(text + 9) : 0;
}

#define JSON "Content-Type: application/json\r\n"

static const struct {
	const char *text;
	int status;
} cases[] = {
	{ "GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n", 200 },
	{ "GET /v1/status?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", 200 },
	{ "POST /v1/reload HTTP/1.1\r\n" JSON "Content-Length: 2\r\n\r\n{}", 200 },
	{ "POST /v1/reload HTTP/1.1\r\ncontent-type: application/json; charset=utf-8\r\n\r\n",
		200 },
	{ "POST /v1/reload HTTP/1.1\r\n" JSON "Origin:\r\nX: y\r\n\r\n", 403 },
	{ "POST /v1/reload HTTP/1.1\r\n" JSON "X:\r\nOrigin: http://evil\r\n\r\n", 403 },
	{ "POST /v1/reload HTTP/1.1\r\n" JSON "Origin: null\r\n\r\n", 403 },
	{ "POST /v1/reload HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n", 415 },
	{ "POST /v1/reload HTTP/1.1\r\nContent-Type: application/jsonp\r\n\r\n", 415 },
	{ "POST /v1/reload HTTP/1.1\r\n\r\n", 415 },
	{ "GET /v1/reload HTTP/1.1\r\n\r\n", 405 },
	{ "GET /v1/status/ HTTP/1.1\r\n\r\n", 404 },
	{ "GET http://a/v1/status HTTP/1.1\r\n\r\n", 404 },
	{ "\x16\x03\x01\x02\x00", 400 },
	{ "GET /v1/status HTTP/1.1\r\nHost : a\r\n\r\n", 400 },
};

Test(admin, every_split)
{
	struct scene s;
	begin(&s);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t len = strlen(cases[i].text) + (cases[i].text[0] == '\x16' ? 1 : 0);
		for (size_t split = 0; split < len; split++) {
			int fd = enter(&s);
			cr_assert_eq(send(fd, cases[i].text, split, MSG_NOSIGNAL), (ssize_t)split);
			turn(&s, 4);
			(void)send(fd, cases[i].text + split, len - split, MSG_NOSIGNAL);
			cr_assert_eq(
				answer(&s, fd), cases[i].status, "case %zu split %zu", i, split);
		}
	}
	end(&s);
}

Test(admin, what_is_too_long)
{
	struct scene s;
	static char text[3 * ADMIN_REQUEST_MAX];
	begin(&s);
	memset(text, 'a', sizeof text);
	memcpy(text, "GET /", 5);
	int fd = enter(&s);
	(void)send(fd, text, 5000, MSG_NOSIGNAL);
	cr_assert_eq(answer(&s, fd), 413);
	memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
	fd = enter(&s);
	(void)send(fd, text, sizeof text, MSG_NOSIGNAL);
	cr_assert_eq(answer(&s, fd), 413);
	cr_assert_eq(s.n_asked, 0);
	end(&s);
}

Test(admin, too_many_clients)
{
	struct scene s;
	int fds[ADMIN_CLIENTS_MAX];
	begin(&s);
	for (int i = 0; i < ADMIN_CLIENTS_MAX; i++)
		fds[i] = enter(&s);
	turn(&s, 8);
	int more = enter(&s);
	(void)send(more, cases[0].text, strlen(cases[0].text), MSG_NOSIGNAL);
	cr_assert_eq(answer(&s, more), 0);
	close(fds[0]);
	turn(&s, 8);
	more = enter(&s);
	(void)send(more, cases[0].text, strlen(cases[0].text), MSG_NOSIGNAL);
	cr_assert_eq(answer(&s, more), 200);
	for (int i = 1; i < ADMIN_CLIENTS_MAX; i++)
		close(fds[i]);
	end(&s);
}

Test(admin, who_says_nothing_is_left, .timeout = 20)
{
	struct scene s;
	bool never = false;
	char byte;
	begin(&s);
	int fd = enter(&s);
	(void)send(fd, "GET /", 5, MSG_NOSIGNAL);
	(void)loop_run_until(s.loop, &never, ADMIN_TIMEOUT_MS + 500);
	cr_assert_eq(recv(fd, &byte, 1, 0), 0);
	close(fd);
	end(&s);
}

Test(admin, one_has_the_place)
{
	struct scene s;
	struct admin *second;
	begin(&s);
	cr_assert_eq(admin_new(s.loop, s.path, 0, routes, 2, &s, &second), -EADDRINUSE);
	end(&s);
}

Test(admin, queries)
{
	char to[8], *text = NULL;
	size_t size;
	static const struct {
		const char *query, *value;
	} good[] = { { "a=1&b=2", "2" }, { "b=%5b::%5D+x", "[::] x" }, { "b=%c3%bc", "ü" },
		{ "b=1&b=2", "1" }, { "bb=1&b=1234567", "1234567" } };
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cr_assert_eq(admin_query(good[i].query, "b", to, sizeof to), ADMIN_VALUE_GOOD);
		cr_assert_str_eq(to, good[i].value);
	}
	static const char *const none[] = { "", "b", "bb=1", "a=b=1", "b&c" };
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		cr_assert_eq(
			admin_query(none[i], "b", to, sizeof to), ADMIN_VALUE_NONE, "%s", none[i]);
	static const char *const bad[] = { "b=%4", "b=%", "b=%zz", "b=%00", "b=%0a", "b=%7f",
		"b=12345678" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cr_assert_eq(
			admin_query(bad[i], "b", to, sizeof to), ADMIN_VALUE_BAD, "%s", bad[i]);
		cr_assert_str_empty(to);
	}
	FILE *f = open_memstream(&text, &size);
	admin_put_query(f, '?', "a", "[::1]:80");
	admin_put_query(f, '&', "b", "ü +&%");
	fclose(f);
	cr_assert_str_eq(text, "?a=%5B::1%5D:80&b=%C3%BC%20%2B%26%25");
	free(text);
}
