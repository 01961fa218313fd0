#ifndef CONFIG_ADMIN_CLIENT_H
#define CONFIG_ADMIN_CLIENT_H
/*
 * Does: asks a server that runs, on its admin socket, and waits for the answer. Knows: sockets,
 * HTTP as common/admin.h speaks it. Never knows: what is asked.
 */
#include "config/json.h"

#define ADMIN_CLIENT_ANSWER_MAX (4u << 20) /* bytes */
#define ADMIN_CLIENT_TIMEOUT_S  60         /* without a byte */

struct admin_reply {
	unsigned status;
	const char *body;
	struct json *root; /* the same, as a tree */
	char *text;        /* all of it; owned */
};
/** admin_client_ask() - sends @request to the socket at @path. Return: false after a message of
 * @program; *ret is empty then. */
NODISCARD bool admin_client_ask(
	const char *program, const char *path, const char *request, struct admin_reply *ret);
void admin_reply_deinit(struct admin_reply *reply);
/** admin_reply_text() - the member @name of @object; "" if it is no text. */
const char *admin_reply_text(const struct json *object, const char *name);

#endif
