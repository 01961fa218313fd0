#include "config/daemon.h"

#include "config/admin_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
		printf("%s: reloaded: %s\n", program, admin_reply_text(root, "summary"));
		return CLI_OK;
	}
	const char *text = admin_reply_text(root, "text");
	if (*text != '\0') {
		size_t len = strlen(text);
		fprintf(stderr, "%s%s", text, text[len - 1] == '\n' ? "" : "\n");
	}
	fprintf(stderr, "%s: not reloaded: %s\n", program,
		error != NULL ? admin_reply_text(error, "message")
			      : "the answer is not understood");
	return *text != '\0' ? CLI_CONFIG : CLI_FAILED;
}

static enum cli_exit reload(const char *program, const char *path)
{
	static const char request[] = "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\n"
				      "Content-Type: application/json\r\nContent-Length: 2\r\n"
				      "Connection: close\r\n\r\n{}";
	struct admin_reply reply;
	if (!admin_client_ask(program, path, request, &reply))
		return CLI_FAILED;
	enum cli_exit result = tell(program, reply.root);
	admin_reply_deinit(&reply);
	return result;
}

char *daemon_admin_find(const struct cli *cli, const char *program, const char *named)
{
	char *path = named != NULL ? strdup(named) : default_path(program, false);
	if (path == NULL)
		cli_wrong(cli, "there is no default place for a socket here: --admin-socket PATH");
	return path;
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
	char *path = daemon_admin_find(cli, program, named);
	if (path == NULL)
		return CLI_USAGE;
	enum cli_exit result = reload(program, path);
	free(path);
	return result;
}
