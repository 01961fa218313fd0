#ifndef ACCESS_HTTP_EXCHANGE_H
#define ACCESS_HTTP_EXCHANGE_H
/*
 * Does: one HTTP request and its answer between a client and a server: the request's body up, the
 * answer down, at the pace of who is slower. Knows: streams, http_request.h, http_response.h. Never
 * knows: chains, who asks, what comes before and after.
 */
#include "access/http_answer.h"
#include "access/http_request.h"
#include "access/http_response.h"
#include "common/shaper.h"
#include "common/stream.h"

enum http_exchange_end {
	HTTP_EXCHANGE_DONE,          /* the whole answer has gone to the client */
	HTTP_EXCHANGE_SWITCHED,      /* 101 has: from now on bytes go both ways as they are */
	HTTP_EXCHANGE_UNANSWERED,    /* the server ended or failed before a byte of its answer */
	HTTP_EXCHANGE_BAD,           /* its answer is bad; nothing of it but 1xx was passed on */
	HTTP_EXCHANGE_INCOMPLETE,    /* it ended in the answer's head; as above */
	HTTP_EXCHANGE_CUT,           /* either, when a part had gone to the client: abort that */
	HTTP_EXCHANGE_CLIENT_ENDED,  /* in the middle of its request */
	HTTP_EXCHANGE_CLIENT_FAILED, /* or its chunks are malformed */
	HTTP_EXCHANGE_IDLE,          /* no byte for idle_timeout_ms */
	HTTP_EXCHANGE_STALLED,       /* one of their hosts acknowledges nothing */
};
/** http_exchange_end_name() - one word for the log. Static. */
const char *http_exchange_end_name(enum http_exchange_end end);

struct http_exchange_result {
	enum http_exchange_end end;
	unsigned status;   /* of the answer; 0: none was passed on */
	const char *fault; /* BAD: one sentence. Static */
	bool keeps_client; /* DONE: it was not told that the connection ends */
	bool keeps_server; /* DONE: it can take another request */
	bool client_owes;  /* it has not sent its whole request, though the server takes more */
	bool client_ended; /* its direction; that will not be told again */
	struct bytes rest; /* came behind the request's body; at most GREETING_HEAD_MAX */
	uint64_t n_up, n_down;
};
/** http_exchange_answer() - what a client is told that got no answer: of UNANSWERED, BAD,
 * INCOMPLETE, IDLE, STALLED. The sentence is written to @text. */
void http_exchange_answer(const struct http_exchange_result *result,
	char text[HTTP_ANSWER_TEXT_MAX], struct http_answer *ret);

/** http_exchange_fn - the exchange is gone when it returns. The streams are the callee's: they are
 * not read, their events still go to the exchange, and only those of a DONE or SWITCHED one that
 * are kept are of further use. */
typedef void http_exchange_fn(const struct http_exchange_result *result, void *owner);

struct relay_kit;
struct http_exchange_options {
	const bool *ends_client[2]; /* each or NULL. If one is *true when the head of an answer
				       comes, its client is told that the connection ends */
	uint32_t idle_timeout_ms;   /* 0 = off */
	const struct shaper_set *shapers; /* or NULL; borrowed until the end */
	struct relay_kit *kit;            /* the same, but never NULL: relay_way.h */
};
struct http_exchange;
/** http_exchange_start() - owns the events of both streams until @on_done, which never runs from
 * inside; does not close them. Borrows @request, copies @options. Return: 0, ERR_NOMEM. */
NODISCARD int http_exchange_start(struct stream *client, struct stream *server,
	const struct http_request *request, const struct http_exchange_options *options,
	http_exchange_fn *on_done, void *owner, struct http_exchange **ret);
/** http_exchange_cancel() - no callback will come; the streams are the caller's. NULL ok. */
void http_exchange_cancel(struct http_exchange *exchange);
/** http_exchange_counts() - what it has moved so far. */
void http_exchange_counts(
	const struct http_exchange *exchange, uint64_t *ret_up, uint64_t *ret_down);

#endif
