#include "access/http_exchange.h"

#include <stdio.h>

const char *http_exchange_end_name(enum http_exchange_end end)
{
	static const char *const names[] = {
		[HTTP_EXCHANGE_DONE] = "done",
		[HTTP_EXCHANGE_SWITCHED] = "switched",
		[HTTP_EXCHANGE_UNANSWERED] = "unanswered",
		[HTTP_EXCHANGE_BAD] = "bad-answer",
		[HTTP_EXCHANGE_INCOMPLETE] = "incomplete-answer",
		[HTTP_EXCHANGE_CUT] = "cut-answer",
		[HTTP_EXCHANGE_CLIENT_ENDED] = "client-fin",
		[HTTP_EXCHANGE_CLIENT_FAILED] = "client-failed",
		[HTTP_EXCHANGE_IDLE] = "idle-timeout",
		[HTTP_EXCHANGE_STALLED] = "stalled",
	};
	return names[end];
}

void http_exchange_answer(const struct http_exchange_result *result,
	char text[HTTP_ANSWER_TEXT_MAX], struct http_answer *ret)
{
	*ret = (struct http_answer){ .status = 502, .text = text, .fields = "" };
	if (result->end == HTTP_EXCHANGE_BAD) {
		ret->word = "http_protocol_error";
		snprintf(text, HTTP_ANSWER_TEXT_MAX, "the server's answer is malformed: %s",
			result->fault);
	} else if (result->end == HTTP_EXCHANGE_INCOMPLETE) {
		ret->word = "http_response_incomplete";
		ret->text = "the server's answer ended in the middle of its head";
	} else if (result->end == HTTP_EXCHANGE_UNANSWERED) {
		ret->word = "connection_terminated";
		ret->text = "the server closed the connection without an answer";
	} else if (result->end == HTTP_EXCHANGE_IDLE && result->client_owes) {
		ret->status = 408;
		ret->word = "http_request_error";
		ret->text = "the body of the request has not come in time";
	} else {
		ret->status = 504;
		ret->word = "http_response_timeout";
		ret->text = "the server has not answered in time";
	}
}
