#ifndef COMMON_ERR_H
#define COMMON_ERR_H
/*
 * Does: names the fatal errors functions return. Knows: errno. Never knows: logging.
 *
 * A fallible function returns 0 or a negative value: -errno (the same numbers as libuv's UV_E*), or
 * one of the values below. Expected outcomes are enums of the module, never these.
 */
#include <errno.h>

#define NODISCARD __attribute__((warn_unused_result))

#define ERR_AGAIN   (-EAGAIN)
#define ERR_NOMEM   (-ENOMEM)
#define ERR_INVAL   (-EINVAL)
#define ERR_TIMEOUT (-ETIMEDOUT)
#define ERR_CANCEL  (-ECANCELED)
#define ERR_PIPE    (-EPIPE)
#define ERR_RESET   (-ECONNRESET)

/* Own range, below every errno. */
enum err {
	ERR_TRUNCATED = -10001,  /* the stream ended without its orderly end (close_notify) */
	ERR_BAD_RECORD = -10002, /* a sealed record is malformed or does not authenticate */
	ERR_CANCELED = -10003,   /* the peer gave the stream up (user_canceled) */
	ERR_STALLED = -10004, /* the peer's host acknowledges nothing although its window is open */
	ERR_CRYPTO =
		-10005, /* the crypto library refused an operation that cannot fail on good input */
	ERR_NOT_FOUND = -10006,     /* DNS: no such name */
	ERR_NO_ADDRESS = -10007,    /* DNS: the name has no address */
	ERR_DNS_TEMPORARY = -10008, /* DNS: try again */
	ERR_DNS_SERVER = -10009,    /* DNS: server failure */
	ERR_DNS_TIMEOUT = -10010,   /* DNS: no answer in time */
	ERR_DENIED = -10011,        /* a policy refused every address */
	ERR_IDLE = -10012,          /* no byte moved for the configured time */
};

/** err_name() - short stable word for @code, e.g. "ECONNREFUSED", "bad-record". Never NULL. Static.
 */
const char *err_name(int code);

/** err_text() - one lower-case sentence for people, no full stop. Never NULL. Static. */
const char *err_text(int code);

#endif
