#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct row {
	int code;
	const char *name; /* NULL: the errno's own */
	const char *text;
};

/* What the system says about the other errno values is good enough; it begins with a capital. */
static const struct row rows[] = {
	{ 0, "ok", "no error" },
	{ ERR_TRUNCATED, "truncated", "the stream ended without its orderly end" },
	{ ERR_BAD_RECORD, "bad-record", "a sealed record is malformed or does not authenticate" },
	{ ERR_CANCELED, "canceled", "the peer gave the stream up" },
	{ ERR_STALLED, "stalled", "the peer's host acknowledges nothing" },
	{ ERR_CRYPTO, "crypto", "the crypto library refused an operation" },
	{ ERR_NOT_FOUND, "not-found", "no such name" },
	{ ERR_NO_ADDRESS, "no-address", "the name has no address" },
	{ ERR_DNS_TEMPORARY, "dns-temporary", "the name cannot be looked up now" },
	{ ERR_DNS_SERVER, "dns-server", "the name server failed" },
	{ ERR_DNS_TIMEOUT, "dns-timeout", "the name server did not answer in time" },
	{ ERR_DENIED, "denied", "a policy refused every address" },
	{ ERR_IDLE, "idle", "no byte moved for the configured time" },
	{ -EACCES, NULL, "permission denied" },
	{ -EADDRINUSE, NULL, "address in use" },
	{ -EADDRNOTAVAIL, NULL, "no such local address, or no free local port" },
	{ -EAFNOSUPPORT, NULL, "this address family is not supported here" },
	{ -EAGAIN, NULL, "not possible at this moment" },
	{ -EBADF, NULL, "bad file descriptor" },
	{ -ECANCELED, NULL, "canceled" },
	{ -ECONNABORTED, NULL, "connection aborted" },
	{ -ECONNREFUSED, NULL, "connection refused" },
	{ -ECONNRESET, NULL, "connection reset by the peer" },
	{ -EEXIST, NULL, "exists already" },
	{ -EHOSTDOWN, NULL, "host is down" },
	{ -EHOSTUNREACH, NULL, "host unreachable" },
	{ -EINTR, NULL, "interrupted" },
	{ -EINVAL, NULL, "invalid argument" },
	{ -EIO, NULL, "input or output error" },
	{ -EISDIR, NULL, "is a directory" },
	{ -EMFILE, NULL, "this process has too many open files" },
	{ -EMSGSIZE, NULL, "message too long" },
	{ -ENETDOWN, NULL, "network is down" },
	{ -ENETUNREACH, NULL, "network unreachable" },
	{ -ENFILE, NULL, "the system has too many open files" },
	{ -ENOBUFS, NULL, "no buffer space left" },
	{ -ENOENT, NULL, "no such file or directory" },
	{ -ENOMEM, NULL, "out of memory" },
	{ -ENOSPC, NULL, "no space left" },
	{ -ENOTCONN, NULL, "not connected" },
	{ -ENOTDIR, NULL, "not a directory" },
	{ -EOPNOTSUPP, NULL, "operation not supported" },
	{ -EPERM, NULL, "operation not permitted" },
	{ -EPIPE, NULL, "the peer has closed the connection" },
	{ -EPROTO, NULL, "protocol error" },
	{ -EROFS, NULL, "read-only file system" },
	{ -ETIMEDOUT, NULL, "timed out" },
};

static const struct row *find(int code)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (rows[i].code == code)
			return &rows[i];
	}
	return NULL;
}

/* Bounds first: the negation of INT_MIN is undefined. */
static bool is_errno(int code)
{
	return code < 0 && code > -4096;
}

const char *err_name(int code)
{
	const struct row *row = find(code);
	const char *name = NULL;
	if (row != NULL && row->name != NULL)
		return row->name;
	if (is_errno(code))
		name = strerrorname_np(-code);
	return name != NULL ? name : "unknown";
}

const char *err_text(int code)
{
	const struct row *row = find(code);
	const char *text = NULL;
	if (row != NULL)
		return row->text;
	if (is_errno(code))
		text = strerrordesc_np(-code);
	return text != NULL ? text : "unknown error";
}
