#ifndef ACCESS_HTTP_UPLOAD_H
#define ACCESS_HTTP_UPLOAD_H
/*
 * Does: the stream of a client whose one HTTP request is under way: passes on its body and nothing
 * behind it. Knows: streams, http_body.h. Never knows: heads, where the body goes.
 *
 * The server was told "Connection: close", but it may keep silent about it, and the client then
 * takes the connection for one that stays: its next request, perhaps to somebody else and with the
 * proxy's password, must not reach this server. What comes behind the body is dropped; the first of
 * it ends the direction (EOF): a server that waits for more closes, and the client asks anew.
 */
#include "access/http_body.h"
#include "common/stream.h"

/** http_upload_new() - Takes @client (not CLOSED, nothing read since @body was counted); copies
 * @body. Writing is not touched. Chunks that are none: FAILED with -EPROTO. Return: 0, ERR_NOMEM:
 * then @client is still the caller's. */
NODISCARD int http_upload_new(
	struct stream *client, const struct http_body *body, struct stream **ret);

#endif
