#ifndef COMMON_ADMIN_H
#define COMMON_ADMIN_H
/*
 * Does: answers operators on a unix socket: HTTP/1.1, one request a connection, JSON. Knows:
 * streams. Never knows: what is asked for.
 *
 * Who may open the socket may do all of it. Nothing is changed by GET. POST needs Content-Type:
 * application/json and no Origin, so that no page in a browser can send one through a forwarded
 * socket. Errors are {"error": {"slug", "message"}}.
 */
#include "common/admin_request.h"
#include "common/loop.h"

#define ADMIN_CLIENTS_MAX 16
#define ADMIN_TIMEOUT_MS  5000 /* for the request, and for taking the answer */
#define ADMIN_MODE        0600

struct admin_exchange;
struct admin_request {
	const char *query; /* behind the "?", as it came; "" if there is none */
	struct bytes body;
};
/** admin_fn - ends with admin_answer(), once, now or later. @request is gone when it returns. */
typedef void admin_fn(
	struct admin_exchange *exchange, const struct admin_request *request, void *owner);
struct admin_route {
	const char *method, *path; /* "GET", "/v1/status" */
	admin_fn *fn;
};

struct admin;
/** admin_new() - listens on the socket file @path, of @mode (0 = ADMIN_MODE). A file that nobody
 * listens on any more is replaced. @routes are borrowed. Return: 0; -EADDRINUSE: somebody listens
 * there; any other -errno. */
NODISCARD int admin_new(struct loop *loop, const char *path, uint32_t mode,
	const struct admin_route *routes, size_t n_routes, void *owner, struct admin **ret);
/** admin_free() - also what was not answered; before its loop. The file goes if it is ours. NULL
 * ok.
 */
void admin_free(struct admin *admin);
/** admin_answer() - @json is heap, and taken; NULL: no memory. */
void admin_answer(struct admin_exchange *exchange, unsigned status, char *json);
/** admin_refuse() - an answer that is an error. */
void admin_refuse(
	struct admin_exchange *exchange, unsigned status, const char *slug, const char *message);

#endif
