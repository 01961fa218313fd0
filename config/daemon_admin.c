#include "config/daemon.h"

#include "config/json.h"
#include "config/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (4u << 20)

/* Where the socket is if nobody says; heap, or NULL. @makes: the user's own folder is made. */
static char *default_path(const char *program, bool makes)
{
	const char *folder = getenv("XDG_RUNTIME_DIR");
	char *path = NULL;
	if (folder != NULL && *folder == '/') {
		if (asprintf(&path, "%s/hopchain", folder) < 0)
			return NULL;
		bool is_there = access(path, W_OK) == 0 || (makes && mkdir(path, 0700) == 0);
		free(path);
		path = NULL;
		if (is_there && asprintf(&path, "%s/hopchain/%s.sock", folder, program) >= 0)
			return path;
	}
	if (access("/run/hopchain", W_OK) == 0 &&
		asprintf(&path, "/run/hopchain/%s.sock", program) >= 0)
		return path;
	return NULL;
}

bool daemon_admin(const struct daemon_flags *flags, const struct cli *cli, const char *program,
	struct control_options *control)
{
	if (flags->admin_socket == NULL && control->path != NULL)
		return true;
	control_options_deinit(control);
	if (flags->admin_socket == NULL) {
		control->path = default_path(program, true);
		return true;
	}
	if (*flags->admin_socket == '\0' || strlen(flags->admin_socket) > ADDR_PATH_MAX)
		return cli_wrong(
			cli, "--admin-socket: expected a path of at most %d bytes", ADDR_PATH_MAX);
	control->is_named = true;
	control->path = strdup(flags->admin_socket);
	return control->path != NULL || cli_wrong(cli, "out of memory");
}

/* ---- The command "reload" ---- */

static bool on_option(size_t i, const char *argument, void *owner)
{
	(void)i;
	*(const char **)owner = argument;
	return true;
}

static int ask(const char *path, const char *request)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = strlen(path) < sizeof to.sun_path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
						   : -1;
	if (fd < 0)
		return -1;
	strcpy(to.sun_path, path);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
		send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request))
		return fd;
	(void)close(fd);
	return -1;
}

/* All that comes, with an end; heap. */
static char *take_answer(int fd, size_t *ret_len)
{
	char *text = NULL;
	size_t len = 0;
	for (;;) {
		char *longer = len < ANSWER_MAX ? realloc(text, len + 65536) : NULL;
		if (longer == NULL)
			break;
		text = longer;
		ssize_t n = recv(fd, text + len, 65535, 0);
		if (n <= 0) {
			text[len] = '\0';
			*ret_len = len;
			return text;
		}
		len += (size_t)n;
	}
	free(text);
	return NULL;
}

static const char *text_of(const struct json *object, const char *name)
{
	const struct json *value = json_member(object, name);
	return value != NULL && json_type(value) == JSON_STRING ? json_string(value) : "";
}

static void print_warnings(const char *program, const struct json *root)
{
	const struct json *list = json_member(root, "warnings");
	if (list == NULL || json_type(list) != JSON_ARRAY)
		return;
	for (const struct json *w = json_first(list); w != NULL; w = json_next(w)) {
		if (json_type(w) == JSON_STRING)
			fprintf(stderr, "%s: %s\n", program, json_string(w));
	}
}

static enum cli_exit tell(const char *program, const struct json *root)
{
	const struct json *error = json_member(root, "error");
	if (json_member(root, "reloaded") != NULL) {
		print_warnings(program, root);
		printf("%s: reloaded: %s\n", program, text_of(root, "summary"));
		return CLI_OK;
	}
	const char *text = text_of(root, "text");
	if (*text != '\0') {
		size_t len = strlen(text);
		fprintf(stderr, "%s%s", text, text[len - 1] == '\n' ? "" : "\n");
	}
	fprintf(stderr, "%s: not reloaded: %s\n", program,
		error != NULL ? text_of(error, "message") : "the answer is not understood");
	return *text != '\0' ? CLI_CONFIG : CLI_FAILED;
}

static void on_finding(struct span at, const char *text, void *owner)
{
	(void)at;
	(void)text;
	(void)owner;
}

static enum cli_exit reload(const char *program, const char *path)
{
	static const char request[] = "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\n"
				      "Content-Type: application/json\r\nContent-Length: 2\r\n"
				      "Connection: close\r\n\r\n{}";
	size_t len = 0;
	int fd = ask(path, request);
	if (fd < 0) {
		fprintf(stderr, "%s: nobody answers at %s: %s\n", program, path, strerror(errno));
		return CLI_FAILED;
	}
	char *answer = take_answer(fd, &len);
	(void)close(fd);
	char *body = answer != NULL ? strstr(answer, "\r\n\r\n") : NULL;
	struct bytes json = body != NULL ? bytes_of(body + 4, strlen(body + 4)) : bytes_of(NULL, 0);
	struct json *root =
		body != NULL && scan_json(json, on_finding, NULL) ? json_parse(json) : NULL;
	enum cli_exit result = CLI_FAILED;
	if (root != NULL)
		result = tell(program, root);
	else
		fprintf(stderr, "%s: no answer came from %s\n", program, path);
	json_free(root);
	free(answer);
	return result;
}

enum cli_exit daemon_reload_command(
	const struct cli *cli, const char *program, int argc, char **argv)
{
	const char *named = NULL;
	int n_rest = 0;
	enum cli_result parsed = cli_parse(cli, argc, argv, on_option, &named, &n_rest);
	if (parsed != CLI_GOOD)
		return parsed == CLI_HELPED ? CLI_OK : CLI_USAGE;
	if (n_rest > 0) {
		cli_wrong(cli, "unexpected argument \"%.60s\"", argv[argc - n_rest]);
		return CLI_USAGE;
	}
	char *path = named != NULL ? strdup(named) : default_path(program, false);
	if (path == NULL) {
		cli_wrong(cli, "there is no default place for a socket here: --admin-socket PATH");
		return CLI_USAGE;
	}
	enum cli_exit result = reload(program, path);
	free(path);
	return result;
}
